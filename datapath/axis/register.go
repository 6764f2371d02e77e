package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Skid is a register slice with two places: output and ready are both flops,
// and a beat can move every cycle.
//
// Source: verilog-axis rtl/axis_register.v, REG_TYPE 2: first latency 1, a
// frame of b beats takes b cycles, 2 beats absorbed with the sink frozen.
type Skid struct {
	in, out *sim.Wire

	ready bool // s_axis_tready_reg
	n     int  // beats held: the output register, then the skid
	place [2]sim.Beat
}

// NewSkid returns a skid register between two wires of one clock.
func NewSkid(in, out *sim.Wire) *Skid { return &Skid{in: in, out: out, ready: true} }

func (r *Skid) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *Skid) Offer()                       { r.out.Put(r.n > 0, r.place[0]) }
func (r *Skid) Accept()                      { r.in.Take(r.ready) }

func (r *Skid) Edge(sim.Edges) bool {
	put, got := r.in.Fire(), r.out.Fire()
	if !put && !got {
		return false
	}
	if got {
		r.n--
		r.place[0] = r.place[1]
	}
	if put {
		r.place[r.n] = r.in.Beat
		r.n++
	}
	r.ready = r.n < 2
	return true
}

// Slice is a register slice with one place: it is ready only while it is empty,
// so a beat passes every second cycle.
//
// Source: verilog-axis rtl/axis_register.v, REG_TYPE 1: first latency 1, 2b
// cycles a frame, 1 beat absorbed.
type Slice struct {
	in, out *sim.Wire

	full bool
	beat sim.Beat
}

// NewSlice returns a simple register between two wires of one clock.
func NewSlice(in, out *sim.Wire) *Slice { return &Slice{in: in, out: out} }

func (r *Slice) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *Slice) Offer()                       { r.out.Put(r.full, r.beat) }
func (r *Slice) Accept()                      { r.in.Take(!r.full) }

func (r *Slice) Edge(sim.Edges) bool {
	switch {
	case r.in.Fire():
		r.full, r.beat = true, r.in.Beat
	case r.out.Fire():
		r.full = false
	default:
		return false
	}
	return true
}

// Through is a wire with a name: no register at all.
//
// Source: verilog-axis rtl/axis_register.v, REG_TYPE 0.
type Through struct{ in, out *sim.Wire }

// NewThrough returns a wire between two wires of one clock.
func NewThrough(in, out *sim.Wire) *Through { return &Through{in, out} }

func (r *Through) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *Through) Offer()                       { r.out.Put(r.in.Valid, r.in.Beat) }
func (r *Through) Accept()                      { r.in.Take(r.out.Ready) }
func (r *Through) Edge(sim.Edges) bool          { return false }
func (r *Through) Comb() (valid, ready bool)    { return true, true }

var regType = module.Param{Name: "REG_TYPE", Default: 2, Allowed: []float64{0, 1, 2}, Doc: "0 wire, 1 simple buffer, 2 skid buffer"}

func newRegister(kind int, in, out *sim.Wire) sim.Stage {
	switch kind {
	case 0:
		return NewThrough(in, out)
	case 1:
		return NewSlice(in, out)
	}
	return NewSkid(in, out)
}

var register = module.Module{
	Name:   "axis_register",
	Source: source + "axis_register.v",
	Doc:    "register slice",
	Params: []module.Param{module.Width("DATA_WIDTH"), regType},
	Beside: slices.Concat(keeps, lasts, sides),
	Ports:  same,
	Build: func(s *module.Site) {
		s.Add("", newRegister(s.Args.Int("REG_TYPE"), s.In[0], s.Out[0]))
	},
}

// pipeline_register is LENGTH registers in a row.
var pipelineRegister = module.Module{
	Name:   "axis_pipeline_register",
	Source: source + "axis_pipeline_register.v",
	Doc:    "LENGTH register slices in a row",
	Params: []module.Param{module.Width("DATA_WIDTH"), regType, module.Count("LENGTH", 2, 1, 64, "registers")},
	Beside: slices.Concat(keeps, lasts, sides),
	Ports:  same,
	Build: func(s *module.Site) {
		in, n := s.In[0], s.Args.Int("LENGTH")
		for i := range n {
			out := s.Out[0]
			if i < n-1 {
				out = s.Wire(string(rune('a'+i)), in.Clock, in.Width)
			}
			s.Add(string(rune('a'+i)), newRegister(s.Args.Int("REG_TYPE"), in, out))
			in = out
		}
	},
}
