package enginetest

import (
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Draw draws a case: mostly small, some large. Every module of
// pipeline.Modules comes up, and every pattern.
func Draw(from Bits) *Case {
	d := &drawer{dice: dice{from}}
	for {
		d.c, d.ends, d.inputs, d.narrow = &Case{}, nil, 0, 128
		d.pipeline()
		net, err := d.c.build(false)
		if err != nil { // a combinational loop: a fork and a join of wires
			continue
		}
		d.traffic(net)
		d.sinks(net)
		d.how(net)
		return d.c
	}
}

type drawer struct {
	dice
	c      *Case
	ends   []loose
	inputs int // so far
	narrow int // narrowest bus so far, in bytes
}

// loose is an output that nothing takes yet.
type loose struct {
	from  string
	width int
	mhz   float64
	xgmii bool
}

// clocks are those of cards; some are whole multiples of others, so that edges
// fall together.
var clocks = []float64{250, 250, 250, 125, 500, 156.25, 312.5, 322.265625, 200, 100, 400.25}

// proxy is the modules of a proxy on the card, and what leads frames to it that no frame
// is the reason for.
var proxy = slices.DeleteFunc(slices.Concat(axis.Modules, card.Modules), func(m module.Module) bool {
	return !slices.Contains([]string{"flow_state", "l7_scanner", "route_table", "head_rewrite", "parser", "axis_arb_mux", "axis_fifo", "dma_read", "dma_write", "replicator"}, m.Name)
})

func (d *drawer) pipeline() {
	d.c.Pipeline.ClockMHz = pick(d.dice, clocks...)
	if d.chance(70) {
		d.c.Skew = sim.Picos(d.n(10_000))
	}
	modules := pipeline.Modules
	switch d.n(6) {
	case 0:
		modules = axis.Modules
	case 1:
		modules = card.Modules
	case 2:
		modules = slices.Concat(axis.Modules, card.Modules)
	case 3:
		modules = proxy
	}
	for n := 1 + d.spread(0, pick(d.dice, 1, 3, 3, 5, 9)); n > 0; n-- {
		for !d.stage(&modules[d.n(len(modules))]) {
		}
	}
}

// stage adds a stage of a module, and adapters in front of it where it needs
// them. It reports false if the module does not fit.
func (d *drawer) stage(m *module.Module) bool {
	in := d.input(m)
	var given, args module.Args
	var ins, outs []module.Port
	for try := 0; ; try++ {
		if try == 40 {
			return false
		}
		given = d.args(m, in.width, in.mhz)
		var err error
		if args, err = m.Fill(given); err != nil {
			continue
		}
		ins, outs = m.Ports(args)
		if (ins[0].MHz == 0 || ins[0].MHz == in.mhz) && (ins[0].Width == in.width || try >= 20 && !ins[0].XGMII) {
			break
		}
		if in.from == "" && try >= 20 {
			in.width = ins[0].Width
		}
	}
	st := pipeline.Stage{Module: m.Name, Params: given}
	fed := false
	for i, p := range ins {
		e := in
		if i > 0 {
			e = d.another(in.mhz)
		}
		if e.from == "" {
			st.From = append(st.From, "in"+strconv.Itoa(d.inputs))
			d.inputs++
			continue
		}
		fed = true
		d.take(e)
		st.From = append(st.From, d.fitted(e, p.Width, in.mhz))
	}
	if ins[0].MHz == 0 && !fed && in.mhz != d.c.Pipeline.ClockMHz {
		st.ClockMHz = in.mhz
	}
	d.add(st, outs, in.mhz)
	return true
}

// add adds a stage, and its outputs as loose ends.
func (d *drawer) add(st pipeline.Stage, outs []module.Port, mhz float64) (first string) {
	st.Name = "s" + strconv.Itoa(len(d.c.Pipeline.Stages))
	d.c.Pipeline.Stages = append(d.c.Pipeline.Stages, st)
	for i, p := range outs {
		e := loose{st.Name, p.Width, p.MHz, p.XGMII}
		if len(outs) > 1 {
			e.from += "." + strconv.Itoa(i)
		}
		if e.mhz == 0 {
			e.mhz = mhz
		}
		d.ends = append(d.ends, e)
		d.narrow = min(d.narrow, p.Width)
	}
	return st.Name
}

// input is what a module's first input takes: a loose end, or, without a name,
// a source.
func (d *drawer) input(m *module.Module) loose {
	args := d.args(m, 8, 250)
	xgmii := false
	if a, err := m.Fill(args); err == nil {
		in, _ := m.Ports(a)
		xgmii = in[0].XGMII
	}
	var fit []loose
	for _, e := range d.ends {
		if e.xgmii == xgmii {
			fit = append(fit, e)
		}
	}
	if len(fit) > 0 && !d.chance(15) {
		return pick(d.dice, fit...)
	}
	e := loose{"", 1 << d.n(8), d.c.Pipeline.ClockMHz, xgmii}
	if d.chance(50) {
		e.width = pick(d.dice, 8, 64)
	}
	if d.chance(15) {
		e.mhz = pick(d.dice, clocks...)
	}
	return e
}

// another is what a further input takes.
func (d *drawer) another(mhz float64) loose {
	var fit []loose
	for _, e := range d.ends {
		if !e.xgmii && (e.mhz == mhz || d.chance(40)) {
			fit = append(fit, e)
		}
	}
	if len(fit) > 0 && d.chance(60) {
		return pick(d.dice, fit...)
	}
	return loose{}
}

func (d *drawer) take(e loose) {
	d.ends = slices.DeleteFunc(d.ends, func(x loose) bool { return x.from == e.from })
}

// fitted leads an end to a port of another width or clock.
func (d *drawer) fitted(e loose, width int, mhz float64) string {
	if e.mhz != mhz {
		given := module.Args{"DATA_WIDTH": float64(e.width * 8), "S_CLK_MHZ": e.mhz, "M_CLK_MHZ": mhz, "DEPTH": float64(e.width << (2 + d.n(5)))}
		if d.chance(50) {
			given["FRAME_FIFO"] = 1
		}
		e.from = d.add(pipeline.Stage{Module: "axis_async_fifo", From: []string{e.from}, Params: given}, nil, mhz)
	}
	if e.width != width {
		given := module.Args{"S_DATA_WIDTH": float64(e.width * 8), "M_DATA_WIDTH": float64(width * 8)}
		e.from = d.add(pipeline.Stage{Module: "axis_adapter", From: []string{e.from}, Params: given}, nil, mhz)
	}
	d.narrow = min(d.narrow, width)
	return e.from
}
