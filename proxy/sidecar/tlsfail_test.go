//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// A client that does not come to the end of its handshake is sent away, and others
// are served meanwhile.
func TestHandshakeTimeout(t *testing.T) {
	w := newSecureWorld(t)
	cfg := w.mutual(answer(t, ok("x")))
	cfg.Listeners[0].Handshake = time.Second
	s := start(t, cfg, Options{Concurrency: 1})
	slow := dial(t, s)
	_, err := io.WriteString(slow, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
	require.NoError(t, err)
	began := time.Now()
	c := tls.Client(dial(t, s), w.tlsClient(w.client))
	_, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, "x", body)
	_, err = io.ReadAll(slow)
	require.NoError(t, err)
	require.Greater(t, time.Since(began), 100*time.Millisecond)
	require.Less(t, time.Since(began), 30*time.Second, "not the minutes of an idle connection")
	require.Equal(t, uint64(1), stat(t, s, "listener."+addrOf(s.Addrs()[0])+".downstream_cx_transport_socket_connect_timeout"))
}

// TestHandshakeTimeoutWithEnvoy: Envoy has the same setting and counter.
func TestHandshakeTimeoutWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	cfg := w.mutual(answer(t, ok("x")))
	cfg.Listeners[0].Handshake = 200 * time.Millisecond
	bothTLS(t, cfg, "", func(addr, _ string) string {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "\x16\x03\x01\x02\x00")
		_, err = io.ReadAll(c)
		return conformance.Reason(err) + "\n"
	})
}

// A handshake that comes a byte at a time is as good as any other; so is a request.
func TestHandshakeByteByByte(t *testing.T) {
	w := newSecureWorld(t)
	s := start(t, w.mutual(answer(t, ok("x"))), Options{Concurrency: 1})
	c := tls.Client(&dribble{Conn: dial(t, s)}, w.tlsClient(w.client))
	_, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, "x", body)
}

// dribble writes byte by byte.
type dribble struct{ net.Conn }

func (d *dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A close comes with close_notify, and one without it is a close too.
func TestCloseNotify(t *testing.T) {
	w := newSecureWorld(t)
	s := start(t, w.mutual(answer(t, ok("x"))), Options{Concurrency: 1})
	c := tls.Client(dial(t, s), w.tlsClient(w.client))
	r := bufio.NewReader(c)
	ask(t, c, r, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	_, err := r.ReadByte()
	require.Equal(t, io.EOF, err, "without close_notify it would be an unexpected EOF")

	raw := dial(t, s)
	c = tls.Client(raw, w.tlsClient(w.client))
	ask(t, c, bufio.NewReader(c), get)
	raw.Close()
	eventually(t, s, "http.in.downstream_cx_active", 0)

	c = tls.Client(dial(t, s), w.tlsClient(w.client))
	ask(t, c, bufio.NewReader(c), get)
	require.NoError(t, c.CloseWrite())
	_, err = io.ReadAll(c)
	require.NoError(t, err)
	eventually(t, s, "http.in.downstream_cx_active", 0)
}

// Renegotiation is refused: the connection goes on as it was, or ends.
func TestRenegotiationIsRefused(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl, which can ask for one")
	}
	w := newSecureWorld(t)
	cfg := w.mutual(answer(t, ok("x")))
	cfg.Listeners[0].TLS.RequireClientCert = false
	s := start(t, cfg, Options{Concurrency: 1})
	cmd := exec.Command(openssl, "s_client", "-tls1_2", "-legacy_renegotiation", "-connect", s.Addrs()[0].String())
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	time.Sleep(200 * time.Millisecond)
	io.WriteString(in, "R\n") // s_client's command
	time.Sleep(300 * time.Millisecond)
	in.Close()
	cmd.Wait()
	require.Contains(t, out.String(), "RENEGOTIATING")
	require.Regexp(t, "(?i)no.renegotiation|closed|unexpected|error", out.String())
	eventually(t, s, "http.in.downstream_cx_active", 0)
	require.Equal(t, uint64(1), stat(t, s, "listener."+addrOf(s.Addrs()[0])+".ssl.handshake"))
}

// Large bodies both ways, through records and slow readers.
func TestLargeBodiesOverTLS(t *testing.T) {
	const size = 8 << 20
	w := newSecureWorld(t)
	app := w.answerTLS(t, w.tlsServer(w.server), func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 40<<10)
		for {
			n, err := req.Body.Read(b)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, b[:n])
			}
			if err != nil {
				break
			}
		}
		io.WriteString(c, "0\r\n\r\n")
	})
	s := start(t, w.originate(w.mutual(app)), Options{Concurrency: 1})
	c := tls.Client(dial(t, s), w.tlsClient(w.client))
	body := strings.Repeat("0123456789abcdef", size/16)
	go fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, body == string(got))
}

