package mesh

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
)

// RetryPolicy says when a request is sent again, as Envoy's does.
type RetryPolicy struct {
	On       []string      `json:"retry_on"`                         // Envoy's words, see RetryWords; none is never
	Retries  uint32        `json:"num_retries"`                      // at most; Envoy's default of 1 is written out by the reader
	PerTry   time.Duration `json:"per_try_timeout,omitempty"`        // of one try, from the end of the request; 0 means none. It holds without On too
	Base     time.Duration `json:"base_interval,omitempty"`          // the first wait is below it; 0 means DefaultRetryBase
	Max      time.Duration `json:"max_interval,omitempty"`           // no wait is above it; 0 means ten times Base
	Statuses []uint32      `json:"retriable_status_codes,omitempty"` // of retriable-status-codes
	Headers  []HeaderMatch `json:"retriable_headers,omitempty"`      // of retriable-headers, one of which has to match

	OtherHosts   bool   `json:"previous_hosts,omitempty"`                    // avoids endpoints that were tried, if HostAttempts find another
	HostAttempts uint32 `json:"host_selection_retry_max_attempts,omitempty"` // 0 means 1
}

// Envoy's defaults for a RetryPolicy and a RetryBudget.
const (
	DefaultRetries       = 1
	DefaultRetryBase     = 25 * time.Millisecond
	DefaultBudgetPercent = 20
	DefaultBudgetLeast   = 3
)

// MaxHostAttempts bounds RetryPolicy.HostAttempts.
const MaxHostAttempts = 1 << 16

// RetryBudget is the other way of limiting how many retries a cluster has at
// once: a part of the requests it has under way and in line.
type RetryBudget struct {
	Percent float64 `json:"budget_percent"`
	Least   uint32  `json:"min_retry_concurrency"` // however few requests there are
}

// Allows is how many retries there may be with so many requests.
func (b *RetryBudget) Allows(requests int64) int64 {
	return max(int64(b.Percent/100*float64(requests)), int64(b.Least))
}

// retryOn is a set of RetryWords.
type retryOn uint32

const (
	retry5xx retryOn = 1 << iota
	retryGateway
	retryReset
	retryConnect
	retryBefore
	retry4xx
	retryLimited
	retryStatuses
	retryHeaders
	retryNothing // what HTTP/1.1 has not: the request is kept, and not sent again
	retryGRPC    // and above: by grpc-status
)

var retryWords = map[string]retryOn{
	"5xx": retry5xx, "gateway-error": retryGateway, "reset": retryReset, "connect-failure": retryConnect,
	"reset-before-request": retryBefore, "retriable-4xx": retry4xx, "envoy-ratelimited": retryLimited,
	"retriable-status-codes": retryStatuses, "retriable-headers": retryHeaders,
	"cancelled": retryGRPC << 1, "deadline-exceeded": retryGRPC << 4, "resource-exhausted": retryGRPC << 8,
	"internal": retryGRPC << 13, "unavailable": retryGRPC << 14,
	"refused-stream": retryNothing, "http3-post-connect-failure": retryNothing,
}

