package offload

import (
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// filter has the request with head h go through a listener's filters from one of
// them on. It returns what one of them answers; or one holds the request.
func (o *Offload) filter(f *flow, leg *leg, h *http1.Head, from int) *mesh.Reply {
	l := leg.l
	for i := from; i < len(l.t.Filters); i++ {
		switch x := &l.t.Filters[i]; {
		case x.Limit != nil:
			if r := x.Limit.Allow(l.bucket, int64(o.elapsed(o.now)), o.draw, &l.c.Limit); r != nil {
				o.turnAway(f, leg, h)
				return r
			}
		case x.Fault != nil:
			fault := x.Fault.For(leg.route)
			cluster := ""
			if fault.Cluster != "" && leg.route != nil && leg.route.Forwards() {
				cluster = o.destination(leg).t.Name
			}
			delay, r := fault.Begin(h, cluster, l.faults, o.draw, &l.c.Fault)
			if r != nil {
				fault.End(l.faults, &l.c.Fault) // before the answer: behind it the next request may begin
				o.turnAway(f, leg, h)
				return r
			}
			if delay > 0 {
				o.hold(f, leg, h, i, fault, delay)
				return nil
			}
		}
	}
	return nil
}

// turnAway prepares for the answer that a filter has to the request with head h.
func (o *Offload) turnAway(f *flow, leg *leg, h *http1.Head) {
	if h.Method == http1.MethodConnect {
		f.complete = false // what follows has no end
	}
	o.noteUnrouted(leg, h)
}

// noteUnrouted notes the head of a request that is not with the router, and where
// that would send it.
func (o *Offload) noteUnrouted(leg *leg, h *http1.Head) {
	o.note(leg, h)
	if leg.entry != nil && leg.route != nil && leg.route.Forwards() {
		leg.entry.Cluster = o.destination(leg).t.Name
	}
}

// note notes the head of a request that goes no further.
func (o *Offload) note(leg *leg, h *http1.Head) { o.noteBy(leg, h, nil) }

// noteBy is note for a route that changes the head.
func (o *Offload) noteBy(leg *leg, h *http1.Head, r *mesh.RouteEntry) {
	if leg.entry != nil {
		o.scratch = mesh.AppendRequest(o.scratch[:0], h, r, o.ids, nil)
		leg.entry.Keep(o.scratch)
	}
}
