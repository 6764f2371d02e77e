//go:build linux

package sidecar

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// scene is what a client and a server do with a TCP proxy between them.
type scene struct {
	name string
	play func(s *stage)
}

// stage is where a scene is played: what either side sees is said.
type stage struct {
	t    *testing.T
	addr string // of the proxy
	ln   *net.TCPListener
	c, u *net.TCPConn
	said []string
}

func (s *stage) say(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

// meet connects the client and waits for the proxy to connect to the server.
func (s *stage) meet() {
	s.dial()
	s.ln.SetDeadline(time.Now().Add(20 * time.Second))
	u, err := s.ln.AcceptTCP()
	require.NoError(s.t, err)
	u.SetDeadline(time.Now().Add(20 * time.Second))
	s.u = u
	s.t.Cleanup(func() { u.Close() })
}

func (s *stage) dial() {
	c, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.c = c.(*net.TCPConn)
	s.c.SetDeadline(time.Now().Add(20 * time.Second))
	s.t.Cleanup(func() { c.Close() })
}

// hear says what comes next: so many bytes, or the end.
func (s *stage) hear(who string, c net.Conn, n int) {
	b := make([]byte, n)
	k, err := io.ReadFull(c, b)
	how := "ok"
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNRESET):
		how = "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		how = "end"
	default:
		how = err.Error()
	}
	s.say("%s hears %q, %s", who, b[:k], how)
}

func write(t *testing.T, c net.Conn, text string) {
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

var scenes = []scene{
	{"both ways, the client ends first", func(s *stage) {
		s.meet()
		write(s.t, s.c, "hello")
		s.hear("server", s.u, 5)
		write(s.t, s.u, "hi")
		s.hear("client", s.c, 2)
		s.c.CloseWrite()
		s.hear("server", s.u, 1)
		write(s.t, s.u, "more")
		s.hear("client", s.c, 4)
		s.u.Close()
		s.hear("client", s.c, 1)
	}},
	{"the server speaks first, and ends first", func(s *stage) {
		s.meet()
		write(s.t, s.u, "greeting")
		s.hear("client", s.c, 8)
		s.u.CloseWrite()
		s.hear("client", s.c, 1)
		write(s.t, s.c, "late")
		s.hear("server", s.u, 4)
		s.c.Close()
		s.hear("server", s.u, 1)
	}},
	{"the client resets", func(s *stage) {
		s.meet()
		write(s.t, s.c, "x")
		s.hear("server", s.u, 1)
		s.c.SetLinger(0)
		s.c.Close()
		s.hear("server", s.u, 1)
	}},
	{"the server resets", func(s *stage) {
		s.meet()
		write(s.t, s.u, "x")
		s.hear("client", s.c, 1)
		s.u.SetLinger(0)
		s.u.Close()
		s.hear("client", s.c, 1)
	}},
	{"the client closes with bytes unread", func(s *stage) {
		s.meet()
		write(s.t, s.c, "ask")
		s.hear("server", s.u, 3)
		write(s.t, s.u, "answer")
		s.hear("client", s.c, 6)
		s.c.Close()
		s.hear("server", s.u, 1)
	}},
	{"neither speaks", func(s *stage) {
		s.meet()
		began := time.Now()
		s.hear("client", s.c, 1)
		s.hear("server", s.u, 1)
		s.say("after the idle timeout: %v", time.Since(began) > 900*time.Millisecond && time.Since(began) < 15*time.Second)
	}},
	{"nobody listens", func(s *stage) {
		s.ln.Close()
		s.dial()
		s.hear("client", s.c, 1)
	}},
}

// tcpProxied describes a TCP proxy in front of one address.
func tcpProxied(target string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: target})
	cfg.Listeners[0].VirtualHosts = nil
	cfg.Listeners[0].TCP = &mesh.TCPProxy{Cluster: "app", Idle: time.Second, Attempts: 2}
	return cfg
}

