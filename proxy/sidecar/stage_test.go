//go:build linux

package sidecar

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
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

// talker is one end of a stream, which may be TLS.
type talker interface {
	net.Conn
	CloseWrite() error
}

// stage is where a scene is played: what either side sees is said.
type stage struct {
	t              *testing.T
	addr           string // of the proxy
	ln             *net.TCPListener
	client, server *tls.Config // nil where that side is in clear text
	rawC, rawU     *net.TCPConn
	c, u           talker
	said           []string
}

func (s *stage) say(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

// meet connects the client and waits for the proxy to connect to the server.
func (s *stage) meet() {
	s.dial()
	s.accept()
	require.NoError(s.t, s.serve())
	require.NoError(s.t, s.shake())
}

func (s *stage) dial() {
	c, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	s.t.Cleanup(func() { c.Close() })
	s.rawC = c.(*net.TCPConn)
	s.c = s.rawC
}

func (s *stage) accept() {
	s.ln.SetDeadline(time.Now().Add(30 * time.Second))
	u, err := s.ln.AcceptTCP()
	require.NoError(s.t, err)
	u.SetDeadline(time.Now().Add(30 * time.Second))
	s.t.Cleanup(func() { u.Close() })
	s.rawU = u
	s.u = u
	time.Sleep(beat / 2) // the proxy knows; before, it may hear of the client first
}

// serve takes the proxy's TLS, as the server; shake is the client's part.
func (s *stage) serve() error {
	if s.server == nil {
		return nil
	}
	config := s.server.Clone()
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		s.say("server sees sni=%q alpn=%q", h.ServerName, h.SupportedProtos)
		return nil, nil
	}
	u := tls.Server(s.rawU, config)
	s.u = u
	err := u.Handshake()
	if err == nil {
		st := u.ConnectionState()
		s.say("server sees %s %s, %d certificates", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), len(st.PeerCertificates))
	}
	return err
}

func (s *stage) shake() error {
	if s.client == nil {
		return nil
	}
	c := tls.Client(s.rawC, s.client)
	s.c = c
	return c.Handshake()
}

// hear says what comes next: so many bytes, or the end.
func (s *stage) hear(who string, c net.Conn, n int) {
	b := make([]byte, n)
	k, err := io.ReadFull(c, b)
	var op *net.OpError
	how := "ok"
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNRESET):
		how = "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		how = "end"
	case errors.As(err, &op) && op.Op == "remote error":
		how = "alert"
	default:
		how = err.Error()
	}
	s.say("%s hears %q, %s", who, b[:k], how)
}

func write(t *testing.T, c net.Conn, text string) {
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

// playWithEnvoy has the Envoy at path and ours, each a TCP proxy by config in front of a
// server, show scenes on stages that ready makes: what the two sides see is the same, and
// so are the counters.
func playWithEnvoy(t *testing.T, path string, scenes []scene, config func(target string) mesh.Config, ready func(*stage)) {
	t.Helper()
	shown := likewise(t, func() pair {
		up, free := upstreams(t, 2), reserve(t, 2)
		cfg := config(up[0].Addr().String())
		cfg.Listeners[0].Address, cfg.Admin = free[0], free[1]
		startEnvoy(t, path, cfg, free[0])
		wantSaid, wantStats := playAll(t, scenes, free[0], free[1], up[0], ready)

		cfg = config(up[1].Addr().String())
		cfg.Admin = "127.0.0.1:0"
		s := start(t, cfg, Options{Concurrency: 1})
		c, err := net.Dial("tcp", s.Addrs()[0].String()) // as startEnvoy does
		require.NoError(t, err)
		c.Close()
		said, stats := playAll(t, scenes, s.Addrs()[0].String(), s.AdminAddr().String(), up[1], ready)
		both := comparable(wantStats, stats, func(name string) bool { return !strings.HasPrefix(name, "server.") })
		return pair{wantSaid + both.envoy, said + both.ours}
	})
	require.Greater(t, len(regexp.MustCompile(`(?m)^\S+: [1-9]\d*$`).FindAllString(shown, -1)), 20, "counters that are not 0")
}

// playAll plays scenes with the proxy at addr, and returns what was said and how the
// counters moved.
func playAll(t *testing.T, scenes []scene, addr, admin string, ln net.Listener, ready func(*stage)) (said string, stats map[string]uint64) {
	for { // the connection of who waited for the proxy, all attempts of it
		ln.(*net.TCPListener).SetDeadline(time.Now().Add(3 * beat))
		c, err := ln.Accept()
		if err != nil {
			break
		}
		c.Close()
	}
	before := tcpStats(t, admin)
	for _, sc := range scenes {
		target := ln.Addr().String()
		s := &stage{t: t, addr: addr, ln: ln.(*net.TCPListener)}
		ready(s)
		sc.play(s)
		said += sc.name + ":\n" + strings.Join(s.said, "\n") + "\n"
		s.rawC.Close()
		if s.rawU != nil { // with bytes unread its close would be a reset
			s.rawU.SetReadDeadline(time.Now().Add(beat))
			io.Copy(io.Discard, s.rawU)
			s.rawU.Close()
		}
		time.Sleep(50 * time.Millisecond)
		if sc.name == "nobody listens" {
			var err error
			ln, err = net.Listen("tcp", target)
			require.NoError(t, err)
			t.Cleanup(func() { ln.Close() })
		}
	}
	stats = tcpStats(t, admin)
	for name := range stats {
		stats[name] -= before[name]
	}
	return said, stats
}

// tcpStats are the counters of a proxy with one listener and one endpoint, those of the
// endpoint among them.
func tcpStats(t *testing.T, admin string) map[string]uint64 {
	stats := map[string]uint64{}
	for name, n := range adminStats(t, admin) {
		stats[listenerAddr.ReplaceAllString(name, "listener.ADDR.")] = n
	}
	for line := range strings.Lines(askAdmin(t, admin, "GET", "/clusters").body) {
		if f := strings.Split(strings.TrimSpace(line), "::"); len(f) == 4 {
			if n, err := strconv.ParseUint(f[3], 10, 64); err == nil {
				stats["endpoint."+f[2]] = n
			}
		}
	}
	return stats
}
