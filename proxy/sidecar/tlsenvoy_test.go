//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// bothTLS runs f against our sidecar and against the real Envoy, each on the same
// configuration but for its addresses, and compares what it returns and the
// counters of TLS.
//
// crypto/tls tells a peer of whatever is wrong with its certificate by the alert
// "bad certificate", unless it is a client's and of an unknown authority or
// expired; alert is what Envoy says instead, if it is not the same.
func bothTLS(t *testing.T, cfg mesh.Config, alert string, f func(addr, admin string) string) {
	t.Helper()
	path := envoy(t)
	likewise(t, func() pair {
		theirs := reserve(t, 2)
		cfg.Listeners[0].Address, cfg.Admin = theirs[0], theirs[1]
		startEnvoy(t, path, cfg, theirs[0])
		require.Eventually(t, func() bool { return tlsStats(t, theirs[1])["listener..downstream_cx_total"] == "1" }, 30*time.Second, 10*time.Millisecond) // startEnvoy has knocked
		base := tlsStats(t, theirs[1])
		want := f(theirs[0], theirs[1]) + tlsChange(base, tlsStats(t, theirs[1]))

		ours := reserve(t, 2)
		cfg.Listeners[0].Address, cfg.Admin = ours[0], ours[1]
		start(t, cfg, Options{Concurrency: 1})
		base = tlsStats(t, ours[1])
		got := f(ours[0], ours[1]) + tlsChange(base, tlsStats(t, ours[1]))
		if alert != "" {
			require.Contains(t, want, alert+"\n")
			want = strings.ReplaceAll(want, alert+"\n", "bad certificate\n")
		}
		return pair{want, got}
	})
}

// comparedTLS are the counters that both have.
var comparedTLS = []string{
	".ssl.handshake", ".ssl.connection_error", ".ssl.session_reused", ".ssl.no_certificate", ".ssl.fail_verify_no_cert", ".ssl.fail_verify_error",
	".ssl.fail_verify_san", ".ssl.ciphers.", ".ssl.versions.", ".ssl.curves.", ".no_filter_chain_match", ".downstream_cx_transport_socket_connect_timeout",
	".downstream_cx_ssl_total", ".upstream_cx_connect_fail", ".upstream_cx_connect_timeout", ".downstream_cx_total", ".upstream_rq_503", ".upstream_cx_total",
	".upstream_cx_destroy_local", ".upstream_cx_destroy_remote",
}

func tlsStats(t *testing.T, admin string) map[string]string {
	t.Helper()
	time.Sleep(50 * time.Millisecond) // for what closes
	all := map[string]string{}
	for line := range strings.Lines(askAdmin(t, admin, "GET", "/stats").body) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(name, "http.admin.") || strings.HasPrefix(name, "listener.admin.") || strings.Contains(name, ".external.") {
			continue
		}
		for _, c := range comparedTLS {
			if i := strings.Index(name, c); i >= 0 {
				if rest, ok := strings.CutPrefix(name, "listener."); ok && !strings.Contains(rest[:min(3, len(rest))], "adm") {
					name = "listener." + name[i:]
				}
				all[name] = v
			}
		}
	}
	return all
}

func tlsChange(before, after map[string]string) string {
	var lines []string
	for name, v := range after {
		if n := atoi(v) - atoi(before[name]); n != 0 {
			lines = append(lines, fmt.Sprintf("%s: %d\n", name, n))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// visit sends a request over a connection made by config, and says what came of it.
func visit(addr string, config *tls.Config, request string) string {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error() + "\n"
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	c := tls.Client(raw, config)
	if err := c.Handshake(); err != nil {
		return "handshake: " + tlsReason(err) + "\n"
	}
	defer c.Close()
	s := c.ConnectionState()
	out := fmt.Sprintf("%s %s alpn=%q resumed=%v\n", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.NegotiatedProtocol, s.DidResume)
	io.WriteString(c, request) // if that fails, there is an alert to read
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return out + "read: " + tlsReason(err) + "\n"
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return out + "body: " + tlsReason(err) + "\n"
	}
	return out + fmt.Sprintf("%d %s\n", resp.StatusCode, b)
}

// tlsReason is the alert in err, or how the stream ended.
func tlsReason(err error) string {
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &op) && op.Op == "remote error":
		return op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "reset"), strings.Contains(err.Error(), "broken pipe"):
		return "closed"
	}
	return err.Error()
}

