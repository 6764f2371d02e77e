package mesh

import (
	"slices"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Places limits how many requests of a cluster are being tried again at once: its
// circuit breaker or retry budget.
type Places interface {
	TakeRetry() bool
	EndRetry()
}

// Tries are the tries of one request: Begin, then Lost or Answered after each of
// them, Again where these say so and Wait is over, and End. The zero Tries is of a request that has one.
type Tries struct {
	policy *Retry
	made   int  // retries
	left   int  // retries that there may be yet
	place  bool // it has one of the Places
	sent   bool // an upstream got something of the request
	flag   Flags
	tried  []*Host
}

// Begin begins with the first try of a request whose route has policy p; nil is
// one that is never tried again.
func (t *Tries) Begin(p *Retry) {
	*t = Tries{policy: p, tried: t.tried[:0]}
	if p != nil {
		t.left = p.retries
	}
}

// Kept reports whether the request must be kept, because it may be sent again.
func (t *Tries) Kept() bool { return t.policy != nil }

// Retried reports whether the request is in a try that is not its first.
func (t *Tries) Retried() bool { return t.made > 0 }

// Attempt is the number of the present try, from 1.
func (t *Tries) Attempt() int { return t.made + 1 }

// Flag is Envoy's response flag for retries that did not help: URX if there are
// no more of them, UO if there was no place, or none.
func (t *Tries) Flag() Flags { return t.flag }

// Tried notes that h got the present try.
func (t *Tries) Tried(h *Host) {
	if t.policy != nil && t.policy.otherHosts {
		t.tried = append(t.tried, h)
	}
}

// Sent notes that an upstream got something of the request.
func (t *Tries) Sent() { t.sent = true }

// Answered decides whether to try again after a response with head h.
func (t *Tries) Answered(h *http1.Head, p Places, c *ClusterCounters) bool {
	if t.policy == nil || !t.decide(t.policy.afterResponse(h), p, c) {
		return false
	}
	if h.Status < len(c.Again) {
		c.Again[h.Status]++
	}
	return true
}

// Lost decides whether to try again after what r would tell the client of.
func (t *Tries) Lost(r *Reply, p Places, c *ClusterCounters) bool {
	return t.policy != nil && t.decide(t.policy.afterLoss(r.lost, t.sent), p, c)
}

// decide is Envoy's RetryState: its order shows in the counters.
func (t *Tries) decide(again bool, p Places, c *ClusterCounters) bool {
	if t.place && !again {
		c.RqRetrySuccess++
	}
	t.free(p)
	switch {
	case !again:
		return false
	case t.left == 0:
		c.RqRetryLimit++
		t.flag = FlagURX
		return false
	}
	t.left--
	if !p.TakeRetry() {
		c.RqRetryOverflow++
		t.flag = FlagUO
		return false
	}
	t.place = true
	return true
}

// Wait returns how long to wait before the next try. draw is a number by chance.
func (t *Tries) Wait(draw uint64) time.Duration { return t.policy.wait(t.made, draw) }

// Again begins the next try.
func (t *Tries) Again(c *ClusterCounters) {
	c.RqRetry++
	t.made++
}

// End gives back what the request's retries hold. There will be no other try: the
// request is over, or too large to be kept.
func (t *Tries) End(p Places) {
	t.free(p)
	t.policy = nil
}

func (t *Tries) free(p Places) {
	if t.place {
		p.EndRetry()
		t.place = false
	}
}

// NextAgain is Next for the try that t is at: one that is not the first looks on
// where the endpoint was tried before, if its policy says so. What it finds last
// it takes. Picks in a panic count in c.
func (b *Balancer) NextAgain(t *Tries, hash uint64, hashed bool, c *ClusterCounters) *Host {
	more := 0
	if t.made > 0 && t.policy != nil && t.policy.otherHosts {
		more = t.policy.hostAttempts
	}
	for n := 0; ; n++ {
		h := b.next(hash, hashed, n)
		if b.view.Panic {
			c.Panics++
		}
		if n == more || !slices.Contains(t.tried, h) {
			return h
		}
	}
}
