package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Upsizer gathers narrow beats into wide ones: a wide one is full, or ends with
// its frame. A place beside the output register takes one beat while the output
// waits.
//
// Source: verilog-axis rtl/axis_adapter.v, upsize: first latency is the narrow
// beats of a wide one, one narrow beat a cycle.
type Upsizer struct {
	in, out *sim.Wire

	seg   int // seg_reg: narrow beats gathered
	valid bool
	beat  sim.Beat
	held  bool // s_axis_tvalid_reg
	hold  sim.Beat
}

// NewUpsizer returns an adapter to a wire some times as wide, of the same clock.
func NewUpsizer(in, out *sim.Wire) *Upsizer { return &Upsizer{in: in, out: out} }

func (u *Upsizer) Ports() (in, out []*sim.Wire) { return []*sim.Wire{u.in}, []*sim.Wire{u.out} }
func (u *Upsizer) Offer()                       { u.out.Put(u.valid, u.beat) }
func (u *Upsizer) Accept()                      { u.in.Take(!u.held) }

func (u *Upsizer) Edge(sim.Edges) bool {
	changed := u.out.Fire()
	if changed {
		u.valid = false
	}
	switch {
	case !u.valid && u.held:
		u.held = false
		u.gather(u.hold)
	case !u.valid && u.in.Valid:
		u.gather(u.in.Beat)
	case u.in.Fire():
		u.held, u.hold = true, u.in.Beat
	default:
		return changed
	}
	return true
}

func (u *Upsizer) gather(b sim.Beat) {
	if u.seg == 0 {
		u.beat = b
	} else {
		u.beat.Bytes += b.Bytes
		u.beat.Dest, u.beat.Last, u.beat.Bad = b.Dest, b.Last, b.Bad
	}
	u.seg++
	if b.Last || u.seg == u.out.Width/u.in.Width {
		u.seg, u.valid = 0, true
	}
}

// Downsizer cuts wide beats into narrow ones. It takes the next wide beat when
// the last narrow one of this has moved to the output register.
//
// Source: verilog-axis rtl/axis_adapter.v, downsize: first latency 1, one
// narrow beat a cycle.
type Downsizer struct {
	in, out *sim.Wire

	valid bool
	beat  sim.Beat
	held  bool // s_axis_tvalid_reg
	rest  sim.Beat
}

// NewDownsizer returns an adapter to a wire some times as narrow, of the same
// clock.
func NewDownsizer(in, out *sim.Wire) *Downsizer { return &Downsizer{in: in, out: out} }

func (d *Downsizer) Ports() (in, out []*sim.Wire) { return []*sim.Wire{d.in}, []*sim.Wire{d.out} }
func (d *Downsizer) Offer()                       { d.out.Put(d.valid, d.beat) }
func (d *Downsizer) Accept()                      { d.in.Take(!d.held) }

func (d *Downsizer) Edge(sim.Edges) bool {
	changed := d.out.Fire()
	if changed {
		d.valid = false
	}
	switch {
	case !d.valid && d.held:
		d.cut(d.rest)
	case !d.valid && d.in.Valid:
		d.cut(d.in.Beat)
	case d.in.Fire():
		d.held, d.rest = true, d.in.Beat
	default:
		return changed
	}
	return true
}

// cut puts the first narrow beat of b into the output register and keeps the
// rest.
func (d *Downsizer) cut(b sim.Beat) {
	d.valid, d.beat, d.held = true, b, false
	n := uint16(d.out.Width)
	if b.Bytes <= n {
		return
	}
	d.beat.Bytes, d.beat.Last, d.beat.Bad = n, false, false
	b.Off += int32(n)
	b.Bytes -= n
	b.Left -= n
	b.First = false
	d.held, d.rest = true, b
}

// newAdapter returns the adapter between two wires by their widths.
func newAdapter(in, out *sim.Wire) sim.Stage {
	switch {
	case out.Width > in.Width:
		return NewUpsizer(in, out)
	case out.Width < in.Width:
		return NewDownsizer(in, out)
	}
	return NewThrough(in, out)
}

// twoWidths are the bus widths at a module's input and output.
func twoWidths() []module.Param {
	return []module.Param{module.Width("S_DATA_WIDTH"), module.Width("M_DATA_WIDTH")}
}

var adapter = module.Module{
	Name:   "axis_adapter",
	Source: source + "axis_adapter.v",
	Doc:    "bus width adapter",
	Params: twoWidths(),
	Beside: slices.Concat(twoKeeps, sides),
	Ports: func(a module.Args) (in, out []module.Port) {
		return []module.Port{{Width: a.Int("S_DATA_WIDTH") / 8}}, []module.Port{{Width: a.Int("M_DATA_WIDTH") / 8}}
	},
	Build: func(s *module.Site) { s.Add("", newAdapter(s.In[0], s.Out[0])) },
}
