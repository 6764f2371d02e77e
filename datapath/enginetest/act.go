package enginetest

import (
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/sim"
)

// acts is what stages decide about a frame, by a seed and the frame's number.
type acts uint64

// apply makes the stages of a network that ask somebody ask a.
func (a acts) apply(n *sim.Net) {
	for _, s := range n.Stages {
		switch s := s.(type) {
		case *card.Pipe:
			s.Act(a)
		case *card.Rewriter:
			s.Author(a)
		}
	}
}

func (a acts) dice(frame uint32) dice { return dice{&mix{uint64(a)<<32 | uint64(frame)}} }

// Head is often the configuration's.
func (a acts) Head(frame uint32) int {
	d := a.dice(frame)
	return pick(d, 0, 0, -1, d.spread(1, 800))
}

// Decide drops some frames, sends some elsewhere, and has them wait for a table.
func (a acts) Decide(s card.Seen) (v card.Verdict) {
	d := a.dice(s.Frame)
	d.Uint64() // Head's
	if d.chance(10) {
		v.Loss = sim.LossVerdict
	}
	if v.Route = d.chance(20); v.Route {
		v.Dest = uint8(d.n(4))
	}
	v.Reads = d.spread(0, 6) - 1
	return v
}

// Text has heads written, frames end, and frames of the card's own leave before them.
func (a acts) Text(frame uint32) (t card.Text, ok bool) {
	d := a.dice(frame)
	t.Consume = d.chance(20)
	if d.chance(50) {
		t.Written, t.Grow = d.spread(0, 600), d.spread(0, 200)-d.spread(0, 100)
	}
	if own := uint32(1) << 31; frame&own == 0 && d.chance(25) {
		for k := range uint32(1 + d.n(3)) {
			t.Own = append(t.Own, sim.Frame{ID: own | frame<<2 | k, Bytes: d.spread(1, 400), Dest: uint8(d.n(4))})
		}
	}
	return t, !d.chance(15)
}
