package mesh

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// HealthCheck has a cluster's endpoints asked how they are, as Envoy's does. Until
// its first answer an endpoint counts as unhealthy.
type HealthCheck struct {
	Timeout  time.Duration `json:"timeout"`
	Interval time.Duration `json:"interval"` // from the end of a check to the next

	// In the place of Interval; the reader writes out what Envoy has where they are
	// left out.
	NoTraffic        time.Duration `json:"no_traffic_interval"`         // while the cluster has had no connection
	NoTrafficHealthy time.Duration `json:"no_traffic_healthy_interval"` // and the endpoint is healthy
	Unhealthy        time.Duration `json:"unhealthy_interval"`          // of unhealthy endpoints
	UnhealthyEdge    time.Duration `json:"unhealthy_edge_interval"`     // of those that are about to become it
	HealthyEdge      time.Duration `json:"healthy_edge_interval"`       // of those that are about to become healthy

	InitialJitter time.Duration `json:"initial_jitter,omitempty"`
	Jitter        time.Duration `json:"interval_jitter,omitempty"`
	JitterPercent uint32        `json:"interval_jitter_percent,omitempty"`

	UnhealthyThreshold uint32 `json:"unhealthy_threshold"` // failures in a row; a status that is not expected needs no second
	HealthyThreshold   uint32 `json:"healthy_threshold"`   // answers in a row, after the first
	Once               bool   `json:"once,omitempty"`      // a connection for each check; otherwise it is kept

	// One of these.
	HTTP *HTTPCheck `json:"http,omitempty"`
	TCP  *TCPCheck  `json:"tcp,omitempty"`
}

// HTTPCheck asks for a path.
type HTTPCheck struct {
	Host      string        `json:"host,omitempty"` // empty means the cluster's name
	Path      string        `json:"path"`
	Expected  []StatusRange `json:"expected_statuses,omitempty"`  // none means 200
	Retriable []StatusRange `json:"retriable_statuses,omitempty"` // count as a failure among others
}

// StatusRange is [Start, End).
type StatusRange struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// TCPCheck connects, and may say something and wait for an answer.
type TCPCheck struct {
	Send    []byte   `json:"send,omitempty"`
	Receive [][]byte `json:"receive,omitempty"` // what must come, in this order, with anything between
}

// DefaultNoTraffic is Envoy's default of the intervals without traffic.
const DefaultNoTraffic = 60 * time.Second

// CheckResult is what became of a check.
type CheckResult uint8

// The results.
const (
	CheckGood      CheckResult = iota
	CheckBad                   // an answer that is not wanted
	CheckRetriable             // one that may be better the next time
	CheckLost                  // none: no connection, or not in time
)

// Judge tells what an answer with the given status means.
func (c *HTTPCheck) Judge(status int) CheckResult {
	in := func(ranges []StatusRange) bool {
		for _, r := range ranges {
			if int64(status) >= r.Start && int64(status) < r.End {
				return true
			}
		}
		return false
	}
	switch {
	case len(c.Expected) == 0 && status == 200, in(c.Expected):
		return CheckGood
	case in(c.Retriable):
		return CheckRetriable
	}
	return CheckBad
}

// AppendRequest appends the request of a check of the given cluster.
func (c *HTTPCheck) AppendRequest(dst []byte, cluster string) []byte {
	host := c.Host
	if host == "" {
		host = cluster
	}
	return fmt.Appendf(dst, "GET %s HTTP/1.1\r\nhost: %s\r\nuser-agent: Envoy/HC\r\n\r\n", c.Path, host)
}

// Answers reports whether b, all that has come, is what was waited for.
func (c *TCPCheck) Answers(b []byte) bool {
	for _, want := range c.Receive {
		i := bytes.Index(b, want)
		if i < 0 {
			return false
		}
		b = b[i+len(want):]
	}
	return true
}

// checker is the health checking of one cluster.
type checker struct {
	*HealthCheck
	hosts                           []*Host
	attempts, good, bad, unanswered uint64
}

// checked is what it knows of one endpoint.
type checked struct {
	failed      bool
	known       bool // a check has ended
	wins, fails uint32
}

// warm reports whether all endpoints have been checked.
func (k *checker) warm() bool {
	for i := range k.hosts {
		if !k.hosts[i].checked.known {
			return false
		}
	}
	return true
}