// TestTCPProxyWithEnvoy plays every scene with both: what the two sides see is the
// same, and so are the counters.
func TestTCPProxyWithEnvoy(t *testing.T) {
	path := envoy(t)
	play := func(addr, admin string, ln net.Listener) (said []string, stats map[string]uint64) {
		for _, sc := range scenes {
			s := &stage{t: t, addr: addr, ln: ln.(*net.TCPListener)}
			sc.play(s)
			said = append(said, sc.name+":\n"+strings.Join(s.said, "\n"))
			time.Sleep(50 * time.Millisecond)
		}
		stats = map[string]uint64{}
		for name, n := range adminStats(t, admin) {
			stats[listenerAddr.ReplaceAllString(name, "listener.ADDR.")] = n
		}
		for line := range strings.Lines(askAdmin(t, admin, "GET", "/clusters").body) {
			if f := strings.Split(strings.TrimSpace(line), "::"); len(f) == 4 && f[2] != "success_rate" {
				said = append(said, f[2]+" "+f[3])
			}
		}
		return said, stats
	}
	shown := likewise(t, func() pair {
		up := upstreams(t, 2)
		free := reserve(t, 2)
		cfg := tcpProxied(up[0].Addr().String())
		cfg.Listeners[0].Address, cfg.Admin = free[0], free[1]
		startEnvoy(t, path, cfg, free[0])
		drop(t, up[0]) // startEnvoy's own connection
		wantSaid, wantStats := play(free[0], free[1], up[0])

		cfg = tcpProxied(up[1].Addr().String())
		cfg.Admin = "127.0.0.1:0"
		s := start(t, cfg, Options{Concurrency: 1})
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		require.NoError(t, err)
		c.Close()
		drop(t, up[1])
		said, stats := play(s.Addrs()[0].String(), s.AdminAddr().String(), up[1])
		return saidAndCounted(wantSaid, said, wantStats, stats)
	})
	require.Greater(t, countedOf(shown), 20)
}

// saidAndCounted is what was seen of both, and their counters.
func saidAndCounted(theySaid, weSaid []string, theirs, ours map[string]uint64) pair {
	stats := comparable(theirs, ours, func(name string) bool { return !strings.HasPrefix(name, "server.") })
	return pair{strings.Join(theySaid, "\n") + "\n" + stats.envoy, strings.Join(weSaid, "\n") + "\n" + stats.ours}
}

// countedOf is how many counters of what saidAndCounted has are not 0.
func countedOf(shown string) int {
	return len(regexp.MustCompile(`(?m)^\S+: [1-9]\d*$`).FindAllString(shown, -1))
}

func drop(t *testing.T, ln net.Listener) {
	c, err := ln.Accept()
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, c)
	require.NoError(t, err)
	c.Close()
	time.Sleep(50 * time.Millisecond)
}

