package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// pick takes a connection out of ep's pool, none if there is none. It takes the
// one that came back last: the likeliest to be still there.
func (e *Engine) pick(ep Endpoint) int32 {
	x := &e.ends[ep]
	n := x.idle
	if n == none {
		return none
	}
	u := &e.t.conns[n]
	x.idle, u.link = u.link, none
	x.idles--
	u.flags &^= flagIdle
	u.deadline = 0
	e.count.Reused++
	e.app.Upstream(e.now, ep, Reused)
	return n
}

// pool puts a server's connection into its pool.
func (e *Engine) pool(n int32) {
	u := &e.t.conns[n]
	x := &e.ends[u.ep]
	u.link, x.idle = x.idle, n
	x.idles++
	u.flags |= flagIdle
	u.deadline = e.now + e.cfg.Timeouts.Idle
	e.arm(n)
	e.app.Upstream(e.now, u.ep, Idle)
}

// unpool takes a connection out of the middle of its pool.
func (e *Engine) unpool(n int32) {
	u := &e.t.conns[n]
	if !u.has(flagIdle) {
		return
	}
	u.flags &^= flagIdle
	u.deadline = 0
	e.ends[u.ep].idles--
	for at := &e.ends[u.ep].idle; *at != none; at = &e.t.conns[*at].link {
		if *at == n {
			*at = u.link
			break
		}
	}
	u.link = none
}

// DropIdle closes the connections that wait in ep's pool.
func (e *Engine) DropIdle(ep Endpoint) {
	for n := e.ends[ep].idle; n != none; n = e.ends[ep].idle {
		e.unpool(n)
		e.close(n)
	}
}

// dial opens a connection to ep; none if there is no room.
func (e *Engine) dial(ep Endpoint) int32 {
	x := &e.ends[ep]
	local := x.local
	n := none
	for range 64 { // ports that are taken are few
		if x.port++; x.port < firstPort {
			x.port = firstPort
		}
		local.Port = x.port
		if e.t.find(&x.remote, &local) == none {
			n = e.t.insert(x.remote, local)
			break
		}
	}
	if n == none {
		e.count.TableFull++
		return none
	}
	u := &e.t.conns[n]
	u.flags, u.ep, u.state = flagServer, ep, synSent
	u.iss = e.isn(&u.remote, &u.local)
	u.sndNxt, u.sndUna = u.iss, u.iss
	u.since = e.now
	e.count.Dialed++
	e.app.Upstream(e.now, ep, Dialed)
	e.syn(n)
	return n
}

// syn sends the SYN of connection n, again unless it is the first, or gives it up.
func (e *Engine) syn(n int32) {
	u := &e.t.conns[n]
	x := &e.ends[u.ep]
	end := u.since + e.cfg.Timeouts.Connect
	if x.connect != 0 {
		end = u.since + x.connect
	}
	if e.now >= end {
		e.serverGone(n, Unreachable)
		return
	}
	u.deadline = min(end, e.now+e.cfg.Timeouts.SYN<<u.tries)
	e.arm(n)
	if !x.known {
		return
	}
	u.next = x.next
	u.sndNxt = u.iss + 1
	u.tries++
	u.rcvScale, u.flags = rcvScale, u.flags|flagSACK|flagTimestamps
	h := header{seq: u.iss, flags: wire.SYN, window: gatherWindow, syn: true, mss: e.mss(u)}
	e.stamp(u, &h)
	e.emit(u, &h, nil, nil)
}

// fromServer takes a segment of a server's connection n.
func (e *Engine) fromServer(n int32, s *segment) datapath.Verdict {
	u := &e.t.conns[n]
	if u.state == synSent {
		e.synAnswered(n, s)
		return datapath.Consume
	}
	if !e.valid(u, s) {
		return datapath.Consume
	}
	if s.flags.Has(wire.RST) {
		e.serverGone(n, ServerReset)
		return datapath.Consume
	}
	s.advanced = e.note(u, s)
	if u.state != established {
		e.closing(n, s)
		return datapath.Consume
	}
	c := u.peer
	if c == none {
		e.idleServer(n, s)
		return datapath.Consume
	}
	if e.over(c) { // it had acknowledged the rest of the request
		if k := &e.t.conns[c]; k.state == established && k.acked.Before(k.rcvNxt) {
			k.acked = k.rcvNxt
			e.ack(k)
		}
		e.settle(n)
		return datapath.Consume
	}
	if e.exch[c].leaves && s.advanced {
		e.clientFIN(c, e.exch[c].left)
	}
	if u.peer == none {
		return datapath.Consume
	}
	if len(s.payload) == 0 && !s.flags.Has(wire.FIN) {
		return e.toClient(c, s, 0, 0, wire.ACK)
	}
	return e.serverData(c, n, s)
}

