package axis

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// outReg is the registered output that this package's multiplexers share: the
// output register and a second place behind it (temp_m_axis_*). It takes a beat
// in every cycle that begins with a free place (m_axis_tready_int_reg).
type outReg struct {
	n     int
	place [2]sim.Beat
}

func (r *outReg) ready() bool { return r.n < 2 }

func (r *outReg) pop() {
	r.n--
	r.place[0] = r.place[1]
}

func (r *outReg) push(b sim.Beat) {
	r.place[r.n] = b
	r.n++
}

// Mux passes the frames of one input, selected for good; the others wait for
// ever. One cycle passes idle between two frames.
//
// Source: verilog-axis rtl/axis_mux.v with enable 1 and a constant select:
// first latency 1, b+1 cycles a frame, 2 beats absorbed with the sink frozen.
type Mux struct {
	in     []*sim.Wire
	out    *sim.Wire
	sel    *sim.Wire
	outs   [1]*sim.Wire
	frame  bool // frame_reg: within a frame
	ready  bool // s_axis_tready_reg
	output outReg
}

// NewMux returns a multiplexer that passes in[sel].
func NewMux(in []*sim.Wire, out *sim.Wire, sel int) *Mux {
	return &Mux{in: in, out: out, sel: in[sel], outs: [1]*sim.Wire{out}}
}

func (m *Mux) Ports() (in, out []*sim.Wire) { return m.in, m.outs[:] }
func (m *Mux) Offer()                       { m.out.Put(m.output.n > 0, m.output.place[0]) }

func (m *Mux) Accept() {
	for _, w := range m.in {
		w.Take(w == m.sel && m.ready)
	}
}

func (m *Mux) Edge(sim.Edges) bool {
	put, got := m.sel.Fire(), m.out.Fire()
	if got {
		m.output.pop()
	}
	if put {
		m.output.push(m.sel.Beat)
	}
	frame := m.frame && !(put && m.sel.Beat.Last)
	if !m.frame && m.sel.Valid {
		frame = true
	}
	ready := frame && m.output.ready()
	changed := put || got || frame != m.frame || ready != m.ready
	m.frame, m.ready = frame, ready
	return changed
}

var mux = module.Module{
	Name:   "axis_mux",
	Source: source + "axis_mux.v",
	Doc:    "multiplexer with a constant select: passes one input",
	Params: slices.Concat([]module.Param{
		module.Count("S_COUNT", 4, 1, maxPorts, "inputs"),
		module.Width("DATA_WIDTH"),
		module.Count("select", 0, 0, maxPorts-1, "input that is passed"),
	}),
	Beside: slices.Concat(keeps, sides),
	Check: func(a module.Args) error {
		if s, n := a.Int("select"), a.Int("S_COUNT"); s >= n {
			return &module.ParamError{Param: "select", Why: fmt.Sprintf("select is %d, axis_mux has inputs 0 to %d", s, n-1)}
		}
		return nil
	},
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(a.Int("S_COUNT"), a.Int("DATA_WIDTH")), ports(1, a.Int("DATA_WIDTH"))
	},
	Build: func(s *module.Site) {
		s.Add("", NewMux(s.In, s.Out[0], s.Args.Int("select")))
	},
}
