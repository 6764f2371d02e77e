package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/meshnic/meshnic/bench/load"
)

// idleConnections are open while a proxy's memory is read.
const idleConnections = 1000

// withMemory measures as before, and in the first repeat also the memory of the
// proxy that listens on target in the server's host.
func (g *rig) withMemory(name, target string, measure func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	looked := false
	return func(ctx context.Context) (sample, error) {
		s, err := measure(ctx)
		if err != nil || looked {
			return s, err
		}
		looked = true
		s.memory, err = g.idleMemory(ctx, name, target)
		return s, err
	}
}

// idleMemory returns the KiB a proxy has in memory with idle connections.
func (g *rig) idleMemory(ctx context.Context, name, target string) (int64, error) {
	proxied := g.nic // whose program is a proxy, or that there is none of
	for _, p := range g.procs[proxy] {
		if p.Name == name && p.Host == "server" {
			proxied = p
		}
	}
	ready := filepath.Join(g.lab.Journal().Dir(), "idle-"+name)
	cmd := g.self(load.IdleConfig{Target: netip.MustParseAddrPort(target), Connections: idleConnections}, "__load", "idle")
	cmd.Name, cmd.Cores, cmd.Stdout = "idle", g.cores, ready
	idle, err := g.lab.Start("client", cmd)
	if err != nil {
		return 0, err
	}
	defer idle.Stop(time.Second)
	for end := time.Now().Add(startTimeout); ; {
		if b, err := os.ReadFile(ready); err == nil && len(b) > 0 {
			break
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-idle.Done():
			return 0, fmt.Errorf("bench: %d idle connections to %s: %w: %s", idleConnections, name, idle.Wait(), idle.Tail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("bench: %d idle connections to %s are not there after %v", idleConnections, name, startTimeout)
		}
	}
	bytes, err := proxied.RSS()
	return bytes / 1024, err
}
