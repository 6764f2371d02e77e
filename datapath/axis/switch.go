package axis

import (
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// SwitchConfig is fixed when a switch is built.
type SwitchConfig struct {
	Route
	Arbitration
}

// Switch is a crossbar without its registers: an input finds its output in one
// cycle, the output grants in the next, and then the beats pass through without
// delay until the frame ends. So a frame takes two cycles more than its beats.
//
// Source: verilog-axis rtl/axis_switch.v with M_BASE 0 and all connections:
// with a skid register behind each output, first latency 1 after the first beat
// is accepted, b+2 cycles a frame. A frame for an output that does not exist is
// taken and dropped.
type Switch struct {
	sim.Losses
	route Route
	in    []*sim.Wire
	out   []*sim.Wire
	from  []switchIn
	arb   []arbiter
}

type switchIn struct {
	to    int  // select_reg
	valid bool // select_valid_reg
	drop  bool // drop_reg
}

// NewSwitch returns a crossbar of at most 16 inputs and outputs. Its outputs
// need a register each, its inputs may have one.
func NewSwitch(c SwitchConfig, in, out []*sim.Wire) *Switch {
	s := &Switch{route: c.Route, in: in, out: out, from: make([]switchIn, len(in))}
	for range out {
		s.arb = append(s.arb, newArbiter(len(in), c.Arbitration))
	}
	return s
}

func (s *Switch) Ports() (in, out []*sim.Wire) { return s.in, s.out }
func (s *Switch) Comb() (valid, ready bool)    { return true, true }

// asks reports whether input i has a beat for output o.
func (s *Switch) asks(i, o int) bool {
	f := &s.from[i]
	return s.in[i].Valid && f.valid && f.to == o
}

func (s *Switch) Offer() {
	for o, w := range s.out {
		i := s.arb[o].grant
		if i < 0 || !s.asks(i, o) {
			w.Put(false, sim.Beat{})
			continue
		}
		w.Put(true, s.route.forward(s.in[i].Beat))
	}
}

func (s *Switch) Accept() {
	for i, w := range s.in {
		f := &s.from[i]
		w.Take(f.drop || f.valid && s.arb[f.to].grant == i && s.out[f.to].Ready)
	}
}

func (s *Switch) Edge(sim.Edges) bool {
	changed := false
	for o, w := range s.out {
		a := &s.arb[o]
		request := uint32(0)
		for i := range s.in {
			if i != a.grant && s.asks(i, o) {
				request |= 1 << i
			}
		}
		done := w.Fire() && w.Beat.Last
		if a.next(request, a.grant >= 0 && !done) || w.Fire() {
			changed = true
		}
	}
	for i, w := range s.in {
		f := &s.from[i]
		old := *f
		switch {
		case w.Fire() && w.Beat.Last:
			f.valid, f.drop = false, false
		case w.Valid && !f.valid && !f.drop:
			f.to = s.route.Output(w.Beat.Dest)
			if f.valid = f.to < len(s.out); !f.valid {
				f.to, f.drop = 0, true
				s.Drop(w.Beat.Frame, sim.LossNoRoute)
			}
		}
		if *f != old || w.Fire() {
			changed = true
		}
	}
	return changed
}

var switchModule = module.Module{
	Name:   "axis_switch",
	Source: source + "axis_switch.v",
	Doc:    "crossbar: frames from every input to every output, by tdest",
	Params: slices.Concat([]module.Param{
		module.Count("S_COUNT", 4, 1, maxPorts, "inputs"),
		module.Count("M_COUNT", 4, 1, maxPorts, "outputs"),
		module.Width("DATA_WIDTH"),
		module.Count("M_DEST_WIDTH", 1, 0, 8, "bits of the outputs' tdest"),
		sDestWidth,
		{Name: "S_REG_TYPE", Default: 0, Allowed: regType.Allowed, Doc: "register at each input: " + regType.Doc},
		{Name: "M_REG_TYPE", Default: 2, Allowed: regType.Allowed, Doc: "register at each output: " + regType.Doc},
	}, arbParams(1)),
	Beside: slices.Concat(keeps, newIDs, users),
	Check: func(a module.Args) error {
		_, err := routeOf("axis_switch", a)
		return err
	},
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(a.Int("S_COUNT"), a.Int("DATA_WIDTH")), ports(a.Int("M_COUNT"), a.Int("DATA_WIDTH"))
	},
	Build: func(s *module.Site) {
		r, _ := routeOf("axis_switch", s.Args)
		in, out := slices.Clone(s.In), slices.Clone(s.Out)
		for i, w := range s.In {
			if kind := s.Args.Int("S_REG_TYPE"); kind > 0 {
				part := "in" + strconv.Itoa(i)
				in[i] = s.Wire(part, w.Clock, w.Width)
				s.Add(part, newRegister(kind, w, in[i]))
			}
		}
		for o, w := range s.Out {
			if kind := s.Args.Int("M_REG_TYPE"); kind > 0 {
				part := "out" + strconv.Itoa(o)
				out[o] = s.Wire(part, w.Clock, w.Width)
				s.Add(part, newRegister(kind, out[o], w))
			}
		}
		s.Add("", NewSwitch(SwitchConfig{r, arbitration(s.Args)}, in, out))
	},
}
