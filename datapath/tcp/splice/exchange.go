package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// collect takes a client's bytes where a request begins or goes on beginning.
func (e *Engine) collect(n int32, s *segment) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
	at := c.rcvNxt.Add(uint32(len(x.gather)))
	off := s.seq.Distance(at)
	switch {
	case len(s.payload) == 0, len(x.gather) > e.cfg.MaxHead+gatherWindow: // more of it comes again
		return datapath.Consume
	case off < 0:
		e.count.Disorder++
		e.ack(c)
		return datapath.Consume
	case off >= len(s.payload): // it has all come before
		if s.end().AtOrBefore(c.acked) {
			e.ack(c)
		} else { // a sender that has timed out sends nothing else until it is told
			e.ackGathered(n)
		}
		return datapath.Consume
	case len(x.gather) == 0:
		return e.request(n, s.payload[off:], s)
	}
	x.gather = e.heads.appendTo(x.gather, s.payload[off:])
	return e.request(n, x.gather, nil)
}

// pipelined keeps bytes of the next request, as many as a head may have, while
// the exchange before it is under way.
func (e *Engine) pipelined(n int32, s *segment) {
	c, x := &e.t.conns[n], &e.exch[n]
	if c.state != established {
		return
	}
	at := x.req.next.Add(uint32(len(x.gather)))
	off := s.seq.Distance(at)
	if off < 0 || off >= len(s.payload) {
		return
	}
	if len(x.gather) == 0 {
		e.count.Waited++
	}
	if b := s.payload[off:]; len(x.gather)+len(b) <= e.cfg.MaxHead {
		x.gather = e.heads.appendTo(x.gather, b)
	}
}

// request asks the App about b, the client's bytes from rcvNxt on, which lie in s
// or, if s is nil, in gather.
func (e *Engine) request(n int32, b []byte, s *segment) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
	d := e.app.Request(e.now, Flow(n), b)
	e.work.Lookups += d.Lookups
	if d.Do == Wait {
		e.scanned(0)
		if s != nil {
			x.gather = e.heads.appendTo(x.gather, b)
		}
		// The rest may not come before this is acknowledged: the client's congestion
		// window can be as small as one segment.
		e.ackGathered(n)
		return datapath.Consume
	}
	if d.Do == Raw {
		d.Head, d.Out, d.Framing = 0, nil, ToTheEnd
	}
	e.scanned(len(b) - d.Head)
	x.req = message{in: c.rcvNxt, headIn: uint32(d.Head), bare: uint32(d.Head), headOut: uint32(len(d.Out)), begun: true}
	x.req.frame(&d)
	x.resp, x.close, x.keep, x.raw, x.aborted = message{}, false, d.Keep, d.Do == Raw, false
	if d.Do != Send && d.Do != Raw {
		if s != nil && d.Head < len(b) && !d.Close {
			x.gather = e.heads.appendTo(x.gather, b[d.Head:])
		} else if s == nil {
			x.consumed(e, d.Head)
		}
		e.act(n, &d)
		return datapath.Consume
	}
	if !x.req.whole && !x.req.stream && !e.scan(n, Request, &x.req, x.req.body(), b[d.Head:]) {
		return datapath.Consume
	}
	if len(d.Interim) > 0 {
		e.say(n, d.Interim)
	}
	until := len(b)
	if x.req.whole {
		until = min(until, d.Head+int(uint32(x.req.next-x.req.body())))
	}
	u := e.pick(d.To)
	if u != none && s != nil && !(d.Keep && until > d.Head) {
		e.join(n, u)
		if until < len(b) {
			x.gather = e.heads.appendTo(x.gather, b[until:])
		}
		return e.sendRequest(n, s, &d, len(s.payload)-len(b)+d.Head, len(s.payload)-len(b)+until)
	}
	// What came with the head is held with it.
	out := e.heads.appendTo(e.heads.get(len(d.Out)+until-d.Head), d.Out)
	out = e.heads.appendTo(out, b[d.Head:until])
	x.req.headIn += uint32(until - d.Head)
	x.req.headOut += uint32(until - d.Head)
	if s == nil {
		x.consumed(e, until)
	} else if until < len(b) {
		x.gather = e.heads.appendTo(x.gather, b[until:])
	}
	if u == none {
		u = e.dial(d.To)
	}
	if u == none {
		e.heads.put(out)
		e.fail(n, TableFull)
		return datapath.Consume
	}
	e.join(n, u)
	e.received(n)
	e.start(n, out)
	return datapath.Consume
}

