package splice

import (
	"github.com/meshnic/meshnic/datapath/wire"
)

// close ends our side of connection n, which carries no exchange.
func (e *Engine) close(n int32) {
	switch c := e.conn(n); c.state {
	case established:
		e.finish(n)
	case synSent, synReceived:
		e.gone(n)
	}
}

// finish sends our FIN.
func (e *Engine) finish(n int32) {
	c := e.conn(n)
	e.own(c, wire.FIN|wire.ACK, c.sndNxt, nil)
	e.finSent(n)
}

// finSent notes that our FIN is out, behind all that was sent.
func (e *Engine) finSent(n int32) {
	c := e.conn(n)
	c.sndNxt++
	c.since = e.now
	e.closeState(n)
}

// closeAfter is finSent for a FIN that is the other side's, and is counted as its last byte.
func (e *Engine) closeAfter(n int32) {
	e.conn(n).since = e.now
	e.closeState(n)
}

func (e *Engine) closeState(n int32) {
	c := e.conn(n)
	c.state = finWait
	if c.has(flagFIN) {
		c.state = lastAck
	}
	if c.deadline == 0 {
		c.tries = 0
		c.deadline = e.now + e.cfg.Timeouts.Held
	}
	e.arm(n)
}

// retire has connection n, over on both sides, answer late segments for a while.
func (e *Engine) retire(n int32) {
	c := e.conn(n)
	e.drop(c)
	c.state = timeWait
	c.app, c.deadline = 0, e.now+e.cfg.Timeouts.TimeWait
	e.arm(n)
}

// ended is the end of connection n, if both FINs are acknowledged: if ours went first, what
// acknowledges it may come again, or behind the peer's.
func (e *Engine) ended(n int32) bool {
	switch c := e.conn(n); {
	case c.sndUna != c.sndNxt:
		return false
	case c.state == lastAck:
		e.gone(n)
	case c.state == closing:
		e.retire(n)
	default:
		return false
	}
	return true
}

// peerFIN takes the FIN of n's peer, which is behind all that it sent.
func (e *Engine) peerFIN(n int32, at wire.Seq) {
	c := e.conn(n)
	c.flags |= flagFIN
	c.acked = c.acked.Max(at + 1)
	switch c.state {
	case established:
		e.finish(n)
	case finWait:
		e.ack(c)
		c.state = closing
		e.ended(n)
	default:
		e.ack(c)
	}
}

// closing takes a segment of server n, which we have closed.
func (e *Engine) closing(n int32, s *segment) {
	u := e.conn(n)
	switch {
	case e.ended(n):
	case s.flags.Has(wire.FIN) && s.end().AtOrAfter(u.rcvNxt):
		e.peerFIN(n, s.end())
	case len(s.payload) > 0 && u.state == finWait && s.end().After(u.rcvNxt): // to nobody
		e.reset(u)
		e.gone(n)
	case len(s.payload) > 0, s.flags.Has(wire.FIN):
		e.ack(u)
	}
}

