package mesh

import (
	"bytes"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Fault delays requests, or answers them, for no other reason than to see what
// comes of it.
type Fault struct {
	Delay *FaultDelay `json:"delay,omitempty"`
	Abort *FaultAbort `json:"abort,omitempty"` // after the delay

	// Only of requests that are all of this.
	Cluster string        `json:"upstream_cluster,omitempty"` // where the route sends them
	Headers []HeaderMatch `json:"headers,omitempty"`
	Nodes   []string      `json:"downstream_nodes,omitempty"` // one of them is the value of x-envoy-downstream-service-node

	MaxActive *uint32 `json:"max_active_faults,omitempty"` // how many at once, on all workers; nil for any number
}

// FaultDelay holds a request back.
type FaultDelay struct {
	Fixed      time.Duration `json:"fixed_delay,omitempty"` // in whole ms; 0 means by x-envoy-fault-delay-request
	Percentage Fraction      `json:"percentage"`            // where a header says how long, x-envoy-fault-delay-request-percentage may lower it
}

// FaultAbort answers a request.
type FaultAbort struct {
	Status     int      `json:"http_status,omitempty"`   // 200 to 599; 0 means by x-envoy-fault-abort-request
	Body       string   `json:"response_body,omitempty"` // empty means "fault filter abort"
	Percentage Fraction `json:"percentage"`              // where a header says which, x-envoy-fault-abort-request-percentage may lower it
}

// ActiveFaults are the faults that there are now on all workers. The zero
// ActiveFaults are none.
type ActiveFaults struct{ n atomic.Int64 }

// FaultCounters counts the faults of one worker.
type FaultCounters struct{ Delays, Aborts, Overflow, Active uint64 }

// CompiledFault is a compiled Fault.
type CompiledFault struct {
	*Fault
	headers []headerMatcher
	reply   Reply
}

// compileFault makes f ready for requests that come in over TLS, or not.
func compileFault(f *Fault, secure bool) *CompiledFault {
	if f == nil {
		return nil
	}
	out := &CompiledFault{Fault: f, headers: compileRequestHeaders(f.Headers, secure)}
	if f.Abort != nil {
		out.reply = Reply{Status: f.Abort.Status, Body: f.Abort.Body, Flag: FlagFI, Details: "fault_filter_abort", filtered: true}
		if out.reply.Body == "" {
			out.reply.Body = "fault filter abort"
		}
	}
	return out
}

// For is the fault of a request by route r, which may be nil: the route's own, or f.
func (f *CompiledFault) For(r *RouteEntry) *CompiledFault {
	if r != nil && r.fault != nil {
		return r.fault
	}
	return f
}

// Begin decides on request h, which goes to cluster, empty for none. It is held back
// for delay, after which there is Go to ask; or the answer is what it is turned away
// by, until End; or neither. draw is a number by chance.
func (f *CompiledFault) Begin(h *http1.Head, cluster string, a *ActiveFaults, draw func() uint64, c *FaultCounters) (delay time.Duration, _ *Reply) {
	if !f.wants(h, cluster) {
		return 0, nil
	}
	if delay = f.delay(h, draw); delay > 0 && f.take(a, c) {
		c.Delays++
		return delay, nil
	}
	if r := f.abort(h, draw); r != nil && f.take(a, c) {
		c.Aborts++
		return 0, r
	}
	return 0, nil
}

// Go decides on request h after its delay: the answer is what it is turned away by,
// until End; nil if it goes on, which ends the fault.
func (f *CompiledFault) Go(h *http1.Head, a *ActiveFaults, draw func() uint64, c *FaultCounters) *Reply {
	r := f.abort(h, draw)
	if r == nil {
		f.End(a, c)
		return nil
	}
	c.Aborts++
	return r
}

// End ends a fault that Begin began: the request is answered, or its client has
// left.
func (f *CompiledFault) End(a *ActiveFaults, c *FaultCounters) {
	a.n.Add(-1)
	c.Active--
}

// take makes room for a fault. A request that could have a delay and an abort, and
// gets neither, overflows twice, as with Envoy.
func (f *CompiledFault) take(a *ActiveFaults, c *FaultCounters) bool {
	if n := a.n.Add(1); f.MaxActive != nil && n > int64(*f.MaxActive) {
		a.n.Add(-1)
		c.Overflow++
		return false
	}
	c.Active++
	return true
}

func (f *CompiledFault) wants(h *http1.Head, cluster string) bool {
	if f.Cluster != "" && cluster != f.Cluster {
		return false
	}
	if len(f.Nodes) > 0 {
		v, _ := together(h, "x-envoy-downstream-service-node")
		found := false
		for _, n := range f.Nodes {
			found = found || v != nil && string(v) == n
		}
		if !found {
			return false
		}
	}
	for i := range f.headers {
		if !f.headers[i].matches(h) {
			return false
		}
	}
	return true
}

// delay is how long h is held back, 0 for not at all.
func (f *CompiledFault) delay(h *http1.Head, draw func() uint64) time.Duration {
	switch d := f.Delay; {
	case d == nil:
	case d.Fixed > 0:
		if d.Percentage.Draw(draw) {
			return d.Fixed.Truncate(time.Millisecond)
		}
	case d.Percentage.lowered(h, "x-envoy-fault-delay-request-percentage").Draw(draw):
		// What is no duration, or one beyond 2⁶³-1 ms, is none to Envoy.
		if ms, ok := numeral(h, "x-envoy-fault-delay-request", 64); ok && ms <= math.MaxInt64 {
			return time.Duration(min(ms, maxDelay)) * time.Millisecond
		}
	}
	return 0
}

// maxDelay, in ms, is a century: a delay without an end that can be added to a time.
const maxDelay = 100 * 365 * 24 * 3600 * 1000

// abort is the answer that h gets, nil for none.
func (f *CompiledFault) abort(h *http1.Head, draw func() uint64) *Reply {
	switch a := f.Abort; {
	case a == nil:
	case a.Status != 0:
		if a.Percentage.Draw(draw) {
			return &f.reply
		}
	case a.Percentage.lowered(h, "x-envoy-fault-abort-request-percentage").Draw(draw):
		r := f.reply
		if code, ok := numeral(h, "x-envoy-fault-abort-request", 64); ok && code >= 200 && code < 600 {
			r.Status = int(code)
			return &r
		}
		// A status of gRPC is one more header of the answer, where the request is gRPC's.
		if _, ok := numeral(h, "x-envoy-fault-abort-grpc-request", 64); ok {
			r.Status = 200
			return &r
		}
	}
	return nil
}

// lowered is f, or what the header of h says if that is less.
func (f Fraction) lowered(h *http1.Head, name string) Fraction {
	if n, ok := numeral(h, name, 32); ok {
		f.Numerator = min(f.Numerator, uint32(n))
	}
	return f
}

// numeral is the number, of so many bits, that the first header of the name is.
func numeral(h *http1.Head, name string, bits int) (uint64, bool) {
	v, ok := lookup(h, name)
	if !ok {
		return 0, false
	}
	v = bytes.TrimPrefix(v, []byte("+"))
	n, err := strconv.ParseUint(string(v), 10, bits)
	return n, err == nil
}

func (c *FaultCounters) stats(dst []Stat, prefix string, l *CompiledListener) []Stat {
	for _, f := range l.Filters {
		if f.Fault != nil {
			p := "http." + prefix + ".fault."
			dst = append(dst, Stat{p + "delays_injected", c.Delays, false}, Stat{p + "aborts_injected", c.Aborts, false},
				Stat{p + "faults_overflow", c.Overflow, false}, Stat{p + "active_faults", c.Active, true})
		}
	}
	return dst
}

func (v *validator) fault(path string, f *Fault) {
	if f == nil {
		return
	}
	if d := f.Delay; d != nil {
		if d.Fixed < 0 {
			v.fail(path+".delay.fixed_delay", "is %v, want 0 (by header) or more", d.Fixed)
		}
		v.fraction(path+".delay.percentage", d.Percentage)
	}
	if a := f.Abort; a != nil {
		if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
			v.fail(path+".abort.http_status", "is %d, want 200 to 599", a.Status)
		}
		v.fraction(path+".abort.percentage", a.Percentage)
	}
	for i := range f.Headers {
		v.header(path+".headers["+strconv.Itoa(i)+"]", &f.Headers[i])
	}
}
