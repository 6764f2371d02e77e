// Package sim is the card's time: cycles and clocks. Nothing here reads a wall
// clock; the caller says which cycle it is.
package sim

import (
	"math/bits"
	"time"
)

// Cycle counts ticks of one clock domain.
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
