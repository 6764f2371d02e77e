package fault

import (
	"math/rand/v2"
	"time"

	"github.com/meshnic/meshnic/hostif"
)

// roll is all that chance decides on one frame. Every frame takes the same
// number of draws, so what happens to frame n depends on the seed and n only.
type roll struct {
	loss, duplicate, reorder, corrupt, jitter float64
	pick                                      uint32
}

type dice struct{ r *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0x6d6573686e6963))} }

func (d dice) roll() roll {
	return roll{
		loss: d.r.Float64(), duplicate: d.r.Float64(), reorder: d.r.Float64(),
		corrupt: d.r.Float64(), jitter: d.r.Float64(), pick: d.r.Uint32(),
	}
}

// NextDue returns how long until a held frame is due.
func (l *Link) NextDue(now time.Time) (time.Duration, bool) {
	d := l.wait(now)
	return max(d, 0), d >= 0
}

// wait is the time until Recv has something of its own to deliver, -1 if it has
// nothing.
func (l *Link) wait(now time.Time) time.Duration {
	if len(l.ready) > 0 {
		return 0
	}
	var next time.Time
	if len(l.late) > 0 {
		next = l.late[0].due
	}
	for _, h := range l.passing {
		if next.IsZero() || h.due.Before(next) {
			next = h.due
		}
	}
	if next.IsZero() {
		return -1
	}
	return max(0, next.Sub(now))
}

// Fd polls readable while the wrapped link does, and when a held frame is due.
func (l *Link) Fd() int {
	if l.timer == nil {
		return l.inner.Fd()
	}
	return l.timer.fd()
}

// WaitFds returns the descriptors behind Fd; hostif.Waiter polls them directly.
func (l *Link) WaitFds() []int {
	fds := []int{l.inner.Fd()}
	if f, ok := l.inner.(interface{ WaitFds() []int }); ok {
		fds = f.WaitFds()
	}
	return l.timer.waitFds(fds)
}

// Woken passes on that a wait on this link ended.
func (l *Link) Woken() {
	if w, ok := l.inner.(interface{ Woken() }); ok {
		w.Woken()
	}
}

// Stats returns the wrapped link's counters, with those of receiving replaced
// by what this link delivered. Frames lost to too many held count as RxDropFull;
// the faults themselves are in Faults.
func (l *Link) Stats() hostif.Stats {
	s := l.inner.Stats()
	s.RxFrames, s.RxBytes = l.rx, l.rxBytes
	s.RxDropFull += l.c.Overflow
	return s
}

// Count passes on the wrapped link's further counters.
func (l *Link) Count(c map[string]uint64) {
	if w, ok := l.inner.(hostif.Counted); ok {
		w.Count(c)
	}
}

// Close closes the wrapped link; held frames are forgotten.
func (l *Link) Close() error {
	l.shut.Store(true)
	err := l.inner.Close()
	l.timer.ring()
	return err
}
