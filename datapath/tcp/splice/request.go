package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// collect takes a client's bytes where a request begins or goes on beginning.
func (e *Engine) collect(n int32, s *segment) datapath.Verdict {
	c := e.conn(n)
	at := c.rcvNxt.Add(uint32(c.gather.len()))
	off := s.seq.Distance(at)
	switch {
	case len(s.payload) == 0, c.gather.len() > e.cfg.MaxHead+gatherWindow: // more of it comes again
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
	case c.gather.len() == 0:
		return e.request(n, s.payload[off:], s)
	}
	if !e.gather(&c.gather, s.payload[off:]) {
		return datapath.Consume
	}
	return e.request(n, c.gather.bytes(), nil)
}

// pipelined keeps bytes of the next request, as many as a head may have, while
// the exchange before it is under way. Who sends them again is told that they have come.
func (e *Engine) pipelined(n int32, s *segment) {
	c, x := e.conn(n), e.exchange(n)
	if c.state != established {
		return
	}
	at := x.req.next.Add(uint32(c.gather.len()))
	off := s.seq.Distance(at)
	switch {
	case off >= len(s.payload) && (x.phase == replied || x.phase == busy && e.conn(x.up).sndUna.AtOrAfter(x.req.end())):
		// They are all here, and their sender, whose timer runs out, gives up in the end.
		e.count.HeadAcked++
		c.acked = c.acked.Max(at)
		e.ack(c)
		return
	case off < 0, off >= len(s.payload):
		return
	case c.gather.len() == 0:
		e.count.Waited++
	}
	if b := s.payload[off:]; c.gather.len()+len(b) <= e.cfg.MaxHead {
		e.gather(&c.gather, b)
	}
}

// early keeps bytes of a body, those of s before until, with the head that waits for its
// server's connection. They are not acknowledged: the client's window is their bound,
// and as long as its retransmission timeout the connection may take.
func (e *Engine) early(n int32, s *segment, until int) {
	x := e.exchange(n)
	u, off := e.conn(x.up), s.seq.Distance(x.req.withIt())
	if x.phase != dialing || off < 0 || off >= until || u.held.len() > e.cfg.MaxHead+gatherWindow {
		return // they come again
	}
	if b := s.payload[off:until]; e.gather(&u.held, b) {
		u.flags |= flagHolds
		x.req.with += uint32(len(b))
	}
}

// ackGathered acknowledges to client n what was gathered of its next request.
func (e *Engine) ackGathered(n int32) {
	c := e.conn(n)
	e.count.HeadAcked++
	c.acked = c.acked.Max(c.rcvNxt.Add(uint32(c.gather.len())))
	e.ack(c)
}

// consumed takes the first k bytes off what was gathered of c's peer.
func (e *Engine) consumed(c *conn, k int) {
	b := c.gather
	if b.b = b.b[:copy(b.b, b.b[k:])]; len(b.b) == 0 {
		e.heads.put(b)
		c.gather = nil
	}
}

// request asks the App about b, the client's bytes from rcvNxt on, which lie in s
// or, if s is nil, in gather.
func (e *Engine) request(n int32, b []byte, s *segment) datapath.Verdict {
	c, x := e.conn(n), e.exchange(n)
	d := e.app.Request(e.now, Flow(n), b)
	e.work.Lookups += d.Lookups
	if d.Do == Wait {
		e.scanned(0)
		if s != nil && !e.gather(&c.gather, b) {
			return datapath.Consume
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
	x.req = message{in: c.rcvNxt, headIn: uint32(d.Head), headOut: uint32(len(d.Out)), begun: true}
	x.req.frame(&d)
	x.resp, x.close, x.keep, x.raw, x.aborted = message{}, false, d.Keep, d.Do == Raw, false
	if d.Do != Send && d.Do != Raw {
		if s != nil && d.Head < len(b) && !d.Close {
			c.gather = e.heads.appendTo(c.gather, b[d.Head:])
		} else if s == nil {
			e.consumed(c, d.Head)
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
			c.gather = e.heads.appendTo(c.gather, b[until:])
		}
		return e.sendRequest(n, s, &d, len(s.payload)-len(b)+d.Head, len(s.payload)-len(b)+until)
	}
	// What came with the head is held with it.
	out := e.heads.appendTo(e.heads.get(len(d.Out)+until-d.Head), d.Out)
	out = e.heads.appendTo(out, b[d.Head:until])
	x.req.with = uint32(until - d.Head)
	if s == nil {
		e.consumed(c, until)
	} else if until < len(b) {
		c.gather = e.heads.appendTo(c.gather, b[until:])
	}
	if u == none {
		u = e.dial(d.To)
	}
	if u == none {
		if d.Keep {
			c.kept = out
		} else {
			e.heads.put(out)
		}
		e.received(n, c, x)
		e.fail(n, TableFull)
		return datapath.Consume
	}
	e.join(n, u)
	e.received(n, c, x)
	e.start(n, out)
	return datapath.Consume
}

// sendRequest sends the head of d to the server, and behind it bytes [from,until) of s.
func (e *Engine) sendRequest(n int32, s *segment, d *Decision, from, until int) datapath.Verdict {
	c, x := e.conn(n), e.exchange(n)
	u := e.conn(x.up)
	if e.watch != nil {
		e.watch.Joined(e.now, Flow(n))
	}
	e.received(n, c, x)
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
func (e *Engine) start(n int32, out *buffer) {
	x := e.exchange(n)
	u := e.conn(x.up)
	if u.held != nil {
		panic("splice: a connection that is free holds something")
	}
	if out.len() > 0 {
		u.keep(out)
	}
	if u.state != established {
		x.phase = dialing
		return
	}
	e.begin(n)
}

// begin sends what n's server's connection, which is there, holds.
func (e *Engine) begin(n int32) {
	x := e.exchange(n)
	u := e.conn(x.up)
	if e.watch != nil && !e.watch.Joined(e.now, Flow(n)) {
		up := x.up
		e.keepOf(n, u)
		u.deadline = 0
		e.part(n)
		e.ack(u)
		e.pool(up)
		e.fail(n, Denied)
		return
	}
	x.phase = busy
	x.req.out, x.resp.in = u.sndNxt, u.rcvNxt
	if x.raw {
		x.resp = message{in: u.rcvNxt, out: e.conn(n).sndNxt, begun: true, stream: true}
		x.resp.next = x.resp.in
	}
	u.told = scaled(max(int(e.conn(n).window), int(u.mss)), u.rcvScale)
	u.heldAt, u.heldNxt, u.tries = u.sndNxt, u.sndNxt, 0
	u.sndNxt = u.heldEnd()
	if u.has(flagHolds) {
		u.deadline = e.now + e.cfg.Timeouts.Held
		e.arm(x.up)
		e.sendHeld(u)
	}
	switch {
	case x.req.fin && u.unsent() == 0: // a stream that has ended meanwhile
		e.own(u, wire.FIN|wire.ACK, u.sndNxt, nil)
		u.sndNxt++
	case !u.has(flagHolds):
		e.ack(u)
	}
}
