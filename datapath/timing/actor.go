package timing

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/sim"
)

// actor gives a stage the decisions that were made beforehand.
type actor struct {
	c     *Card
	place int
	does  does
}

// does is what of a frame's Work a stage asks for.
type does uint8

const (
	nothing does = iota
	scans
	accesses
	looksUp
)

var doneBy = map[string]does{"l7_scanner": scans, "flow_state": accesses, "route_table": looksUp}

// Head is as far as a scanner has to see a frame of which that was said.
func (a *actor) Head(id uint32) int {
	if a.does != scans {
		return 0
	}
	w := &a.c.flight.of(id).work
	switch {
	case !w.Told:
		return 0
	case w.Head == 0:
		return -1
	}
	return int(w.Head)
}

func (a *actor) Decide(s card.Seen) (v card.Verdict) {
	x := a.c.flight.of(s.Frame)
	if int(x.dropAt) == a.place {
		v.Loss = sim.LossVerdict
	}
	if !x.work.Told {
		return v
	}
	switch a.does {
	case accesses:
		v.Reads = some(x.work.Reads)
	case looksUp:
		v.Reads = some(x.work.Lookups)
	}
	return v
}

// some is n as a Verdict has it.
func some(n uint8) int {
	if n == 0 {
		return -1
	}
	return int(n)
}

// author gives a rewriter what was written.
type author struct {
	actor
	own []sim.Frame
}

// Text is what is written for a frame, if that was said.
func (a *author) Text(id uint32) (t card.Text, ok bool) {
	f := &a.c.flight
	x := f.of(id)
	x.written = true
	a.own = a.own[:0]
	for n := x.own; n != x.own+uint32(x.owns); n++ {
		o := f.of(n | ofOwn)
		a.own = append(a.own, sim.Frame{ID: n | ofOwn, Bytes: int(o.bytes), Dest: uint8(bits.TrailingZeros16(o.to))})
	}
	return card.Text{Own: a.own, Consume: int(x.dropAt) == a.place, Written: int(x.work.Written), Grow: int(x.grow)}, x.work.Told || x.owns > 0 || int(x.dropAt) == a.place
}