// received tells the App, once, that n's request has come as a whole.
func (e *Engine) received(n int32) {
	if x := &e.exch[n]; e.watch != nil && !x.req.told && x.req.whole && e.t.conns[n].seen.AtOrAfter(x.req.next) {
		x.req.told = true
		e.watch.Received(e.now, Flow(n))
	}
}

// responded is received, of the response.
func (e *Engine) responded(n int32) {
	x := &e.exch[n]
	if e.watch != nil && !x.resp.told && x.resp.whole && x.up != none && e.t.conns[x.up].seen.AtOrAfter(x.resp.next) {
		x.resp.told = true
		e.watch.Answered(e.now, Flow(n))
	}
}

// ackGathered acknowledges to client n what was gathered of its next request.
func (e *Engine) ackGathered(n int32) {
	c := &e.t.conns[n]
	e.count.HeadAcked++
	c.acked = c.acked.Max(c.rcvNxt.Add(uint32(len(e.exch[n].gather))))
	e.ack(c)
}

// frame takes from d where the body ends, as far as d knows.
func (m *message) frame(d *Decision) {
	m.next = m.body()
	if m.counted = d.Framing == Length; m.counted {
		m.extend(d.Body)
	}
	m.stream = d.Framing == ToTheEnd
}

// consumed takes the first k bytes off what was gathered.
func (x *exchange) consumed(e *Engine, k int) {
	left := copy(x.gather, x.gather[k:])
	if x.gather = x.gather[:left]; left == 0 {
		e.heads.put(x.gather)
		x.gather = nil
	}
}

// join makes u the connection of n's exchange.
func (e *Engine) join(n, u int32) {
	c, v, x := &e.t.conns[n], &e.t.conns[u], &e.exch[n]
	x.up, v.peer, c.peer = u, n, u
	e.work.Reads++
	x.phase = busy
	c.flags &^= flagMapped
	v.flags &^= flagMapped
	v.acked = v.rcvNxt // goes along with the request
	e.count.Exchanges++
}

// sendRequest sends the head of d to the server, and behind it bytes [from,until) of s.
func (e *Engine) sendRequest(n int32, s *segment, d *Decision, from, until int) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
	u := &e.t.conns[x.up]
	if e.watch != nil {
		e.watch.Joined(e.now, Flow(n))
	}
	e.received(n)
	x.req.out = u.sndNxt
	x.resp.in = u.rcvNxt
	e.hold(u, x.up, u.sndNxt, d.Out)
	e.work.Written = uint16(len(d.Out))
	g := pass{to: u, head: d.Out, from: from, until: until}
	g.flags = wire.ACK | wire.PSH
	g.seq = u.sndNxt
	u.sndNxt = u.sndNxt.Add(uint32(len(d.Out) + until - from))
	e.translate(s, c, u, &x.resp, &g.header)
	return e.send(s, &g)
}

// start sends out, the request of n's exchange, as soon as its server's connection is there.
func (e *Engine) start(n int32, out []byte) {
	x := &e.exch[n]
	u := &e.t.conns[x.up]
	if u.held != nil {
		panic("splice: a connection that is free holds something")
	}
	if len(out) > 0 {
		u.held, u.tries = out, 0
	}
	if u.state != established {
		x.phase = dialing
		return
	}
	e.begin(n)
}

// begin sends what n's server's connection, which is there, holds.
func (e *Engine) begin(n int32) {
	x := &e.exch[n]
	u := &e.t.conns[x.up]
	if e.watch != nil && !e.watch.Joined(e.now, Flow(n)) {
		up := x.up
		x.kept, u.held, u.deadline = u.held, nil, 0
		e.part(n)
		e.ack(u)
		e.pool(up)
		e.fail(n, Denied)
		return
	}
	x.phase = busy
	x.req.out, x.resp.in = u.sndNxt, u.rcvNxt
	if x.raw {
		x.resp = message{in: u.rcvNxt, out: e.t.conns[n].sndNxt, begun: true, stream: true}
		x.resp.next = x.resp.in
	}
	u.told = scaled(int(e.t.conns[n].window), u.rcvScale)
	u.heldAt = u.sndNxt
	u.sndNxt = u.heldEnd()
	if len(u.held) == 0 {
		e.ack(u)
		return
	}
	u.deadline = e.now + e.cfg.Timeouts.Held
	e.arm(x.up)
	e.sendHeld(u, 0)
}

