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

	index int
}

// PeriodOf is the period of a clock of mhz megahertz, rounded to a picosecond.
func PeriodOf(mhz float64) (Picos, error) {
	if !(mhz > 0) || mhz > 10_000 {
		return 0, fmt.Errorf("sim: clock of %g MHz, want more than 0 and at most 10000", mhz)
	}
	return Picos(math.Round(1e6 / mhz)), nil
}

// At is the time of edge n.
func (d *Domain) At(n Cycle) Picos { return d.Phase + Picos(n)*d.Period }

// First is the first edge at or after t.
func (d *Domain) First(t Picos) Cycle {
	if t <= d.Phase {
		return 0
	}
	return Cycle((t - d.Phase + d.Period - 1) / d.Period)
}

// Edges is a set of clock domains whose edges fall together.
type Edges uint32

// Has reports whether d's edge is among them.
func (e Edges) Has(d *Domain) bool { return e&(1<<d.index) != 0 }
