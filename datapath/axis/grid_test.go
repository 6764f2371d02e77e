package axis_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// block is a stage with the output that the next stage takes.
type block struct {
	stage
	Out int `json:"out"`
}

// grid is stages in a row, the first of them once for each input until one has
// several. The other outputs of a stage have sinks that are always ready.
type grid struct {
	blocks []block
	inputs [][]sim.Frame
	sink   string // at the end of the row; "": none
	others string // at the outputs that are not followed; "": none
	seed   uint64 // of the order of the stages, if not 0
}

// one is a grid of one module.
func one(name string, p module.Args, inputs ...[]sim.Frame) grid {
	return grid{blocks: []block{{stage: stage{name, p}}}, inputs: inputs}
}

// built is a grid's network. Clock edges are every 4 ns, from 0.
type built struct {
	net *sim.Net
	in  []*sim.Wire
	out []*sim.Wire // the followed one first, then those that are not followed
}

func (g grid) build(t testing.TB) *built {
	t.Helper()
	b := &built{net: &sim.Net{}}
	clock := b.net.Clock("clk", 4000, 0)
	source := func(width int, frames sim.Frames) *sim.Wire {
		w := b.net.Wire(fmt.Sprint("in", len(b.net.Wires)), clock, width)
		b.net.Add("source", &sim.Source{Out: w, Feed: &frames})
		return w
	}
	var ends, rest []*sim.Wire
	for k, s := range g.blocks {
		m := find(t, s.Module)
		args, err := m.Fill(s.Params)
		require.NoError(t, err)
		in, out := m.Ports(args)
		if k == 0 {
			for _, frames := range g.inputs {
				b.in = append(b.in, source(in[0].Width, append(sim.Frames{}, frames...)))
			}
			ends = b.in
		}
		for len(in) > 1 && len(ends) < len(in) {
			ends = append(ends[:len(ends):len(ends)], source(in[0].Width, nil))
		}
		var next []*sim.Wire
		for i := 0; i < len(ends); i += len(in) {
			var wires []*sim.Wire
			for o, p := range out {
				wires = append(wires, b.net.Wire(fmt.Sprintf("w%d.%d.%d", k, i, o), clock, p.Width))
			}
			m.Build(&module.Site{Net: b.net, Name: fmt.Sprintf("%s%d.%d", m.Name, k, i), Args: args, In: ends[i : i+len(in)], Out: wires})
			for o, w := range wires {
				if o == s.Out {
					next = append(next, w)
				} else {
					rest = append(rest, w)
				}
			}
		}
		ends = next
	}
	b.out = append(ends, rest...)
	for i, w := range b.out {
		name := g.sink
		if i > 0 {
			name = g.others
		}
		if name == "" {
			name = "none"
		}
		p, err := sim.NewPattern(name)
		require.NoError(t, err)
		b.net.Add("sink", &sim.Sink{In: w, Pattern: p})
	}
	return b
}

// run runs the grid until it rests, or for 40,000 cycles.
func (g grid) run(t testing.TB) (*built, *datapathtest.Trace) {
	t.Helper()
	b := g.build(t)
	trace := &datapathtest.Trace{Net: b.net, Until: sim.Never, Wires: make([][]datapathtest.Event, len(b.net.Wires))}
	tick, err := sim.NewTicker(b.net, trace)
	require.NoError(t, err)
	if g.seed != 0 {
		tick.Shuffle(rand.New(rand.NewPCG(g.seed, 0)).Shuffle)
	}
	tick.Run(160_000_000)
	return b, trace
}

// accepted are the beats accepted on a wire, with their cycles.
func accepted(t *datapathtest.Trace, w *sim.Wire) (at []sim.Cycle, beats []sim.Beat) {
	for _, e := range t.Wires[w.Index()] {
		if e.Accepted {
			at, beats = append(at, e.At), append(beats, e.Beat)
		}
	}
	return at, beats
}

// arrived are the frames that left on a wire, and when their last beats did.
func arrived(t *datapathtest.Trace, w *sim.Wire) (frames []uint32, last []sim.Cycle) {
	at, beats := accepted(t, w)
	for i, b := range beats {
		if b.Last {
			frames, last = append(frames, b.Frame), append(last, at[i])
		}
	}
	return frames, last
}

// numbered are frames of size bytes with numbers from id on.
func numbered(id uint32, n, size int, dest uint8) (f []sim.Frame) {
	for i := range n {
		f = append(f, sim.Frame{ID: id + uint32(i), Bytes: size, Dest: dest})
	}
	return f
}