// over ends n's exchange if both sides have all of it, and frees its server's
// connection. The caller then settles that.
func (e *Engine) over(n int32) bool {
	c, x := &e.t.conns[n], &e.exch[n]
	switch {
	case x.phase == replied:
		if c.sndUna.Before(x.resp.end()) {
			return false
		}
		e.release(c)
		x.phase = idle
		e.done(n)
		return false
	case x.phase == busy:
		x.req.slide(e.t.conns[x.up].sndUna)
		x.resp.slide(c.sndUna)
	}
	if x.phase != busy || !x.req.whole || !x.resp.whole {
		e.trim(n)
		return false
	}
	up := x.up
	u := &e.t.conns[up]
	if c.sndUna.Before(x.resp.end()) || u.sndUna.Before(x.req.end()) {
		e.trim(n)
		return false
	}
	e.part(n)
	x.phase = idle
	if x.raw {
		e.retire(n)
		e.retire(up)
		return false
	}
	e.release(c)
	e.release(u)
	u.rcvNxt = x.resp.next
	if u.has(flagFIN) {
		u.rcvNxt++
	} else if !u.has(flagSpent) {
		e.pool(up)
	}
	e.done(n)
	return true
}

// trim gives up what n's server's connection holds, if it is acknowledged.
func (e *Engine) trim(n int32) {
	x := &e.exch[n]
	if x.up == none || x.keep && !x.resp.begun {
		return
	}
	if u := &e.t.conns[x.up]; len(u.held) > 0 && u.state != synSent && u.sndUna.AtOrAfter(u.heldEnd()) {
		e.release(u)
	}
}

func (e *Engine) release(c *conn) {
	e.drop(c)
	if c.state == established {
		c.deadline = 0
	}
}

// done tells the App and goes on with what the client has sent meanwhile.
func (e *Engine) done(n int32) {
	c, x := &e.t.conns[n], &e.exch[n]
	c.rcvNxt = x.req.next
	e.clean(x)
	e.reopen(c)
	if !x.aborted {
		e.app.Completed(e.now, Flow(n))
	}
	switch {
	case c.state == lastAck && c.sndUna == c.sndNxt:
		e.gone(n)
	case c.state != established:
	case x.close || c.has(flagFIN):
		e.close(n)
	case len(x.gather) > 0:
		e.request(n, x.gather, nil)
	}
	if x.leaves && x.phase == idle && c.state >= established {
		x.leaves = false
		e.clientFIN(n, x.left)
	}
}

// reopen makes the window told to c's peer, which was the other side's, our own.
func (e *Engine) reopen(c *conn) {
	narrow := int(c.told)<<c.rcvScale < int(c.mss)
	c.told = gatherWindow >> c.rcvScale
	if narrow && c.state == established {
		e.ack(c) // or it would wait until it asks
	}
}

// clean gives back what an exchange that is over has kept.
func (e *Engine) clean(x *exchange) {
	for _, b := range [...]*[]byte{&x.respGather, &x.kept} {
		if *b != nil {
			e.heads.put(*b)
			*b = nil
		}
	}
}

// settle acknowledges to a server's connection whose exchange is over the end of
// its response, if nothing else has, and ends it if it is of no further use.
func (e *Engine) settle(n int32) {
	u := &e.t.conns[n]
	if u.state != established || u.peer != none {
		return
	}
	last := u.has(flagFIN) || u.has(flagSpent)
	if u.acked != u.rcvNxt {
		u.acked = u.rcvNxt
		if !last {
			e.ack(u)
		}
	}
	if last {
		e.close(n)
	}
}

// act does what the App wants of client n beyond the sending of requests.
func (e *Engine) act(n int32, d *Decision) {
	c, x := &e.t.conns[n], &e.exch[n]
	switch d.Do {
	case Nothing, Wait:
	case Reply:
		e.leave(n)
		e.reply(n, d)
	case Abort:
		e.leave(n)
		e.reset(c)
		e.app.Aborted(e.now, Flow(n), Dropped)
		e.gone(n)
	case Cut:
		e.cut(n, Dropped)
	case Park:
		e.leave(n)
		x.phase = parked
	case Finish:
		if x.phase == idle && c.state == established {
			e.close(n)
		}
	case Ask:
		if x.phase == idle && c.state == established && len(x.gather) > 0 {
			e.request(n, x.gather, nil)
		}
	case Send:
		e.again(n, d)
	case Raw:
		if x.phase == idle && c.state == established {
			e.raw(n, d.To)
		}
	default:
		panic("splice: an App skips what is no response")
	}
}

