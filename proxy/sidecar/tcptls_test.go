//go:build linux

package sidecar

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// talker is one end of a stream, which may be TLS.
type talker interface {
	net.Conn
	CloseWrite() error
}

// secured is a stage for a TCP proxy with TLS on one side or both.
type secured struct {
	t            *testing.T
	w            *secureWorld
	down, up     bool // which of the sides
	addr         string
	ln           *net.TCPListener
	rawC, rawU   *net.TCPConn
	c, u         talker
	client, serv *tls.Config
	said         []string
}

func (s *secured) say(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

func (s *secured) dial() {
	c, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	s.t.Cleanup(func() { c.Close() })
	s.rawC = c.(*net.TCPConn)
	s.c = s.rawC
}

func (s *secured) accept() {
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
func (s *secured) serve() error {
	if !s.up {
		return nil
	}
	config := s.serv.Clone()
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

func (s *secured) shake() error {
	if !s.down {
		return nil
	}
	c := tls.Client(s.rawC, s.client)
	s.c = c
	return c.Handshake()
}

// meet connects both.
func (s *secured) meet() {
	s.dial()
	s.accept()
	require.NoError(s.t, s.serve())
	require.NoError(s.t, s.shake())
}

// hear says what comes next: so many bytes, or the end.
func (s *secured) hear(who string, c net.Conn, n int) {
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

type securedScene struct {
	name     string
	down, up bool // sides that have to have TLS for it
	play     func(s *secured)
}

func securedScenes() []securedScene {
	return []securedScene{
		{"both ways, the client ends first", false, false, func(s *secured) {
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
		{"the server speaks first, and ends first", false, false, func(s *secured) {
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
		{"the client closes without a word", false, false, func(s *secured) {
			s.meet()
			write(s.t, s.c, "x")
			s.hear("server", s.u, 1)
			s.rawC.Close()
			s.hear("server", s.u, 1)
		}},
		{"the server closes without a word", false, false, func(s *secured) {
			s.meet()
			write(s.t, s.u, "x")
			s.hear("client", s.c, 1)
			s.rawU.Close()
			s.hear("client", s.c, 1)
		}},
		{"the client resets", false, false, func(s *secured) {
			s.meet()
			write(s.t, s.c, "x")
			s.hear("server", s.u, 1)
			s.rawC.SetLinger(0)
			s.rawC.Close()
			s.hear("server", s.u, 1)
		}},
		{"the server resets", false, false, func(s *secured) {
			s.meet()
			write(s.t, s.u, "x")
			s.hear("client", s.c, 1)
			s.rawU.SetLinger(0)
			s.rawU.Close()
			s.hear("client", s.c, 1)
		}},
		{"bulk both ways", false, false, func(s *secured) {
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
		{"neither speaks", false, false, func(s *secured) {
			s.meet()
			s.hear("client", s.c, 1)
			s.hear("server", s.u, 1)
		}},
		{"nobody listens", false, false, func(s *secured) {
			s.ln.Close()
			s.dial()
			time.Sleep(beat) // it is known by then
			s.say("client: %v", s.shake() == nil)
			s.hear("client", s.rawC, 1)
		}},
		{"the client waits for the server", true, true, func(s *secured) {
			s.dial()
			s.accept()
			time.Sleep(beat) // Envoy answers what is there when it accepts
			met := make(chan error, 1)
			go func() { met <- s.shake() }()
			select {
			case err := <-met:
				s.say("the client is first: %v", err)
				met <- err
			case <-time.After(beat):
			}
			require.NoError(s.t, s.serve())
			require.NoError(s.t, <-met)
			write(s.t, s.u, "x")
			s.hear("client", s.c, 1)
		}},
		{"the client speaks clear text", true, false, func(s *secured) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			write(s.t, s.rawC, "GET / HTTP/1.1\r\n\r\n")
			s.hear("server", s.u, 1)
		}},
		{"the client says nothing, and closes", true, false, func(s *secured) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.rawC.Close()
			s.hear("server", s.u, 1)
		}},
		{"the client says nothing, for too long", true, false, func(s *secured) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.hear("server", s.u, 1)
			s.hear("client", s.rawC, 1)
		}},
		{"the client has another name", true, false, func(s *secured) {
			s.client = s.w.tlsClient(s.w.other)
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.shake()
			s.hear("server", s.u, 1)
		}},
		{"the client has no certificate", true, false, func(s *secured) {
			s.client = s.w.tlsClient()
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.shake()
			s.hear("server", s.u, 1)
		}},
		{"the client sends a record that is none", true, false, func(s *secured) {
			s.meet()
			write(s.t, s.c, "x")
			s.hear("server", s.u, 1)
			write(s.t, s.rawC, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			s.hear("server", s.u, 1)
		}},
		{"the server has another name", false, true, func(s *secured) {
			s.serv = s.w.tlsServer(s.w.other)
			s.dial()
			for range 2 { // attempts
				s.accept()
				s.say("server: %v", s.serve() == nil)
			}
			s.shake()
			s.hear("client", s.rawC, 1)
		}},
		{"the server speaks clear text", false, true, func(s *secured) {
			s.dial()
			for range 2 {
				s.accept()
				write(s.t, s.rawU, "220 hello\r\n")
			}
			s.shake()
			s.hear("client", s.rawC, 1)
		}},
		{"the server sends a record that is none", false, true, func(s *secured) {
			s.meet()
			write(s.t, s.u, "x")
			s.hear("client", s.c, 1)
			write(s.t, s.rawU, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			s.hear("client", s.c, 1)
		}},
	}
}

// TestTCPOverTLSWithEnvoy plays every scene with both proxies, with TLS on one
// side, on the other and on both.
func TestTCPOverTLSWithEnvoy(t *testing.T) {
	path, w := envoy(t), newSecureWorld(t)
	for _, side := range []struct {
		name     string
		down, up bool
	}{{"of the client", true, false}, {"of the server", false, true}, {"of both", true, true}} {
		t.Run(side.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			play := func(addr, admin string, ln net.Listener) (said []string, stats map[string]uint64) {
				before := adminStats(t, admin)
				for _, sc := range securedScenes() {
					if sc.down && !side.down || sc.up && !side.up {
						continue
					}
					target := ln.Addr().String()
					s := &secured{t: t, w: w, down: side.down, up: side.up, addr: addr, ln: ln.(*net.TCPListener), client: w.tlsClient(w.client), serv: w.tlsServer(w.server)}
					sc.play(s)
					said = append(said, sc.name+":\n"+strings.Join(s.said, "\n"))
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
				stats = map[string]uint64{}
				for name, n := range adminStats(t, admin) {
					stats[listenerAddr.ReplaceAllString(name, "listener.ADDR.")] = n - before[name]
				}
				return said, stats
			}
			config := func(target string) mesh.Config {
				cfg := tcpProxied(target)
				cfg.Listeners[0].TCP.Idle = 2 * time.Second
				if side.down {
					cfg.Listeners[0].TLS = w.mutual(target).Listeners[0].TLS
					cfg.Listeners[0].TLS.ALPN = nil
					cfg.Listeners[0].Handshake = 1200 * time.Millisecond
				}
				if side.up {
					cfg = w.originate(cfg)
				}
				return cfg
			}
			shown := likewise(t, func() pair {
				up := upstreams(t, 2)
				free := reserve(t, 2)
				cfg := config(up[0].Addr().String())
				cfg.Listeners[0].Address, cfg.Admin = free[0], free[1]
				startEnvoy(t, path, cfg, free[0])
				for { // startEnvoy's own connection, all attempts of it
					up[0].(*net.TCPListener).SetDeadline(time.Now().Add(3 * beat))
					c, err := up[0].Accept()
					if err != nil {
						break
					}
					c.Close()
				}
				wantSaid, wantStats := play(free[0], free[1], up[0])

				cfg = config(up[1].Addr().String())
				cfg.Admin = "127.0.0.1:0"
				s := start(t, cfg, Options{Concurrency: 1})
				said, stats := play(s.Addrs()[0].String(), s.AdminAddr().String(), up[1])
				return saidAndCounted(wantSaid, said, wantStats, stats)
			})
			require.Greater(t, countedOf(shown), 20)
		})
	}
}

// Filter chains of names lead to TCP proxies: one that takes the TLS off, one that
// passes it on as it came, and one for what is no TLS.
func TestTCPByNameWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	echo := func(who string) func(c net.Conn, r *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			line, _ := r.ReadString('\n')
			io.WriteString(c, who+" "+line)
		}
	}
	behind := w.tlsServer(w.server)
	behind.ClientAuth = tls.NoClientCert
	names := []string{"ended", "passed", "clear", "http"}
	cfg := mesh.Config{Node: "names", Clusters: []mesh.Cluster{
		{Name: "ended", Endpoints: []mesh.Endpoint{{Address: answer(t, echo("ended"))}}},
		{Name: "passed", Endpoints: []mesh.Endpoint{{Address: w.answerTLS(t, behind, echo("passed"))}}},
		{Name: "clear", Endpoints: []mesh.Endpoint{{Address: answer(t, echo("clear"))}}},
		{Name: "http", Endpoints: []mesh.Endpoint{{Address: answer(t, ok("http"))}}},
	}}
	serverTLS := &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{w.server.certificate()}}}
	for i, m := range []mesh.ChainMatch{{ServerNames: []string{"ended.example"}}, {ServerNames: []string{"passed.example"}}, {Transport: "raw_buffer"}, {ServerNames: []string{"http.example"}}} {
		l := mesh.Listener{Name: "in", StatPrefix: names[i], Match: m}
		if names[i] == "http" {
			l.VirtualHosts = []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "http"}}}}
		} else {
			l.TCP = &mesh.TCPProxy{Cluster: names[i], Idle: time.Minute}
		}
		if names[i] == "ended" || names[i] == "http" {
			l.TLS = serverTLS
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	say := func(c net.Conn, text string) string {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, text)
		if text == get {
			_, body := ask(t, c, bufio.NewReader(c), "")
			return body + "\n"
		}
		b, err := io.ReadAll(c)
		time.Sleep(beat / 2) // the server closes first
		return string(b) + conformance.Reason(err) + "\n"
	}
	run := func(begin func()) string {
		begin()
		addr, admin := cfg.Listeners[0].Address, cfg.Admin
		base := tlsStats(t, admin)
		out := ""
		for _, name := range []string{"ended.example", "passed.example", "http.example"} {
			for range 2 {
				raw, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				c := tls.Client(raw, &tls.Config{RootCAs: w.ca.pool(), ServerName: name, InsecureSkipVerify: true})
				text := "hi\n"
				if name == "http.example" {
					text = get
				}
				out += name + ": " + say(c, text)
				c.Close()
			}
		}
		raw, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer raw.Close()
		out += "clear text: " + say(raw, "hello\n")
		return out + tlsChange(base, tlsStats(t, admin))
	}
	at := func(addrs []string) {
		for i := range cfg.Listeners {
			cfg.Listeners[i].Address = addrs[0]
		}
		cfg.Admin = addrs[1]
	}
	path := envoy(t)
	want := run(func() { at(reserve(t, 2)); startEnvoy(t, path, cfg, cfg.Listeners[0].Address) })
	got := run(func() { at(reserve(t, 2)); start(t, cfg, Options{Concurrency: 1}) })
	require.Equal(t, want, got)
	for _, name := range names[:3] {
		require.Contains(t, got, name+" h")
	}
}
