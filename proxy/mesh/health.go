package mesh

import (
	"sync"
	"sync/atomic"
	"time"
)

// View is which of a cluster's endpoints get requests. It never changes; when their
// health does there is another one.
type View struct {
	Panic bool // too few are healthy: all do

	hosts   []int // endpoints by their index here; nil where it is the same
	weights []uint32
	placed  placement // of RingHash and Maglev, if there are endpoints
}

func (v *View) n() int { return len(v.weights) }

// endpoint is the index in the cluster.
func (v *View) endpoint(i int) int {
	if v.hosts == nil || i < 0 {
		return i
	}
	return v.hosts[i]
}

// view returns the View of the endpoints that are healthy.
func (c *CompiledCluster) view(healthy func(i int) bool) *View {
	v := &View{}
	sub := *c
	sub.Endpoints, sub.Weights = nil, nil
	for i := range c.Endpoints {
		if healthy(i) {
			v.hosts = append(v.hosts, i)
			sub.Endpoints, sub.Weights = append(sub.Endpoints, c.Endpoints[i]), append(sub.Weights, c.Weights[i])
		}
	}
	if n := len(v.hosts); c.panics(n) || n == len(c.Endpoints) {
		return &View{Panic: c.panics(n), weights: c.Weights, placed: c.placed}
	}
	v.weights = sub.Weights
	v.placed = sub.place()
	return v
}

// overprovisioning is Envoy's factor: a cluster that has this much more than it
// needs is as good as whole, in percent.
const overprovisioning = 140

// panics reports whether so few endpoints are healthy that all get requests.
func (c *CompiledCluster) panics(healthy int) bool {
	if n := len(c.Endpoints); n == 0 || overprovisioning*healthy/n < 100 {
		return 100*healthy < c.Panic*n || n == 0 && c.Panic > 0
	}
	return false
}

// Health is what is known of the endpoints of a cluster. All who send requests to
// it share one.
type Health struct {
	c        *CompiledCluster
	view     atomic.Pointer[View]
	detector *detector     // or nil
	checker  *checker      // or nil
	down     []atomic.Bool // what checker says

	mu      sync.Mutex // of everything but view and what detector.record touches
	warm    bool       // all endpoints have been checked
	ever    bool       // view was renewed
	renewed time.Duration
	due     time.Duration // when it will be, 0 if there is nothing new
}

// Change is what an event did to the health of endpoints.
type Change struct {
	Failed []int         // were healthy: connections to them are to be drained
	Due    time.Duration // when to call Renew; 0 if there is no need
	any    bool
}

// Any reports whether there is anything to do.
func (c *Change) Any() bool { return c.any }

// NewHealth returns the Health of c's endpoints, of which nothing bad is known.
func NewHealth(c *CompiledCluster) *Health {
	h := &Health{c: c}
	if c.Outliers != nil {
		h.detector = newDetector(c.Outliers, len(c.Endpoints))
	}
	if c.Check != nil {
		h.checker, h.down = newChecker(c.Check, len(c.Endpoints)), make([]atomic.Bool, len(c.Endpoints))
		for i := range h.down {
			h.down[i].Store(true)
		}
	}
	h.view.Store(c.view(h.healthy))
	return h
}

// View is the present one. It is renewed at once when it has not been for
// MergeWindow, and otherwise when that is over again.
func (h *Health) View() *View { return h.view.Load() }

// Ejected reports whether the outlier detection has taken endpoint i out.
func (h *Health) Ejected(i int) bool {
	return h.detector != nil && h.detector.hosts[i].ejected.Load()
}

// Down reports whether the health checks say that endpoint i is.
func (h *Health) Down(i int) bool { return h.checker != nil && h.down[i].Load() }

func (h *Health) healthy(i int) bool { return !h.Ejected(i) && !h.Down(i) }

// Checking counts a check that begins.
func (h *Health) Checking() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checker.attempts++
}

// Checked notes the result of a check of endpoint i and returns how long to wait
// before the next; traffic says that the cluster has had a connection.
func (h *Health) Checked(i int, r CheckResult, traffic bool, now time.Duration, draw func() uint64) (time.Duration, Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed, wait := h.checker.result(i, r, traffic, draw)
	h.down[i].Store(h.checker.hosts[i].failed)
	defer func() { h.warm = h.warm || h.checker.warm() }()
	// Who answers well is well again, whatever its answers were before.
	if r == CheckGood && !h.Down(i) && h.Ejected(i) {
		h.detector.back(i)
		changed = true
	}
	switch {
	case !changed:
		return wait, Change{}
	case h.Down(i):
		return wait, h.changed(now, i)
	}
	return wait, h.changed(now)
}

// FirstCheck is how long to wait before the first.
func (h *Health) FirstCheck(draw func() uint64) time.Duration {
	return jitter(h.c.Check.InitialJitter, draw)
}

// changed follows a change of health.
func (h *Health) changed(now time.Duration, failed ...int) Change {
	switch window := h.c.MergeWindow; {
	case h.checker != nil && !h.warm: // the first results don't wait for one another
		h.view.Store(h.c.view(h.healthy))
	case window == 0, !h.ever, now-h.renewed > window:
		h.renew(now)
	case h.due == 0:
		h.due = now + window
	}
	return Change{Failed: failed, Due: h.due, any: true}
}

func (h *Health) renew(now time.Duration) {
	h.view.Store(h.c.view(h.healthy))
	h.ever, h.renewed, h.due = true, now, 0
}

// Renew renews the View if it is due.
func (h *Health) Renew(now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.due != 0 && now >= h.due {
		h.renew(now)
	}
}

// Answered notes a response of endpoint i, or the status that a client is told of
// its loss. now is the time on any clock; draw gives numbers by chance.
func (h *Health) Answered(i, status int, now time.Duration, draw func() uint64) Change {
	if h.detector == nil {
		return Change{}
	}
	found, any := h.detector.record(i, status)
	if !any {
		return Change{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.detector.consecutive(i, found, now, draw) {
		return h.changed(now, i)
	}
	return Change{}
}

// Interval is how often to call Sweep; 0 is never.
func (h *Health) Interval() time.Duration {
	if h.detector == nil {
		return 0
	}
	return h.detector.Interval
}

// Sweep ends an interval of the outlier detection.
func (h *Health) Sweep(now time.Duration, draw func() uint64) Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	failed, back := h.detector.sweep(now, draw)
	if len(failed) == 0 && !back {
		return Change{}
	}
	return h.changed(now, failed...)
}

// Stats appends the counters under Envoy's names.
func (h *Health) Stats(dst []Stat) []Stat {
	h.mu.Lock()
	defer h.mu.Unlock()
	healthy := uint64(0)
	for i := range h.c.Endpoints {
		if h.healthy(i) {
			healthy++
		}
	}
	p := "cluster." + h.c.Name + "."
	dst = append(dst,
		Stat{p + "membership_total", uint64(len(h.c.Endpoints)), true},
		Stat{p + "membership_healthy", healthy, true},
	)
	if h.detector != nil {
		dst = h.detector.stats(dst, h.c.Name)
	}
	if h.checker != nil {
		dst = h.checker.stats(dst, h.c.Name)
	}
	return dst
}
