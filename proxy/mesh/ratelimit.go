package mesh

import (
	"math"
	"sync/atomic"
	"time"
)

// RateLimit turns requests away that come faster than a bucket of tokens fills. All
// workers take from one bucket.
type RateLimit struct {
	StatPrefix string        `json:"stat_prefix"` // Envoy's <prefix>.http_local_rate_limit.*
	Max        uint32        `json:"max_tokens"`  // how many the bucket holds; it begins full
	Fill       uint32        `json:"tokens_per_fill"`
	Interval   time.Duration `json:"fill_interval"` // in which Fill tokens come in, one after the other
	Enabled    Fraction      `json:"filter_enabled,omitzero"`
	Enforced   Fraction      `json:"filter_enforced,omitzero"` // of those without a token; the others are only counted
	Status     int           `json:"status,omitempty"`         // 400 or more; 0 means 429
	Add        []HeaderValue `json:"response_headers_to_add,omitempty"`
}

// MinFillInterval is the shortest interval that Envoy takes.
const MinFillInterval = 50 * time.Millisecond

// Bucket is a bucket of tokens that fills as time goes by. It has no clock, and is
// safe for use by all workers.
type Bucket struct {
	max, cost float64       // tokens, and ns that one of them takes to come in
	empty     atomic.Uint64 // when it was, in ns as a float64: what it holds has come in since
}

// NewBucket returns l's bucket, full.
func NewBucket(l *RateLimit) *Bucket {
	b := &Bucket{max: float64(l.Max), cost: float64(l.Interval) / float64(l.Fill)}
	b.empty.Store(math.Float64bits(math.Inf(-1)))
	return b
}

// Take takes a token out, if there is a whole one now, in ns since any moment. It
// allocates nothing.
func (b *Bucket) Take(now int64) bool {
	for {
		was := b.empty.Load()
		held := min(b.max, (float64(now)-math.Float64frombits(was))/b.cost)
		if held < 1 {
			return false
		}
		if b.empty.CompareAndSwap(was, math.Float64bits(float64(now)-(held-1)*b.cost)) {
			return true
		}
	}
}

// CompiledLimit is a compiled RateLimit.
type CompiledLimit struct {
	*RateLimit
	reply Reply
}

func compileLimit(l *RateLimit) *CompiledLimit {
	if l == nil {
		return nil
	}
	out := &CompiledLimit{RateLimit: l, reply: Reply{Status: l.Status, Body: "local_rate_limited", Flag: FlagRL, Details: "local_rate_limited", filtered: true}}
	if l.Status == 0 {
		out.reply.Status = 429
	}
	out.reply.add = compileMutations(&Mutations{Add: l.Add})
	return out
}

// LimitCounters counts what a RateLimit does.
type LimitCounters struct{ Enabled, Enforced, OK, Limited uint64 }

// Allow decides on a request that comes now: the answer is what it is turned away by,
// nil if it goes on.
func (l *CompiledLimit) Allow(b *Bucket, now int64, draw func() uint64, c *LimitCounters) *Reply {
	if !l.Enabled.Draw(draw) {
		return nil
	}
	c.Enabled++
	if b.Take(now) {
		c.OK++
		return nil
	}
	c.Limited++
	if !l.Enforced.Draw(draw) {
		return nil
	}
	c.Enforced++
	return &l.reply
}

func (c *LimitCounters) stats(dst []Stat, l *CompiledListener) []Stat {
	for _, f := range l.Filters {
		if f.Limit != nil {
			p := f.Limit.StatPrefix + ".http_local_rate_limit."
			dst = append(dst, Stat{p + "enabled", c.Enabled, false}, Stat{p + "enforced", c.Enforced, false},
				Stat{p + "ok", c.OK, false}, Stat{p + "rate_limited", c.Limited, false})
		}
	}
	return dst
}

func (v *validator) rateLimit(path string, l *RateLimit) {
	if l.StatPrefix == "" {
		v.fail(path+".stat_prefix", "is empty; it names the counters <prefix>.http_local_rate_limit.*")
	}
	if l.Max == 0 || l.Fill == 0 {
		v.fail(path+".max_tokens", "is %d and tokens_per_fill %d, want 1 or more", l.Max, l.Fill)
	}
	if l.Interval < MinFillInterval {
		v.fail(path+".fill_interval", "is %v, want %v or more", l.Interval, MinFillInterval)
	}
	if l.Status != 0 && (l.Status < 400 || l.Status > 599) {
		v.fail(path+".status", "is %d, want 400 to 599", l.Status)
	}
	v.fraction(path+".filter_enabled", l.Enabled)
	v.fraction(path+".filter_enforced", l.Enforced)
	v.mutations(path, &HeaderMutations{Response: Mutations{Add: l.Add}})
}

// LimitedAs reports whether the counters of l's rate limit have the name that those
// of o's have.
func (l *CompiledListener) LimitedAs(o *CompiledListener) bool {
	return l.limitPrefix() == o.limitPrefix()
}

func (l *CompiledListener) limitPrefix() string {
	for _, f := range l.Filters {
		if f.Limit != nil {
			return f.Limit.StatPrefix
		}
	}
	return ""
}