// result notes a check of an endpoint. It reports whether its health is another
// now, and how long to wait before the next; traffic says that the cluster has had
// a connection.
func (k *checker) result(h *checked, r CheckResult, traffic bool, draw func() uint64) (changed bool, wait time.Duration) {
	pending, first := false, !h.known
	h.known = true
	if r == CheckGood {
		k.good++
		h.fails = 0
		if h.failed {
			if h.wins++; first || h.wins == k.HealthyThreshold {
				h.failed, changed = false, true
			} else {
				pending = true
			}
		}
	} else {
		k.bad++
		if r == CheckLost {
			k.unanswered++
		}
		h.wins = 0
		if !h.failed {
			if h.fails++; r == CheckBad || h.fails == k.UnhealthyThreshold {
				h.failed, changed = true, true
			} else {
				pending = true
			}
		}
	}
	return changed, k.jittered(k.interval(r == CheckGood, pending, traffic), draw)
}

func (k *checker) interval(good, pending, traffic bool) time.Duration {
	switch {
	case !traffic && good && !pending:
		return k.NoTrafficHealthy
	case !traffic:
		return k.NoTraffic
	case good && pending:
		return k.HealthyEdge
	case good:
		return k.Interval
	case pending:
		return k.UnhealthyEdge
	}
	return k.Unhealthy
}

// jittered adds what chance does to an interval.
func (k *checker) jittered(d time.Duration, draw func() uint64) time.Duration {
	if p := uint64(k.JitterPercent); p > 0 {
		d += d * time.Duration(draw()%p) / 100
	}
	return d + jitter(k.Jitter, draw)
}

func jitter(most time.Duration, draw func() uint64) time.Duration {
	if ms := uint64(most.Milliseconds()); ms > 0 {
		return time.Duration(draw()%ms) * time.Millisecond
	}
	return 0
}

// stats appends k's counters under Envoy's names.
func (k *checker) stats(dst []Stat, cluster string) []Stat {
	p, healthy := "cluster."+cluster+".health_check.", uint64(0)
	for i := range k.hosts {
		if !k.hosts[i].checked.failed {
			healthy++
		}
	}
	return append(dst,
		Stat{p + "attempt", k.attempts, false}, Stat{p + "success", k.good, false}, Stat{p + "failure", k.bad, false},
		Stat{p + "network_failure", k.unanswered, false}, Stat{p + "healthy", healthy, true},
	)
}

func (v *validator) check(path string, c *HealthCheck) {
	if c == nil {
		return
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"timeout", c.Timeout}, {"interval", c.Interval}, {"no_traffic_interval", c.NoTraffic}, {"no_traffic_healthy_interval", c.NoTrafficHealthy},
		{"unhealthy_interval", c.Unhealthy}, {"unhealthy_edge_interval", c.UnhealthyEdge}, {"healthy_edge_interval", c.HealthyEdge}} {
		if d.d < time.Millisecond {
			v.fail(path+"."+d.name, "is %v, want 1 ms or more", d.d)
		}
	}
	if c.InitialJitter < 0 || c.Jitter < 0 || c.Interval > 1000*time.Hour || c.JitterPercent > 100000 {
		v.fail(path+".interval_jitter", "is not 0 or more, or is beyond reason")
	}
	if c.UnhealthyThreshold == 0 || c.HealthyThreshold == 0 {
		v.fail(path+".unhealthy_threshold", "is %d and healthy_threshold %d, want 1 or more", c.UnhealthyThreshold, c.HealthyThreshold)
	}
	if (c.HTTP == nil) == (c.TCP == nil) {
		v.fail(path, "has none of http and tcp, or both; want one of them")
	}
	if c.HTTP == nil {
		return
	}
	if !strings.HasPrefix(c.HTTP.Path, "/") || strings.ContainsFunc(c.HTTP.Path+c.HTTP.Host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		v.fail(path+".http.path", "is %q for host %q, want a path that begins with / and neither with spaces nor beyond ASCII", c.HTTP.Path, c.HTTP.Host)
	}
	for i, r := range append(append([]StatusRange(nil), c.HTTP.Expected...), c.HTTP.Retriable...) {
		if r.Start < 100 || r.End > 600 || r.Start >= r.End {
			v.fail(fmt.Sprintf("%s.http.statuses[%d]", path, i), "is [%d, %d), want a range within [100, 600)", r.Start, r.End)
		}
	}
}
