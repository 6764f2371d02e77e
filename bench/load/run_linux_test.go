package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// here is a server in this process.
type here struct {
	at     netip.AddrPort
	cancel context.CancelFunc
	res    *ServeResult
	err    error
	done   chan struct{}
}

func serveHere(t testing.TB, cfg ServeConfig) *here {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &here{cancel: cancel, done: make(chan struct{})}
	ready := make(chan netip.AddrPort, 1)
	cfg.Ready = func(at netip.AddrPort) { ready <- at }
	go func() {
		defer close(h.done)
		h.res, h.err = Serve(ctx, cfg)
	}()
	select {
	case h.at = <-ready:
	case <-h.done:
		require.NoError(t, h.err)
	}
	t.Cleanup(func() { cancel(); <-h.done })
	return h
}

func (h *here) stop(t testing.TB) *ServeResult {
	t.Helper()
	h.cancel()
	<-h.done
	require.NoError(t, h.err)
	return h.res
}

// Both sides count the same, in every mode.
func TestCountsAreExact(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   Config
		conns uint64 // 0: as the result says
	}{
		{"one connection", Config{Connections: 1, MaxRequests: 500}, 1},
		{"64 connections", Config{Connections: 64, MaxRequests: 5000}, 64},
		{"more connections than requests", Config{Connections: 64, MaxRequests: 10}, 64},
		{"for a time", Config{Connections: 3, Warmup: 50 * time.Millisecond, Duration: 100 * time.Millisecond}, 3},
		{"close", Config{Connections: 4, Close: true, MaxRequests: 200}, 200},
		{"open loop", Config{Connections: 4, Rate: 5000, MaxRequests: 1000}, 4},
		{"open loop, warm-up", Config{Connections: 4, Rate: 2000, Warmup: 100 * time.Millisecond, Duration: 200 * time.Millisecond}, 4},
		{"open loop, close", Config{Connections: 4, Rate: 1000, Close: true, MaxRequests: 200}, 200},
		{"open loop, polling", Config{Connections: 4, Rate: 2000, MaxRequests: 200, Spin: 100 * time.Microsecond}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := serveHere(t, ServeConfig{Listen: loopback})
			tt.cfg.Target, tt.cfg.Check = srv.at, Check{Body: NullBody()}
			r, err := Run(t.Context(), tt.cfg)
			require.NoError(t, err)
			s := srv.stop(t)
			require.Zero(t, r.Errors, r.Examples)
			require.Zero(t, r.Unfinished)
			require.Equal(t, s.Requests, r.N+r.Warmup)
			require.Equal(t, r.N, r.Hist.N())
			require.Equal(t, s.Connections, r.Connects)
			require.Equal(t, tt.conns, r.Connects)
			require.Zero(t, s.Refused)
			if tt.cfg.MaxRequests > 0 {
				require.Equal(t, tt.cfg.MaxRequests, r.N)
			}
			if tt.cfg.Rate > 0 && tt.cfg.Duration > 0 { // not one intended start is lost
				require.EqualValues(t, 400, r.N)
				require.EqualValues(t, 200, r.Warmup)
				require.EqualValues(t, 400, r.SentHist.N())
			}
		})
	}
}

// In a closed loop without pauses, connections = rate x mean latency (Little):
// no time between a request and the next one goes unseen.
func TestLittlesLaw(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback})
	for _, conns := range []int{1, 16} {
		var share []float64
		for range 20 { // a loaded machine may take the processor away between two requests, or at the end
			r, err := Run(t.Context(), Config{Target: srv.at, Connections: conns, Warmup: 20 * time.Millisecond, Duration: 200 * time.Millisecond})
			require.NoError(t, err)
			share = append(share, r.RPS*r.Hist.h.Mean()/1e9/float64(conns))
			if last := share[len(share)-1]; last > 0.85 && last < 1.1 {
				break
			}
		}
		require.InDelta(t, 0.975, share[len(share)-1], 0.125, "%d connections: %v", conns, share)
	}
}

// stallAt is a server that answers at once but for one stall.
func stallAt(t *testing.T, nth uint64, d time.Duration) *badServer {
	return newBadServer(t, func(c *net.TCPConn, n uint64, _ *http.Request) bool {
		if n == nth {
			time.Sleep(d)
		}
		return good(c)
	})
}

