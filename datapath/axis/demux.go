package axis

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Route is how a switch finds the output of a frame: the upper bits of tdest
// are the output's number. What lies below them goes on as the output's tdest.
type Route struct {
	DestBits    int // width of tdest at the input
	OutDestBits int // width of tdest at the outputs
	Outputs     int
}

// Output is the output for a tdest; it may be one that does not exist.
func (r Route) Output(dest uint8) int {
	if r.Outputs == 1 {
		return 0
	}
	return int(uint16(dest) & (1<<r.DestBits - 1) >> (r.DestBits - clog2(r.Outputs)))
}

// forward is b as it leaves: with the output's narrower tdest.
func (r Route) forward(b sim.Beat) sim.Beat {
	b.Dest &= uint8(1<<r.OutDestBits - 1)
	return b
}

// clog2 is how many bits count n things.
func clog2(n int) int { return bits.Len(uint(n - 1)) }

// Demux sends each frame to one output: a constant one, or by its tdest. All
// outputs share one register, so a beat that waits for one output blocks all.
//
// Source: verilog-axis rtl/axis_demux.v with enable 1: first latency 1, b
// cycles a frame, 2 beats absorbed with the sink frozen. A frame for an output
// that does not exist is taken at full speed and dropped.
//
// If the register is full when the first beat after a dropped frame comes, the
// RTL takes that beat and loses it. The model drops the frame whole.
type Demux struct {
	sim.Losses
	in       *sim.Wire
	ins      [1]*sim.Wire
	out      []*sim.Wire
	route    Route
	byDest   bool
	constant int

	ready  bool // s_axis_tready_reg
	frame  bool // frame_reg: behind the first beat of a frame
	sel    int  // select_reg
	drop   bool // drop_reg
	cut    bool // the frame's first beat was lost
	output outReg
	to     [2]int // outputs of the beats in the register
}

// NewDemux returns a demultiplexer that routes by tdest.
func NewDemux(r Route, in *sim.Wire, out []*sim.Wire) *Demux {
	return &Demux{in: in, ins: [1]*sim.Wire{in}, out: out, route: r, byDest: true, ready: true}
}

// NewSelect returns a demultiplexer with a constant output.
func NewSelect(sel int, in *sim.Wire, out []*sim.Wire) *Demux {
	return &Demux{in: in, ins: [1]*sim.Wire{in}, out: out, route: Route{OutDestBits: 8}, constant: sel, ready: true}
}

func (d *Demux) Ports() (in, out []*sim.Wire) { return d.ins[:], d.out }
func (d *Demux) Accept()                      { d.in.Take(d.ready) }

func (d *Demux) Offer() {
	for i, w := range d.out {
		w.Put(d.output.n > 0 && d.to[0] == i, d.output.place[0])
	}
}

func (d *Demux) Edge(sim.Edges) bool {
	put, free := d.in.Fire(), d.output.ready()
	got := d.output.n > 0 && d.out[d.to[0]].Fire()
	if got {
		d.output.pop()
		d.to[0] = d.to[1]
	}
	drop := d.drop // drop_ctl
	if put && !d.frame {
		d.sel = d.constant
		if d.byDest {
			d.sel = d.route.Output(d.in.Beat.Dest)
		}
		switch {
		case d.sel >= len(d.out):
			drop = true
			d.Drop(d.in.Beat.Frame, sim.LossNoRoute)
		case !free:
			d.cut = true
			d.Drop(d.in.Beat.Frame, sim.LossFull)
		}
	}
	if put {
		if !drop && !d.cut {
			d.to[d.output.n] = d.sel
			d.output.push(d.route.forward(d.in.Beat))
		}
		d.frame = !d.in.Beat.Last
		d.drop = drop && d.frame
		d.cut = d.cut && d.frame
	}
	ready := d.output.ready() || drop
	changed := put || got || ready != d.ready
	d.ready = ready
	return changed
}

var demux = module.Module{
	Name:   "axis_demux",
	Source: source + "axis_demux.v",
	Doc:    "sends each frame to one of several outputs",
	Params: slices.Concat([]module.Param{
		module.Count("M_COUNT", 4, 1, maxPorts, "outputs"),
		module.Width("DATA_WIDTH"),
		module.Flag("TDEST_ROUTE", 0, "route by the upper bits of tdest, else by select"),
		module.Count("select", 0, 0, maxPorts-1, "output of every frame without TDEST_ROUTE"),
		module.Count("M_DEST_WIDTH", 8, 0, 8, "bits of the outputs' tdest"),
		sDestWidth,
	}),
	Beside: slices.Concat(keeps, ids, users, module.Beside("DEST_ENABLE")),
	Check: func(a module.Args) error {
		n := a.Int("M_COUNT")
		if s := a.Int("select"); s >= 1<<clog2(n) {
			return &module.ParamError{Param: "select", Why: fmt.Sprintf("select is %d, axis_demux has outputs 0 to %d", s, n-1)}
		}
		if !a.Bool("TDEST_ROUTE") {
			return nil
		}
		_, err := routeOf("axis_demux", a)
		return err
	},
	Ports: func(a module.Args) (in, out []module.Port) {
		return ports(1, a.Int("DATA_WIDTH")), ports(a.Int("M_COUNT"), a.Int("DATA_WIDTH"))
	},
	Build: func(s *module.Site) {
		if !s.Args.Bool("TDEST_ROUTE") {
			s.Add("", NewSelect(s.Args.Int("select"), s.In[0], s.Out))
			return
		}
		r, _ := routeOf("axis_demux", s.Args)
		s.Add("", NewDemux(r, s.In[0], s.Out))
	},
}

// sDestWidth is as wide as the outputs' tdest and enough to number them, unless
// it is given.
var sDestWidth = module.Param{Name: "S_DEST_WIDTH", Max: 8, Whole: true, Doc: "bits of the input's tdest; the upper ones number the outputs",
	From: func(a module.Args) float64 { return a["M_DEST_WIDTH"] + float64(clog2(a.Int("M_COUNT"))) }}

// routeOf reads the parameters of a Route.
func routeOf(name string, a module.Args) (Route, error) {
	r := Route{DestBits: a.Int("S_DEST_WIDTH"), OutDestBits: a.Int("M_DEST_WIDTH"), Outputs: a.Int("M_COUNT")}
	switch {
	case r.DestBits > 8:
		return r, &module.ParamError{Param: "S_DEST_WIDTH", Why: fmt.Sprintf("%s needs a tdest of %d bits, a stream here has 8: set S_DEST_WIDTH or M_DEST_WIDTH", name, r.DestBits)}
	case r.DestBits < clog2(r.Outputs):
		return r, &module.ParamError{Param: "S_DEST_WIDTH", Why: fmt.Sprintf("S_DEST_WIDTH is %d bits, too few for %d outputs", r.DestBits, r.Outputs)}
	}
	return r, nil
}
