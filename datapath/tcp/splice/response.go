package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// respond takes bytes of server n where its response to client c begins.
func (e *Engine) respond(c, n int32, s *segment) datapath.Verdict {
	u, x := e.conn(n), e.exchange(c)
	at := u.rcvNxt.Add(uint32(u.gather.len()))
	off := s.seq.Distance(at)
	if off < 0 {
		e.count.Disorder++
		e.ack(u)
		return e.onlyAck(n, c, s)
	}
	if off >= len(s.payload) {
		if s.flags.Has(wire.FIN) && s.end() == at {
			e.serverCloses(n)
			return datapath.Consume
		}
		if len(s.payload) > 0 && s.end().AtOrBefore(u.acked) {
			e.ack(u)
		}
		return e.onlyAck(n, c, s)
	}
	if s.ack.AtOrBefore(x.req.out) { // said before any of the request had come, and so no response to it
		e.extra(u, s.payload[off:])
		e.serverGone(n, ServerClosed)
		return datapath.Consume
	}
	b := s.payload[off:]
	direct := u.gather.len() == 0
	if !direct {
		u.gather = e.heads.appendTo(u.gather, b)
		b = u.gather.bytes()
	}
	for {
		d := e.app.Response(e.now, Flow(c), b)
		if d.Do == Wait {
			e.scanned(0)
		} else {
			e.scanned(len(b) - d.Head)
		}
		switch d.Do {
		case Skip:
			u.rcvNxt = u.rcvNxt.Add(uint32(d.Head))
			x.resp.in = u.rcvNxt
			if b = b[d.Head:]; len(b) > 0 {
				continue
			}
			e.rest(u, nil)
			if s.flags.Has(wire.FIN) {
				e.serverCloses(n)
				return datapath.Consume
			}
			u.acked = u.acked.Max(u.rcvNxt)
			e.ack(u)
			return e.onlyAck(n, c, s)
		case Wait:
			e.rest(u, b)
			if s.flags.Has(wire.FIN) {
				e.serverCloses(n)
				return datapath.Consume
			}
			e.count.HeadAcked++
			u.acked = u.acked.Max(u.rcvNxt.Add(uint32(u.gather.len())))
			// These bytes take room at the client yet.
			u.told = scaled(max(int(e.conn(c).window)-u.gather.len(), int(u.mss)), u.rcvScale)
			e.ack(u)
			return e.onlyAck(n, c, s)
		case Send:
			return e.sendResponse(c, n, s, &d, b)
		case Park:
			if d.Head == len(b) && d.Framing == Length && d.Body == 0 && !d.Bad && !s.flags.Has(wire.FIN) && e.spare(c, d.Head) {
				return datapath.Consume
			}
			fallthrough
		default:
			e.act(c, &d)
			return datapath.Consume
		}
	}
}

// spare parks the exchange of client c, whose response is a head alone, of
// so many bytes, and has its server's connection wait for another. It reports false if
// that is not done with the request.
func (e *Engine) spare(c int32, head int) bool {
	k, x := e.conn(c), e.exchange(c)
	n := x.up
	u := e.conn(n)
	if !x.req.whole || u.sndUna != u.sndNxt || k.seen.Before(x.req.next) {
		return false
	}
	u.rcvNxt = u.rcvNxt.Add(uint32(head))
	u.acked = u.rcvNxt
	e.ack(u)
	e.keepOf(c, u)
	u.deadline = 0
	e.part(c)
	e.pool(n)
	x.phase = parked
	return true
}

// rest keeps b, what is left of the bytes of a response of server u.
func (e *Engine) rest(u *conn, b []byte) {
	switch g := u.gather; {
	case len(b) == 0:
		e.heads.put(g)
		u.gather = nil
	case g != nil: // b is its end
		g.b = g.b[:copy(g.b, b)]
	default:
		u.gather = e.heads.appendTo(nil, b)
	}
}

// sendResponse sends the head of d to client c, and behind it what b, whose last
// bytes are those of s, has of the body.
func (e *Engine) sendResponse(c, n int32, s *segment, d *Decision, b []byte) datapath.Verdict {
	u, k, x := e.conn(n), e.conn(c), e.exchange(c)
	m := &x.resp
	*m = message{in: u.rcvNxt, out: k.sndNxt, headIn: uint32(d.Head), headOut: uint32(len(d.Out)), begun: true}
	m.frame(d)
	x.close = d.Close
	if d.Bad {
		u.flags |= flagSpent
	}
	if x.keep { // it will not be sent again
		x.keep = false
		e.trim(u, x)
	}
	body := b[d.Head:]
	if !m.whole && !m.stream && !e.scan(c, Response, m, m.body(), body) {
		return datapath.Consume
	}
	if m.whole {
		if left := int(uint32(m.next - m.body())); left < len(body) {
			e.extra(u, body[left:])
			body = body[:left]
		}
	}
	e.hold(k, c, k.sndNxt, d.Out)
	e.work.Written, e.work.Answer = uint16(len(d.Out)), true
	// Heads are complete in the segment that ends them: what b has of the body is of s.
	from := len(s.payload) - (len(b) - d.Head)
	g := pass{to: k, head: d.Out, from: from, until: from + len(body)}
	g.flags, g.seq = wire.ACK|wire.PSH, m.out
	end := m.out.Add(uint32(len(d.Out) + len(body)))
	if s.flags.Has(wire.FIN) {
		if g.flags |= e.serverFIN(c, n, s); g.flags.Has(wire.FIN) {
			end++
		}
	}
	k.sndNxt = k.sndNxt.Max(end)
	e.endWith(&pair{c, x, k, u}, &g.header, end)
	e.translate(s, u, k, &x.req, &g.header)
	e.responded(c, u, x)
	v := e.send(s, &g)
	e.rest(u, nil)
	return v
}