// clientFIN takes the FIN of client n, which is behind the byte before at, if
// nothing before it is missing, or as soon as that is known.
func (e *Engine) clientFIN(n int32, at wire.Seq) {
	c, x := e.conn(n), e.exchange(n)
	switch {
	case c.has(flagFIN), x.phase == idle || x.phase == replied:
	case x.phase == busy:
		if e.conn(x.up).sndUna.Before(x.req.forward(at)) {
			x.leaves, x.left = true, at // only what the server has acknowledged is known to have come
			return
		}
	case at.After(x.req.withIt()): // what is held ends there
		return
	}
	if c.state >= finWait {
		if x.phase == busy && (!x.req.whole || at.Before(x.req.next)) { // the rest of the request never comes
			if !x.aborted {
				e.app.Aborted(e.now, Flow(n), ClientClosed)
			}
			e.leave(n)
			e.forget(c)
			x.phase = idle
		}
		e.peerFIN(n, at)
		return
	}
	end := c.rcvNxt
	if x.phase != idle {
		end = x.req.next
	}
	switch end = end.Add(uint32(c.gather.len())); {
	case x.phase != idle && !x.req.whole, at == end:
	case x.phase != idle && at == c.seen && at.Before(x.req.next): // it leaves in the middle of its request
	case at.Before(end) && x.req.whole:
		return // of another age
	default:
		e.ack(c) // something before it is missing
		return
	}
	switch x.phase {
	case idle:
		if c.gather.len() > 0 { // part of a request, or one that waits
			e.app.Aborted(e.now, Flow(n), ClientClosed)
		}
	case busy, dialing, parked:
		e.app.Aborted(e.now, Flow(n), ClientClosed)
		e.leave(n)
		e.drop(c)
		e.forget(c)
		x.phase = idle
	case replied: // it may read the answer
		c.flags |= flagFIN
		c.acked = c.acked.Max(at + 1)
		e.ack(c)
		return
	}
	e.peerFIN(n, at)
}

// clientGone forgets client n at once.
func (e *Engine) clientGone(n int32, why Failure) {
	if e.exchange(n).phase != idle {
		e.app.Aborted(e.now, Flow(n), why)
		e.leave(n)
	} else if e.conn(n).gather.len() > 0 {
		e.app.Aborted(e.now, Flow(n), why)
	}
	e.gone(n)
}

// serverGone deals with the loss of server n's connection.
func (e *Engine) serverGone(n int32, why Failure) {
	u := e.conn(n)
	c := u.peer
	if c == none {
		if u.has(flagIdle) {
			e.unpool(n)
			e.app.Upstream(e.now, u.ep, GoneIdle)
		}
		e.gone(n)
		return
	}
	k, x := e.conn(c), e.exchange(c)
	if why == ServerReset || why == Refused { // it knows
		u.state = synSent
	}
	begun := x.resp.begun
	e.leave(c)
	switch {
	case !begun:
		e.fail(c, why)
	case x.raw:
		e.reset(k)
		e.app.Aborted(e.now, Flow(c), why)
		e.gone(c)
	default:
		e.cut(c, why)
	}
}

// serverCloses is serverGone for server n, whose FIN has come.
func (e *Engine) serverCloses(n int32) {
	e.conn(n).flags |= flagFIN
	e.serverGone(n, ServerClosed)
}

// cut ends the connection of client n in the middle of a response.
func (e *Engine) cut(n int32, why Failure) {
	c, x := e.conn(n), e.exchange(n)
	e.app.Aborted(e.now, Flow(n), why)
	e.leave(n)
	e.forget(c)
	x.phase = idle
	c.rcvNxt = c.seen
	if c.state == established {
		e.finish(n)
	}
}

// malformed deals with a message whose body cannot be followed.
func (e *Engine) malformed(n int32, d Direction) {
	x := e.exchange(n)
	if x.resp.begun && x.phase == busy {
		e.cut(n, BadMessage)
		return
	}
	e.leave(n)
	e.fail(n, BadMessage)
}

// unanswered gives up connection n: its peer does not acknowledge what it was sent.
func (e *Engine) unanswered(n int32) {
	c := e.conn(n)
	if c.has(flagServer) {
		e.serverGone(n, Unanswered)
		return
	}
	e.reset(c)
	e.clientGone(n, Unanswered)
}

// gone forgets connection n, which has no exchange any more.
func (e *Engine) gone(n int32) {
	c := e.conn(n)
	if c.state == closed {
		return
	}
	if c.has(flagServer) {
		e.unpool(n)
		e.unwait(n)
		ep := c.ep
		e.free(n)
		e.app.Upstream(e.now, ep, Gone)
		return
	}
	x := e.exchange(n)
	if x.up != none {
		e.leave(n)
	}
	was := c.state
	e.free(n)
	*x = exchange{up: none}
	if was != synReceived {
		e.app.Closed(e.now, Flow(n))
	}
}
