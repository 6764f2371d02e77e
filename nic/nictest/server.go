package nictest

import (
	"fmt"
	"net/netip"
	"time"
)

// Reply is what a Server says to a request. The pieces are written Gap apart.
type Reply struct {
	Continue []byte        // is written as soon as the request's head is in
	Early    bool          // the rest does not wait for the request's body
	Delay    time.Duration // the rest waits
	Pieces   [][]byte
	Gap      time.Duration
	Close    bool // FIN right behind it; what the client still sends is read, not answered
	Reset    bool // RST right behind it
}

// Server answers from a script and writes down what it reads. Who ends its stream
// gets its answers and is closed.
type Server struct {
	// Script returns the reply to a request's target; nil: there is none, and
	// the connection is reset.
	Script  func(target string) *Reply
	Reading func(target string) Reading // on a connection whose first request has this target, once its head is in
	Idle    func(target string) time.Duration
	Socket  Socket
	Served  []*Served // in order of arrival
}

// Served is a connection that a server accepted.
type Served struct {
	Stream   Stream
	Messages []Message // requests; the last may not be whole
	Bad      string    // what was no request

	s       *Server
	peer    *peer
	scan    scanner
	replies int  // begun
	busy    bool // writing one
	greeted int  // requests whose Continue was written
	closing bool
	idle    time.Duration
	quiet   time.Duration // since when there is nothing to do
}

// Start listens.
func (s *Server) Start(net TCP, at netip.AddrPort) error {
	return net.Listen(at, s.Socket, func(c Conn) {
		d := &Served{s: s, idle: defaultIdle, quiet: net.Now()}
		s.Served = append(s.Served, d)
		d.peer = newPeer(net, c, Reading{}, &d.Stream)
		d.peer.moved = d.moved
		d.watch(d.idle)
		d.peer.start()
	})
}

// Done reports whether the server has left all its connections.
func (s *Server) Done() bool {
	for _, d := range s.Served {
		if !d.peer.gone() {
			return false
		}
	}
	return true
}

// watch ends the connection after it was idle for long enough.
func (d *Served) watch(in time.Duration) {
	d.peer.net.After(in, func() {
		since := d.peer.net.Now() - d.quiet
		switch {
		case d.peer.gone() || d.closing:
		case d.busy || len(d.peer.out) > 0 || d.replies < len(d.scan.list) || d.scan.at < len(d.Stream.Received):
			d.watch(d.idle)
		case since >= d.idle:
			d.finish()
		default:
			d.watch(d.idle - since)
		}
	})
}

// finish ends the stream to the client, whose own is read to its end.
func (d *Served) finish() {
	d.closing = true
	d.peer.fin = true
	d.peer.write()
	d.moved()
}

func (d *Served) moved() {
	if d.peer.gone() {
		return
	}
	if n := len(d.scan.list); d.scan.bad == "" {
		d.scan.scan(d.Stream.Received, d.Stream.Ended == EOF)
		if n == 0 && len(d.scan.list) > 0 {
			d.first(d.scan.list[0].Target)
		}
		d.Messages, d.Bad = d.scan.list, d.scan.bad
	}
	if d.Stream.Ended != Open && d.Stream.Ended != EOF {
		d.peer.leave("close")
		return
	}
	d.greet()
	d.answer()
	if d.Stream.Ended == EOF && !d.busy && len(d.peer.out) == 0 && !d.peer.gone() && (d.closing || !d.pending()) {
		d.peer.leave("close")
	}
}

// first sets the connection up for its first request.
func (d *Served) first(target string) {
	if d.s.Reading != nil {
		d.peer.reading.Every = d.s.Reading(target).Every
		if n := d.s.Reading(target).Size; n > 0 {
			d.peer.buf = d.peer.buf[:min(n, len(d.peer.buf))]
		}
	}
	if d.s.Idle != nil {
		if i := d.s.Idle(target); i > 0 {
			d.idle = i
			d.watch(i)
		}
	}
}

// pending reports whether there is a whole request without a reply.
func (d *Served) pending() bool {
	return d.replies < len(d.scan.list) && d.scan.list[d.replies].End > 0
}

// greet writes 100 (Continue) to the request that may expect it: only once those
// before it have their answers.
func (d *Served) greet() {
	if d.busy || d.closing || d.greeted != d.replies || d.replies >= len(d.scan.list) {
		return
	}
	d.greeted++
	if r := d.s.Script(d.scan.list[d.replies].Target); r != nil && len(r.Continue) > 0 {
		d.send(r.Continue)
	}
}

func (d *Served) send(b []byte) {
	d.peer.out = append(d.peer.out, b...)
	d.peer.write()
}

// answer begins the next reply if it is time.
func (d *Served) answer() {
	if d.busy || d.closing || d.replies >= len(d.scan.list) {
		return
	}
	m := d.scan.list[d.replies]
	r := d.s.Script(m.Target)
	if r == nil {
		d.Bad = fmt.Sprintf("no reply to %s", m.Target)
		d.peer.leave("reset")
		return
	}
	if m.End == 0 && !r.Early {
		return
	}
	d.replies++
	d.busy = true
	d.later(r.Delay, func() { d.say(r, 0) })
}

func (d *Served) later(t time.Duration, f func()) {
	if t == 0 {
		f()
		return
	}
	d.peer.net.After(t, func() {
		if !d.peer.gone() {
			f()
		}
	})
}

// say writes piece n of a reply, and what follows.
func (d *Served) say(r *Reply, n int) {
	if n < len(r.Pieces) {
		d.send(r.Pieces[n])
		d.later(r.Gap, func() { d.say(r, n+1) })
		return
	}
	d.busy = false
	d.quiet = d.peer.net.Now()
	switch {
	case r.Reset:
		d.peer.leave("reset")
	case r.Close:
		d.finish()
	default:
		d.moved()
	}
}
