package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Lookups that a decision takes in a card's tables, one after the other: virtual host and
// route, cluster and endpoint.
const (
	routeLookups    = 2
	endpointLookups = 2
)

var continued = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Request decides about a request.
func (o *Offload) Request(now sim.Cycle, n splice.Flow, b []byte) splice.Decision {
	o.now = now
	f := o.flow(n)
	if f.l.reason != byNothing {
		return o.fallBack(f, f.l.reason)
	}
	if f.held != nil {
		d := o.more(n, f, b[f.held.size+f.held.scanned:])
		o.touch(n)
		return d
	}
	h := f.parser
	if h == nil {
		h = o.head
		h.Reset(false)
		f.headAt = now
	}
	size, err := h.Parse(b)
	if !f.spoke {
		f.spoke = true
		f.l.c.CxHTTP1Total++
	}
	if err == nil && size == 0 {
		if f.parser == nil {
			o.lend(f)
			o.touch(n)
		}
		return splice.Decision{}
	}
	o.giveBack(f)
	o.lookups = 0
	o.begin(f)
	var d splice.Decision
	if err != nil {
		f.heads[splice.Request] = len(b)
		d = o.malformed(n, f, err, h)
	} else {
		f.heads[splice.Request] = size
		o.rest = b[size:]
		d = o.request(n, f, h)
	}
	d.Lookups = o.lookups
	o.touch(n)
	return d
}

// begin begins a request.
func (o *Offload) begin(f *flow) {
	if f.l.outdated {
		if l := o.byAddr[f.local]; l != nil {
			f.l = l
		}
	}
	f.active = true
	f.isHead, f.expect, f.close, f.complete, f.sent, f.responded, f.answered, f.interim = false, false, false, false, false, false, false, false
	f.renamed = false
	f.cause, f.bodies, f.sizes, f.scanned, f.heads = nil, [2]http1.Body{}, [2]uint64{}, [2]uint32{}, [2]int{}
	f.doneAt, f.againAt = 0, 0
	f.n = 0
	o.start(f, f.l)
}

// start begins the part that l has in f's request.
func (o *Offload) start(f *flow, l *listener) {
	t := o.takeTries()
	if t.begun = o.now; f.n == 0 {
		t.begun = f.headAt
	}
	f.legs[f.n] = leg{l: l, ep: -1, tries: t}
	f.n++
	l.c.RqTotal++
	l.c.RqActive++
	o.observe(f, f.last())
}

// malformed answers a request that cannot be read; h is its head, if that is where
// it is wrong. The connection closes: where the next request would begin is
// anybody's guess. It is the first leg's to say so.
func (o *Offload) malformed(n splice.Flow, f *flow, err error, h *http1.Head) splice.Decision {
	o.abandon(n, f, 0)
	if o.unwanted(f.last(), err, h) {
		o.completed(f)
	} else {
		f.complete = false
	}
	f.close = true
	r := mesh.ReplyMalformed(err)
	return o.reply(f, &r)
}

// unwanted counts a request that a leg cannot read, and reports whether to Envoy it is
// well-formed, but not wanted.
func (o *Offload) unwanted(leg *leg, err error, h *http1.Head) bool {
	c := leg.l.c
	switch err {
	case http1.ErrNoHost, http1.ErrFragment:
		if err == http1.ErrFragment {
			c.RqFailedPath++
		}
		if leg.entry != nil {
			leg.entry.KeepLine(h)
		}
		return true
	}
	c.CxProtocolError++
	return false
}

// illegible has the last leg turn away a request with head h, which the leg before it has
// written: it has made it too large, say.
func (o *Offload) illegible(n splice.Flow, f *flow, err error, h *http1.Head) splice.Decision {
	leg := f.last()
	if !o.unwanted(leg, err, h) {
		leg.l.c.RqResponseBeforeComplete++
		leg.l.c.RqRxReset++
	}
	r := mesh.ReplyMalformed(err)
	return o.answer(n, f, &r)
}

// request begins the request with head h.
func (o *Offload) request(n splice.Flow, f *flow, h *http1.Head) splice.Decision {
	f.isHead = h.Method == http1.MethodHead
	f.close = h.Close
	f.bodies[splice.Request] = h.Body(false)
	if f.bodies[splice.Request].Done() {
		o.completed(f)
	}
	if f.expect = h.Expect; f.expect {
		f.l.c.Count(100)
	}
	return o.onward(n, f, h, 0)
}

