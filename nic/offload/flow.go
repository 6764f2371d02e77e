package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// maxLegs is how many listeners a request may go through in one pass: a caller's, a
// callee's, and a gateway's.
const maxLegs = 3

// leg is one listener's part in a request.
type leg struct {
	l     *listener
	route *mesh.RouteEntry
	cl    *cluster

	client mesh.Client
}

// flow is what is known of a client's connection.
type flow struct {
	l             *listener
	client, local splice.Addr

	parser *http1.Head // of a head that is not complete, nil otherwise

	// Of the request.
	legs      [maxLegs]leg
	n         int // legs
	active    bool
	isHead    bool
	close     bool // the connection ends after the response
	complete  bool // the request has no byte to come
	responded bool // a response's head is out
	interim   bool
	bodies    [2]http1.Body // by splice.Direction
	headAt    sim.Cycle     // when its head was complete
	routeEnd  sim.Cycle     // 0 for never
	tryEnd    sim.Cycle
	againAt   sim.Cycle
	chosen    splice.Endpoint // for the present try
	ep        splice.Endpoint // the same, once it counts as under way; -1 before and after
	hash      uint64
	hashed    bool
	tries     mesh.Tries
}

// last is the leg that chose the endpoint.
func (f *flow) last() *leg { return &f.legs[f.n-1] }

// Listens reports whether a is a listener's address.
func (o *Offload) Listens(a splice.Addr) bool { return o.byAddr[a] != nil }

// Opened begins a connection.
func (o *Offload) Opened(now sim.Cycle, n splice.Flow, client, local splice.Addr) {
	f := &o.flows[n]
	*f = flow{l: o.byAddr[local], client: client, local: local}
	c := &f.l.c
	c.CxTotal++
	c.CxActive++
	o.deadline(now, n)
}

// Closed ends a connection.
func (o *Offload) Closed(now sim.Cycle, n splice.Flow) {
	f := &o.flows[n]
	c := &f.l.c
	c.CxActive--
	c.CxDestroy++
	o.giveBack(f)
	*f = flow{}
}

func (o *Offload) giveBack(f *flow) {
	if f.parser != nil {
		o.heads = append(o.heads, f.parser)
		f.parser = nil
	}
}

// lend has f keep the parser of a head that is not complete.
func (o *Offload) lend(f *flow) {
	if f.parser != nil {
		return
	}
	f.parser = o.head
	if n := len(o.heads); n > 0 {
		o.head, o.heads = o.heads[n-1], o.heads[:n-1]
	} else {
		o.head = new(http1.Head)
	}
}

// deadline sets when Due is called for flow n, which was silent from now on.
func (o *Offload) deadline(now sim.Cycle, n splice.Flow) {
	f := &o.flows[n]
	var at sim.Cycle
	switch {
	case !f.active && f.parser != nil:
		at = now + o.cycles(mesh.StreamIdleTimeout)
	case !f.active:
		at = now + o.cycles(mesh.ConnectionIdleTimeout)
	default:
		at = now + o.cycles(mesh.StreamIdleTimeout)
		for _, t := range [...]sim.Cycle{f.routeEnd, f.tryEnd, f.againAt} {
			if t != 0 {
				at = min(at, t)
			}
		}
	}
	o.engine.SetDeadline(n, at)
}

// Body follows a body that is in chunks.
func (o *Offload) Body(n splice.Flow, d splice.Direction, b []byte) (used int, skip uint64, done bool, err error) {
	body := &o.flows[n].bodies[d]
	used, done, err = body.Advance(b)
	if err == nil && !done {
		skip = body.Ahead()
		body.Skip(skip)
	}
	return used, skip, done, err
}

// Completed ends a request whose response the client has.
func (o *Offload) Completed(now sim.Cycle, n splice.Flow) {
	f := &o.flows[n]
	if f.active {
		o.end(f)
	}
	o.deadline(now, n)
}

// end ends the request of f.
func (o *Offload) end(f *flow) {
	f.active = false
	f.l.c.RqActive--
	o.leaveEndpoint(f)
	f.tries = mesh.Tries{}
}

// leaveEndpoint takes the request off its endpoint.
func (o *Offload) leaveEndpoint(f *flow) {
	if f.ep < 0 {
		return
	}
	e := &o.ends[f.ep]
	e.host.Carry(-1)
	e.cl.requests--
	e.cl.c.RqActive--
	f.ep = -1
}

// Aborted ends a request before its response was complete.
func (o *Offload) Aborted(now sim.Cycle, n splice.Flow, why splice.Failure) {
	f := &o.flows[n]
	if !f.active {
		return
	}
	c := &f.l.c
	switch why {
	case splice.ClientReset, splice.ClientClosed:
		c.RqRxReset++
		c.CxDestroyRemoteActiveRq++
	default:
		c.RqTxReset++
	}
	c.CxDestroyActiveRq++
	o.end(f)
}