// RetryWords lists what a RetryPolicy can be On, for messages.
func RetryWords() (words []string) {
	for w := range retryWords {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}

// Retry is a compiled RetryPolicy that is On something.
type Retry struct {
	retries      int
	on           retryOn
	statuses     []uint32
	headers      []headerMatcher
	base, max    time.Duration
	otherHosts   bool
	hostAttempts int // endpoints to look at beyond the first
}

// compileRetry sets what p says of the tries of e's requests.
func (e *RouteEntry) compileRetry(p *RetryPolicy) {
	if p == nil {
		return
	}
	if e.Timeout == 0 || p.PerTry < e.Timeout {
		e.PerTry = p.PerTry
	}
	if len(p.On) == 0 {
		return
	}
	r := &Retry{retries: int(p.Retries), statuses: p.Statuses, headers: compileHeaders(p.Headers), base: p.Base, max: p.Max,
		otherHosts: p.OtherHosts, hostAttempts: int(max(p.HostAttempts, 1))}
	if r.base == 0 {
		r.base = DefaultRetryBase
	}
	if r.max == 0 {
		r.max = 10 * r.base
	}
	for _, w := range p.On {
		r.on |= retryWords[w]
	}
	e.Retry = r
}

// afterResponse reports whether a response with head h is one to try again after.
func (r *Retry) afterResponse(h *http1.Head) bool {
	if _, ok := h.Lookup("x-envoy-ratelimited"); ok {
		return r.on&retryLimited != 0
	}
	switch s := h.Status; {
	case r.on&retry5xx != 0 && s/100 == 5,
		r.on&retryGateway != 0 && s >= 502 && s <= 504,
		r.on&retry4xx != 0 && s == 409,
		r.on&retryStatuses != 0 && slices.Contains(r.statuses, uint32(s)):
		return true
	}
	if r.on&retryHeaders != 0 && slices.ContainsFunc(r.headers, func(m headerMatcher) bool { return m.matches(h) }) {
		return true
	}
	if r.on >= retryGRPC {
		if v, ok := h.Lookup("grpc-status"); ok {
			n, err := strconv.ParseUint(string(v), 10, 5)
			return err == nil && n > 0 && n < 17 && r.on&(retryGRPC<<n) != 0
		}
	}
	return false
}

// afterLoss reports whether the loss l is one to try again after; sent says that
// the upstream got something of the request, in this try or in an earlier one.
func (r *Retry) afterLoss(l loss, sent bool) bool {
	switch {
	case l == lostNothing:
		return false
	case r.on&(retry5xx|retryGateway|retryReset) != 0,
		r.on&retryBefore != 0 && !sent:
		return true
	}
	return l == lostConnecting && r.on&retryConnect != 0
}

// wait is how long to wait before retry n, which counts from 0; draw is a number
// by chance. It is a whole number of milliseconds, below the base interval doubled
// with every retry, and below the greatest interval.
func (r *Retry) wait(n int, draw uint64) time.Duration {
	most := r.base
	for ; n > 0 && most < r.max; n-- {
		most = min(2*most, r.max)
	}
	return time.Duration(draw%uint64(max(most.Milliseconds(), 1))) * time.Millisecond
}

func (v *validator) retry(path string, p *RetryPolicy) {
	if p == nil {
		return
	}
	for i, w := range p.On {
		if _, ok := retryWords[w]; !ok {
			v.fail(fmt.Sprintf("%s.retry_on[%d]", path, i), "is %q, want one of %s", w, strings.Join(RetryWords(), ", "))
		}
	}
	if p.PerTry < 0 {
		v.fail(path+".per_try_timeout", "is %v, want 0 (none) or more", p.PerTry)
	}
	switch {
	case p.Base == 0 && p.Max != 0:
		v.fail(path+".max_interval", "is %v, and there is no base_interval", p.Max)
	case p.Base != 0 && p.Base < time.Millisecond:
		v.fail(path+".base_interval", "is %v, want 1 ms or more", p.Base)
	case p.Max != 0 && p.Max < p.Base, p.Max > maxInterval, p.Base > maxInterval:
		v.fail(path+".max_interval", "is %v, want no less than base_interval (%v) and at most %v", p.Max, p.Base, maxInterval)
	}
	if p.HostAttempts > MaxHostAttempts {
		v.fail(path+".host_selection_retry_max_attempts", "is %d, want at most %d", p.HostAttempts, MaxHostAttempts)
	}
	for i := range p.Headers {
		h, at := &p.Headers[i], fmt.Sprintf("%s.retriable_headers[%d]", path, i)
		v.header(at, h)
		if strings.HasPrefix(h.Name, ":") {
			v.fail(at+".name", "is %q, which a response does not have", h.Name)
		}
	}
}

// maxInterval keeps ten times an interval far from an overflow.
const maxInterval = 24 * time.Hour

func (v *validator) budget(path string, b *RetryBudget) {
	if b != nil && !(b.Percent >= 0 && b.Percent <= 100) {
		v.fail(path+".budget_percent", "is %g, want 0 to 100", b.Percent)
	}
}