// chains is a listener with a filter chain for each of two names, one for clear
// text and, if last, one for what is left.
func (w *secureWorld) chains(app string, last bool) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: app})
	base := cfg.Listeners[0]
	cfg.Listeners = nil
	add := func(prefix string, m mesh.ChainMatch, secure bool) {
		l := base
		l.StatPrefix, l.Match = prefix, m
		l.VirtualHosts = []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Direct: &mesh.DirectResponse{Status: 200, Body: prefix}}}}}
		if secure {
			l.TLS = &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{w.server.certificate()}}}
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	add("exact", mesh.ChainMatch{ServerNames: []string{"a.example"}}, true)
	add("suffix", mesh.ChainMatch{ServerNames: []string{"*.example"}}, true)
	add("longer", mesh.ChainMatch{ServerNames: []string{"*.b.example"}}, true)
	add("plain", mesh.ChainMatch{Transport: "raw_buffer"}, false)
	if last {
		add("rest", mesh.ChainMatch{Transport: "tls"}, true)
	}
	return cfg
}

func TestFilterChainsWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	app := answer(t, ok("x"))
	for _, last := range []bool{true, false} {
		cfg := w.chains(app, last)
		path := envoy(t)
		addrs := reserve(t, 4)
		play := func(addr string) string {
			out := ""
			for _, name := range []string{"a.example", "A.Example", "c.example", "x.b.example", "b.example", "nobody.org", ""} {
				c := &tls.Config{InsecureSkipVerify: true, ServerName: name}
				out += name + ": " + visit(addr, c, get)
			}
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			status, body := ask(t, c, bufio.NewReader(c), get)
			return out + fmt.Sprintf("clear text: %d %s\n", status, body)
		}
		run := func(addr, admin string, begin func()) string {
			for i := range cfg.Listeners {
				cfg.Listeners[i].Address = addr
			}
			cfg.Admin = admin
			begin()
			base := tlsStats(t, admin)
			return play(addr) + tlsChange(base, tlsStats(t, admin))
		}
		want := run(addrs[0], addrs[1], func() { startEnvoy(t, path, cfg, addrs[0]) })
		got := run(addrs[2], addrs[3], func() { start(t, cfg, Options{Concurrency: 1}) })
		require.Equal(t, want, got)
	}
}

// A reload with other certificates: new connections get them, the old ones go on
// until they are drained; with the same files nothing changes.
func TestReloadCertificates(t *testing.T) {
	w := newSecureWorld(t)
	dir := t.TempDir()
	file := func(name, text string) mesh.Source {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return mesh.Source{File: p}
	}
	cfg := w.mutual(answer(t, ok("x")))
	cfg.Listeners[0].TLS.Certificates = []mesh.Certificate{{Chain: file("cert.pem", w.server.chain), Key: file("key.pem", w.server.key)}}
	s := start(t, cfg, Options{Concurrency: 1, DrainTime: 300 * time.Millisecond})
	old := tls.Client(dial(t, s), w.tlsClient(w.client))
	r := bufio.NewReader(old)
	ask(t, old, r, get)
	require.NoError(t, s.Reload(cfg))
	ask(t, old, r, get)
	require.Zero(t, stat(t, s, "http.in.downstream_cx_drain_close"))

	next := w.ca.issue("spiffe://mesh/server2", tomorrow, "server.example")
	file("cert.pem", next.chain)
	require.Equal(t, failure.BadFile, failure.KindOf(s.Reload(cfg)), "the key is another's")
	ask(t, old, r, get)
	file("key.pem", next.key)
	require.NoError(t, s.Reload(cfg))
	c := tls.Client(dial(t, s), w.tlsClient(w.client))
	ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, "spiffe://mesh/server2", c.ConnectionState().PeerCertificates[0].URIs[0].String())
	_, err := io.Copy(io.Discard, r)
	require.NoError(t, err, "drained with close_notify")
	ask(t, c, bufio.NewReader(c), get)
}

