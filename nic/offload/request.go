package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

var continued = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Request decides about a request.
func (o *Offload) Request(now sim.Cycle, n splice.Flow, b []byte) splice.Decision {
	o.now = now
	f := &o.flows[n]
	h := f.parser
	if h == nil {
		h = o.head
		h.Reset(false)
	}
	size, err := h.Parse(b)
	switch {
	case err != nil:
		o.giveBack(f)
		o.begin(f, now)
		f.l.c.CxProtocolError++
		r := mesh.ReplyMalformed(err)
		f.complete = false
		return o.reply(f, &r, len(b))
	case size == 0:
		if f.parser == nil {
			o.lend(f)
			o.deadline(now, n)
		}
		return splice.Decision{}
	}
	o.giveBack(f)
	o.begin(f, now)
	d := o.route(f, h, size)
	o.deadline(now, n)
	return d
}

// begin begins a request.
func (o *Offload) begin(f *flow, now sim.Cycle) {
	f.l.c.RqTotal++
	f.l.c.RqActive++
	f.active, f.responded, f.interim = true, false, false
	f.n, f.ep = 0, -1
	f.headAt, f.routeEnd, f.tryEnd, f.againAt = now, 0, 0, 0
}

// route takes the request with head h, of size bytes, through the listeners up to an endpoint.
func (o *Offload) route(f *flow, h *http1.Head, size int) splice.Decision {
	f.isHead = h.Method == http1.MethodHead
	f.close = h.Close
	f.bodies[splice.Request] = h.Body(false)
	f.complete = f.bodies[splice.Request].Done()
	d := splice.Decision{Do: splice.Send, Head: size}
	if h.Expect {
		d.Interim = continued
		f.l.c.Count(100)
	}
	l := f.l
	for f.n < maxLegs {
		r, to := o.through(f, l, h)
		if r != nil {
			return o.reply(f, r, size)
		}
		leg := f.last()
		o.out, o.back = o.back, o.out
		o.out = mesh.AppendRequest(o.out[:0], h, leg.route, o.ids, nil)
		if l = o.ends[to].front; l == nil {
			break
		}
		// The endpoint has a proxy of its own here: its turn.
		h = o.second()
		if k, err := h.Parse(o.out); err != nil || k != len(o.out) {
			panic("offload: a request that was written cannot be read")
		}
		leg.cl.c.RqTotal++
		l.c.RqTotal++
	}
	if l != nil { // proxies that point at each other
		return o.reply(f, &mesh.ReplyNoHealthy, size)
	}
	leg := f.last()
	f.tries.Begin(leg.route.Retry)
	if r := o.toEndpoint(f); r != nil {
		return o.reply(f, r, size)
	}
	if leg.route.Timeout > 0 {
		f.routeEnd = o.now + o.cycles(leg.route.Timeout)
	}
	d.To, d.Out, d.Keep = f.ep, o.out, f.tries.Kept()
	switch body := &f.bodies[splice.Request]; {
	case body.Chunked():
		d.Framing = splice.Scanned
	default:
		d.Body, _ = body.Left()
	}
	return d
}

// second is a parser for heads that were written here.
func (o *Offload) second() *http1.Head {
	if o.again == nil {
		o.again = new(http1.Head)
	}
	o.again.Reset(false)
	return o.again
}

// through takes the request through listener l, and returns the endpoint, or what
// to answer.
func (o *Offload) through(f *flow, l *listener, h *http1.Head) (*mesh.Reply, splice.Endpoint) {
	c := &l.c
	switch {
	case h.ConnUpgrade && h.HasUpgrade:
		c.RqWS++
		f.complete = false
		return &mesh.ReplyForbidden, 0
	case h.Asterisk:
		c.RqNonRelativePath++
		return &mesh.ReplyNotRelative, 0
	}
	route := l.t.Route(h)
	c.RouterTotal++
	f.legs[f.n] = leg{l: l, route: route}
	f.n++
	if route == nil {
		c.NoRoute++
		if h.Method == http1.MethodConnect {
			f.complete = false
		}
		return &mesh.ReplyNotFound, 0
	}
	if r, ok := route.Direct(h, false); ok {
		c.RqDirect++
		o.direct = r // not r itself, which then would be in the heap for every request
		return &o.direct, 0
	}
	cl := o.clusters[route.Cluster(o.draw)]
	f.last().cl = cl
	f.hashed = false
	if client := &f.last().client; cl.t.Hashes() {
		client.Remote, client.Local = addrPort(f.client), l.t.Address
		f.hash, f.hashed = route.Hash(h, client)
	}
	to := o.balance(f, cl)
	if to == nil {
		cl.c.CxNoneHealthy++
		cl.c.Count(mesh.ReplyNoHealthy.Status)
		return &mesh.ReplyNoHealthy, 0
	}
	f.chosen = cl.ends[to]
	return nil, f.chosen
}

// balance chooses an endpoint of cl for the present try.
func (o *Offload) balance(f *flow, cl *cluster) *mesh.Host {
	cl.balancer.Use(cl.health.View())
	return cl.balancer.NextAgain(&f.tries, f.hash, f.hashed, &cl.c)
}

// toEndpoint has the request count as under way to the endpoint that was chosen,
// or returns what to answer because that has enough of them.
func (o *Offload) toEndpoint(f *flow) *mesh.Reply {
	e := &o.ends[f.chosen]
	cl := e.cl
	f.tries.Tried(e.host)
	if cl.requests >= int64(cl.t.Breakers.MaxRequests) {
		cl.c.RqPendingOverflow++
		return &mesh.ReplyOverflow
	}
	f.ep = f.chosen
	cl.requests++
	e.host.Carry(1)
	cl.c.RqTotal++
	cl.c.RqActive++
	f.tries.Sent()
	return nil
}

// reply answers by r a request of which size bytes are its head.
func (o *Offload) reply(f *flow, r *mesh.Reply, size int) splice.Decision {
	o.leaveEndpoint(f)
	o.giveBack(f) // it may have been in a response's head
	c := &f.l.c
	if !f.complete {
		f.close = true
		c.RqResponseBeforeComplete++
		c.RqRxReset++
	}
	for i := f.n - 1; i >= 0; i-- {
		f.legs[i].l.c.Count(r.Status)
	}
	if f.n == 0 {
		c.Count(r.Status)
	}
	f.responded = true
	var route *mesh.RouteEntry
	if f.n > 0 {
		route = f.legs[0].route
	}
	o.out = mesh.AppendReply(o.out[:0], r, route, nil, o.today(), f.isHead, f.close)
	return splice.Decision{Do: splice.Reply, Head: size, Out: o.out, Close: f.close}
}
