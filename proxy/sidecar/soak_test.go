//go:build linux

package sidecar

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

var soakFor = flag.Duration("for", 3*time.Second, "how long TestSoak runs")

// soak is a sidecar under everything at once: 64 connections, endpoints that die
// and come back, reloads, and malformed requests among the others. The policy is
// that a request is tried again at another endpoint when its own is lost, so every
// well-formed request is answered, and rightly.
type soak struct {
	t         *testing.T
	addr      string
	endpoints []*mortal
	stop      atomic.Bool
	asking    sync.RWMutex // read by each request

	asked, malformed, reloads, deaths atomic.Int64

	mu    sync.Mutex
	wrong []string
}

const soakConnections = 64

func TestSoak(t *testing.T) {
	s := &soak{t: t}
	for i := range 3 {
		s.endpoints = append(s.endpoints, newMortal(t, i))
	}
	srv := start(t, s.config(0), Options{Concurrency: 2, DrainTime: 5 * time.Second})
	s.addr = srv.Addrs()[0].String()

	var clients, others sync.WaitGroup
	for i := range soakConnections {
		clients.Go(func() { s.client(uint64(i)) })
	}
	pace := max(*soakFor/180, 300*time.Millisecond)
	others.Go(func() {
		for n := 1; s.pause(pace); n++ {
			if err := srv.Reload(s.config(n)); err != nil {
				s.fail("reload: %v", err)
			}
			s.reloads.Add(1)
		}
	})
	others.Go(func() { s.reap(pace / 2) })

	end := time.Now().Add(*soakFor)
	time.Sleep(*soakFor / 10)
	early := s.measure(srv)
	t.Logf("after %v: %+v", *soakFor/10, early)
	for time.Now().Before(end) && len(s.failures()) == 0 {
		time.Sleep(100 * time.Millisecond)
	}
	late := s.measure(srv)
	s.stop.Store(true)
	clients.Wait()
	others.Wait()
	t.Logf("at the end: %+v", late)
	t.Logf("%d requests, %d malformed ones, %d endpoints lost, %d reloads", s.asked.Load(), s.malformed.Load(), s.deaths.Load(), s.reloads.Load())
	require.Empty(t, s.failures())
	require.NotZero(t, s.malformed.Load())
	require.NotZero(t, s.reloads.Load())
	require.NotZero(t, s.deaths.Load())
	// A pool may have grown to a connection a client, with both ends here, and a
	// goroutine of its endpoint's.
	require.LessOrEqual(t, late.descriptors, early.descriptors+2*3*soakConnections, "descriptors")
	require.LessOrEqual(t, late.goroutines, early.goroutines+3*soakConnections, "goroutines")
	// The buffers that each worker keeps for reuse come little by little.
	require.LessOrEqual(t, late.heapKiB, early.heapKiB+early.heapKiB/10+2*maxBuffered/1024, "memory")
	require.LessOrEqual(t, late.kept, early.kept+8, "clusters and chains of former configurations")
}

// config is the n-th configuration: each has headers of its own, every other one a
// second listener, and the policy changes.
func (s *soak) config(n int) mesh.Config {
	var all []mesh.Endpoint
	for _, e := range s.endpoints {
		all = append(all, mesh.Endpoint{Address: e.addr})
	}
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	cfg := relay(10*time.Second, all...)
	cfg.Clusters[0].ConnectTimeout = 2 * time.Second
	cfg.Clusters[0].Policy = []mesh.Policy{mesh.RoundRobin, mesh.LeastRequest, mesh.Random}[n%3]
	cfg.Clusters[0].Breakers = &mesh.Breakers{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 1024}
	l := &cfg.Listeners[0]
	l.Address = addr
	l.VirtualHosts[0].Retry = &mesh.RetryPolicy{On: []string{"connect-failure", "reset", "gateway-error"}, Retries: 8,
		Base: 2 * time.Millisecond, Max: 50 * time.Millisecond, OtherHosts: true, HostAttempts: 5}
	l.Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-version", Value: fmt.Sprint(n), Action: mesh.OverwriteOrAdd}}
	if n%2 == 1 {
		more := *l
		more.Name, more.Address = "more", "127.0.0.1:0"
		cfg.Listeners = append(cfg.Listeners, more)
	}
	return cfg
}

