package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// fromClient takes a segment of a client's connection n.
func (e *Engine) fromClient(n int32, s *segment) datapath.Verdict {
	c, x := e.conn(n), e.exchange(n)
	switch c.state {
	case synReceived:
		switch {
		case s.flags.Has(wire.RST):
			if s.seq == c.rcvNxt {
				e.gone(n)
			}
			return datapath.Consume
		case s.flags.Has(wire.SYN):
			if s.seq == c.irs {
				e.synAck(n)
			} else { // another connection by now
				e.gone(n)
				e.open(s, c.remote, c.local)
			}
			return datapath.Consume
		case !s.flags.Has(wire.ACK):
			return datapath.Consume
		case s.ack != c.iss+1:
			e.refuse(s)
			return datapath.Consume
		}
		e.halves--
		c.sndUna = s.ack
		e.established(n)
	case timeWait:
		if s.flags.Has(wire.SYN) && !s.flags.Has(wire.ACK) && s.seq.After(c.seen) { // RFC 9293 §3.6.1
			remote, local := c.remote, c.local
			e.gone(n)
			e.open(s, remote, local)
			return datapath.Consume
		}
	}
	if !e.valid(c, s) {
		return datapath.Consume
	}
	if s.flags.Has(wire.RST) {
		e.clientGone(n, ClientReset)
		return datapath.Consume
	}
	s.advanced = e.note(c, s)
	if c.has(flagHolds) && c.sndUna.AtOrAfter(c.heldEnd()) {
		e.release(c)
	} else if c.unsent() > 0 {
		e.sendHeld(c)
	}
	ended := none
	if x.phase != idle {
		if up := x.up; e.over(n, c, x) {
			ended = up
		}
	}
	if x.phase == idle {
		e.ended(n)
	}
	v := datapath.Consume
	switch {
	case c.state == closed:
	case len(s.payload) == 0 && !s.flags.Has(wire.FIN):
		v = e.clientAck(n, c, x, s, ended)
	default:
		v = e.clientData(n, c, x, s)
	}
	if ended != none {
		e.settle(ended)
	}
	return v
}

// clientAck deals with a segment without payload. ended is a server's connection
// whose exchange it ended.
func (e *Engine) clientAck(n int32, c *conn, x *exchange, s *segment, ended int32) datapath.Verdict {
	if ended != none {
		if u := e.conn(ended); u.state == established && u.peer == none && u.acked != u.rcvNxt && !u.has(flagFIN|flagSpent) {
			u.acked = u.rcvNxt
			g := pass{to: u, header: e.ownHeader(u, wire.ACK, u.bare())}
			return e.send(s, &g)
		}
	}
	if x.phase == busy && (x.resp.begun || x.raw) {
		if p := e.pair(n, c, x); p.u.state == established {
			return e.toServer(&p, s, 0, 0, wire.ACK)
		}
	}
	if s.seq == c.acked-1 { // a keep-alive probe (RFC 1122 §4.2.3.6)
		e.ack(c)
	}
	return datapath.Consume
}

// clientData deals with a segment that has payload, or FIN.
func (e *Engine) clientData(n int32, c *conn, x *exchange, s *segment) datapath.Verdict {
	fin := s.flags.Has(wire.FIN)
	if c.state != established && x.phase != busy {
		// We have closed: there is nothing more to be asked for. All of it counts as read.
		c.acked = c.acked.Max(s.end())
		if fin {
			e.clientFIN(n, s.end())
		} else if c.state != closed {
			e.ack(c)
		}
		return datapath.Consume
	}
	if x.phase == idle {
		v := e.collect(n, s)
		if fin && c.state == established && x.phase == idle && v == datapath.Consume {
			e.clientFIN(n, s.end())
		}
		return v
	}
	old := len(s.payload) > 0 && s.end().AtOrBefore(c.acked) && !fin
	if x.phase == replied || x.phase == parked {
		if old {
			e.ack(c)
		} else if x.req.whole {
			e.pipelined(n, s)
		}
		if fin {
			e.clientFIN(n, s.end())
		}
		return datapath.Consume
	}
	p := e.pair(n, c, x)
	m, u := &x.req, p.u
	switch {
	case old && u.state != established:
		e.ack(c)
		return datapath.Consume
	case old && s.seq.Before(m.body()):
		return e.toServer(&p, s, 0, 0, wire.ACK)
	}
	if len(s.payload) > 0 && s.seq.Before(m.body()) && u.state == established {
		e.resendHead(u, m.out.Add(m.headOut))
	}
	from, until, ok := e.follow(n, Request, m, s)
	if !ok {
		return e.onlyAck(n, x.up, s)
	}
	if until < len(s.payload) {
		e.pipelined(n, s)
	}
	e.received(n, c, x)
	if fin && !x.raw {
		e.clientFIN(n, s.end())
		if x.phase != busy {
			return datapath.Consume
		}
	}
	switch {
	case u.state != established:
		if e.early(n, s, until); x.raw && fin && x.phase == dialing && m.withIt() == s.end() {
			endsWith(c, m, s)
		}
		return datapath.Consume
	case from < until || x.raw && fin:
		flags := s.flags & (wire.ACK | wire.PSH)
		if x.raw && fin {
			flags |= wire.FIN
			endsWith(c, m, s)
		}
		return e.toServer(&p, s, from, until, flags)
	case x.resp.begun:
		return e.toServer(&p, s, 0, 0, wire.ACK)
	}
	return datapath.Consume
}

// toServer passes bytes [from,until) of s's payload on.
func (e *Engine) toServer(p *pair, s *segment, from, until int, flags wire.TCPFlags) datapath.Verdict {
	c, u, x := p.c, p.u, p.x
	g := pass{to: u, from: from, until: until}
	g.flags = flags
	g.onward(s, c, &x.req)
	e.translate(s, c, u, &x.resp, &g.header)
	return e.send(s, &g)
}

// endsWith notes that m, a stream of c's peer, ends with the FIN of s.
func endsWith(c *conn, m *message, s *segment) {
	m.whole, m.fin, m.next = true, true, s.end()
	c.flags |= flagFIN
}
