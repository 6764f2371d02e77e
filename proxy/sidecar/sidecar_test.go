//go:build linux

package sidecar

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relay describes a proxy in front of the given endpoints, which may be slow.
func relay(timeout time.Duration, endpoints ...mesh.Endpoint) mesh.Config {
	return mesh.Config{
		Listeners: []mesh.Listener{{Name: "in", Address: "127.0.0.1:0", StatPrefix: "in", VirtualHosts: []mesh.VirtualHost{{
			Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "app", Timeout: timeout}},
		}}}},
		Clusters: []mesh.Cluster{{Name: "app", ConnectTimeout: 10 * time.Second, Endpoints: endpoints}},
	}
}

// answer serves every connection of a new listener with f, one goroutine each.
func answer(t testing.TB, f func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	return answerAt(t, "127.0.0.1:0", f)
}

// answerAt is answer at an address.
func answerAt(t testing.TB, addr string, f func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	var mu sync.Mutex
	var wg sync.WaitGroup
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				f(c, bufio.NewReader(c))
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return ln.Addr().String()
}

// ok answers every request, which has no body, with body.
func ok(body string) func(c net.Conn, r *bufio.Reader) {
	out := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return func(c net.Conn, r *bufio.Reader) {
		for skipHead(r) == nil {
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

func skipHead(r *bufio.Reader) error {
	for {
		l, err := r.ReadSlice('\n')
		if err != nil || len(l) == 2 {
			return err
		}
	}
}

// readHead reads a request's head; ok is false at the connection's end.
func readHead(r *bufio.Reader) (head string, ok bool) {
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", false
		}
		head += line
	}
	return head, true
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(60*time.Second)))
	return c
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// ask sends a request and returns the status and body of its response.
func ask(t testing.TB, c net.Conn, r *bufio.Reader, request string) (int, string) {
	t.Helper()
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// asksClose asks for a response of 200, and says whether it is to be the connection's last.
func asksClose(t testing.TB, c net.Conn, r *bufio.Reader) bool {
	t.Helper()
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	io.Copy(io.Discard, resp.Body)
	return resp.Close
}

func stat(t testing.TB, s *Server, name string) uint64 {
	t.Helper()
	for _, st := range s.Stats() {
		if st.Name == name {
			return st.Value
		}
	}
	t.Fatalf("no stat %s", name)
	return 0
}

// eventually waits for a stat to have a value.
func eventually(t testing.TB, s *Server, name string, want uint64) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); stat(t, s, name) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is %d, want %d", name, stat(t, s, name), want)
		}
	}
}

func TestFiftyThousandRequests(t *testing.T) {
	n, clients := 50000, 32
	if testing.Short() {
		n = 5000
	}
	addr := answer(t, ok("hello"))
	s := start(t, relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 2})
	var wg sync.WaitGroup
	var bad atomic.Int64
	for range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				bad.Add(1)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for range n / clients {
				io.WriteString(c, get)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					bad.Add(1)
					return
				}
				b, err := io.ReadAll(resp.Body)
				if err != nil || string(b) != "hello" || resp.StatusCode != 200 {
					bad.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, bad.Load())
	total := uint64(n / clients * clients)
	require.Equal(t, total, stat(t, s, "http.in.downstream_rq_2xx"))
	require.Equal(t, total, stat(t, s, "cluster.app.upstream_rq_200"))
	require.LessOrEqual(t, stat(t, s, "cluster.app.upstream_cx_total"), uint64(clients))
	eventually(t, s, "http.in.downstream_cx_active", 0)
	require.Zero(t, stat(t, s, "cluster.app.upstream_rq_active"))
}

func TestWeightsAreExact(t *testing.T) {
	var endpoints []mesh.Endpoint
	for i, w := range []uint32{1, 2, 3} {
		endpoints = append(endpoints, mesh.Endpoint{Address: answer(t, ok(fmt.Sprint(i))), Weight: w})
	}
	s := start(t, relay(0, endpoints...), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	got := map[string]int{}
	for range 600 {
		_, body := ask(t, c, r, get)
		got[body]++
	}
	require.Equal(t, map[string]int{"0": 100, "1": 200, "2": 300}, got)
}

// A client that does not read stops the server behind the proxy, and memory
// stays what it was; once it reads, everything arrives.
func TestSlowClient(t *testing.T) {
	const size = 64 << 20
	var sent atomic.Int64
	addr := answer(t, func(c net.Conn, r *bufio.Reader) {
		if skipHead(r) != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		b := bytes.Repeat([]byte("x"), 64<<10)
		for i := 0; i < size; i += len(b) {
			if _, err := c.Write(b); err != nil {
				return
			}
			sent.Add(int64(len(b)))
		}
	})
	s := start(t, relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1})
	c := dial(t, s)
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	stalled := settle(&sent)
	require.Less(t, stalled, int64(size/2), "the proxy takes in what its client does not read")
	n, err := io.Copy(io.Discard, io.LimitReader(c, size+100))
	require.NoError(t, err)
	require.Greater(t, n, int64(size))
	require.Equal(t, int64(size), sent.Load())
}

