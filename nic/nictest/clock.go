package nictest

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// event is something that happens at a time; those of one instant happen in the
// order they were set.
type event struct {
	at  time.Duration
	seq uint64
	f   func()
	idx int // in the heap, -1 if it is not
}

type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].idx, q[j].idx = i, j
}
func (q *events) Push(x any) {
	e := x.(*event)
	e.idx = len(*q)
	*q = append(*q, e)
}
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.idx = -1
	return e
}

// agenda is the time and what is to come. The loop moves it; gVisor's goroutines
// set and stop timers while the loop waits for them.
type agenda struct {
	now atomic.Int64 // ns; written by the loop only

	mu  sync.Mutex
	q   events
	seq uint64
}

func (a *agenda) Now() time.Duration { return time.Duration(a.now.Load()) }

func (a *agenda) add(at time.Duration, f func()) *event {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seq++
	e := &event{at: max(at, a.Now()), seq: a.seq, f: f}
	heap.Push(&a.q, e)
	return e
}

func (a *agenda) remove(e *event) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e == nil || e.idx < 0 {
		return false
	}
	heap.Remove(&a.q, e.idx)
	return true
}

// next moves the time to the first event and returns it, or nil if there is none
// until then.
func (a *agenda) next(until time.Duration) *event {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.q) == 0 || a.q[0].at > until {
		return nil
	}
	e := heap.Pop(&a.q).(*event)
	a.now.Store(int64(e.at))
	return e
}

// hostClock is a stack's clock: the agenda's time, and timers after which the
// stack is brought to rest.
type hostClock struct {
	*agenda
	fired func()
}

var _ tcpip.Clock = (*hostClock)(nil)

// epoch keeps a stack's clocks off zero, which gVisor takes for a timer not set.
var epoch = time.Unix(1, 0)

func (c *hostClock) Now() time.Time { return epoch.Add(c.agenda.Now()) }

func (c *hostClock) NowMonotonic() tcpip.MonotonicTime {
	var t tcpip.MonotonicTime
	return t.Add(time.Second + c.agenda.Now())
}

func (c *hostClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &hostTimer{c: c, f: f}
	t.Reset(d)
	return t
}

type hostTimer struct {
	c  *hostClock
	f  func()
	mu sync.Mutex
	e  *event
}

func (t *hostTimer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.c.remove(t.e)
}

func (t *hostTimer) Reset(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.remove(t.e)
	t.e = t.c.add(t.c.agenda.Now()+max(d, 0), func() {
		t.f()
		t.c.fired()
	})
}
