package axis_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
)

// everything is what an observer was told, by wire.
type everything struct {
	wires map[string][]string
	lost  []string
}

func (e *everything) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	e.wires[w.Name] = append(e.wires[w.Name], fmt.Sprint("offered ", at, b))
}

func (e *everything) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	e.wires[w.Name] = append(e.wires[w.Name], fmt.Sprint("accepted ", at, b))
}

func (e *everything) Dropped(_ int, t sim.Picos, frame uint32, why sim.Loss) {
	e.lost = append(e.lost, fmt.Sprint(t, frame, why))
}

// A crossing's recurrences are its registers', whatever the clocks, their phases,
// the mode, the traffic and the back-pressure.
func TestAsyncFIFOFlow(t *testing.T) {
	for seed := range uint64(600) {
		run := func(fast bool) (*everything, int) {
			r := rand.New(rand.NewPCG(seed, 7))
			net := &sim.Net{}
			period := func() sim.Picos { return sim.Picos(1000 + r.IntN(9000)) }
			p := period()
			q := period()
			if r.IntN(4) == 0 {
				q = p
			}
			a := net.Clock("a", p, sim.Picos(r.IntN(int(p))))
			b := net.Clock("b", q, sim.Picos(r.IntN(int(q))))
			c := axis.FIFOConfig{Depth: 8 << (1 + r.IntN(5)), Pipeline: r.IntN(4), OutputFIFO: r.IntN(3) == 0, Frame: r.IntN(2) == 0}
			c.DropOversize = c.Frame && r.IntN(2) == 0
			c.DropBad = c.DropOversize && r.IntN(2) == 0
			c.DropWhenFull = c.DropOversize && r.IntN(2) == 0
			var frames sim.Frames
			at := sim.Picos(0)
			for id := range uint32(40) {
				f := sim.Frame{ID: id + 1, Bytes: 1 + r.IntN(c.Depth), At: at, Bad: r.IntN(8) == 0}
				if r.IntN(3) == 0 {
					f.Gap = sim.Cycle(r.IntN(60))
				}
				if r.IntN(9) == 0 {
					at += sim.Picos(r.IntN(600_000))
				}
				frames = append(frames, f)
			}
			in, out := net.Wire("in", a, 8), net.Wire("out", b, 8)
			pattern, err := sim.NewPattern(sim.Patterns[r.IntN(len(sim.Patterns)-1)])
			require.NoError(t, err)
			net.Add("source", &sim.Source{Out: in, Feed: &frames})
			net.Add("fifo", axis.NewAsyncFIFO(c, in, out))
			net.Add("sink", &sim.Sink{In: out, Pattern: pattern})
			see := &everything{wires: map[string][]string{}}
			var engine interface {
				Run(sim.Picos) bool
				Highest(int) int
			}
			if fast {
				engine, err = sim.NewMaxPlus(net, see)
			} else {
				engine, err = sim.NewTicker(net, see)
			}
			require.NoError(t, err)
			engine.Run(1e9)
			return see, engine.Highest(1)
		}
		slow, slowPeak := run(false)
		fast, fastPeak := run(true)
		require.Equal(t, slow, fast, "seed %d", seed)
		require.Equal(t, slowPeak, fastPeak, "seed %d", seed)
	}
}
