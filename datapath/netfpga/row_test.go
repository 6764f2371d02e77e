package netfpga_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/netfpga"
	"github.com/meshnic/meshnic/datapath/sim"
)

// block is a module with its parameters and the output that the next one takes.
type block struct {
	Module string      `json:"module"`
	Params module.Args `json:"params"`
	Out    int         `json:"out"`
}

// row is modules in a row; only the first may have several inputs. The other
// outputs of a module have sinks that are always ready.
type row struct {
	blocks []block
	inputs [][]sim.Frame
	sink   string       // at the end of the row; "": none
	ends   netfpga.Ends // of a learning switch
	seed   uint64       // of the order of the stages, if not 0
}

// built is a row's network. Clock edges are every 4 ns, from 0.
type built struct {
	net *sim.Net
	in  []*sim.Wire
	out []*sim.Wire // the followed one first, then those that are not followed
}

func (r row) build(t testing.TB) *built {
	t.Helper()
	b := &built{net: &sim.Net{}}
	clock := b.net.Clock("clk", 4000, 0)
	var at, rest []*sim.Wire
	for k, s := range r.blocks {
		i := slices.IndexFunc(netfpga.Modules, func(m module.Module) bool { return m.Name == s.Module })
		require.GreaterOrEqual(t, i, 0, s.Module)
		m := netfpga.Modules[i]
		args, err := m.Fill(s.Params)
		require.NoError(t, err)
		in, out := m.Ports(args)
		for i := range in {
			if k > 0 {
				break
			}
			var frames sim.Frames
			if i < len(r.inputs) {
				frames = slices.Clone(r.inputs[i])
			}
			w := b.net.Wire(fmt.Sprint("in", i), clock, in[i].Width)
			b.net.Add("source", &sim.Source{Out: w, Feed: &frames})
			at, b.in = append(at, w), append(b.in, w)
		}
		var wires []*sim.Wire
		for o, p := range out {
			wires = append(wires, b.net.Wire(fmt.Sprintf("w%d.%d", k, o), clock, p.Width))
		}
		if m.Name == "nf.switch_lite_output_port_lookup" && r.ends != nil {
			b.net.Add(m.Name, netfpga.NewSwitchLookup(args.Int("C_LUT_DEPTH_BITS"), r.ends, at[0], wires[0]))
		} else {
			m.Build(&module.Site{Net: b.net, Name: m.Name, Args: args, In: at, Out: wires})
		}
		at = wires[s.Out : s.Out+1]
		rest = append(rest, slices.Delete(slices.Clone(wires), s.Out, s.Out+1)...)
	}
	b.out = append(slices.Clone(at), rest...)
	for i, w := range b.out {
		name := "none"
		if i == 0 && r.sink != "" {
			name = r.sink
		}
		p, err := sim.NewPattern(name)
		require.NoError(t, err)
		b.net.Add("sink", &sim.Sink{In: w, Pattern: p})
	}
	return b
}

// run runs the row until it rests, or for 40,000 cycles.
func (r row) run(t testing.TB) (*built, *datapathtest.Trace) {
	t.Helper()
	b := r.build(t)
	trace := &datapathtest.Trace{Net: b.net, Until: sim.Never, Wires: make([][]datapathtest.Event, len(b.net.Wires))}
	tick, err := sim.NewTicker(b.net, trace)
	require.NoError(t, err)
	if r.seed != 0 {
		tick.Shuffle(rand.New(rand.NewPCG(r.seed, 0)).Shuffle)
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

// numbered are n frames of size bytes with numbers from id on.
func numbered(id uint32, n, size int, dest uint8) (f []sim.Frame) {
	for i := range n {
		f = append(f, sim.Frame{ID: id + uint32(i), Bytes: size, Dest: dest})
	}
	return f
}

// digest is the FNV-1a of cycles in words.
func digest(at []sim.Cycle) string {
	var words []string
	for _, c := range at {
		words = append(words, fmt.Sprint(c))
	}
	h := fnv.New64a()
	h.Write([]byte(strings.Join(words, " ")))
	return fmt.Sprintf("%016x", h.Sum64())
}
