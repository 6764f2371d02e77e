package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// SRLFIFO is a FIFO of shift registers: a beat falls through in one cycle.
//
// Source: verilog-axis rtl/axis_srl_fifo.v: first latency 1, DEPTH beats
// absorbed. While it is full it is not ready, even if a beat leaves.
type SRLFIFO struct {
	in, out *sim.Wire
	ring    []sim.Beat
	head, n int // oldest beat, beats held (ptr_reg)
}

// NewSRLFIFO returns a FIFO of depth beats, at least 2, between two wires of
// one clock.
func NewSRLFIFO(depth int, in, out *sim.Wire) *SRLFIFO {
	return &SRLFIFO{in: in, out: out, ring: make([]sim.Beat, depth)}
}

func (f *SRLFIFO) Ports() (in, out []*sim.Wire) { return []*sim.Wire{f.in}, []*sim.Wire{f.out} }
func (f *SRLFIFO) Offer()                       { f.out.Put(f.n > 0, f.ring[f.head]) }
func (f *SRLFIFO) Accept()                      { f.in.Take(f.n < len(f.ring)) }

// Level is count, in bytes.
func (f *SRLFIFO) Level() int { return f.n * f.in.Width }

func (f *SRLFIFO) Edge(sim.Edges) bool {
	put, got := f.in.Fire(), f.out.Fire()
	if put {
		f.ring[(f.head+f.n)%len(f.ring)] = f.in.Beat
		f.n++
	}
	if got {
		f.head = (f.head + 1) % len(f.ring)
		f.n--
	}
	return put || got
}

var srlFIFO = module.Module{
	Name:   "axis_srl_fifo",
	Source: source + "axis_srl_fifo.v",
	Doc:    "FIFO of shift registers",
	// With DEPTH 1 the hardware's counter wraps and beats are lost.
	Params: []module.Param{module.Width("DATA_WIDTH"), module.Count("DEPTH", 16, 2, 65536, "beats")},
	Beside: slices.Concat(keeps, lasts, sides),
	Stores: true,
	Ports:  same,
	Build: func(s *module.Site) {
		s.Add("", NewSRLFIFO(s.Args.Int("DEPTH"), s.In[0], s.Out[0]))
	},
}
