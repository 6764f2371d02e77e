//go:build linux

package nictest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic/nictest"
)

// sockets is the kernel's TCP on the loopback: a goroutine that blocks for each
// direction of a connection, and one loop that owns everything else.
type sockets struct {
	began time.Time
	loop  chan func()
	end   chan struct{}
}

func (s *sockets) post(f func()) {
	select {
	case s.loop <- f:
	case <-s.end:
	}
}

func (s *sockets) Now() time.Duration { return time.Since(s.began) }

func (s *sockets) After(d time.Duration, f func()) { time.AfterFunc(d, func() { s.post(f) }) }

func (s *sockets) Listen(at netip.AddrPort, _ nictest.Socket, accept func(nictest.Conn)) error {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	go func() { <-s.end; l.Close() }()
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			s.post(func() { accept(s.adopt(c)) })
		}
	}()
	return nil
}

func (s *sockets) Dial(to netip.AddrPort, _ nictest.Socket) (nictest.Conn, error) {
	c, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	return s.adopt(c), nil
}

type conn struct {
	*net.TCPConn
	s    *sockets
	f    func()
	got  []byte
	fail error
	out  chan []byte
	full bool          // what was written last is on its way still
	fin  bool          // nothing more will be
	all  chan struct{} // closed when everything was written
}

func (s *sockets) adopt(c *net.TCPConn) *conn {
	k := &conn{TCPConn: c, s: s, out: make(chan []byte, 1), all: make(chan struct{})}
	go func() {
		for {
			b := make([]byte, 1<<16)
			n, err := c.Read(b)
			s.post(func() { k.got = append(k.got, b[:n]...); k.fail = err; k.call() })
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for b := range k.out {
			c.Write(b)
			s.post(func() { k.full = false; k.call() })
		}
		c.CloseWrite()
		close(k.all)
	}()
	return k
}

func (k *conn) call() {
	if k.f != nil {
		k.f()
	}
}

func (k *conn) Notify(f func()) { k.f = f }

func (k *conn) Read(p []byte) (int, error) {
	n := copy(p, k.got)
	k.got = k.got[n:]
	switch {
	case n > 0:
		return n, nil
	case k.fail == nil:
		return 0, nictest.ErrAgain
	case errors.Is(k.fail, syscall.ECONNRESET):
		return 0, nictest.ErrReset
	}
	return 0, k.fail
}

func (k *conn) Write(p []byte) (int, error) {
	if k.full {
		return 0, nictest.ErrAgain
	}
	if len(p) > 0 {
		k.full = true
		k.out <- append([]byte(nil), p...)
	}
	return len(p), nil
}

func (k *conn) CloseWrite() error {
	if !k.fin {
		k.fin = true
		close(k.out)
	}
	return nil
}

func (k *conn) Close() error {
	k.f = nil
	k.CloseWrite()
	go func() { <-k.all; k.TCPConn.Close() }()
	return nil
}

func (k *conn) Reset() error {
	k.SetLinger(0)
	k.TCPConn.Close()
	return k.Close()
}

// The same conversations are held over the kernel's sockets: nothing in them is
// gVisor's.
func TestConversationsOverSockets(t *testing.T) {
	s := &sockets{began: time.Now(), loop: make(chan func()), end: make(chan struct{})}
	// An address of this process's own: nobody else takes a port between now and then.
	pid := os.Getpid()
	own := fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, max(pid&255, 1))
	held := 0
	for seed := uint64(0); held < 15; seed++ {
		c := nictest.Random(seed)
		if !brief(c) {
			continue
		}
		held++
		var clients, servers []nictest.TCP
		var listen []netip.AddrPort
		for range c.Clients {
			clients = append(clients, s)
		}
		for range c.Servers {
			l, err := net.Listen("tcp4", own)
			require.NoError(t, err)
			listen = append(listen, netip.MustParseAddrPort(l.Addr().String()))
			require.NoError(t, l.Close())
			servers = append(servers, s)
		}
		p, err := nictest.NewPlay(c, clients, servers, listen, func(i int) netip.AddrPort { return listen[c.Connections[i].Server] })
		require.NoError(t, err)
		late := time.After(2 * time.Minute)
		for !p.Done() {
			select {
			case f := <-s.loop:
				f()
			case <-late:
				t.Fatalf("seed %d is not over", seed)
			}
		}
		require.NoError(t, p.Err())
		r := &nictest.Record{Play: p, Finished: true}
		require.NoError(t, r.Check(nictest.View{}), "seed %d\n%s", seed, c)
	}
	close(s.end)
}

// brief reports whether a conversation needs no long waits in real time.
func brief(c *nictest.Conversation) bool {
	for _, k := range c.Connections {
		if k.End == nictest.EndServer && (len(k.Exchanges) == 0 || !k.Exchanges[len(k.Exchanges)-1].Answer.Close) {
			return false
		}
		for _, e := range k.Exchanges {
			if e.Answer.Delay > 100*time.Millisecond {
				return false
			}
		}
	}
	return true
}