// settle waits until n has not moved for a while and returns it.
func settle(n *atomic.Int64) int64 {
	for last := int64(-1); ; {
		time.Sleep(150 * time.Millisecond)
		if now := n.Load(); now == last {
			return now
		} else {
			last = now
		}
	}
}

// A server that does not read stops the client.
func TestSlowServer(t *testing.T) {
	const size = 64 << 20
	gate := make(chan struct{})
	addr := answer(t, func(c net.Conn, r *bufio.Reader) {
		if skipHead(r) != nil {
			return
		}
		<-gate
		n, _ := io.CopyN(io.Discard, r, size)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Got: %d\r\n\r\n", n)
	})
	s := start(t, relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1})
	c := dial(t, s)
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
		b := bytes.Repeat([]byte("x"), 64<<10)
		for i := 0; i < size; i += len(b) {
			if _, err := c.Write(b); err != nil {
				done <- err
				return
			}
			sent.Add(int64(len(b)))
		}
		done <- nil
	}()
	stalled := settle(&sent)
	close(gate)
	require.Less(t, stalled, int64(size/2))
	require.NoError(t, <-done)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(size), resp.Header.Get("X-Got"))
}

// Bytes go both ways at once, more of them than any buffer holds.
func TestFullDuplex(t *testing.T) {
	const size = 8 << 20
	addr := answer(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 32<<10)
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
	s := start(t, relay(0, mesh.Endpoint{Address: addr}), Options{Concurrency: 1})
	c := dial(t, s)
	body := make([]byte, size)
	rnd := rand.NewChaCha8([32]byte{})
	rnd.Read(body)
	go func() {
		w := bufio.NewWriter(c)
		io.WriteString(w, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := 0; i < size; {
			n := min(size-i, 1+int(rnd.Uint64()%70000))
			fmt.Fprintf(w, "%x;ext=1\r\n", n)
			w.Write(body[i : i+n])
			io.WriteString(w, "\r\n")
			i += n
		}
		io.WriteString(w, "0\r\nTrailer: x\r\n\r\n")
		w.Flush()
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))
}

// Whatever clients send, the proxy stays up and what the next one sends is
// served. The input is the conversations' requests with bytes changed.
func TestMalformedFlood(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})}), Options{Concurrency: 1})
	rnd := rand.New(rand.NewPCG(1, 2))
	var seeds [][]byte
	for _, c := range conformance.Load(t, filepath.Join("..", "conformance", "testdata")) {
		for _, b := range c.Sends() {
			if len(b) < 4096 {
				seeds = append(seeds, b)
			}
		}
	}
	good := dial(t, s)
	r := bufio.NewReader(good)
	for range 300 {
		c := dial(t, s)
		for range 1 + rnd.IntN(3) {
			b := bytes.Clone(seeds[rnd.IntN(len(seeds))])
			for range rnd.IntN(4) {
				if len(b) > 0 {
					b[rnd.IntN(len(b))] = byte(rnd.IntN(256))
				}
			}
			c.Write(b)
		}
		if rnd.IntN(2) == 0 {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		status, body := ask(t, good, r, get)
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
	}
	eventually(t, s, "http.in.downstream_cx_active", 1)
	eventually(t, s, "cluster.app.upstream_rq_active", 0)
	require.Zero(t, stat(t, s, "http.in.downstream_rq_active"))
}

// In steady state a request costs no allocation, and a thousand idle connections
// no buffers.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	body := strings.Repeat("x", 1000)
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	addr := answer(t, func(c net.Conn, _ *bufio.Reader) {
		b := make([]byte, 4096)
		for {
			if n, err := c.Read(b); err != nil || n == 0 {
				return
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	})
	cfg := relay(time.Second, mesh.Endpoint{Address: addr})
	cfg.Listeners[0].Logs = []mesh.AccessLog{{Path: "/dev/null"}}
	cfg.Listeners[0].Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-cluster", Value: "%UPSTREAM_CLUSTER% %REQ(:PATH)%"}}
	s := start(t, cfg, Options{Concurrency: 1})
	c := dial(t, s)
	b, out := make([]byte, 8192), []byte(get)
	once := func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 1000; {
			m, err := c.Read(b[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	for range 100 {
		once()
	}
	const n = 2000
	best := float64(n)
	for range 5 { // what is done now and then is more of it on a slow machine
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			once()
		}
		runtime.ReadMemStats(&after)
		best = min(best, float64(after.Mallocs-before.Mallocs)/n)
	}
	if raceEnabled {
		return
	}
	// The date changes once a second; the test's own net.Conn is free of charge.
	require.Less(t, best, 0.05)
}

func TestIdleConnectionsAreCheap(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok("x"))}), Options{Concurrency: 1})
	for range 500 {
		c := dial(t, s)
		ask(t, c, bufio.NewReaderSize(c, 512), get)
	}
	var in, out, bufs int
	ran := make(chan struct{})
	s.workers[0].post(func() {
		for c := range s.workers[0].open {
			d := c.(*downstream)
			in, out = in+cap(d.in), out+cap(d.out)
		}
		bufs = len(s.workers[0].buffers)
		close(ran)
	})
	<-ran
	require.Zero(t, in+out, "an idle connection holds a buffer")
	require.LessOrEqual(t, bufs, 8)
}