// onward takes the request with head h through the listeners up to an endpoint,
// beginning at one of the last listener's filters.
func (o *Offload) onward(n splice.Flow, f *flow, h *http1.Head, filter int) (d splice.Decision) {
	for h != nil {
		leg := f.last()
		r := o.through(f, leg, h, filter)
		filter = 0
		if f.raw != byNothing {
			o.undo(f)
			return o.fallBack(f, f.raw)
		}
		if f.held != nil {
			return o.wait(n, f)
		}
		if r != nil {
			return o.answer(n, f, r)
		}
		if leg.cl.t.Hashes() {
			leg.client.Remote, leg.client.Local = addrPort(f.client), leg.l.t.Address
			leg.tries.hash, leg.tries.hashed = leg.route.Hash(h, &leg.client)
		}
		leg.tries.routed = o.now
		leg.tries.Begin(leg.route.Retry)
		o.out, o.back = o.back, o.out
		o.out = mesh.AppendRequest(o.out[:0], h, leg.route, o.ids, leg.entry)
		if leg.entry != nil {
			leg.entry.Keep(o.out)
		}
		if r := o.choose(f, leg); r != nil {
			return o.answer(n, f, r)
		}
		h, d = o.hop(n, f)
	}
	return d
}

// hop sends the request, whose head is in o.out, to the endpoint that the last leg has
// chosen. If that has a proxy of its own here, it has its turn: a leg more, and the head
// that it gets is returned.
func (o *Offload) hop(n splice.Flow, f *flow) (*http1.Head, splice.Decision) {
	leg, l := f.last(), o.ends[f.chosen].front
	switch {
	case l == nil, l.stands && l.t.Address == leg.l.t.Address: // it has had its turn
		return nil, o.dispatch(n, f)
	case f.n == maxLegs: // proxies that point at each other
		leg.cl.c.Count(mesh.ReplyNoHealthy.Status)
		return nil, o.answer(n, f, &mesh.ReplyNoHealthy)
	}
	if r := o.pass(leg); r != nil {
		return nil, o.answer(n, f, r)
	}
	o.enter(f, leg)
	if name := o.rehost(f); name != "" && leg.entry != nil {
		leg.entry.Rehost(leg.route, name)
	}
	f.renamed = false
	if leg.tries.Kept() {
		leg.tries.kept = append(leg.tries.kept[:0], o.out...)
	}
	if !l.stands { // its host has to be there, too
		o.took(f, leg)
	}
	h := o.second(false)
	_, err := h.Parse(o.out)
	o.start(f, l)
	if err != nil {
		return nil, o.illegible(n, f, err, h)
	}
	if f.complete {
		o.reachLeg(f.last(), mesh.RequestEnds)
	}
	return h, splice.Decision{}
}

// second is a parser for heads that were written here.
func (o *Offload) second(response bool) *http1.Head {
	if o.again == nil {
		o.again = new(http1.Head)
	}
	o.again.Reset(response)
	return o.again
}

// through takes the request with head h through a listener, from one of its filters
// on, up to its cluster; or it returns what to answer, or the request is held.
func (o *Offload) through(f *flow, leg *leg, h *http1.Head, filter int) *mesh.Reply {
	c := leg.l.c
	if filter == 0 {
		if leg.entry != nil && !h.Asterisk {
			leg.entry.Forwarded(h)
		}
		switch {
		case h.ConnUpgrade && h.HasUpgrade:
			c.RqWS++
			f.complete = false
			if o.note(leg, h); leg.entry != nil {
				o.lookups += routeLookups
				if leg.route = leg.l.t.Route(h); leg.route != nil { // not what it is refused by, but what it is logged with
					leg.entry.Cluster = o.destination(leg).t.Name
				}
			}
			return &mesh.ReplyForbidden
		case h.Asterisk: // does not get as far as the router
			c.RqNonRelativePath++
			o.note(leg, h)
			return &mesh.ReplyNotRelative
		}
		leg.route = leg.l.t.Route(h)
		o.lookups += routeLookups
		switch {
		case leg.route == nil:
		case f.n > 1 && leg.route.Differs():
			o.destination(leg) // whose headers the answers of filters have too
		case f.n == 1 && leg.route.Forwards():
			if f.raw = o.destination(leg).reason; f.raw != byNothing { // before anything is counted
				return nil
			}
		}
	}
	if leg.l.t.Filters != nil {
		if r := o.filter(f, leg, h, filter); r != nil || f.held != nil {
			return r
		}
	}
	c.RouterTotal++
	if leg.route == nil {
		c.NoRoute++
		if h.Method == http1.MethodConnect {
			f.complete = false
		}
		o.note(leg, h)
		return &mesh.ReplyNotFound
	}
	if r, ok := leg.route.Direct(h, false); ok {
		c.RqDirect++
		o.noteBy(leg, h, leg.route.Answered())
		o.said = r
		return &o.said
	}
	leg.cl = o.destination(leg)
	if e := leg.entry; e != nil {
		e.Route, e.Cluster = leg.route, leg.cl.t.Name
	}
	return nil
}

// destination is the cluster that the leg's route sends requests to. It is chosen
// once.
func (o *Offload) destination(leg *leg) *cluster {
	if leg.dest == nil {
		n, as := leg.route.Toward(o.draw)
		leg.dest, leg.route = leg.l.clusters[n], as
		o.lookups += endpointLookups
	}
	return leg.dest
}
