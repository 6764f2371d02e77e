package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/meshnic/meshnic/bench/replay"
	"github.com/meshnic/meshnic/nic"
)

// replayer sends a capture through the card again.
type replayer func(ctx context.Context, engine string, waterfall bool) (*replay.Result, error)

// library replays a capture of the default card's.
func library(path string) replayer {
	return func(ctx context.Context, engine string, waterfall bool) (*replay.Result, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		defer f.Close()
		c, err := replay.Open(bufio.NewReaderSize(f, 1<<20), path)
		if err != nil {
			return nil, err
		}
		return replay.Run(ctx, c, replay.Options{Pipeline: nic.DefaultConfig().Pipeline, Engine: engine, Ports: "interface", Traces: replay.Traces{Waterfall: waterfall}})
	}
}

// child replays a capture of the rig's proxy: our own binary knows proxies.
func (g *rig) child(path string, args ...string) replayer {
	return func(ctx context.Context, engine string, waterfall bool) (*replay.Result, error) {
		all := append([]string{"replay", path, "--pipeline", nic.OffloadPipeline, "--ports", "interface", "--engine", engine,
			"--program", string(nic.Offload), "--config", g.proxy, "-o", "json"}, args...)
		if waterfall {
			all = append(all, "--waterfall", "-")
		}
		var out, why bytes.Buffer
		cmd := exec.CommandContext(ctx, g.run.Exe, all...)
		cmd.Stdout, cmd.Stderr = &out, &why
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("bench: replay of %s: %w: %s", path, err, bytes.TrimSpace(why.Bytes()))
		}
		var r replay.Result
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("bench: replay of %s: %w", path, err)
		}
		return &r, nil
	}
}

// saturateFrames are enough for some 5,000 requests.
const saturateFrames = "20000"

// saturate replays a capture with its frames ever closer, until the card loses one,
// and returns the most requests a second of which it lost none.
func (g *rig) saturate(ctx context.Context, path string) (best float64, err error) {
	try := func(gap time.Duration) (bool, error) {
		r, err := g.child(path, "--limit", saturateFrames, "--gap", gap.String())(ctx, "maxplus", false)
		if err != nil {
			return false, err
		}
		_, drops := r.Reasons()
		span := float64(r.Carried.LastNs-r.Carried.FirstNs) / 1e12
		if r.Requests == 0 || span <= 0 {
			return false, errors.New("bench: no request is in " + path)
		}
		if lostOnCard(r, drops) > 0 {
			return false, nil
		}
		best = max(best, float64(r.Requests)/span)
		return true, nil
	}
	low, high := time.Duration(0), time.Microsecond // too close; not
	for high-low > max(high/50, time.Nanosecond) {
		mid := (low + high) / 2
		ok, err := try(mid)
		switch {
		case err != nil:
			return 0, err
		case ok:
			high = mid
		default:
			low = mid
		}
	}
	return best, nil
}