// A stall of 300 ms at 1000 requests a second delays 300 requests, not one. A
// generator that waits for the answer before it takes the time of the next
// start would see only one (coordinated omission).
func TestStallShowsInTheOpenLoop(t *testing.T) {
	const stall = 300 * time.Millisecond
	cfg := Config{Connections: 1, MaxRequests: 1000, Rate: 1000, Check: Check{Body: goodBody}}
	cfg.Target = stallAt(t, 200, stall).at
	r, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.Examples)
	require.EqualValues(t, 1000, r.N)

	// the delays are spread evenly from 300 ms down to nothing
	over := func(h *Hist, ms float64) (n int) {
		for _, b := range h.h.Distribution() {
			if float64(b.From) > ms*1e6 {
				n += int(b.Count)
			}
		}
		return n
	}
	require.GreaterOrEqual(t, over(r.Hist, 30), 260)
	require.GreaterOrEqual(t, over(r.Hist, 150), 140)
	require.GreaterOrEqual(t, r.WallUS.P90, 150e3)
	require.GreaterOrEqual(t, r.Generator.Queued, uint64(250), "they were queued by the server's fault, which is not lag")
	require.Less(t, over(r.SentHist, 150), 30, "as sent, only the stalled one is late, and few that the machine held up")

	cfg.Rate = 0
	cfg.Target = stallAt(t, 200, stall).at
	r, err = Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Less(t, over(r.Hist, 150), 30, "the closed loop hides it: what this test is about")
}

// What could not be sent within the timeout counts as timed out.
func TestOpenLoopBeyondCapacity(t *testing.T) {
	s := newBadServer(t, func(c *net.TCPConn, _ uint64, _ *http.Request) bool {
		time.Sleep(20 * time.Millisecond)
		return good(c)
	})
	begin := time.Now()
	r, err := Run(t.Context(), Config{Target: s.at, Connections: 1, Rate: 500, Duration: 400 * time.Millisecond, Timeout: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Less(t, time.Since(begin), 60*time.Second)
	require.EqualValues(t, 200, r.N+r.Errors.Total())
	require.Equal(t, r.Errors.Total(), r.Errors.Timeout)
	require.Greater(t, r.Errors.Timeout, uint64(100))
	require.LessOrEqual(t, r.WallUS.Max, 100.1e3)
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan struct{})
	s := newBadServer(t, func(c *net.TCPConn, n uint64, _ *http.Request) bool {
		if n == 12 {
			cancel()
		}
		if n > 10 {
			<-over
		}
		return good(c)
	})
	r, err := Run(ctx, Config{Target: s.at, Connections: 2, Duration: 10 * time.Minute})
	close(over)
	require.NoError(t, err)
	require.EqualValues(t, 10, r.N)
	require.EqualValues(t, 2, r.Unfinished)
	require.Zero(t, r.Errors)
	require.Less(t, r.Elapsed, 60.0)
}

func TestRequestAsSent(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	s := newBadServer(t, func(c *net.TCPConn, _ uint64, r *http.Request) bool {
		asked.Store(r)
		return good(c)
	})
	_, err := Run(t.Context(), Config{Target: s.at, Path: "/a?b=c", Host: "reviews.example", MaxRequests: 1,
		Headers: []Header{{"X-Request-Id", "7"}, {"End-User", "jason"}}})
	require.NoError(t, err)
	got := asked.Load()
	require.Equal(t, "GET /a?b=c HTTP/1.1", got.Method+" "+got.RequestURI+" "+got.Proto)
	require.Equal(t, "reviews.example", got.Host)
	require.Equal(t, http.Header{"X-Request-Id": {"7"}, "End-User": {"jason"}}, got.Header)
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Target: netip.MustParseAddrPort("127.0.0.1:1"), MaxRequests: 1}
	_, err := good.withDefaults()
	require.NoError(t, err)
	for name, change := range map[string]func(*Config){
		"target":      func(c *Config) { c.Target = netip.AddrPort{} },
		"port":        func(c *Config) { c.Target = netip.AddrPortFrom(c.Target.Addr(), 0) },
		"connections": func(c *Config) { c.Connections = -1 },
		"rate":        func(c *Config) { c.Rate = -1 },
		"end":         func(c *Config) { c.MaxRequests = 0 },
		"timeout":     func(c *Config) { c.Timeout = time.Hour },
		"status":      func(c *Config) { c.Check.Status = 99 },
		"path":        func(c *Config) { c.Path = "index.html" },
		"path space":  func(c *Config) { c.Path = "/a b" },
		"path line":   func(c *Config) { c.Path = "/\r\nX: y" },
		"host line":   func(c *Config) { c.Host = "a\nb" },
		"header line": func(c *Config) { c.Headers = []Header{{"A", "b\r\n\r\nGET"}} },
		"header own":  func(c *Config) { c.Headers = []Header{{"connection", "close"}} },
		"warm-up":     func(c *Config) { c.Warmup = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			_, err := Run(t.Context(), c)
			require.Error(t, err)
			require.Equal(t, failure.Usage, failure.KindOf(err))
		})
	}
}

