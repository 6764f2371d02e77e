//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// ofBoth are scenes for TLS on both sides.
func (w *secureWorld) ofBoth() []scene {
	return []scene{
		{"the client waits for the server", func(s *stage) {
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
	}
}

// ofClient are scenes for TLS with the client.
func (w *secureWorld) ofClient() []scene {
	return []scene{
		{"the client speaks clear text", func(s *stage) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			write(s.t, s.rawC, "GET / HTTP/1.1\r\n\r\n")
			s.hear("server", s.u, 1)
		}},
		{"the client says nothing, and closes", func(s *stage) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.rawC.Close()
			s.hear("server", s.u, 1)
		}},
		{"the client says nothing, for too long", func(s *stage) {
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.hear("server", s.u, 1)
			s.hear("client", s.rawC, 1)
		}},
		{"the client has another name", func(s *stage) {
			s.client = w.tlsClient(w.other)
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.shake()
			s.hear("server", s.u, 1)
		}},
		{"the client has no certificate", func(s *stage) {
			s.client = w.tlsClient()
			s.dial()
			s.accept()
			require.NoError(s.t, s.serve())
			s.shake()
			s.hear("server", s.u, 1)
		}},
		{"the client sends a record that is none", func(s *stage) {
			s.meet()
			write(s.t, s.c, "x")
			s.hear("server", s.u, 1)
			write(s.t, s.rawC, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			s.hear("server", s.u, 1)
		}},
	}
}

// ofServer are scenes for TLS with the server.
func (w *secureWorld) ofServer() []scene {
	return []scene{
		{"the server has another name", func(s *stage) {
			s.server = w.tlsServer(w.other)
			s.dial()
			for range 2 { // attempts
				s.accept()
				s.say("server: %v", s.serve() == nil)
			}
			s.shake()
			s.hear("client", s.rawC, 1)
		}},
		{"the server speaks clear text", func(s *stage) {
			s.dial()
			for range 2 {
				s.accept()
				write(s.t, s.rawU, "220 hello\r\n")
			}
			s.shake()
			s.hear("client", s.rawC, 1)
		}},
		{"the server sends a record that is none", func(s *stage) {
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
		more     []scene
	}{
		{"of the client", true, false, w.ofClient()},
		{"of the server", false, true, w.ofServer()},
		{"of both", true, true, slices.Concat(w.ofBoth(), w.ofClient(), w.ofServer())},
	} {
		t.Run(side.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
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
			playWithEnvoy(t, path, slices.Concat(scenes, side.more), config, func(s *stage) {
				if side.down {
					s.client = w.tlsClient(w.client)
				}
				if side.up {
					s.server = w.tlsServer(w.server)
				}
			})
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