func (s *soak) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 10 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

func (s *soak) failures() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.wrong...)
}

// pause reports whether to go on after d.
func (s *soak) pause(d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(min(d, 20*time.Millisecond)) {
		if s.stop.Load() {
			return false
		}
	}
	return !s.stop.Load()
}

// reap kills an endpoint, lets it be dead for a while, and brings it back, so that
// at most one is dead at a time.
func (s *soak) reap(pace time.Duration) {
	r := rand.New(rand.NewPCG(1, 2))
	for s.pause(pace) {
		e := s.endpoints[r.IntN(len(s.endpoints))]
		e.die()
		s.deaths.Add(1)
		s.pause(pace / 2)
		if err := e.live(); err != nil {
			s.fail("endpoint: %v", err)
			return
		}
	}
}

// client asks one request after the other; one in a hundred is malformed.
func (s *soak) client(seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	var c net.Conn
	var r *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for !s.stop.Load() {
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", s.addr); err != nil {
				s.fail("connect: %v", err)
				return
			}
			r = bufio.NewReader(c)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		var closed bool
		var err error
		s.asking.RLock()
		if rnd.IntN(100) == 0 {
			s.malformed.Add(1)
			closed, err = true, malformed(c, r, rnd)
		} else {
			s.asked.Add(1)
			closed, err = wellFormed(c, r, rnd)
		}
		s.asking.RUnlock()
		if err != nil {
			s.fail("%v", err)
			return
		}
		if closed {
			c.Close()
			c = nil
		}
	}
}

// wellFormed asks for something of a random size and shape and looks at the answer.
func wellFormed(c net.Conn, r *bufio.Reader, rnd *rand.Rand) (closed bool, err error) {
	size := rnd.IntN(200)
	if rnd.IntN(8) == 0 {
		size = rnd.IntN(100_000)
	}
	method, body, head := "GET", "", ""
	switch rnd.IntN(6) {
	case 0:
		method = "HEAD"
	case 1:
		method, body = "POST", strings.Repeat("b", rnd.IntN(5000))
		head = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	case 2:
		method, body = "POST", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 500, strings.Repeat("c", 500))
		head = "Transfer-Encoding: chunked\r\n"
	}
	form := []string{"length", "chunked"}[rnd.IntN(2)]
	request := fmt.Sprintf("%s /%s/%d HTTP/1.1\r\nHost: soak\r\n%s\r\n%s", method, form, size, head, body)
	if cut := rnd.IntN(len(request)); rnd.IntN(20) == 0 {
		if _, err := io.WriteString(c, request[:cut]); err != nil {
			return false, fmt.Errorf("write: %w", err)
		}
		time.Sleep(time.Millisecond)
		request = request[cut:]
	}
	if _, err := io.WriteString(c, request); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return false, fmt.Errorf("%s /%s/%d: no answer: %w", method, form, size, err)
	}
	got, err := io.ReadAll(resp.Body)
	want := size
	if method == "HEAD" {
		want = 0
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("%s /%s/%d: %w", method, form, size, err)
	case resp.StatusCode != 200:
		return false, fmt.Errorf("%s /%s/%d: %s: %s", method, form, size, resp.Status, got)
	case len(got) != want || strings.Trim(string(got), "x") != "":
		return false, fmt.Errorf("%s /%s/%d: %d bytes", method, form, size, len(got))
	case resp.Header.Get("X-Version") == "":
		return false, fmt.Errorf("%s /%s/%d: no version", method, form, size)
	}
	return resp.Close, nil
}

