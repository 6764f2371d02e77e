package axis

import (
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// maxStages is the most registers a PipelineFIFO has.
const maxStages = 63

// PipelineFIFO crosses a long way on the chip: registers that are never
// stopped, ready coming back through as many, and a FIFO at the end with room
// for all that is on the way.
//
// Source: verilog-axis rtl/axis_pipeline_fifo.v: first latency LENGTH+2, with
// the sink frozen half the FIFO and 2·LENGTH+2 beats are absorbed.
type PipelineFIFO struct {
	in, out *sim.Wire
	tail    *tailFIFO

	way   []sim.Beat // a ring: the registers' beats, the next to leave at head
	valid uint64     // a bit a register, the first at bit 0
	ready uint64     // axis_tready_reg, the last register's at bit 0
	head  int
}

// NewPipelineFIFO returns length registers, 1 to 63, and their FIFO between two
// wires of one clock.
func NewPipelineFIFO(length int, in, out *sim.Wire) *PipelineFIFO {
	addr := 3
	if length >= 2 {
		addr = bits.Len(uint(4 * length)) // $clog2(LENGTH*4+1)
	}
	return &PipelineFIFO{in: in, out: out, tail: newTailFIFO(addr), way: make([]sim.Beat, length), ready: 1<<length - 1}
}

func (f *PipelineFIFO) Ports() (in, out []*sim.Wire) { return []*sim.Wire{f.in}, []*sim.Wire{f.out} }
func (f *PipelineFIFO) Offer()                       { f.tail.offer(f.out) }
func (f *PipelineFIFO) Accept()                      { f.in.Take(f.ready>>(len(f.way)-1)&1 != 0) }

func (f *PipelineFIFO) Edge(sim.Edges) bool {
	all := uint64(1)<<len(f.way) - 1
	valid, ready := f.valid, f.ready
	f.valid, f.ready = valid<<1&all, ready<<1&all
	if !f.tail.half {
		f.ready |= 1
	}
	leaves := valid>>(len(f.way)-1)&1 != 0
	changed := f.tail.edge(leaves, f.way[f.head], f.out)
	if f.in.Fire() {
		f.valid |= 1
		f.way[f.head] = f.in.Beat
	}
	if f.head++; f.head == len(f.way) {
		f.head = 0
	}
	return changed || valid != 0 || f.valid != 0 || f.ready != ready
}

var pipelineFIFO = module.Module{
	Name:   "axis_pipeline_fifo",
	Source: source + "axis_pipeline_fifo.v",
	Doc:    "LENGTH registers that never stop and a FIFO behind them",
	Params: []module.Param{module.Width("DATA_WIDTH"), module.Count("LENGTH", 2, 0, maxStages, "registers")},
	Beside: slices.Concat(keeps, lasts, sides),
	Stores: true,
	Ports:  same,
	Build: func(s *module.Site) {
		if n := s.Args.Int("LENGTH"); n > 0 {
			s.Add("", NewPipelineFIFO(n, s.In[0], s.Out[0]))
		} else {
			s.Add("", NewThrough(s.In[0], s.Out[0]))
		}
	},
}
