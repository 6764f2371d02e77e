package sim

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Cycle counts edges of one clock domain.
type Cycle uint64

// Clock is a clock domain's frequency.
type Clock struct{ Hz uint64 }

// Duration converts n cycles to time, rounding down to a nanosecond. It
// saturates at the largest Duration.
func (c Clock) Duration(n Cycle) time.Duration {
	hi, lo := bits.Mul64(uint64(n), 1e9)
	if hi >= c.Hz {
		return 1<<63 - 1
	}
	ns, _ := bits.Div64(hi, lo, c.Hz)
	return time.Duration(min(ns, 1<<63-1))
}

// Picos is a time or a duration in picoseconds since the start of a
// simulation; 106 days fit.
type Picos int64

// Never is later than every edge.
const Never Picos = math.MaxInt64

// Nanos is the time in nanoseconds.
func (p Picos) Nanos() float64 { return float64(p) / 1000 }

// Domain is one clock of a network: edge n is at Phase + n·Period.
type Domain struct {
	Name   string
	Period Picos // of one cycle, rounded to a picosecond: at most 200 ppm, as good as a real oscillator's ±100 ppm
	Phase  Picos // of edge 0, at least 0

	// Now is the number of the edge at which what is driven now will be
	// sampled. The engine advances it.
	Now Cycle

	index   int
	inverse uint64 // 2⁶⁴/Period, rounded down
}

// PeriodOf is the period of a clock of mhz megahertz, rounded to a picosecond.
func PeriodOf(mhz float64) (Picos, error) {
	if !(mhz > 0) || mhz > 10_000 {
		return 0, fmt.Errorf("sim: clock of %g MHz, want more than 0 and at most 10000", mhz)
	}
	return Picos(math.Round(1e6 / mhz)), nil
}

// inverse is 2⁶⁴/period, or as much of it as fits.
func inverse(period Picos) uint64 {
	if period == 1 {
		return math.MaxUint64
	}
	q, _ := bits.Div64(1, 0, uint64(period))
	return q
}

// At is the time of edge n.
func (d *Domain) At(n Cycle) Picos { return d.Phase + Picos(n)*d.Period }

// First is the first edge at or after t.
func (d *Domain) First(t Picos) Cycle {
	if t <= d.Phase {
		return 0
	}
	return d.after(uint64(t - d.Phase - 1))
}

// after is the first edge so long after edge 0 that it is later than t: a division,
// by multiplication with the inverse, which may be one too low.
func (d *Domain) after(t uint64) Cycle {
	n, _ := bits.Mul64(t, d.inverse)
	if t-n*uint64(d.Period) >= uint64(d.Period) {
		n++
	}
	return Cycle(n + 1)
}

// Edges is a set of clock domains whose edges fall together.
type Edges uint32

// Has reports whether d's edge is among them.
func (e Edges) Has(d *Domain) bool { return e&(1<<d.index) != 0 }
