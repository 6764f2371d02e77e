package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// ArbMux merges streams frame by frame. Each input has a register, behind which
// the arbitration hides: the owner changes without an idle cycle.
//
// Source: verilog-axis rtl/axis_arb_mux.v (LAST_ENABLE 1): first latency 2, b
// cycles a frame, 3 beats absorbed with the sink frozen.
type ArbMux struct {
	in     []*sim.Wire
	out    *sim.Wire
	outs   [1]*sim.Wire
	arb    arbiter
	valid  uint32     // s_axis_tvalid_reg
	beat   []sim.Beat // s_axis_tdata_reg and its sidebands
	output outReg
}

// NewArbMux returns an arbitrated multiplexer of at most 16 inputs.
func NewArbMux(a Arbitration, in []*sim.Wire, out *sim.Wire) *ArbMux {
	return &ArbMux{in: in, out: out, outs: [1]*sim.Wire{out}, arb: newArbiter(len(in), a), beat: make([]sim.Beat, len(in))}
}

func (m *ArbMux) Ports() (in, out []*sim.Wire) { return m.in, m.outs[:] }
func (m *ArbMux) Offer()                       { m.out.Put(m.output.n > 0, m.output.place[0]) }

func (m *ArbMux) Accept() {
	for i, w := range m.in {
		w.Take(m.valid>>i&1 == 0 || m.arb.grant == i && m.output.ready())
	}
}

func (m *ArbMux) Edge(sim.Edges) bool {
	changed := m.out.Fire()
	owner := m.arb.grant
	moves := owner >= 0 && m.valid>>owner&1 != 0 && m.output.ready()
	if changed {
		m.output.pop()
	}
	var done bool
	if moves {
		m.output.push(m.beat[owner])
		done = m.beat[owner].Last
	}
	request := m.valid
	if owner >= 0 {
		request &^= 1 << owner
	}
	for i, w := range m.in {
		if w.Valid {
			request |= 1 << i
		}
	}
	if m.arb.next(request, owner >= 0 && !done) {
		changed = true
	}
	if moves {
		m.valid &^= 1 << owner
	}
	for i, w := range m.in {
		if w.Fire() {
			m.valid |= 1 << i
			m.beat[i] = w.Beat
			changed = true
		}
	}
	return changed || moves
}

var arbMux = module.Module{
	Name:   "axis_arb_mux",
	Source: source + "axis_arb_mux.v",
	Doc:    "multiplexer that arbitrates by frame",
	Params: slices.Concat([]module.Param{
		module.Count("S_COUNT", 4, 1, maxPorts, "inputs"),
		module.Width("DATA_WIDTH"),
	}, arbParams(0),
		[]module.Param{{Name: "LAST_ENABLE", Default: 1, Allowed: []float64{1}, Doc: "arbitrate by frame"}}),
	Beside: slices.Concat(keeps, newIDs, dests, users),
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(a.Int("S_COUNT"), a.Int("DATA_WIDTH")), ports(1, a.Int("DATA_WIDTH"))
	},
	Build: func(s *module.Site) {
		s.Add("", NewArbMux(arbitration(s.Args), s.In, s.Out[0]))
	},
}
