package axis

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Broadcast copies a stream to every output. A beat leaves when the slowest
// output has taken it; the others take it earlier.
//
// Source: verilog-axis rtl/axis_broadcast.v: first latency 1, b cycles a frame,
// 2 beats absorbed with a sink frozen.
type Broadcast struct {
	// Targets, if set, is the outputs that get a frame's beats, at least one: the
	// others do not see it. It is the same for all beats of a frame, and asked for
	// some of them. Set it before the first cycle.
	Targets func(b sim.Beat) uint32

	in     *sim.Wire
	ins    [1]*sim.Wire
	out    []*sim.Wire
	todo   uint32 // m_axis_tvalid_reg: outputs that have not taken the beat yet
	output outReg
}

// NewBroadcast returns a broadcaster to at most 16 outputs.
func NewBroadcast(in *sim.Wire, out []*sim.Wire) *Broadcast {
	return &Broadcast{in: in, ins: [1]*sim.Wire{in}, out: out}
}

func (b *Broadcast) Ports() (in, out []*sim.Wire) { return b.ins[:], b.out }
func (b *Broadcast) Accept()                      { b.in.Take(b.output.ready()) }

func (b *Broadcast) Offer() {
	for i, w := range b.out {
		w.Put(b.todo>>i&1 != 0, b.output.place[0])
	}
}

func (b *Broadcast) Edge(sim.Edges) bool {
	put, todo := b.in.Fire(), b.todo
	for i, w := range b.out {
		if w.Fire() {
			todo &^= 1 << i
		}
	}
	changed := put || todo != b.todo
	if b.output.n > 0 && todo == 0 {
		b.output.pop()
	}
	if put {
		b.output.push(b.in.Beat)
	}
	if b.output.n > 0 && todo == 0 {
		todo = b.targets(b.output.place[0])
	}
	b.todo = todo
	return changed
}

func (b *Broadcast) targets(x sim.Beat) uint32 {
	all := uint32(1)<<len(b.out) - 1
	if b.Targets == nil {
		return all
	}
	to := b.Targets(x) & all
	if to == 0 {
		panic(fmt.Sprintf("axis: broadcast %s: frame %d has no output", b.in.Name, x.Frame))
	}
	return to
}

var broadcast = module.Module{
	Name:   "axis_broadcast",
	Source: source + "axis_broadcast.v",
	Doc:    "copies a stream to every output",
	Params: slices.Concat([]module.Param{
		module.Count("M_COUNT", 4, 1, maxPorts, "outputs"),
		module.Width("DATA_WIDTH"),
	}),
	Beside: slices.Concat(keeps, lasts, sides),
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(1, a.Int("DATA_WIDTH")), ports(a.Int("M_COUNT"), a.Int("DATA_WIDTH"))
	},
	Build: func(s *module.Site) { s.Add("", NewBroadcast(s.In[0], s.Out)) },
}