// echoHead answers with the request's head.
func echoHead(c net.Conn, r *bufio.Reader) {
	for {
		var head strings.Builder
		for {
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(l, "x-request-id") {
				l = "x-request-id: ID\r\n"
			}
			head.WriteString(l)
			if l == "\r\n" {
				break
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", head.Len(), head.String())
	}
}

// What a client of a listener with mutual TLS sees, and what is counted.
func TestDownstreamTLSWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	app := answer(t, echoHead)
	twelve := func(suites ...uint16) *tls.Config {
		c := w.tlsClient(w.client)
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, suites
		return c
	}
	with := func(change func(c *tls.Config)) *tls.Config {
		c := w.tlsClient(w.client)
		change(c)
		return c
	}
	request := "GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: By=me\r\n\r\n"
	for _, c := range []struct {
		name string
		play func(addr string) string
	}{
		{"good client", func(a string) string { return visit(a, w.tlsClient(w.client), request) }},
		{"no certificate", func(a string) string { return visit(a, w.tlsClient(), request) }},
		{"unknown authority", func(a string) string {
			c := with(func(c *tls.Config) {
				c.Certificates = nil
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &w.unknown.pair, nil }
			})
			return visit(a, c, request)
		}},
		{"expired certificate", func(a string) string { return visit(a, w.tlsClient(w.expired), request) }},
		{"wrong name", func(a string) string { return visit(a, w.tlsClient(w.other), request) }},
		{"no certificate, TLS 1.2", func(a string) string {
			c := w.tlsClient()
			c.MaxVersion = tls.VersionTLS12
			return visit(a, c, request)
		}},
		{"TLS 1.2", func(a string) string { return visit(a, twelve(), request) }},
		{"TLS 1.2, one cipher", func(a string) string { return visit(a, twelve(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), request) }},
		{"TLS 1.2, no common cipher", func(a string) string { return visit(a, twelve(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), request) }},
		{"TLS 1.1", func(a string) string {
			return visit(a, with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }), request)
		}},
		{"ALPN", func(a string) string {
			return visit(a, with(func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }), request)
		}},
		{"ALPN, none in common", func(a string) string {
			return visit(a, with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), request)
		}},
		{"P-256", func(a string) string {
			return visit(a, with(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} }), request)
		}},
		{"a curve that is not offered", func(a string) string {
			return visit(a, with(func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521} }), request)
		}},
		{"resumption", func(a string) string {
			c := with(func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) })
			return visit(a, c, request) + visit(a, c, request)
		}},
		{"clear text", func(a string) string { return shout(a, request) }},
		{"garbage", func(a string) string { return shout(a, strings.Repeat("\x16\x03\x01\x00\x04garbage", 100)) }},
		{"half a hello", func(a string) string { return shout(a, "\x16\x03\x01\x02\x00\x01\x00") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			alert := ""
			if c.name == "wrong name" {
				alert = "unknown certificate"
			}
			bothTLS(t, w.mutual(app), alert, func(addr, _ string) string { return c.play(addr) })
		})
	}
}

// shout writes text as it is, closes its side and says whether the proxy closes.
func shout(addr, text string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	_, err = io.ReadAll(c)
	return conformance.Reason(err) + "\n"
}

// What an upstream with TLS sees, and what the client is told when it fails.
func TestUpstreamTLSWithEnvoy(t *testing.T) {
	w := newSecureWorld(t)
	var mu sync.Mutex
	seen := ""
	note := func(format string, args ...any) {
		mu.Lock()
		seen += fmt.Sprintf(format, args...) + "\n"
		mu.Unlock()
	}
	serve := func(config *tls.Config) func(c net.Conn, r *bufio.Reader) {
		config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			note("sni=%q alpn=%q", h.ServerName, h.SupportedProtos)
			return nil, nil
		}
		return func(raw net.Conn, _ *bufio.Reader) {
			c := tls.Server(raw, config)
			if err := c.Handshake(); err != nil {
				why := tlsReason(err)
				if strings.Contains(why, "unsupported versions") || strings.Contains(why, "no cipher suite") {
					why = "nothing in common"
				}
				note("upstream handshake: %s", why)
				return
			}
			s := c.ConnectionState()
			note("%s %s %d certificates", tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), len(s.PeerCertificates))
			echoHead(c, bufio.NewReader(c))
			c.Close()
		}
	}
	server := func(cert issued, change func(c *tls.Config)) func(c net.Conn, r *bufio.Reader) {
		c := w.tlsServer(cert)
		if change != nil {
			change(c)
		}
		return serve(c)
	}
	for _, c := range []struct {
		name   string
		app    func(c net.Conn, r *bufio.Reader)
		change func(c *mesh.ClientTLS)
		alert  string
	}{
		{"good server", server(w.server, nil), nil, ""},
		{"no SNI", server(w.server, nil), func(c *mesh.ClientTLS) { c.SNI = "" }, ""},
		{"ALPN", server(w.server, nil), func(c *mesh.ClientTLS) { c.ALPN = []string{"http/1.1"} }, ""},
		{"TLS 1.3", server(w.server, nil), func(c *mesh.ClientTLS) { c.MaxVersion = "TLSv1_3" }, ""},
		{"unknown authority", server(w.unknown, nil), nil, "unknown certificate authority"},
		{"expired", server(w.expired, nil), nil, "expired certificate"},
		{"wrong name", server(w.other, nil), nil, "unknown certificate"},
		{"no validation", server(w.unknown, nil), func(c *mesh.ClientTLS) { c.Validation = nil }, ""},
		{"no certificate", server(w.server, nil), func(c *mesh.ClientTLS) { c.Certificates = nil }, ""},
		{"no certificate, TLS 1.3", server(w.server, nil), func(c *mesh.ClientTLS) { c.Certificates, c.MaxVersion = nil, "TLSv1_3" }, ""},
		{"too old a server", server(w.server, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }), nil, ""},
		{"clear text", func(c net.Conn, r *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, r)
		}, nil, ""},
		{"closes", func(c net.Conn, r *bufio.Reader) { r.ReadByte() }, nil, ""},
		{"silent", func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := w.originate(relay(0, mesh.Endpoint{Address: answer(t, c.app)}))
			if c.name == "silent" {
				cfg.Clusters[0].ConnectTimeout = 200 * time.Millisecond
			}
			if c.change != nil {
				c.change(cfg.Clusters[0].TLS)
			}
			bothTLS(t, cfg, c.alert, func(addr, _ string) string {
				mu.Lock()
				seen = ""
				mu.Unlock()
				conn, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				defer conn.Close()
				r := bufio.NewReader(conn)
				out := ""
				for range 2 {
					status, body := ask(t, conn, r, get)
					out += fmt.Sprintf("%d %s\n", status, body)
				}
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				lines := strings.SplitAfter(seen, "\n")
				slices.Sort(lines) // two connections may be under way at once
				return out + strings.Join(lines, "")
			})
		})
	}
}
