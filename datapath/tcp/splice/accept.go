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

// room reports whether another client can be remembered.
func (e *Engine) room() bool { return e.halves < e.cfg.HalfOpen && e.t.room() >= 2 }

// opens reports whether s opens a connection that there is room for.
func (e *Engine) opens(s *segment) bool {
	return s.flags.Has(wire.SYN) && !s.flags.Has(wire.ACK) && !s.flags.Has(wire.RST) && e.room()
}

// open answers a client's SYN.
func (e *Engine) open(s *segment, remote, local Addr) {
	h := &s.p.PHV
	eth := wire.Ethernet(s.p.Data)
	c := newConn(remote, local)
	c.irs, c.next = s.seq, Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In}
	if !e.room() {
		e.sendCookie(&c, s)
		return
	}
	n := e.t.insert(client, remote, local)
	e.halves++
	e.work.Flow, e.work.Client = n, true
	x := e.conn(n)
	*x = c
	*e.exchange(n) = exchange{up: none}
	x.state = synReceived
	x.negotiate(wire.TCP(s.p.Data[h.L4Off:]).SynOptions(), e.mss(x))
	x.iss = e.isn(&remote, &local)
	x.sndNxt, x.sndUna = x.iss+1, x.iss
	x.rcvNxt = x.irs + 1
	x.acked, x.seen = x.rcvNxt, x.rcvNxt
	x.told = gatherWindow >> x.rcvScale
	x.since = e.now
	e.synAck(n)
}

// negotiate takes the options of the peer's SYN.
func (c *conn) negotiate(o wire.TCPSynOptions, mss uint16) {
	c.mss = min(o.MSS, mss)
	if o.MSS == 0 {
		c.mss = 536 // RFC 9293 §3.7.1
		if c.has(flagV6) {
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
	if c.has(flagV6) {
		n = e.cfg.MTU - wire.IPv6Len - wire.TCPMinLen
	}
	return uint16(n)
}

// synAck answers the SYN of client n, again if the client does not say that it has it: who
// waits for us to speak would find out no more.
func (e *Engine) synAck(n int32) {
	c := e.conn(n)
	c.deadline = min(c.since+e.cfg.Timeouts.Handshake, e.now+e.cfg.Timeouts.SYN<<c.tries)
	e.arm(n)
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
	if e.t.room() < 2 {
		e.count.TableFull++
		e.refuse(s)
		return datapath.Consume
	}
	n := e.t.insert(client, remote, local)
	c := e.conn(n)
	eth := wire.Ethernet(s.p.Data)
	c.next = Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In}
	c.mss = min(mss, e.mss(c))
	c.irs, c.iss = s.seq-1, s.ack-1
	c.sndNxt, c.sndUna, c.rcvNxt = s.ack, s.ack, s.seq
	c.acked, c.seen, c.told = s.seq, s.seq, gatherWindow
	*e.exchange(n) = exchange{up: none}
	e.work.Flow, e.work.Client = n, true
	e.established(n)
	return e.fromClient(n, s)
}

func (e *Engine) established(n int32) {
	c := e.conn(n)
	c.state, c.deadline = established, 0
	e.count.Accepted++
	e.app.Opened(e.now, Flow(n), c.remote, c.local)
}
