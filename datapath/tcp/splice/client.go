package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// stranger deals with a segment to one of our addresses that is of no connection.
func (e *Engine) stranger(s *segment, remote, local Addr) datapath.Verdict {
	switch {
	case s.flags.Has(wire.RST):
	case s.flags.Has(wire.SYN) && !s.flags.Has(wire.ACK) && e.app.Listens(local):
		e.open(s, remote, local)
	case s.flags.Has(wire.ACK) && !s.flags.Has(wire.SYN) && e.count.Cookies > 0 && e.app.Listens(local):
		return e.answered(s, remote, local)
	default:
		e.refuse(s)
	}
	return datapath.Consume
}

// open answers a client's SYN.
func (e *Engine) open(s *segment, remote, local Addr) {
	h := &s.p.PHV
	eth := wire.Ethernet(s.p.Data)
	c := conn{remote: remote, local: local, irs: s.seq, next: Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In}}
	if e.halves >= e.cfg.HalfOpen || len(e.t.free) < 2 {
		e.sendCookie(&c, s)
		return
	}
	n := e.t.insert(remote, local)
	e.halves++
	e.work.Flow, e.work.Client = n, true
	x := &e.t.conns[n]
	c.peer, c.link, c.timer = x.peer, x.link, x.timer
	*x = c
	e.exch[n] = exchange{up: none}
	x.state = synReceived
	x.negotiate(wire.TCP(s.p.Data[h.L4Off:]).SynOptions(), e.mss(x))
	x.iss = e.isn(&remote, &local)
	x.sndNxt, x.sndUna = x.iss+1, x.iss
	x.rcvNxt = x.irs + 1
	x.acked, x.seen = x.rcvNxt, x.rcvNxt
	x.told = gatherWindow >> x.rcvScale
	x.since = e.now
	x.deadline = e.now + e.cfg.Timeouts.Handshake
	e.arm(n)
	e.synAck(x)
}

// negotiate takes the options of the peer's SYN.
func (c *conn) negotiate(o wire.TCPSynOptions, mss uint16) {
	c.mss = min(o.MSS, mss)
	if o.MSS == 0 {
		c.mss = 536 // RFC 9293 §3.7.1
		if c.v6() {
			c.mss = 1220
		}
	}
	c.rcvScale, c.sndScale = 0, 0
	if o.WindowScale >= 0 {
		c.rcvScale, c.sndScale = rcvScale, uint8(o.WindowScale)
	}
	c.flags &^= flagSACK | flagTimestamps
	if o.SACKPermitted {
		c.flags |= flagSACK
	}
	if o.Timestamps {
		c.flags |= flagTimestamps
		c.tsRecent = o.TSVal
	}
}

// mss is the largest segment that fits our ports.
func (e *Engine) mss(c *conn) uint16 {
	n := e.cfg.MTU - wire.IPv4MinLen - wire.TCPMinLen
	if c.v6() {
		n = e.cfg.MTU - wire.IPv6Len - wire.TCPMinLen
	}
	return uint16(n)
}

func (e *Engine) synAck(c *conn) {
	h := header{seq: c.iss, ack: c.rcvNxt, flags: wire.SYN | wire.ACK, window: gatherWindow, syn: true, mss: e.mss(c)}
	e.stamp(c, &h)
	e.emit(c, &h, nil, nil)
}

// sendCookie answers a SYN of which nothing is remembered.
func (e *Engine) sendCookie(c *conn, s *segment) {
	e.count.Cookies++
	o := wire.TCP(s.p.Data[s.p.PHV.L4Off:]).SynOptions()
	h := header{
		seq: e.cookie(&c.remote, &c.local, s.seq, e.minute(), cookieClass(o.MSS)), ack: s.seq + 1,
		flags: wire.SYN | wire.ACK, window: gatherWindow, syn: true, mss: e.mss(c),
	}
	e.emit(c, &h, nil, nil)
}

// answered makes a connection of the answer to a cookie.
func (e *Engine) answered(s *segment, remote, local Addr) datapath.Verdict {
	mss, ok := e.cookieOf(&remote, &local, s.seq-1, s.ack-1)
	if !ok {
		e.count.CookiesBad++
		e.refuse(s)
		return datapath.Consume
	}
	if len(e.t.free) < 2 {
		e.count.TableFull++
		e.refuse(s)
		return datapath.Consume
	}
	n := e.t.insert(remote, local)
	c := &e.t.conns[n]
	eth := wire.Ethernet(s.p.Data)
	c.next = Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In}
	c.mss = mss
	c.irs, c.iss = s.seq-1, s.ack-1
	c.sndNxt, c.sndUna, c.rcvNxt = s.ack, s.ack, s.seq
	c.acked, c.seen, c.told = s.seq, s.seq, gatherWindow
	e.exch[n] = exchange{up: none}
	e.work.Flow, e.work.Client = n, true
	e.established(n)
	return e.fromClient(n, s)
}

