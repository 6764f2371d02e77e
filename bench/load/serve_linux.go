package load

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// Serve answers every GET with one fixed body until ctx ends, as fast as one
// thread can: the floor under every other server. It keeps connections alive,
// answers pipelined requests in order and honours HTTP/1.0 and
// "Connection: close". Bodies of requests are read and dropped; other methods
// than GET and HEAD are refused.
func Serve(ctx context.Context, cfg ServeConfig) (*ServeResult, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ln, at, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ln)
	s := &server{ln: ln, clock: newClock(), buf: make([]byte, 64<<10), res: ServeResult{Schema: Schema, Mode: "serve"}}
	s.keep, s.last, s.keep10 = cfg.answers()
	s.headLen = len(s.keep) - len(cfg.Body)
	if s.poll, err = newPoller(s.clock); err != nil {
		return nil, err
	}
	defer s.poll.close()
	if err := s.poll.add(ln, unix.EPOLLIN, listener, 0); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { s.stop.Store(true) })()
	begin := processUsage()
	if cfg.Ready != nil {
		cfg.Ready(at)
	}
	s.loop()
	s.res.CPU = float64(processUsage().since(begin).cpu) / 1e3
	if s.fatal != nil {
		return nil, s.fatal
	}
	return &s.res, nil
}

const (
	listener = -1        // id of the listening socket in events
	outLimit = 256 << 10 // bytes to write to one client, beyond which nothing more is answered
)

type server struct {
	ln    int
	clock clock
	poll  *poller
	stop  atomic.Bool
	fatal error
	turns turns
	buf   []byte
	peers []*peer // by descriptor
	gen   int32
	res   ServeResult

	keep, last, keep10 []byte
	headLen            int // of keep
}

// peer is one accepted connection.
type peer struct {
	fd    int
	gen   int32
	in    []byte // an incomplete request head
	out   []byte // answers not yet written
	sent  int    // of out
	skip  int64  // of a request body
	held  bool   // in waits for out to be written
	close bool   // after out is written
	mask  uint32
}

func (s *server) loop() {
	defer func() {
		for _, p := range s.peers {
			if p != nil {
				unix.Close(p.fd)
			}
		}
	}()
	for !s.stop.Load() && s.fatal == nil {
		for _, ev := range s.poll.wait(100 * time.Millisecond) {
			if ev.Fd == listener {
				s.accept()
				continue
			}
			if p := s.peers[ev.Fd]; p != nil && p.gen == ev.Pad {
				s.serve(p, ev.Events)
			}
		}
		s.turns.yield(s.clock.now())
	}
}

func (s *server) accept() {
	for range 64 {
		fd, _, err := unix.Accept4(s.ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EMFILE, unix.ENFILE:
			s.fatal = failure.Wrap(failure.Unsupported, err, fmt.Sprintf("load: accept connection %d", s.res.Connections+1), "raise the limit with `ulimit -n`")
			return
		default: // EAGAIN; or a client that is gone again
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		s.gen++
		p := &peer{fd: fd, gen: s.gen, mask: unix.EPOLLIN}
		if s.poll.add(fd, p.mask, int32(fd), p.gen) != nil {
			unix.Close(fd)
			continue
		}
		for len(s.peers) <= fd {
			s.peers = append(s.peers, nil)
		}
		s.peers[fd] = p
		s.res.Connections++
	}
}

func (s *server) serve(p *peer, events uint32) {
	if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 && !s.flush(p) {
		return
	}
	if events&unix.EPOLLIN == 0 || p.mask&unix.EPOLLIN == 0 {
		return
	}
	n, e := rawRead(p.fd, s.buf)
	switch {
	case e == unix.EAGAIN || e == unix.EINTR:
		return
	case e != 0 || n == 0:
		s.drop(p)
		return
	}
	s.res.Bytes += uint64(n)
	s.take(p, s.buf[:n])
	s.flush(p)
}

// take answers the requests in p.in and b, until there is more to write than
// outLimit: held says that p.in may have another complete request.
func (s *server) take(p *peer, b []byte) {
	if len(p.in) > 0 {
		p.in = append(p.in, b...)
		b = p.in
	}
	p.held = false
	for len(b) > 0 && !p.close && !p.held {
		if p.skip > 0 {
			n := min(p.skip, int64(len(b)))
			p.skip -= n
			b = b[n:]
			continue
		}
		a, n := readAsk(b)
		if n == 0 {
			break
		}
		b = b[n:]
		s.answer(p, a)
		p.held = len(p.out) > outLimit
	}
	p.in = append(p.in[:0], b...) // memmove: b may be p.in's end
}

func (s *server) answer(p *peer, a ask) {
	p.close = a.close
	p.skip = a.skip
	if a.bad != 0 {
		s.res.Refused++
		p.out = append(p.out, "HTTP/1.1 "+strconv.Itoa(a.bad)+" Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"...)
		return
	}
	s.res.Requests++
	out := s.keep
	switch {
	case a.close:
		out = s.last
	case a.http10:
		out = s.keep10
	}
	if a.head {
		out = out[:len(out)-(len(s.keep)-s.headLen)]
	}
	p.out = append(p.out, out...)
}

// flush writes what there is to write, and answers what was held back for it.
// It reports whether p is still there.
func (s *server) flush(p *peer) bool {
	for {
		for p.sent < len(p.out) {
			n, e := rawWrite(p.fd, p.out[p.sent:])
			switch e {
			case 0:
				p.sent += n
				continue
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return s.watch(p, unix.EPOLLOUT) // who does not read is not read from
			}
			s.drop(p)
			return false
		}
		p.out, p.sent = p.out[:0], 0
		if !p.held {
			break
		}
		s.take(p, nil)
	}
	if p.close {
		s.drop(p)
		return false
	}
	return s.watch(p, unix.EPOLLIN)
}

func (s *server) watch(p *peer, mask uint32) bool {
	if p.mask == mask {
		return true
	}
	p.mask = mask
	if s.poll.mod(p.fd, mask, int32(p.fd), p.gen) != nil {
		s.drop(p)
		return false
	}
	return true
}

func (s *server) drop(p *peer) {
	s.peers[p.fd] = nil
	unix.Close(p.fd)
}
