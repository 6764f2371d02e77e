package bookinfo

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vars is an environment.
type vars map[string]string

func (v vars) get(name string) string { return v[name] }

// with returns a copy that also points the callers of service at address.
func (v vars) with(service, address string) vars {
	host, port, _ := net.SplitHostPort(address)
	out := vars{strings.ToUpper(service) + "_HOSTNAME": host, strings.ToUpper(service) + "_SERVICE_PORT": port}
	for k, x := range v {
		out[k] = x
	}
	return out
}

// start runs a service on loopback until the test ends, and returns its address.
func start(t testing.TB, o Options, change ...func(*Server)) string {
	t.Helper()
	if o.Getenv == nil {
		o.Getenv = vars{}.get
	}
	s, err := New(o)
	require.NoError(t, err)
	for _, f := range change {
		f(s)
	}
	s.httpd.grace = 100 * time.Millisecond // a test that fails leaves requests behind
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return ln.Addr().String()
}

// app runs all four services with one version of reviews and returns the
// address of productpage.
func app(t testing.TB, reviews string, w Work) string {
	t.Helper()
	e := vars{"HOSTNAME": "abcdefghij"}
	e = e.with("ratings", start(t, Options{Service: "ratings", Work: w}))
	e = e.with("reviews", start(t, Options{Service: reviews, Getenv: e.get, Work: w}))
	e = e.with("details", start(t, Options{Service: "details", Work: w}))
	return start(t, Options{Service: "productpage", Getenv: e.get, Work: w})
}

// raw sends bytes and returns everything that comes back until the server
// closes; the request should ask for that.
func raw(t testing.TB, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(b)
}

// get is raw for a GET with more header lines.
func get(t testing.TB, address, path string, lines ...string) string {
	t.Helper()
	return raw(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+crlf(lines)+"\r\n")
}

func crlf(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return b.String()
}

// headBody splits a response.
func headBody(t testing.TB, response string) (head, body string) {
	t.Helper()
	head, body, ok := strings.Cut(response, "\r\n\r\n")
	require.True(t, ok, "no response head in %q", response)
	return head, body
}

// undated replaces what the Date field says, so that heads can be compared.
func undated(head string) string {
	lines := strings.Split(head, "\r\n")
	for i, l := range lines {
		if date, ok := strings.CutPrefix(l, "Date: "); ok {
			if _, err := http.ParseTime(date); err == nil {
				lines[i] = "Date: D"
			}
		}
	}
	return strings.Join(lines, "\n")
}

// recorder is an upstream that keeps what it is sent, byte by byte.
type recorder struct {
	address string

	mu    sync.Mutex
	heads []string
	opens int
}

// record starts an upstream that answers by answer; "" hangs.
func record(t testing.TB, answer func(n int, head string) string) *recorder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	r := &recorder{address: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			r.mu.Lock()
			r.opens++
			r.mu.Unlock()
			go r.serve(c, answer)
		}
	}()
	return r
}

func (r *recorder) serve(c net.Conn, answer func(int, string) string) {
	br := bufio.NewReader(c)
	for {
		var head strings.Builder
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			head.WriteString(line)
		}
		r.mu.Lock()
		r.heads = append(r.heads, head.String())
		n := len(r.heads) - 1
		r.mu.Unlock()
		a := answer(n, head.String())
		if a == "" {
			continue
		}
		if _, err := io.WriteString(c, a); err != nil {
			return
		}
		if strings.Contains(a, "Connection: close") {
			c.Close()
			return
		}
	}
}

func (r *recorder) seen() (heads []string, opens int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.heads...), r.opens
}

func itoa(n int) string { return strconv.Itoa(n) }

// ok is a response with a JSON body.
func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

func always(response string) func(int, string) string {
	return func(int, string) string { return response }
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