func (e *Engine) established(n int32) {
	c := &e.t.conns[n]
	c.state, c.deadline = established, 0
	e.count.Accepted++
	e.app.Opened(e.now, Flow(n), c.remote, c.local)
}

// fromClient takes a segment of a client's connection n.
func (e *Engine) fromClient(n int32, s *segment) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
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
				e.synAck(c)
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
	if len(c.held) > 0 && c.sndUna.AtOrAfter(c.heldEnd()) {
		e.release(c)
	}
	ended := none
	if x.phase != idle {
		if up := x.up; e.over(n) {
			ended = up
		}
	}
	if c.state == lastAck && c.sndUna == c.sndNxt && x.phase == idle {
		e.gone(n)
	}
	v := datapath.Consume
	switch {
	case c.state == closed:
	case len(s.payload) == 0 && !s.flags.Has(wire.FIN):
		v = e.clientAck(n, s, ended)
	default:
		v = e.clientData(n, s)
	}
	if ended != none {
		e.settle(ended)
	}
	return v
}

// valid reports whether s may be of the connection by its numbers (RFC 9293
// §3.10.7.4, RFC 5961), and says so to the peer if not.
func (e *Engine) valid(c *conn, s *segment) bool {
	switch {
	case s.flags.Has(wire.RST):
		if s.seq.AtOrAfter(c.acked) && s.seq.AtOrBefore(c.seen.Max(c.acked).Add(1)) {
			return true
		}
		e.count.Refused++
		if c.acked.Distance(s.seq) > 0 && c.acked.Distance(s.seq) < int(c.told)<<c.rcvScale {
			e.ack(c)
		}
		return false
	case s.flags.Has(wire.SYN):
		e.count.Refused++
		e.ack(c)
		return false
	case !s.flags.Has(wire.ACK):
		e.count.Refused++
		return false
	case s.ack.After(c.sndNxt), s.seq.After(c.acked.Add(1 << 30)), s.ack.Before(c.sndUna - 1<<30):
		e.count.Refused++
		e.ack(c)
		return false
	}
	return true
}

// note takes what s says of the connection itself. It reports whether it
// acknowledges something.
func (e *Engine) note(c *conn, s *segment) (advanced bool) {
	if s.ts && int32(s.tsVal-c.tsRecent) > 0 {
		c.tsRecent = s.tsVal
	}
	if end := s.end(); end.After(c.seen) {
		c.seen = end
		if c.state == established {
			c.since = e.now
		}
	}
	if s.ack.Before(c.sndUna) {
		return false
	}
	c.window = s.window
	if s.ack == c.sndUna {
		return false
	}
	c.sndUna = s.ack
	c.tries = 0
	c.since = e.now
	return true
}

// clientAck deals with a segment without payload. ended is a server's connection
// whose exchange it ended.
func (e *Engine) clientAck(n int32, s *segment, ended int32) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
	if ended != none {
		if u := &e.t.conns[ended]; u.state == established && u.peer == none && u.acked != u.rcvNxt && !u.has(flagFIN|flagSpent) {
			u.acked = u.rcvNxt
			g := pass{to: u, header: e.ownHeader(u, wire.ACK, u.sndNxt)}
			return e.send(s, &g)
		}
	}
	if x.phase == busy && e.t.conns[x.up].state == established && (x.resp.begun || x.raw) {
		return e.toServer(n, s, 0, 0, wire.ACK)
	}
	if s.seq == c.acked-1 { // a keep-alive probe (RFC 1122 §4.2.3.6)
		e.ack(c)
	}
	return datapath.Consume
}

// clientData deals with a segment that has payload, or FIN.
func (e *Engine) clientData(n int32, s *segment) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
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
	m := &x.req
	u := &e.t.conns[x.up]
	switch {
	case old && u.state != established:
		e.ack(c)
		return datapath.Consume
	case old && s.seq.Before(m.body()):
		return e.toServer(n, s, 0, 0, wire.ACK)
	}
	if len(s.payload) > 0 && s.seq.Before(m.body()) && len(u.held) > 0 && u.state == established && u.sndUna.Before(m.out.Add(m.headOut)) {
		e.resend(u) // the client sends the head again, and who can say why
	}
	from := min(max(s.seq.Distance(m.body()), 0), len(s.payload))
	until := len(s.payload)
	if !m.whole && !m.stream && from < until {
		if !e.scan(n, Request, m, s.seq.Add(uint32(from)), s.payload[from:]) {
			return e.onlyAck(n, x.up, s)
		}
	}
	if m.whole {
		until = max(from, min(until, s.seq.Distance(m.next)))
		if until < len(s.payload) {
			e.pipelined(n, s)
		}
	}
	e.received(n)
	if fin && !x.raw {
		e.clientFIN(n, s.end())
		if x.phase != busy {
			return datapath.Consume
		}
	}
	switch {
	case u.state != established: // its bytes come again
		return datapath.Consume
	case from < until || x.raw && fin:
		flags := s.flags & (wire.ACK | wire.PSH | wire.URG)
		if x.raw && fin {
			flags |= wire.FIN
			m.whole, m.fin, m.next = true, true, s.end()
			c.flags |= flagFIN
		}
		return e.toServer(n, s, from, until, flags)
	case x.resp.begun:
		return e.toServer(n, s, 0, 0, wire.ACK)
	}
	return datapath.Consume
}

