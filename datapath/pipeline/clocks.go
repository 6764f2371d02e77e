package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// defaultMHz is the clock of a pipeline that names none: the card's core clock.
const defaultMHz = 250

// Limits of clock_mhz.
const (
	minMHz = 0.001
	maxMHz = 10_000
)

// clockable reports whether a clock can be built.
func clockable(mhz float64) bool { return mhz >= minMHz && mhz <= maxMHz }

// clocked adds the clocks that a crossing's parameters leave open: the side of
// its input from upstream, the other from the stage's clock.
func clocked(m *module.Module, given module.Args, in, out float64) module.Args {
	a := module.Args{}
	for k, v := range given {
		a[k] = v
	}
	sides := [][2]string{{"S_CLK_MHZ", "M_CLK_MHZ"}, {"MAC_MHZ", "LOGIC_MHZ"}}
	if strings.HasSuffix(m.Name, "(tx)") {
		sides[1] = [2]string{"LOGIC_MHZ", "MAC_MHZ"}
	}
	for _, side := range sides {
		if !slices.ContainsFunc(m.Params, func(p module.Param) bool { return p.Name == side[0] }) {
			continue
		}
		if _, ok := a[side[0]]; !ok {
			a[side[0]] = in
		}
		if _, ok := a[side[1]]; !ok {
			a[side[1]] = out
		}
	}
	return a
}

func (b *builder) firstClock(places []*place) float64 {
	// What the stages up to the first crossing say is the clock of them all.
	for _, p := range places {
		for _, port := range p.in {
			if port.MHz > 0 && !unset(p) {
				return port.MHz
			}
		}
		if p.ClockMHz > 0 && !crossing(p.m) {
			return p.ClockMHz
		}
		if crossing(p.m) {
			break
		}
	}
	p := places[0]
	for _, port := range slices.Concat(p.in, p.out) {
		if port.XGMII {
			return 10_000 / float64(port.Width*8) // a 10G line
		}
	}
	return defaultMHz
}

// clockAfter is the clock that the stages behind a crossing ask for; 0 if they
// leave it open.
func (b *builder) clockAfter(p *place) float64 {
	for range b.all {
		i := slices.IndexFunc(b.all, func(x *place) bool {
			return slices.ContainsFunc(x.from, func(f string) bool { return canonical(f) == p.name+".0" })
		})
		switch {
		case i < 0:
			return 0
		case crossing(b.all[i].m):
			if unset(b.all[i]) {
				return 0
			}
			return b.all[i].in[0].MHz
		case b.all[i].ClockMHz > 0:
			return b.all[i].ClockMHz
		}
		p = b.all[i]
	}
	return 0
}

// unset reports whether a crossing leaves its input's clock open.
func unset(p *place) bool {
	for _, name := range clockParams {
		if v, ok := p.Params[name]; ok && v == p.in[0].MHz {
			return false
		}
	}
	return true
}

// crossing reports whether a module has two clocks.
func crossing(m *module.Module) bool {
	return slices.ContainsFunc(m.Params, func(p module.Param) bool { return p.Name == "M_CLK_MHZ" || p.Name == "LOGIC_MHZ" })
}

// clockOf is the clock of an input that nothing feeds: that of the stage's others,
// where there may be two clocks of one frequency.
func (b *builder) clockOf(from []end, mhz float64) *sim.Domain {
	for _, e := range from {
		if e.wire != nil && sameClock(mhz, b.mhzOf(e.wire)) {
			return e.wire.Clock
		}
	}
	return b.domain(mhz, nil)
}

func (b *builder) mhzOf(w *sim.Wire) float64 {
	return b.mhz[slices.Index(b.b.Net.Domains, w.Clock)]
}

// domain returns the clock of a frequency that is not except, and makes it if
// there is none.
func (b *builder) domain(mhz float64, except *sim.Domain) *sim.Domain {
	for i, d := range b.b.Net.Domains {
		if d != except && sameClock(mhz, b.mhz[i]) {
			return d
		}
	}
	period, err := sim.PeriodOf(mhz)
	if err != nil {
		panic(err) // parameters have been checked
	}
	n := len(b.mhz)
	phase := period / 2
	if n > 0 {
		phase += sim.Picos(math.Round(b.setup.Phase*float64(period))) + b.setup.Skew
	}
	b.mhz = append(b.mhz, mhz)
	return b.b.Net.Clock(fmt.Sprintf("clk%d_%gMHz", n, mhz), period, phase)
}

// sameClock allows for labels rounded to a kilohertz or so.
func sameClock(a, b float64) bool { return math.Abs(a-b) <= 1e-4*b }
