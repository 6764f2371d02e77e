//go:build linux

package sidecar

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// scenes are those for any TCP proxy.
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
	{"the client closes without a word", func(s *stage) {
		s.meet()
		write(s.t, s.c, "x")
		s.hear("server", s.u, 1)
		s.rawC.Close()
		s.hear("server", s.u, 1)
	}},
	{"the server closes without a word", func(s *stage) {
		s.meet()
		write(s.t, s.u, "x")
		s.hear("client", s.c, 1)
		s.rawU.Close()
		s.hear("client", s.c, 1)
	}},
	{"the client resets", func(s *stage) {
		s.meet()
		write(s.t, s.c, "x")
		s.hear("server", s.u, 1)
		s.rawC.SetLinger(0)
		s.rawC.Close()
		s.hear("server", s.u, 1)
	}},
	{"the server resets", func(s *stage) {
		s.meet()
		write(s.t, s.u, "x")
		s.hear("client", s.c, 1)
		s.rawU.SetLinger(0)
		s.rawU.Close()
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
	{"bulk both ways", func(s *stage) {
		const size = 1 << 20
		s.meet()
		var wg sync.WaitGroup
		got := make([][sha256.Size]byte, 2)
		wg.Go(func() { s.c.Write(noise(7, size)) })
		wg.Go(func() { s.u.Write(noise(7, size)); s.u.CloseWrite() })
		wg.Go(func() { b, _ := io.ReadAll(s.c); got[0] = sha256.Sum256(b) })
		wg.Go(func() {
			b := make([]byte, size)
			io.ReadFull(s.u, b)
			got[1] = sha256.Sum256(b)
		})
		wg.Wait()
		s.c.CloseWrite()
		s.hear("server", s.u, 1)
		want := sha256.Sum256(noise(7, size))
		s.say("all is there: %v %v", got[0] == want, got[1] == want)
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
		time.Sleep(beat) // it is known by then
		s.say("client: %v", s.shake() == nil)
		s.hear("client", s.rawC, 1)
	}},
}

// tcpProxied describes a TCP proxy in front of one address.
func tcpProxied(target string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: target})
	cfg.Listeners[0].VirtualHosts = nil
	cfg.Listeners[0].TCP = &mesh.TCPProxy{Cluster: "app", Idle: time.Second, Attempts: 2}
	return cfg
}

// TestTCPProxyWithEnvoy plays every scene with both proxies.
func TestTCPProxyWithEnvoy(t *testing.T) {
	playWithEnvoy(t, envoy(t), scenes, tcpProxied, func(*stage) {})
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
	send := func(c talker, seed uint64) {
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
