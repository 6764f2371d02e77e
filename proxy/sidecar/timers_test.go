package sidecar

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The heap fires what a list of deadlines says is due, whatever is set, moved,
// disarmed and removed in between.
func TestTimers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var q timers
	now := int64(1)
	all := make([]*timer, 50)
	want := make([]int64, len(all)) // 0 for none
	var fired []int
	for i := range all {
		all[i] = &timer{fire: func() { fired = append(fired, i) }}
	}
	for range 20000 {
		i := rnd.IntN(len(all))
		switch rnd.IntN(4) {
		case 0, 1:
			want[i] = now + 1 + rnd.Int64N(100)
			q.set(all[i], want[i])
		case 2:
			want[i] = 0
			if rnd.IntN(2) == 0 {
				q.set(all[i], 0)
			} else {
				q.remove(all[i])
			}
		case 3:
			if next := q.next(); next != 0 && rnd.IntN(2) == 0 {
				now = max(now, next)
			} else {
				now += rnd.Int64N(30)
			}
			fired = fired[:0]
			q.expire(now)
			var due []int
			for j, at := range want {
				if at != 0 && at <= now {
					due = append(due, j)
					want[j] = 0
				}
			}
			slices.Sort(fired)
			require.Equal(t, due, slices.Clip(append([]int(nil), fired...)))
			for j, at := range want {
				require.True(t, at == 0 || q.next() != 0 && q.next() <= at, "timer %d is due at %d, the heap at %d", j, at, q.next())
			}
		}
		for j, e := range q.heap {
			require.Equal(t, j+1, e.index)
		}
	}
}

// A timer may set itself, or remove another, while it fires.
func TestTimersWhileFiring(t *testing.T) {
	var q timers
	n := 0
	a, b := &timer{}, &timer{fire: func() { t.Error("was removed") }}
	a.fire = func() {
		q.remove(b)
		if n++; n < 3 {
			q.set(a, int64(10+n))
		}
	}
	q.set(a, 5)
	q.set(b, 5)
	q.heap[0], q.heap[1] = a, b
	a.index, b.index = 1, 2
	q.expire(11)
	require.Equal(t, 2, n)
	q.expire(12)
	require.Equal(t, 3, n)
	require.Zero(t, q.next())
}