// The hot paths do not allocate: the collector would be in the figures.
func TestNoAllocationPerRequest(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback})
	run := func(n uint64) uint64 { // not testing.AllocsPerRun, which sets GOMAXPROCS to 1
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Run(t.Context(), Config{Target: srv.at, Connections: 2, MaxRequests: n, Check: Check{Body: NullBody(), Contains: []string{"null"}}})
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Equal(t, n, r.N)
		return after.Mallocs - before.Mallocs
	}
	run(100)
	few, many := run(100), run(10100)
	require.Less(t, int64(many)-int64(few), int64(100), "allocations of 10000 requests, client and server together")
}

// A body of a size is that long, also where it takes many writes.
func TestServeBySize(t *testing.T) {
	const size = 5 << 20
	srv := serveHere(t, ServeConfig{Listen: loopback, Size: size})
	length := int64(size)
	res, err := Run(t.Context(), Config{Target: srv.at, Connections: 2, MaxRequests: 20, Timeout: time.Minute, Check: Check{BodyLen: &length}})
	require.NoError(t, err)
	require.EqualValues(t, 20, res.N)
	require.Zero(t, res.Errors.Total())
	for _, bad := range []ServeConfig{{Size: -1}, {Size: 1 << 30}, {Size: 1, Body: "x"}} {
		bad.Listen = loopback
		_, err := Serve(t.Context(), bad)
		require.ErrorContains(t, err, "size")
	}
}

func TestServe(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback, Body: "hello", ContentType: "text/plain"})
	ask := func(t *testing.T, pieces ...string) string {
		c, err := net.Dial("tcp", srv.at.String())
		require.NoError(t, err)
		defer c.Close()
		for _, p := range pieces {
			say(c, p)
			time.Sleep(2 * time.Millisecond)
		}
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		return string(b)
	}
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
	const keep, last, keep10 = head + "\r\nhello", head + "Connection: close\r\n\r\nhello", head + "Connection: keep-alive\r\n\r\nhello"
	refused := func(code int) string {
		return fmt.Sprintf("HTTP/1.1 %d Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", code)
	}
	get := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tt := range []struct {
		name string
		in   []string
		out  string
	}{
		{"one", []string{get}, keep},
		{"pipelined", []string{get + get + get}, keep + keep + keep},
		{"in pieces", []string{"GE", "T / HTTP/1.1\r\nHost: a\r\n\r", "\n" + get[:5], get[5:]}, keep + keep},
		{"close", []string{"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + get}, last},
		{"1.0", []string{"GET / HTTP/1.0\r\n\r\n"}, last},
		{"1.0 kept", []string{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + get}, keep10 + keep},
		{"HEAD", []string{"HEAD / HTTP/1.1\r\n\r\n" + get}, head + "\r\n" + keep},
		{"body of a request", []string{"GET / HTTP/1.1\r\nContent-Length: 6\r\n\r\nGET", " /\n" + get}, keep + keep},
		{"POST", []string{"POST / HTTP/1.1\r\n\r\n"}, refused(405)},
		{"garbage", []string{"hello\r\n\r\n"}, refused(400)},
		{"chunked", []string{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"}, refused(411)},
		{"bad header", []string{"GET / HTTP/1.1\r\nA b\r\n\r\n"}, refused(400)},
		{"long head", []string{"GET / HTTP/1.1\r\nA: " + strings.Repeat("b", maxHead-19)}, refused(431)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.out, ask(t, tt.in...))
		})
	}
}

// A client that sends and does not read is held up; it takes no memory and
// nobody else's time.
func TestServeHoldsUpWhoDoesNotRead(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback, Body: strings.Repeat("x", 100<<10)})
	c, err := net.Dial("tcp", srv.at.String())
	require.NoError(t, err)
	defer c.Close()
	get := strings.Repeat("GET / HTTP/1.1\r\n\r\n", 100)
	c.SetWriteDeadline(time.Now().Add(2 * time.Second))
	for err == nil {
		_, err = io.WriteString(c, get)
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	r, err := Run(t.Context(), Config{Target: srv.at, MaxRequests: 50})
	require.NoError(t, err)
	require.EqualValues(t, 50, r.N)
}

func TestPortInUse(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback})
	_, err := Serve(t.Context(), ServeConfig{Listen: srv.at})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	_, err = EchoServe(t.Context(), EchoConfig{Listen: srv.at})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	_, err = Sink(t.Context(), SinkConfig{Listen: srv.at})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
}

// Running out of descriptors is this host's failure, not the server's error.
func TestOutOfDescriptors(t *testing.T) {
	srv := serveHere(t, ServeConfig{Listen: loopback})
	cmd := child(t, "run", Config{Target: srv.at, Connections: 200, MaxRequests: 10})
	cmd.Args = []string{"sh", "-c", `ulimit -n 50; exec "$0"`, cmd.Path}
	cmd.Path = "/bin/sh"
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, int(failure.Unsupported), cmd.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, stderr.String(), "ulimit")
}
