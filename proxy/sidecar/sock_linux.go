package sidecar

import "golang.org/x/sys/unix"

// handler is what an event on a sock is for.
type handler interface {
	ready()     // rd, wr or hup was set
	idle() bool // waiting in a pool: such a sock's events are looked at first
	broken()    // a write failed
}

// sock is one non-blocking socket. Events are edge-triggered: rd and wr stay set
// until a read or write comes back short.
type sock struct {
	w    *worker
	h    handler
	fd   int // -1 once closed
	slot int32
	rd   bool    // a read may return something
	wr   bool    // a write may be taken
	hup  bool    // the peer has closed its side, or both are gone
	bad  bool    // a write failed
	cut  bool    // the stream ended with a reset
	tls  *secure // nil for clear text
	head []byte  // what was read before, and comes first
	out  []byte
	off  int // bytes of out already written
	t    timer
}

// blocked reports whether bytes wait to be written.
func (s *sock) blocked() bool { return len(s.out) > 0 }

// read reads into b. It returns n > 0, or n == 0 with eof telling whether the
// stream is over or there is nothing just now.
func (s *sock) read(b []byte) (n int, eof bool) {
	if s.tls != nil {
		return s.tls.read(b)
	}
	return s.receive(b)
}

// receive reads what came over the wire.
func (s *sock) receive(b []byte) (n int, eof bool) {
	if len(s.head) > 0 {
		n = copy(b, s.head)
		s.head = s.head[n:]
		return n, false
	}
	for {
		n, e := sysRead(s.fd, b)
		switch {
		case e == unix.EINTR:
			continue
		case e == unix.EAGAIN:
			s.rd = false
			return 0, false
		case e != 0 || n == 0:
			s.rd, s.cut = false, e != 0
			return 0, true
		}
		// A short read has emptied the socket, but the peer's FIN does not
		// raise another edge once hup is set.
		if n < len(b) && !s.hup {
			s.rd = false
		}
		return n, false
	}
}

// write sends b, keeping what the socket does not take.
func (s *sock) write(b []byte) {
	if s.bad || s.fd < 0 {
		return
	}
	if s.tls != nil {
		b = s.tls.seal(b)
	}
	s.transmit(b)
}

// transmit puts b on the wire, keeping what the socket does not take.
func (s *sock) transmit(b []byte) {
	if s.bad || s.fd < 0 {
		return
	}
	if len(s.out) > 0 {
		s.out = append(s.out, b...)
		return
	}
	for len(b) > 0 {
		n, e := sysWrite(s.fd, b)
		switch {
		case e == unix.EINTR:
			continue
		case e == unix.EAGAIN:
			s.wr = false
			s.out, s.off = append(s.w.buffer(), b...), 0
			return
		case e != 0:
			s.fail()
			return
		}
		b = b[n:]
	}
}

// flush writes what write has kept and reports whether all of it is gone.
func (s *sock) flush() bool {
	for s.off < len(s.out) {
		if !s.wr || s.bad {
			return false
		}
		n, e := sysWrite(s.fd, s.out[s.off:])
		switch {
		case e == unix.EINTR:
		case e == unix.EAGAIN:
			s.wr = false
		case e != 0:
			s.fail()
		default:
			s.off += n
		}
	}
	if s.out != nil {
		s.w.recycle(s.out)
		s.out, s.off = nil, 0
	}
	return true
}

// fail has broken called once the present event is dealt with.
func (s *sock) fail() {
	if !s.bad {
		s.bad = true
		s.w.failed = append(s.w.failed, s)
	}
}

// leave gives up the socket without closing it.
func (s *sock) leave() (fd int) {
	fd = s.fd
	unix.EpollCtl(s.w.ep, unix.EPOLL_CTL_DEL, fd, nil)
	s.forget()
	return fd
}

// close closes the socket. Its memory may be used again after this round of
// events.
func (s *sock) close() {
	if s.tls != nil {
		s.tls.close()
	}
	unix.Close(s.fd)
	s.forget()
}

func (s *sock) forget() {
	s.fd = -1
	s.w.timers.remove(&s.t)
	s.w.unregister(s.slot)
	if s.out != nil {
		s.w.recycle(s.out)
	}
	s.out, s.off = nil, 0
	s.rd, s.wr = false, false
}