// toServer passes bytes [from,until) of s's payload on.
func (e *Engine) toServer(n int32, s *segment, from, until int, flags wire.TCPFlags) datapath.Verdict {
	c, x := &e.t.conns[n], &e.exch[n]
	u := &e.t.conns[x.up]
	g := pass{to: u, from: from, until: until}
	g.flags = flags
	switch {
	case from < until || flags.Has(wire.FIN):
		g.seq = x.req.forward(s.seq.Add(uint32(from)))
		end := g.seq.Add(uint32(until - from))
		if flags.Has(wire.FIN) {
			end++
		}
		u.sndNxt = u.sndNxt.Max(end)
	case s.asks(c):
		g.seq = u.sndUna - 1
	default:
		g.seq = u.sndNxt
	}
	e.translate(s, c, u, &x.resp, &g.header)
	return e.send(s, &g)
}

// translate fills in what h says to the peer of to, of a segment that came from
// the peer of from: what acknowledges m, a message the other way, is translated.
func (e *Engine) translate(s *segment, from, to *conn, m *message, h *header) {
	h.ack = to.acked
	edge := s.ack + wire.Seq(s.window)
	if m.begun {
		if a := m.back(s.ack); a.After(h.ack) {
			h.ack = a
		}
		if m.whole { // our own FIN is nothing that the other side sent
			last := m.next
			if m.fin {
				last++
			}
			if h.ack.After(last) {
				h.ack = last
			}
		}
		edge = m.back(edge)
	} else {
		edge = h.ack + wire.Seq(s.window)
	}
	to.acked = h.ack
	h.window = scaled(h.ack.Distance(edge), to.rcvScale)
	to.told = h.window
	h.sacks = e.blocks[:0]
	if to.has(flagSACK) && m.begun {
		for _, b := range s.sacks[:s.nsacks] {
			if body := m.out.Add(m.headOut); b.Left.Before(body) {
				b.Left = body
			}
			if b.Right.After(b.Left) {
				h.sacks = append(h.sacks, wire.SACKBlock{Left: m.back(b.Left), Right: m.back(b.Right)})
			}
		}
		if to.has(flagTimestamps) && len(h.sacks) > 3 {
			h.sacks = h.sacks[:3] // 40 bytes of options
		}
	}
	if !to.has(flagTimestamps) {
		return
	}
	h.tsVal, h.tsEcr = e.clockFor(to), to.tsRecent
	if s.ts && from.has(flagTimestamps) {
		if !from.has(flagMapped) {
			from.flags |= flagMapped
			from.tsDelta = h.tsVal - s.tsVal
			from.tsFirst = h.tsVal
		}
		h.tsVal = s.tsVal + from.tsDelta
		if to.has(flagMapped) && int32(s.tsEcr-to.tsFirst) >= 0 && int32(from.tsSent-s.tsEcr) >= 0 {
			h.tsEcr = s.tsEcr - to.tsDelta
		}
	}
	if int32(h.tsVal-to.tsSent) > 0 {
		to.tsSent = h.tsVal
	}
}

// scaled is a window of so many bytes as it stands in a header.
func scaled(bytes int, shift uint8) uint16 {
	return uint16(min(max(bytes, 0)>>shift, 65535))
}

// scan follows the body of a message through b, its bytes from at on, to where
// it ends. It reports whether b may go on: if a byte that says where the body
// ends is missing before it, it may not.
func (e *Engine) scan(n int32, d Direction, m *message, at wire.Seq, b []byte) bool {
	if m.left > 0 {
		if m.approach(at.Add(uint32(len(b)))); m.left > 0 || m.whole {
			return true
		}
	}
	off := at.Distance(m.next)
	switch {
	case off < 0:
		e.count.Beyond++
		return false
	case off >= len(b):
		return true
	}
	k, skip, done, err := e.app.Body(Flow(n), d, b[off:])
	if err != nil {
		e.malformed(n, d)
		return false
	}
	m.next = m.next.Add(uint32(k))
	m.extend(skip)
	m.whole = done
	return true
}
