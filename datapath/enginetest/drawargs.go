package enginetest

import (
	"math"
	"math/bits"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
)

// most bounds parameters that would only make a case slow or large. They are
// always drawn.
var most = map[string]int{
	"S_COUNT": 4, "M_COUNT": 4, "SPEEDUP": 4,
	"HEAD_MAX": 4096, "WRITTEN": 1024, "ACCESSES": 8, "MAX_ACCESSES": 8, "INTERVAL": 100, "HEAD_BYTES": 1024, "BUFFER": 16384, "DESCRIPTORS": 64, "RX_FIFO_DEPTH": 16384,
	"DATA_FIFO_DEPTH": 8192, "PAYLOAD_FIFO_DEPTH": 4096, "FIFO_DEPTH": 8192, "MAX_TX_SIZE": 8192,
}

// args draws parameters of a module whose first input should have a width and a
// clock. They need not go together.
func (d *drawer) args(m *module.Module, width int, mhz float64) module.Args {
	a := module.Args{}
	for i := range m.Params {
		p := &m.Params[i]
		top, bounded := most[p.Name]
		switch {
		case strings.HasSuffix(p.Name, "DATA_WIDTH"):
			if len(p.Allowed) == 1 {
				continue
			}
			a[p.Name] = float64(width * 8)
			if d.chance(40) {
				a[p.Name] = float64(int(8) << d.n(8))
			}
		case strings.HasSuffix(p.Name, "_MHZ"):
			if a[p.Name] = mhz; d.chance(50) {
				a[p.Name] = pick(d.dice, clocks...)
			}
		case !p.Required && !bounded && d.chance(40):
		case len(p.Allowed) > 0:
			a[p.Name] = pick(d.dice, p.Allowed...)
		case p.Name == "DEPTH" && d.chance(80):
			a[p.Name] = float64(max(2, width<<d.n(8)))
		default:
			if !bounded {
				top = 8192
			}
			a[p.Name] = d.number(p, top)
		}
	}
	return a
}

// number draws a value between the parameter's least and its most, small ones
// as likely as large ones.
func (d *drawer) number(p *module.Param, top int) float64 {
	lo, hi := int(p.Min), top
	if p.Max != 0 {
		hi = min(hi, int(p.Max))
	}
	switch {
	case p.Power:
		least := bits.Len(uint(max(lo, 1) - 1))
		return math.Ldexp(1, least+d.upTo(max(0, bits.Len(uint(hi))-1-least)))
	case lo < 0 && d.chance(50):
		return -float64(d.spread(1, -lo))
	case lo < 0:
		lo = 0
	}
	return float64(d.spread(lo, hi))
}
