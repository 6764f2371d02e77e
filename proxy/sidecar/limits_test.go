//go:build linux

package sidecar

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

func TestDrain(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 2)
	addr := answer(t, func(c net.Conn, r *bufio.Reader) {
		for skipHead(r) == nil {
			arrived <- struct{}{}
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s, err := New(relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	idle, busy := dial(t, s), dial(t, s)
	_, err = io.WriteString(busy, get)
	require.NoError(t, err)
	<-arrived
	cancel()
	_, err = idle.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "an idle connection is closed at once")
	_, err = net.Dial("tcp", s.Addrs()[0].String())
	require.Error(t, err, "nothing listens any more")
	close(release)
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.True(t, resp.Close, "the last response says so")
	busy.Close()
	require.NoError(t, <-done)
	require.Error(t, s.Run(context.Background()), "a Server runs once")
}

func TestDrainEnds(t *testing.T) {
	addr := answer(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	s, err := New(relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1, DrainTimeout: 100 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := dial(t, s)
	_, err = io.WriteString(c, get)
	require.NoError(t, err)
	eventually(t, s, "cluster.app.upstream_rq_active", 1)
	began := time.Now()
	cancel()
	require.NoError(t, <-done)
	require.Less(t, time.Since(began), 20*time.Second)
	_, err = io.ReadAll(c)
	require.NoError(t, err)
}

func TestTimeouts(t *testing.T) {
	silent := answer(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	s := start(t, relay(0, mesh.Endpoint{Address: silent}), Options{
		Concurrency: 1, HeadTimeout: 400 * time.Millisecond, StreamIdle: 800 * time.Millisecond, ConnectionIdle: 1200 * time.Millisecond})
	for _, tt := range []struct {
		name, send string
		status     int
		body, stat string
		atLeast    time.Duration
	}{
		{"half a head", "GET / HT", 408, "request header timeout", "http.in.downstream_rq_header_timeout", 400 * time.Millisecond},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 408, "stream timeout", "http.in.downstream_rq_idle_timeout", 800 * time.Millisecond},
		{"no response", get, 504, "stream timeout", "http.in.downstream_rq_idle_timeout", 800 * time.Millisecond},
		{"no request", "", 0, "", "http.in.downstream_cx_idle_timeout", 1200 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := stat(t, s, tt.stat)
			began := time.Now() // before the connection, whose idle time begins when it is accepted
			c := dial(t, s)
			_, err := io.WriteString(c, tt.send)
			require.NoError(t, err)
			if tt.status == 0 {
				b, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Empty(t, b)
			} else {
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, tt.status, resp.StatusCode)
				require.Equal(t, tt.body, string(b))
			}
			require.GreaterOrEqual(t, time.Since(began), tt.atLeast)
			eventually(t, s, tt.stat, before+1)
		})
	}
}

// What goes wrong before a request has a route is not the last request's route's.
func TestTimeoutAfterARequest(t *testing.T) {
	cfg := relay(0, mesh.Endpoint{Address: answer(t, ok("x"))})
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-route", Value: "1"}}
	s := start(t, cfg, Options{Concurrency: 1, HeadTimeout: 500 * time.Millisecond})
	c := dial(t, s)
	r := bufio.NewReader(c)
	_, err := io.WriteString(c, get+"GET / HT")
	require.NoError(t, err)
	for _, want := range []struct {
		status int
		header string
	}{{200, "1"}, {408, ""}} {
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, want.status, resp.StatusCode)
		require.Equal(t, want.header, resp.Header.Get("X-Route"))
	}
	eventually(t, s, "http.in.downstream_rq_4xx", 1)
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.upstream_rq_completed"))
}

// A head that comes byte by byte, for ever, ends with the head timeout although
// the connection is never idle.
func TestSlowloris(t *testing.T) {
	s := start(t, relay(0), Options{Concurrency: 1, HeadTimeout: 200 * time.Millisecond})
	c := dial(t, s)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				c.Write([]byte("a"))
			}
		}
	})
	began := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	close(stop)
	wg.Wait()
	require.NoError(t, err)
	require.Equal(t, 408, resp.StatusCode)
	require.Less(t, time.Since(began), 20*time.Second)
}

// A head that never ends, as fast as it can come, ends where heads are too large,
// and the connection soon after: what comes then does not keep it open.
func TestNeverEndingHead(t *testing.T) {
	s := start(t, relay(0), Options{Concurrency: 1})
	c := dial(t, s)
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\n")
	require.NoError(t, err)
	line := []byte("x-filler: " + strings.Repeat("a", 1000) + "\r\n")
	for end := time.Now().Add(60 * time.Second); err == nil; _, err = c.Write(line) {
		require.True(t, time.Now().Before(end), "it never ends")
	}
	require.EqualValues(t, 1, stat(t, s, "http.in.downstream_rq_4xx"))
	require.EqualValues(t, 1, stat(t, s, "http.in.downstream_cx_delayed_close_timeout"))
	require.Zero(t, stat(t, s, "http.in.downstream_cx_active"))
}