// synAnswered takes the answer to our SYN.
func (e *Engine) synAnswered(n int32, s *segment) {
	u := &e.t.conns[n]
	ackOK := s.flags.Has(wire.ACK) && s.ack == u.iss+1
	switch {
	case s.flags.Has(wire.ACK) && !ackOK:
		// A connection of ours before this one, which the server has not forgotten
		// (RFC 9293 §3.10.7.3): it does now, and our next SYN is welcome.
		if !s.flags.Has(wire.RST) {
			e.refuse(s)
			u.deadline = e.now + e.cfg.Timeouts.SYN/100
			e.arm(n)
		}
	case s.flags.Has(wire.RST):
		if ackOK {
			e.serverGone(n, Refused)
		}
	case !ackOK || !s.flags.Has(wire.SYN):
	default:
		u.negotiate(wire.TCP(s.frame[s.p.PHV.L4Off:]).SynOptions(), e.mss(u))
		u.irs, u.rcvNxt = s.seq, s.seq+1
		u.acked, u.seen = u.rcvNxt, u.rcvNxt
		u.sndUna, u.sndNxt = s.ack, s.ack
		u.told = gatherWindow >> u.rcvScale
		u.state, u.deadline, u.tries = established, 0, 0
		e.app.Upstream(e.now, u.ep, Connected)
		if u.peer != none {
			e.begin(u.peer) // the request is the third segment of the handshake
		} else {
			e.ack(u)
			e.pool(n)
		}
	}
}