// malformed sends one of these, each of which is refused and ends the connection.
func malformed(c net.Conn, r *bufio.Reader, rnd *rand.Rand) error {
	list := []string{
		"junk\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
		"GET / HTTP/1.1\r\nHost: a\r\n folded: first\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 70) + "\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	}
	text := list[rnd.IntN(len(list))]
	if _, err := io.WriteString(c, text); err != nil {
		return nil // refused before all of it was sent
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		// A client that sends more than was read may see a reset.
		if len(text) > 10_000 {
			return nil
		}
		return fmt.Errorf("%.60q: no answer: %w", text, err)
	}
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode/100 != 4 && resp.StatusCode != http.StatusNotImplemented || !resp.Close {
		return fmt.Errorf("%.60q: %s, close %v", text, resp.Status, resp.Close)
	}
	return nil
}

// mortal is an endpoint that dies and lives again. It answers a request in one go,
// so that it dies before an answer or after it.
type mortal struct {
	addr string
	wg   sync.WaitGroup

	mu   sync.Mutex
	ln   net.Listener
	open map[net.Conn]*sync.Mutex
}

func newMortal(t *testing.T, i int) *mortal {
	m := &mortal{addr: fmt.Sprintf("127.%d.%d.%d:%d", 128+os.Getpid()>>16&63, os.Getpid()>>8&255, max(os.Getpid()&255, 1), 20000+i)}
	require.NoError(t, m.live())
	t.Cleanup(func() {
		m.die()
		m.wg.Wait()
	})
	return m
}

func (m *mortal) live() error {
	ln, err := net.Listen("tcp", m.addr)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.ln, m.open = ln, map[net.Conn]*sync.Mutex{}
	m.mu.Unlock()
	m.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			busy := new(sync.Mutex)
			m.mu.Lock()
			if m.ln != ln {
				c.Close()
			} else {
				m.open[c] = busy
			}
			m.mu.Unlock()
			m.wg.Go(func() { m.serve(c, busy) })
		}
	})
	return nil
}

// die closes everything at once, but for answers that are being written.
func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ln == nil {
		return
	}
	m.ln.Close()
	m.ln = nil
	for c, busy := range m.open {
		busy.Lock()
		c.Close()
		busy.Unlock()
	}
	m.open = nil
}

func (m *mortal) serve(c net.Conn, busy *sync.Mutex) {
	defer func() {
		c.Close()
		m.mu.Lock()
		delete(m.open, c)
		m.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		var size int
		form := "length"
		if _, err := fmt.Sscanf(req.URL.Path, "/length/%d", &size); err != nil {
			fmt.Sscanf(req.URL.Path, "/chunked/%d", &size)
			form = "chunked"
		}
		var out bytes.Buffer
		switch {
		case form == "length":
			fmt.Fprintf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		default:
			out.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		}
		text := strings.Repeat("x", size)
		switch {
		case req.Method == http.MethodHead:
		case form == "length":
			out.WriteString(text)
		default:
			if size > 0 {
				fmt.Fprintf(&out, "%x\r\n%s\r\n", size, text)
			}
			out.WriteString("0\r\n\r\n")
		}
		busy.Lock()
		_, err = c.Write(out.Bytes())
		busy.Unlock()
		if err != nil {
			return
		}
	}
}

// footprint is what must not grow.
type footprint struct {
	goroutines, descriptors, kept int
	heapKiB                       uint64
}

// measure takes it between requests: what clients and endpoints have in hand is
// not the sidecar's.
func (s *soak) measure(srv *Server) (f footprint) {
	s.asking.Lock()
	defer s.asking.Unlock()
	time.Sleep(100 * time.Millisecond) // for what the endpoints have answered and not put away
	runtime.GC()                       // twice, for what finalizers and pools let go of
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	f = footprint{goroutines: runtime.NumGoroutine(), descriptors: len(fds), heapKiB: m.HeapAlloc / 1024}
	for _, w := range srv.workers {
		n := make(chan int, 1)
		w.post(func() { n <- len(w.retired) + len(w.replaced) })
		f.kept += <-n
	}
	return f
}