// raw joins client n, between two exchanges and whoever speaks first, to ep.
func (e *Engine) raw(n int32, ep Endpoint) {
	c, x := &e.t.conns[n], &e.exch[n]
	if len(x.gather) > 0 { // it has begun to speak meanwhile
		e.request(n, x.gather, nil)
		return
	}
	x.req = message{in: c.rcvNxt, next: c.rcvNxt, begun: true, stream: true}
	x.resp, x.close, x.keep, x.raw, x.aborted = message{}, false, false, true, false
	u := e.dial(ep)
	if u == none {
		e.fail(n, TableFull)
		return
	}
	e.join(n, u)
	e.start(n, nil)
}

// reply answers the client with bytes of our own.
func (e *Engine) reply(n int32, d *Decision) {
	c, x := &e.t.conns[n], &e.exch[n]
	if x.phase == idle && !x.req.begun || x.req.next.Before(c.rcvNxt) { // to no request, or to part of one
		x.req = message{in: c.rcvNxt, next: c.rcvNxt, begun: true}
	}
	x.phase = replied
	e.work.Answer = true
	complete := x.req.whole && c.seen.AtOrAfter(x.req.next)
	if !complete {
		x.req.whole, x.req.next = true, c.seen
	}
	x.close = d.Close || !complete
	x.resp = message{out: c.sndNxt, headOut: uint32(len(d.Out)), begun: true, whole: true}
	c.acked = c.acked.Max(x.req.next)
	e.say(n, d.Out)
	if x.close && c.state == established {
		e.finish(n)
	}
}

// again sends the request that was kept, or d's, to another server.
func (e *Engine) again(n int32, d *Decision) {
	x := &e.exch[n]
	e.leave(n)
	out := x.kept
	x.kept = nil
	if !d.Kept { // d.Out may be made of it
		was := out
		out = e.heads.appendTo(e.heads.get(len(d.Out)), d.Out)
		e.heads.put(was)
		x.req.headOut = uint32(len(d.Out))
	}
	u := e.pick(d.To)
	if u == none {
		u = e.dial(d.To)
	}
	if u == none {
		x.kept = out
		e.fail(n, TableFull)
		return
	}
	e.join(n, u)
	x.resp = message{}
	e.start(n, out)
}

// Resendable reports whether f's request can be sent again: it was kept, and its
// sender has not been told that what followed it has arrived. An App may ask at any
// time.
func (e *Engine) Resendable(f Flow) bool {
	c, x := &e.t.conns[f], &e.exch[f]
	return (x.keep || x.kept != nil) && c.acked.AtOrBefore(x.req.body())
}

// Local is our end of the connection to the server of f's request. An App may ask in
// Watcher.Joined.
func (e *Engine) Local(f Flow) Addr { return e.t.conns[e.exch[f].up].local }

// Kept is the request of f as it was sent, as much of it as came at once. An App may
// ask between a Failure, or a Response after which it parked, and the next Send.
func (e *Engine) Kept(f Flow) []byte { return e.exch[f].kept }

// Progress is how much of the bodies of f's exchange has come so far, or of one that
// is just over, in bytes of the wire modulo 2³². An App may ask at any time.
func (e *Engine) Progress(f Flow) (request, response uint32) {
	c, x := &e.t.conns[f], &e.exch[f]
	request = x.req.came(c.seen)
	if x.up != none {
		response = x.resp.came(e.t.conns[x.up].seen)
	} else if x.resp.whole {
		response = x.resp.came(x.resp.next)
	}
	return request, response
}

// came is how much of the body has come from a sender that has sent up to seen.
func (m *message) came(seen wire.Seq) uint32 {
	body := m.in.Add(m.bare)
	if !m.begun || seen.Before(body) {
		return 0
	}
	if m.whole && seen.After(m.next) {
		seen = m.next
	}
	return uint32(seen - body)
}

// leave parts n's exchange from its server's connection, which is of no further
// use. What that held is kept.
func (e *Engine) leave(n int32) {
	c, x := &e.t.conns[n], &e.exch[n]
	e.respRest(x, nil)
	if x.up == none {
		return
	}
	up := x.up
	u := &e.t.conns[up]
	e.part(n)
	e.reopen(c)
	if u.held != nil {
		x.kept, u.held = u.held, nil
	}
	if u.state >= established {
		e.reset(u)
	}
	e.gone(up)
}

// fail asks the App what to do without a server.
func (e *Engine) fail(n int32, why Failure) {
	d := e.app.Failed(e.now, Flow(n), why)
	if d.Do == Wait || d.Do == Nothing {
		panic("splice: an App has no answer to a failure")
	}
	e.act(n, &d)
}
