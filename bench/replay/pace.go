package replay

import (
	"github.com/meshnic/meshnic/datapath/sim"
)

// Pace is when frames arrive. The zero Pace is that of the capture.
type Pace struct {
	Speed      float64   // times as fast as recorded; 0 is 1
	Gap        sim.Picos // if more than 0: from one frame's arrival to the next's, on all ports together
	BackToBack bool      // each as soon as its port takes it
}

// longest is how far into a capture a frame may be: Picos hold 106 days.
const longest sim.Picos = 100 * 24 * 3600 * 1e12

// clock gives frames their arrival times.
type clock struct {
	pace   Pace
	epoch  int64 // ns since 1970, of model time 0
	latest sim.Picos
	frames int64
	lines  []line
}

// line is a port that frames stand at back to back. The frame after n beats cannot
// come sooner than n cycles after one that is known to have come: an arrival
// that early is no different from one long before, and the card can be simulated
// up to it.
type line struct {
	period sim.Picos
	width  int
	sent   uint64 // beats
	base   sim.Picos
}

// arrival is when a frame arrives.
func (c *clock) arrival(rec *Record, counts *Counts) sim.Picos {
	c.frames++
	switch {
	case c.pace.Gap > 0:
		c.latest = min(longest, sim.Picos(c.frames-1)*c.pace.Gap)
		return c.latest
	case c.pace.BackToBack:
		l := &c.lines[rec.Port]
		return max(0, l.base+sim.Picos(l.sent)*l.period)
	case !rec.Timed:
		return c.latest
	}
	ns := float64(rec.At - c.epoch)
	at := sim.Picos(rec.At-c.epoch) * 1000
	if c.pace.Speed > 0 && c.pace.Speed != 1 {
		ns /= c.pace.Speed
		at = sim.Picos(ns * 1000)
	}
	switch {
	case ns > float64(longest/1000):
		counts.BadTime++
	case at < c.latest:
		counts.OutOfOrder++
	default:
		c.latest = at
	}
	return c.latest
}

// entered moves a port's line on: the frame after so many beats came at t.
func (l *line) entered(beats uint64, t sim.Picos) {
	l.base = max(l.base, t-sim.Picos(beats)*l.period)
}

// known is the time before which no further frame arrives, if the next one on its
// port arrives at a time.
func (c *clock) known(next sim.Picos, ports int) sim.Picos {
	if !c.pace.BackToBack {
		return next
	}
	t := sim.Never
	for _, l := range c.lines[:ports] {
		t = min(t, l.base+sim.Picos(l.sent)*l.period)
	}
	return t
}
