package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// fromServer takes a segment of a server's connection n.
func (e *Engine) fromServer(n int32, s *segment) datapath.Verdict {
	u := e.conn(n)
	if u.state == synSent {
		e.synAnswered(n, s)
		return datapath.Consume
	}
	if !e.valid(u, s) {
		return datapath.Consume
	}
	if u.has(flagWaits) {
		e.unwait(n)
		e.heard(u)
	}
	if s.flags.Has(wire.RST) {
		e.endsByReset(n)
		e.serverGone(n, ServerReset)
		return datapath.Consume
	}
	s.advanced = e.note(u, s)
	if u.unsent() > 0 {
		e.sendHeld(u)
	}
	if u.state != established {
		e.closing(n, s)
		return datapath.Consume
	}
	c := u.peer
	if c == none {
		e.idleServer(n, s)
		return datapath.Consume
	}
	k, x := e.conn(c), e.exchange(c)
	if e.over(c, k, x) { // it had acknowledged the rest of the request
		if k.state == established && k.acked.Before(k.rcvNxt) {
			k.acked = k.rcvNxt
			e.ack(k)
		}
		e.settle(n)
		return datapath.Consume
	}
	if x.leaves && s.advanced {
		e.clientFIN(c, x.left)
	}
	if u.peer == none {
		return datapath.Consume
	}
	p := pair{c, x, k, u}
	if len(s.payload) == 0 && !s.flags.Has(wire.FIN) {
		if !x.resp.begun && s.asks(u) { // the client's answer would say nothing of its response
			e.ack(u)
			return e.onlyAck(n, c, s)
		}
		return e.toClient(&p, s, 0, 0, wire.ACK)
	}
	return e.serverData(&p, n, s)
}

// endsByReset notes that the response of server n, whose reset has come, is whole if it was one
// that ends with its stream: as Envoy, and unlike RFC 9112 §8, we do not tell apart how that ends.
func (e *Engine) endsByReset(n int32) {
	u := e.conn(n)
	if u.peer == none {
		return
	}
	if x := e.exchange(u.peer); x.resp.begun && x.resp.stream && !x.resp.whole && !x.raw {
		x.resp.whole, x.resp.next = true, u.seen
		e.responded(u.peer, u, x)
	}
}

// idleServer takes what a server says on a connection that carries no request.
func (e *Engine) idleServer(n int32, s *segment) {
	u := e.conn(n)
	switch {
	case len(s.payload) > 0 && s.end().After(u.rcvNxt): // nobody asked
		e.count.ExtraBytes++
		e.unasked(u, s.payload)
		e.reset(u)
		e.gone(n)
	case s.flags.Has(wire.FIN) && s.end() == u.rcvNxt:
		e.unpool(n)
		e.app.Upstream(e.now, u.ep, GoneIdle)
		u.rcvNxt++
		u.acked = u.rcvNxt
		u.flags |= flagFIN
		e.close(n)
	case len(s.payload) > 0, s.seq == u.acked-1:
		e.ack(u)
	}
}

// serverData takes a segment with payload or FIN of server n, of client c's exchange.
func (e *Engine) serverData(p *pair, n int32, s *segment) datapath.Verdict {
	c, u, d, x := p.n, p.u, p.c, p.x
	m := &x.resp
	fin := s.flags.Has(wire.FIN)
	if !m.begun {
		return e.respond(c, n, s)
	}
	if !fin && s.end().AtOrBefore(u.acked) && s.seq.Before(m.body()) {
		return e.toClient(p, s, 0, 0, wire.ACK)
	}
	if len(s.payload) > 0 && s.seq.Before(m.body()) {
		e.resendHead(d, m.out.Add(m.headOut))
	}
	from, until, ok := e.follow(c, Response, m, s)
	if !ok {
		return e.onlyAck(n, c, s)
	}
	if d.state == closed {
		return datapath.Consume
	}
	if until < len(s.payload) {
		e.extra(u, s.payload[until:])
	}
	flags := s.flags & (wire.ACK | wire.PSH)
	if fin {
		flags |= e.serverFIN(c, n, s)
	}
	return e.toClient(p, s, from, until, flags)
}

// toClient passes bytes [from,until) of s's payload on to client c.
func (e *Engine) toClient(p *pair, s *segment, from, until int, flags wire.TCPFlags) datapath.Verdict {
	c, u, d, x := p.n, p.u, p.c, p.x
	g := pass{to: d, from: from, until: until}
	g.flags = flags
	if end, ok := g.onward(s, u, &x.resp); ok {
		e.endWith(p, &g.header, end)
	}
	e.work.Answer = e.work.Answer || from < until
	e.translate(s, u, d, &x.req, &g.header)
	e.responded(c, u, x)
	return e.send(s, &g)
}

// endWith has the last bytes of a response that is the connection's last carry our FIN.
func (e *Engine) endWith(p *pair, h *header, end wire.Seq) {
	if x := p.x; !x.close || !x.resp.whole || x.resp.fin || p.c.state != established || end != x.resp.end() {
		return
	}
	h.flags |= wire.FIN
	e.finSent(p.n)
}

// serverFIN notes the end of the stream of server n, which sends a response to
// client c, and returns FIN if the client is to know.
func (e *Engine) serverFIN(c, n int32, s *segment) wire.TCPFlags {
	u, x := e.conn(n), e.exchange(c)
	m := &x.resp
	missing := m.next.Distance(s.end()) // bytes between what was seen of the response and the FIN
	switch {
	case m.fin: // again
		return wire.FIN
	case m.whole && missing >= 0: // the response has its end without it
		if missing == 0 {
			u.flags |= flagFIN
		}
		u.flags |= flagSpent
		return 0
	case !m.stream && missing > 0: // which may have its end
		return 0
	case !m.stream: // it has not, and the client finds out as we do
		x.aborted = true
		e.app.Aborted(e.now, Flow(c), ServerClosed)
	}
	m.whole, m.fin, m.next = true, true, s.end()
	u.flags |= flagFIN | flagSpent
	if !x.raw {
		e.closeAfter(c)
	}
	return wire.FIN
}

// extra notes that a server sent more than its response.
func (e *Engine) extra(u *conn, b []byte) {
	if !u.has(flagSpent) {
		e.count.ExtraBytes++
		u.flags |= flagSpent
		e.unasked(u, b)
	}
}

func (e *Engine) unasked(u *conn, b []byte) {
	if e.watch != nil {
		e.watch.Unasked(e.now, u.ep, b)
	}
}