func TestTLSFilesAreChecked(t *testing.T) {
	w := newSecureWorld(t)
	for name, change := range map[string]func(c *mesh.ServerTLS){
		"no such file":     func(c *mesh.ServerTLS) { c.Certificates[0].Chain = mesh.Source{File: "/nonexistent/cert.pem"} },
		"not PEM":          func(c *mesh.ServerTLS) { c.Certificates[0].Chain = mesh.Source{Inline: "hello"} },
		"another's key":    func(c *mesh.ServerTLS) { c.Certificates[0].Key = mesh.Source{Inline: w.client.key} },
		"no CA":            func(c *mesh.ServerTLS) { c.Validation.CA = mesh.Source{Inline: "hello"} },
		"no such CA":       func(c *mesh.ServerTLS) { c.Validation.CA = mesh.Source{File: "/nonexistent/ca.pem"} },
		"no certificate":   func(c *mesh.ServerTLS) { c.Certificates = nil },
		"unknown cipher":   func(c *mesh.ServerTLS) { c.Ciphers = []string{"RC4-MD5"} },
		"HTTP/2":           func(c *mesh.ServerTLS) { c.ALPN = []string{"h2"} },
		"old version":      func(c *mesh.ServerTLS) { c.MinVersion = "TLSv1_0" },
		"versions crossed": func(c *mesh.ServerTLS) { c.MinVersion, c.MaxVersion = "TLSv1_3", "TLSv1_2" },
	} {
		cfg := w.mutual("127.0.0.1:1")
		change(cfg.Listeners[0].TLS)
		_, err := New(cfg, Options{Concurrency: 1})
		require.Equal(t, failure.BadFile, failure.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "listeners[0].tls", name)
	}
}

// What /certs shows, beside Envoy's.
func TestCertsWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	cfg := w.originate(w.mutual(answer(t, ok("x"))))
	addrs := reserve(t, 4)
	shown := func(admin string) map[string]bool {
		var d struct {
			All []map[string][]any `json:"certificates"`
		}
		require.NoError(t, json.Unmarshal([]byte(askAdmin(t, admin, "GET", "/certs").body), &d))
		all := map[string]bool{}
		for _, e := range d.All {
			for kind, list := range e {
				for _, c := range list {
					b, err := json.Marshal(c)
					require.NoError(t, err)
					all[kind+string(b)] = true
				}
			}
		}
		return all
	}
	cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
	startEnvoy(t, envoy(t), cfg, addrs[0])
	want := shown(addrs[1])
	cfg.Listeners[0].Address, cfg.Admin = addrs[2], addrs[3]
	start(t, cfg, Options{Concurrency: 1})
	require.Equal(t, want, shown(addrs[3]))
	require.Len(t, want, 3)
	dump := askAdmin(t, addrs[3], "GET", "/config_dump").body
	require.Contains(t, dump, "[redacted]")
	require.NotContains(t, dump, "PRIVATE KEY")
}

// An idle connection with TLS holds little: what crypto/tls keeps of it.
func TestIdleTLSConnectionsAreCheap(t *testing.T) {
	w := newSecureWorld(t)
	s := start(t, w.mutual(answer(t, ok("x"))), Options{Concurrency: 1})
	for range 20 {
		c := tls.Client(dial(t, s), w.tlsClient(w.client))
		ask(t, c, bufio.NewReaderSize(c, 512), get)
	}
	held := make(chan int, 1)
	s.workers[0].post(func() {
		n := 0
		for o := range s.workers[0].open {
			d := o.(*downstream)
			n += cap(d.in) + cap(d.out)
			if d.tls.next != nil {
				n += 1 << 20 // a coroutine
			}
		}
		held <- n
	})
	require.Zero(t, <-held)
}

// The same on the side of the cluster: a new certificate is a new cluster, whose
// connections are made with it, and the old ones close after their request.
func TestReloadClientCertificate(t *testing.T) {
	w := newSecureWorld(t)
	dir := t.TempDir()
	file := func(name, text string) mesh.Source {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return mesh.Source{File: p}
	}
	app := answer(t, func(raw net.Conn, _ *bufio.Reader) {
		c := tls.Server(raw, w.tlsServer(w.server))
		r := bufio.NewReader(c)
		for skipHead(r) == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Client: %v\r\n\r\n", c.ConnectionState().PeerCertificates[0].URIs[0])
		}
	})
	cfg := w.originate(relay(0, mesh.Endpoint{Address: app}))
	cfg.Clusters[0].TLS.Certificates = []mesh.Certificate{{Chain: file("cert.pem", w.client.chain), Key: file("key.pem", w.client.key)}}
	s := start(t, cfg, Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	who := func() string {
		_, err := io.WriteString(c, get)
		require.NoError(t, err)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		return resp.Header.Get("X-Client")
	}
	require.Equal(t, "spiffe://mesh/client", who())
	require.NoError(t, s.Reload(cfg))
	require.Equal(t, "spiffe://mesh/client", who())
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.upstream_cx_total"), "the same files are the same cluster")
	file("cert.pem", w.other.chain)
	file("key.pem", w.other.key)
	require.NoError(t, s.Reload(cfg))
	require.Equal(t, "spiffe://mesh/other", who())
	require.Equal(t, uint64(2), stat(t, s, "cluster.app.ssl.handshake"))
	eventually(t, s, "cluster.app.upstream_cx_active", 1)
}
