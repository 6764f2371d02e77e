package nic

import (
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
)

// stretch is how much CPU time the traffic that the model takes at a time is worth:
// some 1,500 frames, which at 64 busy connections are ten requests of each.
const stretch = 5 * time.Millisecond

// modelCost is what the model is taken to need for a segment before it has counted any.
const modelCost = 3 * time.Microsecond

// allowance is the CPU time that the model may take: a share of all time, saved up for
// a stretch at most. As long as there is some, no frame is left out; when it is used
// up, whole stretches of traffic are left out and whole ones taken, so that most
// requests are seen either from beginning to end or not at all.
type allowance struct {
	share float64 // of the time; 0: whatever it takes
	left  time.Duration
	since sim.Cycle     // when left was reckoned
	cost  time.Duration // of a segment
	out   bool          // traffic is left out
}

func newAllowance(share float64) allowance {
	if share >= 1 {
		share = 0
	}
	return allowance{share: share, left: stretch, cost: modelCost}
}

// takes reports whether the model may take so many segments that arrive now.
func (a *allowance) takes(now sim.Cycle, segments int) bool {
	if a.share == 0 {
		return true
	}
	if now > a.since {
		a.left = min(stretch, a.left+time.Duration(a.share*float64(coreClock.Duration(now-a.since))))
		a.since = now
	}
	if a.out && a.left < stretch {
		return false
	}
	a.left -= time.Duration(segments) * a.cost
	a.out = a.left < 0
	return true
}

// took says what so many segments cost.
func (a *allowance) took(d time.Duration, segments int) {
	if segments > 0 {
		a.cost += (d/time.Duration(segments) - a.cost) / 8
	}
}
