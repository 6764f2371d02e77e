package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/replay"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/control"
)

// card is what the model has counted by some time; nil without one.
type card nic.ModelTime

// modelGrace is how long the NIC may take to count the cycles of frames that have
// passed.
const modelGrace = 20 * time.Second

// counted asks the rig's NIC for the card's time, once it has counted what has
// passed, and for the CPU time of the kernel threads in which hosts receive on the
// NIC's account.
func (g *rig) counted(ctx context.Context) (*card, time.Duration, error) {
	if g.nic == nil {
		return nil, 0, nil
	}
	for end := time.Now().Add(modelGrace); ; {
		snap, err := control.Get(ctx, g.sock)
		if err != nil {
			return nil, 0, err
		}
		if snap.ModelNS == nil || snap.ModelNS.Behind == 0 {
			return (*card)(snap.ModelNS), time.Duration(snap.Counters["xdp.threaded.cpu_ns"]), nil
		}
		if time.Now().After(end) {
			return nil, 0, fmt.Errorf("bench: the NIC of %s has %d frames left to count after %v without traffic", g.lab.Spec().Name, snap.ModelNS.Behind, modelGrace)
		}
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// since is the card's time for so many requests, nil if there was none, or no frame of
// theirs was counted. Where some were, stretches of the traffic, they stand for all.
// The median of a frame is that of all counted since the NIC began.
func (c *card) since(before *card, requests uint64) *ModelNS {
	if c == nil || requests == 0 {
		return nil
	}
	if before == nil {
		before = &card{}
	}
	timed, untimed := c.Timed-before.Timed, c.Untimed-before.Untimed
	if timed == 0 {
		return nil
	}
	share := float64(timed) / float64(timed+untimed)
	n := float64(requests) * share
	return &ModelNS{P50: c.P50, PerRequest: (c.Sum - before.Sum) / n, Frames: float64(c.Frames-before.Frames) / n, Lost: c.Lost - before.Lost, Share: share}
}

// ModelCheck is the card's account of one stretch of an experiment's traffic: it
// was captured as the NIC saw it, and both engines counted it again. If they and
// the live NIC don't agree to the picosecond, no model_ns is worth anything.
type ModelCheck struct {
	System   string  `json:"system"`
	Pipeline string  `json:"pipeline"`
	Capture  string  `json:"capture"` // in the run folder
	Requests uint64  `json:"requests"`
	Frames   uint64  `json:"frames"` // copies that left the card
	Lost     uint64  `json:"lost_frames"`
	Live     float64 `json:"live_sum_ns"`
	Tick     float64 `json:"tick_sum_ns"`
	Maxplus  float64 `json:"maxplus_sum_ns"`
	Agree    bool    `json:"agree"`

	// PerSecond is how many requests a second the card carries of this traffic before it
	// loses a frame: the capture, its frames evenly apart and ever closer. Of nic_offload.
	PerSecond float64 `json:"card_requests_per_s,omitempty"`

	// Stages add up, with the remainder, to the sum over the requests.
	Stages    []StageTime `json:"stages_ns_per_request"`
	Remainder float64     `json:"remainder_ns_per_request"` // between stages
}

// StageTime is what a request's frames spend at a stage, ns a request.
type StageTime struct {
	Stage        string  `json:"stage"`
	Pass         float64 `json:"pass"`          // the stage's own latency
	Queue        float64 `json:"queue"`         // behind other frames
	StoreForward float64 `json:"store_forward"` // until the whole frame is there
	Blocked      float64 `json:"blocked"`       // by what comes after
}

// checked is a system whose traffic is captured when all is measured.
type checked struct {
	name string
	rig  *rig
	work work
}

// check does the work once more through a NIC that captures, and counts its
// cycles again. file is the capture's name in the run folder.
func (c *checked) check(ctx context.Context, file string) (*ModelCheck, error) {
	g := c.rig
	path, err := filepath.Abs(filepath.Join(g.run.Dir, file))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	g.nic.Stop(stopGrace)
	if err := g.startNIC(ctx, g.mode, g.does, slices.Concat(g.attach, []string{"--capture", path})...); err != nil {
		return nil, err
	}
	s, err := g.measure(ctx, c.work)
	if err != nil {
		return nil, fmt.Errorf("bench: %s, captured: %w", c.name, err)
	}
	g.nic.Stop(stopGrace)
	live, err := readCounters(g.counters())
	if err != nil {
		return nil, err
	}
	m := &ModelCheck{System: c.name, Capture: file, Requests: s.result.N + s.result.Errors.Total() + s.result.Warmup}
	if live != nil {
		m.Pipeline, m.Frames, m.Lost, m.Live = live.Pipeline, live.Frames, live.Lost, live.Sum
	}
	g.run.Manifest.Files[file] = hashFile(path)
	if g.does != nic.Offload {
		return m, m.recount(ctx, library(path))
	}
	if err := m.recount(ctx, g.child(path)); err != nil {
		return nil, err
	}
	m.PerSecond, err = g.saturate(ctx, path)
	return m, err
}

// stopGrace is how long the NIC may take to write down what it counted.
const stopGrace = 20 * time.Second

// readCounters reads what the last of a rig's NICs printed at its end.
func readCounters(path string) (*nic.ModelTime, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bench: counters of the NIC: %w", err)
	}
	defer f.Close()
	var last nic.Snapshot
	for d := json.NewDecoder(f); ; {
		var snap nic.Snapshot
		switch err := d.Decode(&snap); {
		case errors.Is(err, io.EOF):
			return last.ModelNS, nil
		case err != nil:
			return nil, fmt.Errorf("bench: counters of the NIC: %s: %w", path, err)
		}
		last = snap
	}
}

// recount replays the capture with both engines.
func (m *ModelCheck) recount(ctx context.Context, again replayer) error {
	tick, err := again(ctx, "tick", false)
	if err != nil {
		return err
	}
	maxplus, err := again(ctx, "maxplus", true)
	if err != nil {
		return err
	}
	m.Tick, m.Maxplus = sum(tick), sum(maxplus)
	same := func(r *replay.Result) bool {
		_, drops := r.Reasons()
		return r.Carried.Frames == m.Frames && picos(sum(r)) == picos(m.Live) && lostOnCard(r, drops) == m.Lost
	}
	m.Agree = m.Frames > 0 && same(tick) && same(maxplus)
	n := float64(max(m.Requests, 1))
	for _, st := range maxplus.Waterfall.Stages {
		m.Stages = append(m.Stages, StageTime{
			Stage: st.Stage,
			Pass:  float64(st.PassSumNs) / 1e3 / n, Queue: float64(st.QueueSumNs) / 1e3 / n,
			StoreForward: float64(st.StoreForwardSumNs) / 1e3 / n, Blocked: float64(st.BlockedSumNs) / 1e3 / n,
		})
	}
	m.Remainder = float64(maxplus.Waterfall.Remainder.SumNs) / 1e3 / n
	return nil
}

// sum of the latencies of all frames, ns.
func sum(r *replay.Result) float64 {
	if r.Latency == nil {
		return 0
	}
	return float64(picos(r.Latency.MeanNs*float64(r.Carried.Frames))) / 1e3
}

func picos(ns float64) int64 { return int64(math.Round(ns * 1e3)) }

// lostOnCard are the frames that the program had passed.
func lostOnCard(r *replay.Result, drops map[string]uint64) (n uint64) {
	for _, d := range r.Drops {
		n += d.Frames
	}
	return n - min(n, r.ProgramDrops)
}

// distrust says what is wrong, or nothing.
func (m *ModelCheck) distrust() string {
	if m == nil || m.Agree {
		return ""
	}
	return fmt.Sprintf("model_ns of %s is not to be trusted: %s counted %.3f ns for its frames live, the capture %s has %.3f ns with tick and %.3f with maxplus; please report it with that file",
		m.System, lab.SwitchHost, m.Live, m.Capture, m.Tick, m.Maxplus)
}
