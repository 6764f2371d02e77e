package sim_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

const limit = 200 * 1000 * 1000 // ps; drawn networks that move come to rest before

// draw builds the network of a seed: one or two sources, up to eight stages
// that follow each other, fork and join, and a sink for each loose end.
func draw(seed uint64) *sim.Net {
	r := rand.New(rand.NewPCG(seed, 0))
	n := &sim.Net{}
	d := n.Clock("clk", 4000, sim.Picos(r.IntN(4000)))
	width := 8 << r.IntN(4)
	wires := 0
	wire := func() *sim.Wire {
		wires++
		return n.Wire(fmt.Sprintf("w%d", wires), d, width)
	}
	var open []*sim.Wire
	for range 1 + r.IntN(2) {
		w := wire()
		n.Add("source "+w.Name, &sim.Source{Out: w, Feed: frames(r, 1000*uint32(len(open)))})
		open = append(open, w)
	}
	for range r.IntN(9) {
		i := r.IntN(len(open))
		in := open[i]
		out := wire()
		name := "to " + out.Name
		switch k := r.IntN(12); {
		case k < 3:
			n.Add(name, axis.NewSkid(in, out))
		case k < 4:
			n.Add(name, axis.NewSlice(in, out))
		case k < 5:
			n.Add(name, axis.NewThrough(in, out))
		case k < 6:
			more := wire()
			n.Add(name, axis.NewBroadcast(in, []*sim.Wire{out, more}))
			open = append(open, more)
		case k < 10:
			n.Add(name, axis.NewFIFO(drawFIFO(r, width), in, out))
		case len(open) > 1:
			j := (i + 1) % len(open)
			n.Add(name, axis.NewArbMux(axis.Arbitration{}, []*sim.Wire{in, open[j]}, out))
			open[i] = out
			open = append(open[:j], open[j+1:]...)
			continue
		default:
			n.Add(name, axis.NewSkid(in, out))
		}
		open[i] = out
	}
	for _, w := range open {
		p, err := sim.NewPattern(sim.Patterns[r.IntN(len(sim.Patterns))])
		if err != nil {
			panic(err)
		}
		n.Add("sink "+w.Name, &sim.Sink{In: w, Pattern: p, From: sim.Cycle(r.IntN(20))})
	}
	return n
}

func drawFIFO(r *rand.Rand, width int) axis.FIFOConfig {
	c := axis.FIFOConfig{Depth: width << (1 + r.IntN(5)), Pipeline: r.IntN(8), OutputFIFO: r.IntN(3) == 0}
	if c.Frame = r.IntN(3) > 0; c.Frame {
		if c.DropOversize = r.IntN(3) > 0; c.DropOversize {
			c.DropBad, c.DropWhenFull = r.IntN(2) == 0, r.IntN(2) == 0
		}
	} else {
		c.MarkWhenFull = r.IntN(10) == 0
	}
	return c
}

// frames is up to 30 frames: back to back, with gaps, or at times.
func frames(r *rand.Rand, id uint32) *sim.Frames {
	var f sim.Frames
	var at sim.Picos
	gap, pause := r.IntN(2)*r.IntN(30), r.IntN(2)*r.IntN(400_000)
	for range r.IntN(30) {
		id++
		at += sim.Picos(r.IntN(pause + 1))
		f = append(f, sim.Frame{ID: id, Bytes: 1 + r.IntN(300), Dest: uint8(r.IntN(4)), Bad: r.IntN(8) == 0, At: at, Gap: sim.Cycle(r.IntN(gap + 1))})
	}
	return &f
}

// Both engines have every beat in the same cycles, whichever stages are clocked
// in islands.
func TestEnginesAgree(t *testing.T) {
	natives := map[string]func(seed uint64) func(int) bool{
		"all native":  func(uint64) func(int) bool { return nil },
		"none native": func(uint64) func(int) bool { return func(int) bool { return false } },
		"some native": func(seed uint64) func(int) bool {
			return func(i int) bool { return seed*0x9e3779b97f4a7c15>>(i%50)&1 != 0 }
		},
	}
	for name, native := range natives {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(1500) {
				diff, err := datapathtest.EnginesDiffer(func() *sim.Net { return draw(seed) }, limit, native(seed))
				require.NoError(t, err)
				require.Empty(t, diff, "seed %d", seed)
			}
		})
	}
}
