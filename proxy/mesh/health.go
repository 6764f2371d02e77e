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

	c      *CompiledCluster
	hosts  []*Host
	placed placement // of RingHash and Maglev, if there are hosts
}

// overprovisioning is Envoy's factor: a cluster that has this much more than it
// needs is as good as whole, in percent.
const overprovisioning = 140

// panics reports whether so few of n endpoints are healthy that all get requests.
func (c *CompiledCluster) panics(healthy, n int) bool {
	if n == 0 || overprovisioning*healthy/n < 100 {
		return 100*healthy < c.Panic*n || n == 0 && c.Panic > 0
	}
	return false
}

// Health is what is known of the endpoints of a cluster. All who send requests to
// it share one.
type Health struct {
	c        *CompiledCluster
	view     atomic.Pointer[View]
	detector *detector // or nil
	checker  *checker  // or nil

	mu      sync.Mutex // of everything but view and what is atomic
	hosts   []*Host
	whole   placement // of all of them
	warm    bool      // all endpoints have been checked
	ever    bool      // view was renewed
	renewed time.Duration
	due     time.Duration // when it will be, 0 if there is nothing new
}

// Change is what an event did to the health of endpoints.
type Change struct {
	Failed []*Host       // were healthy: connections to them are to be drained
	Due    time.Duration // when to call Renew; 0 if there is no need
	any    bool
}

// Any reports whether there is anything to do.
func (c *Change) Any() bool { return c.any }

// NewHealth returns the Health of c's endpoints, of which nothing bad is known.
func NewHealth(c *CompiledCluster) *Health {
	h := &Health{c: c}
	if c.Outliers != nil {
		h.detector = &detector{OutlierDetection: c.Outliers}
	}
	if c.Check != nil {
		h.checker = &checker{HealthCheck: c.Check}
	}
	h.have(newHosts(c))
	h.warm = len(h.hosts) == 0
	h.view.Store(h.look())
	return h
}

// have puts hosts in the place of those so far.
func (h *Health) have(hosts []*Host) {
	h.hosts, h.whole = hosts, h.c.place(hosts)
	if h.detector != nil {
		h.detector.hosts = hosts
	}
	if h.checker != nil {
		h.checker.hosts = hosts
	}
}

// look returns the View of what is healthy.
func (h *Health) look() *View {
	var up []*Host
	for _, x := range h.hosts {
		if x.healthy() {
			up = append(up, x)
		}
	}
	n := len(h.hosts)
	if panic := h.c.panics(len(up), n); panic || len(up) == n {
		return &View{Panic: panic, c: h.c, hosts: h.hosts, placed: h.whole}
	}
	return &View{c: h.c, hosts: up, placed: h.c.place(up)}
}

// View is the present one. It is renewed at once when it has not been for
// MergeWindow, and otherwise when that is over again.
func (h *Health) View() *View { return h.view.Load() }

// Hosts returns the endpoints, healthy or not. They are not to be changed.
func (h *Health) Hosts() []*Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hosts
}

// Checking counts a check that begins.
func (h *Health) Checking() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checker.attempts++
}

// Checked notes the result of a check of x and returns how long to wait
// before the next; traffic says that the cluster has had a connection.
func (h *Health) Checked(x *Host, r CheckResult, traffic bool, now time.Duration, draw func() uint64) (time.Duration, Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.gone {
		return h.checker.Interval, Change{}
	}
	changed, wait := h.checker.result(&x.checked, r, traffic, draw)
	x.down.Store(x.checked.failed)
	defer func() { h.warm = h.warm || h.checker.warm() }()
	// Who answers well is well again, whatever its answers were before.
	if r == CheckGood && !x.Down() && x.Ejected() {
		h.detector.back(&x.suspect)
		changed = true
	}
	switch {
	case !changed:
		return wait, Change{}
	case x.Down():
		return wait, h.changed(now, x)
	}
	return wait, h.changed(now)
}

// FirstCheck is how long to wait before the first.
func (h *Health) FirstCheck(draw func() uint64) time.Duration {
	return jitter(h.checker.InitialJitter, draw)
}

// changed follows a change of health.
func (h *Health) changed(now time.Duration, failed ...*Host) Change {
	switch window := h.c.MergeWindow; {
	case h.checker != nil && !h.warm: // the first results don't wait for one another
		h.view.Store(h.look())
	case window == 0, !h.ever, now-h.renewed > window:
		h.renew(now)
	case h.due == 0:
		h.due = now + window
	}
	return Change{Failed: failed, Due: h.due, any: true}
}

func (h *Health) renew(now time.Duration) {
	h.view.Store(h.look())
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

// Judges reports whether anything comes of Answered.
func (h *Health) Judges() bool { return h.detector != nil }

// Answered notes a response of x, or the status that a client is told of
// its loss. now is the time on any clock; draw gives numbers by chance.
func (h *Health) Answered(x *Host, status int, now time.Duration, draw func() uint64) Change {
	if h.detector == nil {
		return Change{}
	}
	found, any := h.detector.record(&x.suspect, status)
	if !any {
		return Change{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !x.gone && h.detector.consecutive(&x.suspect, found, now, draw) {
		return h.changed(now, x)
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
	for _, x := range h.hosts {
		if x.healthy() {
			healthy++
		}
	}
	p := "cluster." + h.c.Name + "."
	dst = append(dst,
		Stat{p + "membership_total", uint64(len(h.hosts)), true},
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