// idleServer takes what a server says on a connection that carries no request.
func (e *Engine) idleServer(n int32, s *segment) {
	u := &e.t.conns[n]
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

// toClient passes bytes [from,until) of s's payload on to client c.
func (e *Engine) toClient(c int32, s *segment, from, until int, flags wire.TCPFlags) datapath.Verdict {
	d, x := &e.t.conns[c], &e.exch[c]
	u := &e.t.conns[x.up]
	g := pass{to: d, from: from, until: until}
	g.flags = flags
	switch {
	case from < until || flags.Has(wire.FIN):
		g.seq = x.resp.forward(s.seq.Add(uint32(from)))
		end := g.seq.Add(uint32(until - from))
		if flags.Has(wire.FIN) {
			end++
		}
		d.sndNxt = d.sndNxt.Max(end)
		e.endWith(c, &g.header, end)
	case s.asks(u):
		g.seq = d.sndUna - 1
	default:
		g.seq = d.sndNxt
	}
	e.work.Answer = e.work.Answer || from < until
	e.translate(s, u, d, &x.req, &g.header)
	e.responded(c)
	return e.send(s, &g)
}

// endWith has the last bytes of a response that is the connection's last carry our FIN.
func (e *Engine) endWith(c int32, h *header, end wire.Seq) {
	d, x := &e.t.conns[c], &e.exch[c]
	if !x.close || !x.resp.whole || x.resp.fin || d.state != established || end != x.resp.end() {
		return
	}
	h.flags |= wire.FIN
	e.finSent(c)
}

// serverData takes a segment with payload or FIN of server n, of client c's exchange.
func (e *Engine) serverData(c, n int32, s *segment) datapath.Verdict {
	u, d, x := &e.t.conns[n], &e.t.conns[c], &e.exch[c]
	m := &x.resp
	fin := s.flags.Has(wire.FIN)
	if !m.begun {
		return e.respond(c, n, s)
	}
	if !fin && s.end().AtOrBefore(u.acked) && s.seq.Before(m.body()) {
		return e.toClient(c, s, 0, 0, wire.ACK)
	}
	if len(s.payload) > 0 && s.seq.Before(m.body()) && d.sndUna.Before(m.out.Add(m.headOut)) {
		e.resend(d)
	}
	from := min(max(s.seq.Distance(m.body()), 0), len(s.payload))
	until := len(s.payload)
	if !m.whole && !m.stream && from < until && !e.scan(c, Response, m, s.seq.Add(uint32(from)), s.payload[from:]) {
		return e.onlyAck(n, c, s)
	}
	if d.state == closed {
		return datapath.Consume
	}
	if m.whole {
		if end := s.seq.Distance(m.next); end < until {
			until = max(from, end)
			e.extra(u, s.payload[until:])
		}
	}
	flags := s.flags & (wire.ACK | wire.PSH | wire.URG)
	if fin {
		flags |= e.serverFIN(c, n, s)
	}
	return e.toClient(c, s, from, until, flags)
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

// serverFIN notes the end of the stream of server n, which sends a response to
// client c, and returns FIN if the client is to know.
func (e *Engine) serverFIN(c, n int32, s *segment) wire.TCPFlags {
	u, x := &e.t.conns[n], &e.exch[c]
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

// respond takes bytes of server n where its response to client c begins.
func (e *Engine) respond(c, n int32, s *segment) datapath.Verdict {
	u, x := &e.t.conns[n], &e.exch[c]
	at := u.rcvNxt.Add(uint32(len(x.respGather)))
	off := s.seq.Distance(at)
	if off < 0 {
		e.count.Disorder++
		e.ack(u)
		return e.onlyAck(n, c, s)
	}
	if off >= len(s.payload) {
		if s.flags.Has(wire.FIN) && s.end() == at {
			u.flags |= flagFIN
			e.serverGone(n, ServerClosed)
			return datapath.Consume
		}
		if len(s.payload) > 0 && s.end().AtOrBefore(u.acked) {
			e.ack(u)
		}
		return e.onlyAck(n, c, s)
	}
	b := s.payload[off:]
	direct := len(x.respGather) == 0
	if !direct {
		x.respGather = e.heads.appendTo(x.respGather, b)
		b = x.respGather
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
			e.respRest(x, nil)
			u.acked = u.acked.Max(u.rcvNxt)
			e.ack(u)
			return e.onlyAck(n, c, s)
		case Wait:
			e.respRest(x, b)
			if s.flags.Has(wire.FIN) {
				u.flags |= flagFIN
				e.serverGone(n, ServerClosed)
				return datapath.Consume
			}
			e.count.HeadAcked++
			u.acked = u.acked.Max(u.rcvNxt.Add(uint32(len(x.respGather))))
			// These bytes take room at the client yet.
			u.told = scaled(max(int(e.t.conns[c].window)-len(x.respGather), int(u.mss)), u.rcvScale)
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
	k, x := &e.t.conns[c], &e.exch[c]
	n := x.up
	u := &e.t.conns[n]
	if !x.req.whole || u.sndUna != u.sndNxt || k.seen.Before(x.req.next) {
		return false
	}
	u.rcvNxt = u.rcvNxt.Add(uint32(head))
	u.acked = u.rcvNxt
	e.ack(u)
	x.kept, u.held = u.held, nil
	u.deadline = 0
	e.respRest(x, nil)
	e.part(c)
	e.pool(n)
	x.phase = parked
	return true
}

// part takes client c's exchange off its server's connection, which stays.
func (e *Engine) part(c int32) {
	x := &e.exch[c]
	e.t.conns[x.up].peer, e.t.conns[c].peer, x.up = none, none, none
}

// respRest keeps b, what is left of the bytes of a response.
func (e *Engine) respRest(x *exchange, b []byte) {
	if len(x.respGather) > 0 && len(b) > 0 {
		x.respGather = x.respGather[:copy(x.respGather, b)]
		return
	}
	if len(b) > 0 {
		x.respGather = e.heads.appendTo(x.respGather, b)
		return
	}
	if x.respGather != nil {
		e.heads.put(x.respGather)
		x.respGather = nil
	}
}

// sendResponse sends the head of d to client c, and behind it what b, whose last
// bytes are those of s, has of the body.
func (e *Engine) sendResponse(c, n int32, s *segment, d *Decision, b []byte) datapath.Verdict {
	u, k, x := &e.t.conns[n], &e.t.conns[c], &e.exch[c]
	m := &x.resp
	*m = message{in: u.rcvNxt, out: k.sndNxt, headIn: uint32(d.Head), bare: uint32(d.Head), headOut: uint32(len(d.Out)), begun: true}
	m.frame(d)
	x.close = d.Close
	if d.Bad {
		u.flags |= flagSpent
	}
	if x.keep { // it will not be sent again
		x.keep = false
		e.trim(c)
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
	e.endWith(c, &g.header, end)
	e.translate(s, u, k, &x.req, &g.header)
	e.responded(c)
	v := e.send(s, &g)
	e.respRest(x, nil)
	return v
}