func TestAdmin(t *testing.T) {
	cfg := relay(0, mesh.Endpoint{Address: answer(t, ok("x"))})
	cfg.Admin, cfg.Node = "127.0.0.1:0", "productpage"
	s := start(t, cfg, Options{Concurrency: 2})
	c := dial(t, s)
	ask(t, c, bufio.NewReader(c), get)
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	fetch := func(path string) (int, string) {
		resp, err := client.Get("http://" + s.AdminAddr().String() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(b)
	}
	status, body := fetch("/ready")
	require.Equal(t, 200, status)
	require.Equal(t, "LIVE\n", body)
	_, body = fetch("/stats")
	require.Contains(t, body, "\ncluster.app.upstream_rq_200: 1\n")
	require.Contains(t, body, "\nserver.concurrency: 2\n")
	require.Contains(t, body, "http.in.downstream_rq_3xx: 0\n")
	_, body = fetch("/stats?usedonly&filter=^http.in.downstream_rq_[0-9]")
	require.Equal(t, "http.in.downstream_rq_2xx: 1\n", body)
	status, _ = fetch("/stats?filter=(")
	require.Equal(t, 400, status)
	_, body = fetch("/server_info")
	require.Contains(t, body, `"id": "productpage"`)
	status, _ = fetch("/nothing")
	require.Equal(t, 404, status)
}

func TestPortOwnerOfNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := netip.MustParseAddrPort(ln.Addr().String())
	pid, _ := portOwner(a)
	require.Equal(t, os.Getpid(), pid)
	ln.Close()
	pid, _ = portOwner(a)
	require.Zero(t, pid)
}

func TestLogIsWritten(t *testing.T) {
	var mu sync.Mutex
	var b bytes.Buffer
	s, err := New(relay(0), Options{Concurrency: 1, Log: writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	})})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, s.Run(ctx))
	require.Contains(t, b.String(), "in listens on "+s.Addrs()[0].String())
	require.False(t, errors.Is(ctx.Err(), nil))
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// freeze stops the worker until the function it returns is called: what happens
// meanwhile it then sees in one round.
func freeze(s *Server) (thaw func()) {
	in, out := make(chan struct{}), make(chan struct{})
	s.workers[0].post(func() { close(in); <-out })
	<-in
	return func() { close(out) }
}

// A request and the close of the pooled connection it would take, seen in the
// same round, the request first: it goes out on a new connection.
func TestStaleConnectionInTheSameRound(t *testing.T) {
	closing := make(chan struct{}, 1)
	closed := make(chan struct{}, 1)
	var n atomic.Int64
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
		n.Add(1)
		if skipHead(r) != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		<-closing
		c.Close()
		closed <- struct{}{}
	})}), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	for i := range int64(20) {
		status, _ := ask(t, c, r, get)
		require.Equal(t, 200, status)
		require.Equal(t, 2*i+1, n.Load())
		thaw := freeze(s)
		_, err := io.WriteString(c, get)
		require.NoError(t, err)
		time.Sleep(time.Millisecond)
		closing <- struct{}{}
		<-closed
		thaw()
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, "round %d", i)
		closing <- struct{}{}
		<-closed
		eventually(t, s, "cluster.app.upstream_cx_active", 0)
	}
}

// An event fetched for a connection that is gone must not reach the one that has
// taken its place.
func TestStaleEvent(t *testing.T) {
	s, err := New(relay(0), Options{Concurrency: 1})
	require.NoError(t, err)
	defer s.Close()
	w := s.workers[0]
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK)
	require.NoError(t, err)
	a := &sock{w: w, fd: fd}
	require.NoError(t, w.register(a, unix.EPOLLIN))
	ev := unix.EpollEvent{Fd: a.slot, Pad: int32(w.slots[a.slot].gen)}
	require.Same(t, a, w.sock(&ev))
	a.close()
	require.Nil(t, w.sock(&ev))
	fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK)
	require.NoError(t, err)
	b := &sock{w: w, fd: fd}
	require.NoError(t, w.register(b, unix.EPOLLIN))
	require.Equal(t, ev.Fd, b.slot, "the slot is used again")
	require.Nil(t, w.sock(&ev))
	b.close()
}

// A client that asks for the close does not wait for Envoy's second.
func TestCloseIsPrompt(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok("x"))}), Options{Concurrency: 1})
	best := time.Hour
	for range 5 {
		c := dial(t, s)
		r := bufio.NewReader(c)
		began := time.Now()
		status, _ := ask(t, c, r, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		require.Equal(t, 200, status)
		_, err := r.ReadByte()
		require.Equal(t, io.EOF, err)
		best = min(best, time.Since(began))
	}
	require.Less(t, best, mesh.DelayedClose/2)
}
