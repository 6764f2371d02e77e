package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// badServer answers each request as its path says, right or wrong.
type badServer struct {
	at      netip.AddrPort
	asked   atomic.Uint64 // requests read
	dialled atomic.Uint64 // connections accepted
}

const goodBody = "the right answer"

func newBadServer(t *testing.T, answer func(c *net.TCPConn, nth uint64, r *http.Request) (keep bool)) *badServer {
	t.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(loopback))
	require.NoError(t, err)
	s := &badServer{at: ln.Addr().(*net.TCPAddr).AddrPort()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			s.dialled.Add(1)
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if !answer(c, s.asked.Add(1), req) {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

func say(c io.Writer, s string) bool {
	_, err := io.WriteString(c, s)
	return err == nil
}

func good(c io.Writer) bool {
	return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n"+goodBody)
}

// every makes each third answer bad.
func every(bad func(c *net.TCPConn) bool) func(*net.TCPConn, uint64, *http.Request) bool {
	return func(c *net.TCPConn, nth uint64, _ *http.Request) bool {
		if nth%3 == 0 {
			return bad(c)
		}
		return good(c)
	}
}

func reset(c *net.TCPConn) bool {
	c.SetLinger(0)
	return false
}

// Of 30 requests ten go wrong, in one way at a time: each is counted once,
// under its kind, and the other twenty are not touched.
func TestErrorsAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		name string
		bad  func(*net.TCPConn) bool
		want Errors
		text string
	}{
		{"status", func(c *net.TCPConn) bool {
			return say(c, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
		}, Errors{Status: 10}, "status 500"},
		{"503 and close", func(c *net.TCPConn) bool {
			say(c, "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return false
		}, Errors{Status: 10}, "status 503"},
		{"other body", func(c *net.TCPConn) bool {
			return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nthe wrong answer")
		}, Errors{Wrong: 10}, "not the expected"},
		{"shorter body", func(c *net.TCPConn) bool {
			return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nthe")
		}, Errors{Wrong: 10}, "3 bytes"},
		{"shorter body until close", func(c *net.TCPConn) bool {
			say(c, "HTTP/1.1 200 OK\r\n\r\nthe")
			return false
		}, Errors{Wrong: 10}, "3 bytes"},
		{"length understated", func(c *net.TCPConn) bool {
			return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"+goodBody)
		}, Errors{Parse: 10}, "bytes after the end"},
		{"length overstated", func(c *net.TCPConn) bool {
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"+goodBody)
			return false
		}, Errors{Reset: 10}, "in the middle"},
		{"chunked cut", func(c *net.TCPConn) bool {
			say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n"+goodBody+"\r\n")
			return false
		}, Errors{Reset: 10}, "in the middle"},
		{"chunked malformed", func(c *net.TCPConn) bool {
			return say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
		}, Errors{Parse: 10}, "malformed chunk"},
		{"closed without an answer", func(c *net.TCPConn) bool { return false }, Errors{Missing: 10}, "instead of an answer"},
		{"reset without an answer", reset, Errors{Reset: 10}, "reset"},
		{"reset in the body", func(c *net.TCPConn) bool {
			say(c, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nthe")
			time.Sleep(2 * time.Millisecond) // or the reset would overtake the bytes
			return reset(c)
		}, Errors{Reset: 10}, "reset"},
		{"not HTTP", func(c *net.TCPConn) bool { return say(c, "SSH-2.0-server\r\n\r\n") }, Errors{Parse: 10}, "status line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newBadServer(t, every(tt.bad))
			for _, conns := range []int{1, 5} {
				s.asked.Store(0)
				r, err := Run(t.Context(), Config{Target: s.at, Connections: conns, MaxRequests: 30, Timeout: 30 * time.Second,
					Check: Check{Body: goodBody}})
				require.NoError(t, err)
				require.Equal(t, tt.want, r.Errors, r.Examples)
				require.EqualValues(t, 20, r.N)
				require.EqualValues(t, 20, r.Hist.N())
				require.EqualValues(t, 30, s.asked.Load())
				require.Zero(t, r.Stray)
				for _, text := range r.Examples {
					require.Contains(t, text, tt.text)
				}
			}
		})
	}
}

func TestSlowAnswersTimeOut(t *testing.T) {
	s := newBadServer(t, func(c *net.TCPConn, nth uint64, _ *http.Request) bool {
		if nth%3 != 0 {
			return good(c)
		}
		say(c, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nthe")
		time.Sleep(900 * time.Millisecond)
		return say(c, " right answer")
	})
	r, err := Run(t.Context(), Config{Target: s.at, Connections: 2, MaxRequests: 12, Timeout: 300 * time.Millisecond, Check: Check{Body: goodBody}})
	require.NoError(t, err)
	require.Equal(t, Errors{Timeout: 4}, r.Errors, r.Examples)
	require.EqualValues(t, 8, r.N)
	require.Less(t, r.WallUS.Max, 301e3)
}

// Good answers that come in many pieces, in any framing, are right answers.
func TestPiecesAreRight(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + goodBody,
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nthe \r\n00c;a=b\r\nright answer\r\n0\r\nX: y\r\n\r\n",
		"interim": "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + goodBody,
		"close":   "HTTP/1.1 200 OK\r\n\r\n" + goodBody,
	} {
		t.Run(name, func(t *testing.T) {
			s := newBadServer(t, func(c *net.TCPConn, _ uint64, _ *http.Request) bool {
				for rest := answer; len(rest) > 0; rest = rest[min(7, len(rest)):] {
					say(c, rest[:min(7, len(rest))])
					time.Sleep(100 * time.Microsecond)
				}
				return name != "close"
			})
			r, err := Run(t.Context(), Config{Target: s.at, Connections: 3, MaxRequests: 12, Check: Check{Body: goodBody, Contains: []string{"right"}}})
			require.NoError(t, err)
			require.Zero(t, r.Errors, r.Examples)
			require.EqualValues(t, 12, r.N)
			require.Equal(t, s.dialled.Load(), r.Connects)
		})
	}
}

func TestLargeBody(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	srv := serveHere(t, ServeConfig{Listen: loopback, Body: large})
	n := int64(len(large))
	r, err := Run(t.Context(), Config{Target: srv.at, Connections: 4, MaxRequests: 40, Check: Check{Body: large, BodyLen: &n, Contains: []string{"f0"}}})
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.Examples)
	require.EqualValues(t, 40, r.N)
	require.EqualValues(t, 40, srv.stop(t).Requests)
}

// A server that closes idle connections costs no request.
func TestIdleCloseIsNoError(t *testing.T) {
	s := newBadServer(t, func(c *net.TCPConn, nth uint64, _ *http.Request) bool {
		good(c)
		time.Sleep(5 * time.Millisecond)
		if nth%4 == 0 {
			say(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") // as haproxy does
		}
		return nth%2 == 1
	})
	r, err := Run(t.Context(), Config{Target: s.at, Connections: 1, Rate: 10, MaxRequests: 9, Check: Check{Body: goodBody}})
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.Examples)
	require.EqualValues(t, 9, r.N)
	require.EqualValues(t, 2, r.Stray)
	require.EqualValues(t, 5, r.Connects)
}

func TestRefusedConnections(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:1")
	begin := time.Now()
	r, err := Run(t.Context(), Config{Target: at, Connections: 2, Duration: 300 * time.Millisecond})
	require.NoError(t, err)
	require.Zero(t, r.N)
	require.Equal(t, r.Errors.Total(), r.Errors.Connect)
	require.Contains(t, r.Examples["connect"], "refused")
	require.Positive(t, r.Errors.Connect)
	require.Less(t, r.Errors.Connect, uint64(40), "no back-off")
	require.Less(t, time.Since(begin), 30*time.Second)

	r, err = Run(t.Context(), Config{Target: at, Connections: 2, Rate: 200, Duration: 300 * time.Millisecond, Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	require.EqualValues(t, 60, r.Errors.Connect+r.Errors.Timeout)
}