// Megabytes both ways at once, to readers that stop now and then: every byte
// arrives, and what waits in the proxy is bounded.
func TestTCPProxyBulk(t *testing.T) {
	const size = 8 << 20
	ln := upstreams(t, 1)[0]
	cfg := tcpProxied(ln.Addr().String())
	cfg.Listeners[0].TCP.Idle = 0
	s := start(t, cfg, Options{Concurrency: 1})
	st := &stage{t: t, addr: s.Addrs()[0].String(), ln: ln.(*net.TCPListener)}
	st.meet()
	var wg sync.WaitGroup
	send := func(c *net.TCPConn, seed uint64) {
		wg.Go(func() {
			_, err := c.Write(noise(seed, size))
			require.NoError(t, err)
			c.CloseWrite()
		})
	}
	recv := func(c net.Conn, seed uint64) {
		wg.Go(func() {
			var got bytes.Buffer
			buf := make([]byte, 100_000)
			for i := 0; ; i++ {
				n, err := c.Read(buf)
				got.Write(buf[:n])
				if err != nil {
					require.Equal(t, io.EOF, err)
					break
				}
				if i%50 == 0 {
					time.Sleep(2 * time.Millisecond)
				}
			}
			require.Equal(t, sha256.Sum256(noise(seed, size)), sha256.Sum256(got.Bytes()))
		})
	}
	st.c.SetDeadline(time.Now().Add(120 * time.Second))
	st.u.SetDeadline(time.Now().Add(120 * time.Second))
	send(st.c, 1)
	send(st.u, 2)
	recv(st.u, 1)
	recv(st.c, 2)
	wg.Wait()
	eventually(t, s, "listener."+addrOf(s.Addrs()[0])+".downstream_cx_active", 0)
	require.EqualValues(t, size, stat(t, s, "tcp.in.downstream_cx_rx_bytes_total"))
	require.EqualValues(t, size, stat(t, s, "cluster.app.upstream_cx_rx_bytes_total"))
	require.Zero(t, stat(t, s, "cluster.app.upstream_cx_active"))
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

// The circuit breaker of connections turns a client away, and lets the next in
// when one has left.
func TestTCPProxyBreaker(t *testing.T) {
	ln := upstreams(t, 1)[0]
	cfg := tcpProxied(ln.Addr().String())
	cfg.Listeners[0].TCP.Idle = 0
	cfg.Clusters[0].Breakers = &mesh.Breakers{MaxConnections: 1, MaxPending: 1, MaxRequests: 1}
	s := start(t, cfg, Options{Concurrency: 1})
	st := &stage{t: t, addr: s.Addrs()[0].String(), ln: ln.(*net.TCPListener)}
	st.meet()
	first := st.c
	st.dial()
	st.hear("client", st.c, 1)
	require.Equal(t, []string{`client hears "", end`}, st.said)
	require.EqualValues(t, 1, stat(t, s, "cluster.app.upstream_cx_overflow"))
	first.Close()
	st.u.Close()
	eventually(t, s, "cluster.app.upstream_cx_active", 0)
	st.meet()
	write(t, st.c, "x")
	st.hear("server", st.u, 1)
	require.Equal(t, `server hears "x", ok`, st.said[1])
}

// The next attempt is made at whichever endpoint has its turn.
func TestTCPProxyTriesAnother(t *testing.T) {
	ln := upstreams(t, 1)[0]
	cfg := tcpProxied(ln.Addr().String())
	cfg.Clusters[0].Endpoints = append(cfg.Clusters[0].Endpoints, mesh.Endpoint{Address: "127.0.0.1:1"})
	s := start(t, cfg, Options{Concurrency: 1})
	for range 3 {
		st := &stage{t: t, addr: s.Addrs()[0].String(), ln: ln.(*net.TCPListener)}
		st.meet()
		write(t, st.c, "x")
		st.hear("server", st.u, 1)
		require.Equal(t, []string{`server hears "x", ok`}, st.said)
	}
	require.GreaterOrEqual(t, stat(t, s, "cluster.app.upstream_cx_connect_fail"), uint64(2))
	require.Zero(t, stat(t, s, "cluster.app.upstream_cx_connect_attempts_exceeded"))
}

// An endpoint that never answers is given up after the connect timeout, as often
// as there are attempts.
func TestTCPProxyConnectTimeout(t *testing.T) {
	cfg := tcpProxied(blackhole(t))
	cfg.Clusters[0].ConnectTimeout = 200 * time.Millisecond
	s := start(t, cfg, Options{Concurrency: 1})
	st := &stage{t: t, addr: s.Addrs()[0].String()}
	began := time.Now()
	st.dial()
	st.hear("client", st.c, 1)
	require.Equal(t, []string{`client hears "", end`}, st.said)
	require.GreaterOrEqual(t, time.Since(began), 400*time.Millisecond)
	require.EqualValues(t, 2, stat(t, s, "cluster.app.upstream_cx_connect_timeout"))
	require.EqualValues(t, 1, stat(t, s, "cluster.app.upstream_cx_connect_attempts_exceeded"))
}
