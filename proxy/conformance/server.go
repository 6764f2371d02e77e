package conformance

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// port is where one endpoint of a cluster listens.
type port struct {
	net.Listener
	cluster string
}

// server is all upstreams of a case: whichever of its connections has a request
// is the one that answers.
type server struct {
	ports []port
	conns chan *peer
	over  chan struct{}
	heads chan string // what echo saw
	ready sync.WaitGroup

	mu      sync.Mutex
	open    []*peer
	cur     *peer
	echoing bool
}

func newServer(ports []port) *server {
	s := &server{ports: ports, conns: make(chan *peer, 64), heads: make(chan string, 64), over: make(chan struct{})}
	for _, p := range ports {
		go s.accept(p)
	}
	return s
}

func (s *server) accept(ln port) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		p := newPeer(c, len(s.open)+1)
		p.cluster = ln.cluster
		s.open = append(s.open, p)
		s.mu.Unlock()
		s.watch(p)
	}
}

// watch puts p in line once there is something to read from it.
func (s *server) watch(p *peer) {
	if !p.watched.CompareAndSwap(false, true) {
		return
	}
	s.ready.Add(1)
	go func() {
		defer s.ready.Done()
		p.SetReadDeadline(time.Time{})
		_, err := p.r.Peek(1)
		p.watched.Store(false)
		if err == nil {
			s.conns <- p
		}
	}()
}

// echo answers all requests from here on, see asks.
func (s *server) echo() {
	if s.echoing {
		return
	}
	s.echoing = true
	s.ready.Add(1)
	go func() {
		defer s.ready.Done()
		for {
			var p *peer
			select {
			case p = <-s.conns:
			case <-s.over:
				return
			}
			p.SetDeadline(time.Now().Add(patience))
			lines := strings.Split(strings.TrimSuffix(p.message(false, false), "\n"), "\n")
			fields := ""
			for _, l := range lines {
				if f, ok := strings.CutPrefix(l, "x-answer: "); ok {
					fields += f + "\r\n"
				}
			}
			s.heads <- strings.Join(lines, " | ")
			fmt.Fprintf(p, "HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s", fields, len(p.cluster), p.cluster)
			s.watch(p)
		}
	}()
}

// saw is the request that echo has answered, if one has come.
func (s *server) saw() (string, bool) {
	select {
	case h := <-s.heads:
		return h, true
	default:
		return "", false
	}
}

func (s *server) do(w []string, st *step) string {
	switch w[0] {
	case "quiet":
		select {
		case p := <-s.conns:
			b, _ := p.r.Peek(p.r.Buffered())
			return fmt.Sprintf("%s: %q\n", p, randomID.ReplaceAll(b, []byte("x-request-id: UUID")))
		case <-time.After(150 * time.Millisecond):
			return ""
		}
	case "use":
		n, _ := strconv.Atoi(w[1])
		s.mu.Lock()
		defer s.mu.Unlock()
		if n < 1 || n > len(s.open) {
			return "no such connection\n"
		}
		s.cur = s.open[n-1]
		return ""
	case "recv":
		if s.cur != nil {
			s.watch(s.cur)
		}
		s.cur = nil
		select {
		case s.cur = <-s.conns:
		case <-time.After(patience):
			return "nothing\n"
		}
		return s.cur.String() + "\n" + s.cur.do(w, st, false)
	}
	if s.cur == nil {
		return "no connection\n"
	}
	return s.cur.do(w, st, false)
}

func (s *server) close() {
	close(s.over)
	for _, p := range s.ports {
		p.Close()
	}
	s.mu.Lock()
	for _, p := range s.open {
		p.Close()
	}
	s.mu.Unlock()
	s.ready.Wait()
}