// A client with a tiny window that takes nothing of a large answer holds up its own
// upstream, and no longer than the stream idle timeout; others are served.
func TestTinyWindow(t *testing.T) {
	big := strings.Repeat("x", 8<<20)
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok(big))}), Options{Concurrency: 1, StreamIdle: 2 * time.Second})
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
	}}
	tiny, err := d.Dial("tcp", s.Addrs()[0].String())
	require.NoError(t, err)
	defer tiny.Close()
	_, err = io.WriteString(tiny, get)
	require.NoError(t, err)
	eventually(t, s, "cluster.app.upstream_rq_completed", 1)
	require.Less(t, stat(t, s, "cluster.app.upstream_cx_rx_bytes_total"), uint64(8<<20), "the upstream waits")
	c := dial(t, s)
	status, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, 200, status)
	require.Len(t, body, len(big))
	eventually(t, s, "http.in.downstream_rq_idle_timeout", 1)
	eventually(t, s, "cluster.app.upstream_rq_active", 0)
}

// blackhole returns an address whose handshake never ends: a listener with a
// full backlog.
func blackhole(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	addr, err := boundTo(fd)
	require.NoError(t, err)
	for range 8 {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(c) })
		_, sa := sockaddr(addr)
		unix.Connect(c, sa)
	}
	return addr.String()
}

func TestConnectTimeout(t *testing.T) {
	cfg := relay(0, mesh.Endpoint{Address: blackhole(t)})
	cfg.Clusters[0].ConnectTimeout = 200 * time.Millisecond
	s := start(t, cfg, Options{Concurrency: 1})
	c := dial(t, s)
	began := time.Now()
	status, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, 503, status)
	require.Contains(t, body, "connection timeout")
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.upstream_cx_connect_timeout"))
	require.Zero(t, stat(t, s, "cluster.app.upstream_rq_pending_active"))
}

func TestMaxConnections(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok("x"))}), Options{Concurrency: 1, MaxConnections: 2})
	a, b := dial(t, s), dial(t, s)
	ra, rb := bufio.NewReader(a), bufio.NewReader(b)
	ask(t, a, ra, get)
	ask(t, b, rb, get)
	c := dial(t, s)
	n, _ := c.Read(make([]byte, 1))
	require.Zero(t, n, "the third is closed")
	require.Equal(t, uint64(1), stat(t, s, "listener."+addrOf(s.Addrs()[0])+".downstream_global_cx_overflow"))
	ask(t, a, ra, get)
	b.Close()
	eventually(t, s, "http.in.downstream_cx_active", 1)
	d := dial(t, s)
	ask(t, d, bufio.NewReader(d), get)
}

// Circuit breakers: with every connection busy and the line full, a request is
// turned away at once, and the others are served when their turn comes.
func TestCircuitBreaker(t *testing.T) {
	var lim unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &lim))
	if lim.Cur < 8192 {
		t.Skipf("needs 8192 descriptors, the limit is %d", lim.Cur)
	}
	gate := make(chan struct{})
	var count atomic.Int64
	var once sync.Once
	release := func() { once.Do(func() { close(gate) }) }
	addr := answer(t, func(c net.Conn, r *bufio.Reader) {
		closing := ""
		if count.Add(1)%2 == 0 {
			closing = "Connection: close\r\n"
		}
		for skipHead(r) == nil {
			<-gate
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+closing+"Content-Length: 0\r\n\r\n")
		}
	})
	t.Cleanup(release)
	s := start(t, relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1})
	var cs []net.Conn
	for range mesh.DefaultBreakers.MaxConnections + mesh.DefaultBreakers.MaxPending {
		c := dial(t, s)
		_, err := io.WriteString(c, get)
		require.NoError(t, err)
		cs = append(cs, c)
	}
	eventually(t, s, "cluster.app.upstream_rq_pending_active", uint64(mesh.DefaultBreakers.MaxPending))
	require.Equal(t, uint64(mesh.DefaultBreakers.MaxConnections), stat(t, s, "cluster.app.upstream_cx_active"))
	c := dial(t, s)
	status, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, 503, status)
	require.True(t, strings.HasSuffix(body, "overflow"), body)
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.upstream_rq_pending_overflow"))
	release()
	for _, c := range cs {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	}
	require.Greater(t, stat(t, s, "cluster.app.upstream_cx_total"), uint64(mesh.DefaultBreakers.MaxConnections), "a closed connection is replaced for who waits")
	require.LessOrEqual(t, stat(t, s, "cluster.app.upstream_cx_active"), uint64(mesh.DefaultBreakers.MaxConnections))
}
