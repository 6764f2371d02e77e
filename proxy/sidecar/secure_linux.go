package sidecar

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// secure is TLS on a sock: crypto/tls between what the proxy reads and writes and
// the socket, which never blocks.
//
// Once the handshake is over crypto/tls gives way by itself: a read for which the
// socket has not enough returns the socket's temporary error, and is taken up where
// it was when more has come. A handshake cannot be left and taken up again. It runs
// in a coroutine (iter.Pull) that is switched to when the socket has something, on
// the worker's own thread: no other goroutine, no lock, no copy.
//
// It is the net.Conn that crypto/tls has below it.
type secure struct {
	s    *sock
	conn *tls.Conn
	c    *mesh.TLSCounters
	peer netip.AddrPort
	more bool // the socket may have something

	next  func() (struct{}, bool) // goes on with the handshake; nil when it is over
	stop  func()
	yield func(struct{}) bool
	err   error // what the handshake came to, or the stream

	sealing bool // records go into the worker's cipher, not to the socket
	mute    bool // nothing more is sent

	keeps bool // what is read is kept in kept
	kept  []byte
}

// newSecure puts TLS on s, the client's part of it if client is true. handshake
// begins it.
func newSecure(s *sock, config *tls.Config, client bool, c *mesh.TLSCounters, peer netip.AddrPort) *secure {
	t := &secure{s: s, c: c, peer: peer, more: true}
	if client {
		t.conn = tls.Client(t, config)
	} else {
		t.conn = tls.Server(t, config)
	}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		t.err = t.conn.Handshake()
		t.yield = nil
	})
	return t
}

// handshake goes on with the handshake as far as it gets. It reports whether it is
// over; err says how it ended.
func (t *secure) handshake() (over bool) {
	if t.next == nil {
		return true
	}
	if _, more := t.next(); more {
		return false
	}
	t.next, t.stop = nil, nil
	t.s.rd = true // what came behind it is in t
	return true
}

// read is sock's. Where it returns something there may be more, which no event
// will tell of: rd stays set until crypto/tls has nothing left.
func (t *secure) read(b []byte) (n int, eof bool) {
	n, err := t.conn.Read(b)
	if n > 0 {
		return n, false
	}
	t.s.rd = false
	if err == errWouldBlock {
		return 0, false
	}
	if t.err == nil {
		if t.err = err; t.s.cut || err != io.EOF && err != io.ErrUnexpectedEOF {
			t.c.ConnectionError++
		}
	}
	return 0, true
}

// seal returns b as records. They are the worker's until the next call.
func (t *secure) seal(b []byte) []byte {
	w := t.s.w
	w.cipher, t.sealing = w.cipher[:0], true
	t.conn.Write(b)
	t.sealing = false
	return w.cipher
}

// failed reports whether the stream ended in anything but its end.
func (t *secure) failed() bool {
	return t.err != nil && t.err != io.EOF && t.err != io.ErrUnexpectedEOF
}

// close ends the stream, so that the peer knows that it has all of it. A handshake
// that is under way is left.
func (t *secure) close() {
	if t.next != nil {
		t.mute = true
		t.stop()
		t.next, t.stop = nil, nil
		return
	}
	if t.err == nil || t.err == io.EOF {
		t.conn.CloseWrite()
	}
}

// Read gives crypto/tls what came over the wire.
func (t *secure) Read(b []byte) (int, error) {
	for {
		if t.more {
			t.s.rd = true
			n, eof := t.s.receive(b)
			t.more, t.s.rd = t.s.rd, true
			switch {
			case n > 0:
				if t.keeps {
					t.kept = append(t.kept, b[:n]...)
				}
				return n, nil
			case eof && t.yield != nil && t.s.cut:
				return 0, errCut
			case eof && t.yield != nil:
				return 0, errLeft
			case eof:
				return 0, io.EOF
			}
		}
		if t.yield == nil {
			return 0, errWouldBlock
		}
		if !t.yield(struct{}{}) {
			return 0, errLeft
		}
	}
}

// Write takes crypto/tls's records. It never fails: what becomes of the socket is
// told by its events.
func (t *secure) Write(b []byte) (int, error) {
	switch w := t.s.w; {
	case t.mute:
	case t.sealing:
		w.cipher = append(w.cipher, b...)
	default:
		t.s.transmit(b)
	}
	return len(b), nil
}

// Close, the addresses and the deadlines make it a net.Conn. crypto/tls uses
// RemoteAddr, as the name of a session to resume.
func (t *secure) Close() error                     { return nil }
func (t *secure) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (t *secure) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(t.peer) }
func (t *secure) SetDeadline(time.Time) error      { return nil }
func (t *secure) SetReadDeadline(time.Time) error  { return nil }
func (t *secure) SetWriteDeadline(time.Time) error { return nil }

// errWouldBlock is the temporary error that leaves a tls.Conn as it was.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "sidecar: nothing to read yet" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// errNoChain ends the handshake of a connection that no filter chain is for.
var errNoChain = errors.New("sidecar: no filter chain matches")
