package splice

import "github.com/meshnic/meshnic/datapath/wire"

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
		if e.t.at(&x.remote, &local) == none {
			n = e.t.insert(server, x.remote, local)
			break
		}
	}
	if n == none {
		e.count.TableFull++
		return none
	}
	u := e.conn(n)
	u.flags |= flagServer
	u.ep, u.state = ep, synSent
	u.iss = e.isn(&u.remote, &u.local)
	u.sndNxt, u.sndUna = u.iss, u.iss
	u.since = e.now
	e.count.Dialed++
	e.wait(n)
	e.app.Upstream(e.now, ep, Dialed)
	e.syn(n)
	return n
}

// syn sends the SYN of connection n, again unless it is the first, or gives it up.
func (e *Engine) syn(n int32) {
	u := e.conn(n)
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
	if u.tries > 0 {
		e.silent(n)
	}
	u.tries++
	u.rcvScale, u.flags = rcvScale, u.flags|flagSACK|flagTimestamps
	h := header{seq: u.iss, flags: wire.SYN, window: gatherWindow, syn: true, mss: e.mss(u)}
	e.stamp(u, &h)
	e.emit(u, &h, nil, nil)
}

// synAnswered takes the answer to our SYN.
func (e *Engine) synAnswered(n int32, s *segment) {
	u := e.conn(n)
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
			e.heard(u)
			e.serverGone(n, Refused)
		}
	case !ackOK || !s.flags.Has(wire.SYN):
	default:
		u.negotiate(wire.TCP(s.frame[s.p.PHV.L4Off:]).SynOptions(), e.mss(u))
		u.irs, u.rcvNxt = s.seq, s.seq+1
		u.acked, u.seen = u.rcvNxt, u.rcvNxt
		u.sndUna, u.sndNxt, u.window = s.ack, s.ack, s.window
		u.told = gatherWindow >> u.rcvScale
		u.state, u.deadline, u.tries = established, 0, 0
		e.unwait(n)
		e.heard(u)
		e.app.Upstream(e.now, u.ep, Connected)
		if u.peer != none {
			e.begin(u.peer) // the request is the third segment of the handshake
		} else {
			e.ack(u)
			e.pool(n)
		}
	}
}
