//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// checkedOn is a story of three endpoints that are asked how they are. Its steps
// are "0=503", which has endpoint 0 answer so from now on, "wait 300ms" and
// "ask 0", which is a request that would go to endpoint 0 if all were well.
type checkedOn struct {
	name   string
	change func(c *mesh.HealthCheck, cl *mesh.Cluster)
	steps  string
	want   string // who answers; - is nobody
}

func checkStories(w *secureWorld) []checkedOn {
	expect := func(c *mesh.HealthCheck) { c.HTTP.Expected = []mesh.StatusRange{{Start: 200, End: 202}} }
	tcp := func(t mesh.TCPCheck) func(c *mesh.HealthCheck, _ *mesh.Cluster) {
		return func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.HTTP, c.TCP = nil, &t }
	}
	secure := func(c *mesh.HealthCheck, cl *mesh.Cluster) {
		cfg := mesh.Config{Clusters: []mesh.Cluster{*cl}}
		*cl = w.originate(cfg).Clusters[0]
	}
	both := func(all ...func(c *mesh.HealthCheck, cl *mesh.Cluster)) func(c *mesh.HealthCheck, cl *mesh.Cluster) {
		return func(c *mesh.HealthCheck, cl *mesh.Cluster) {
			for _, f := range all {
				f(c, cl)
			}
		}
	}
	say := []byte("GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
	return []checkedOn{
		{"all is well", nil, "ask 0, ask 1, ask 2, wait 400ms, ask 0", "0 1 2 0"},
		{"down and up", nil, "ask 0, 0=503, wait 500ms, ask 0, 0=200, wait 700ms, ask 0", "0 X 0"},
		{"down from the beginning", nil, "0=503, begin, ask 0, 0=200, wait 700ms, ask 0", "X 0"},
		{"all are down", nil, "0=503, 1=503, 2=503, wait 500ms, ask 0, ask 1, 1=200, wait 700ms, ask 0", "- - 1"},
		{"all are down, panic", func(_ *mesh.HealthCheck, cl *mesh.Cluster) { cl.Panic = nil }, "0=503, 1=503, 2=503, wait 500ms, ask 0, ask 1", "0 1"},
		{"a status needs no second", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.UnhealthyThreshold = 100 }, "0=404, wait 500ms, ask 0", "X"},
		{"a loss does", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.UnhealthyThreshold = 100 }, "0=close, wait 500ms, ask 0", "0"},
		{"losses", nil, "0=close, wait 600ms, ask 0, 0=200, wait 700ms, ask 0", "X 0"},
		{"half an answer", nil, "0=half, wait 600ms, ask 0", "X"},
		{"nonsense", nil, "0=nonsense, wait 600ms, ask 0", "X"},
		{"no answer in time", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.Timeout = 250 * time.Millisecond }, "0=hang, wait 1000ms, ask 0", "X"},
		{"many successes", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.HealthyThreshold = 100 }, "ask 0, 0=503, wait 500ms, ask 0, 0=200, wait 600ms, ask 0", "0 X X"},
		{"retriable, and threshold", func(c *mesh.HealthCheck, _ *mesh.Cluster) {
			c.HTTP.Retriable, c.UnhealthyThreshold = []mesh.StatusRange{{Start: 429, End: 430}}, 100
		}, "0=429, wait 500ms, ask 0, 0=430, wait 500ms, ask 0", "0 X"},
		{"retriable", func(c *mesh.HealthCheck, _ *mesh.Cluster) {
			c.HTTP.Retriable = []mesh.StatusRange{{Start: 429, End: 430}}
		}, "0=429, wait 600ms, ask 0", "X"},
		{"another success", func(c *mesh.HealthCheck, _ *mesh.Cluster) { expect(c) }, "0=201, wait 500ms, ask 0, 1=202, wait 500ms, ask 1", "0 X"},
		{"no content is not 200", nil, "0=204, wait 500ms, ask 0", "X"},
		{"a body, chunks, the end of the stream", nil, "0=body, 1=chunks, 2=stream, wait 600ms, ask 0, ask 1, ask 2", "0 1 2"},
		{"a connection for each", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.Once = true }, "wait 400ms, ask 0, 0=503, wait 500ms, ask 0", "0 X"},
		{"another host", func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.HTTP.Host, c.HTTP.Path = "h.example:1", "/health/x?y" }, "ask 0", "0"},
		{"nobody is there", func(_ *mesh.HealthCheck, cl *mesh.Cluster) { cl.Endpoints[0].Address = "127.0.0.1:1" }, "wait 400ms, ask 0", "X"},
		{"a connection is enough", tcp(mesh.TCPCheck{}), "0=503, wait 500ms, ask 0", "0"},
		{"a connection, and nobody is there", func(c *mesh.HealthCheck, cl *mesh.Cluster) {
			tcp(mesh.TCPCheck{})(c, cl)
			cl.Endpoints[0].Address = "127.0.0.1:1"
		}, "wait 400ms, ask 0", "X"},
		{"bytes", func(c *mesh.HealthCheck, cl *mesh.Cluster) {
			tcp(mesh.TCPCheck{Send: say, Receive: [][]byte{[]byte("HTTP/1.1 2"), []byte("-length: ")}})(c, cl)
			c.Timeout = 250 * time.Millisecond
		}, "1=body, wait 600ms, ask 1, 0=503, wait 1000ms, ask 0", "1 X"},
		{"ejected, and well again", func(_ *mesh.HealthCheck, cl *mesh.Cluster) {
			cl.Outliers = new(mesh.DefaultOutliers)
			cl.Outliers.Consecutive5xx, cl.Outliers.MaxPercent = 1, 50
		}, "ask 0 503, wait 500ms, ask 0", "503 0"},
		{"no traffic", func(c *mesh.HealthCheck, _ *mesh.Cluster) {
			c.NoTraffic, c.NoTrafficHealthy = time.Hour, time.Hour
		}, "0=503, wait 500ms, ask 0, wait 500ms, ask 0", "0 0"},
		{"jitter", func(c *mesh.HealthCheck, _ *mesh.Cluster) {
			c.InitialJitter, c.Jitter, c.JitterPercent = 50*time.Millisecond, 20*time.Millisecond, 10
		}, "wait 300ms, ask 0, 0=503, wait 600ms, ask 0", "0 X"},
		{"connections that do not wait for the next check", func(c *mesh.HealthCheck, cl *mesh.Cluster) {
			const every = time.Second // much longer than the idle timeout, and that than a busy machine's pauses: both at once is a failure in Envoy
			c.Interval, c.NoTraffic, c.NoTrafficHealthy, c.Unhealthy, c.UnhealthyEdge, c.HealthyEdge = every, every, every, every, every, every
			cl.Idle = new(300 * time.Millisecond)
		}, "wait 1400ms, ask 0, 0=503, wait 3500ms, ask 0", "0 X"},
		{"TLS", secure, "ask 0, 0=503, wait 500ms, ask 0, 0=200, wait 700ms, ask 0", "0 X 0"},
		{"TLS, a body, chunks, the end of the stream", secure, "0=body, 1=chunks, 2=stream, wait 600ms, ask 0, ask 1, ask 2", "0 1 2"},
		{"TLS, losses", secure, "0=close, wait 600ms, ask 0, 0=200, wait 700ms, ask 0", "X 0"},
		{"TLS, no answer in time", both(secure, func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.Timeout = 250 * time.Millisecond }), "0=hang, wait 1000ms, ask 0", "X"},
		{"TLS, a connection for each", both(secure, func(c *mesh.HealthCheck, _ *mesh.Cluster) { c.Once = true }), "wait 400ms, ask 0, 0=503, wait 500ms, ask 0", "0 X"},
		{"TLS, ALPN", both(secure, func(_ *mesh.HealthCheck, cl *mesh.Cluster) { cl.TLS.ALPN = []string{"http/1.1"} }), "ask 0", "0"},
		{"TLS, another name", both(secure, func(_ *mesh.HealthCheck, cl *mesh.Cluster) {
			cl.TLS.Validation = w.ca.validation("spiffe://mesh/nobody")
		}), "wait 400ms, ask 0", "-"},
		{"TLS, and one speaks clear text", both(secure, func(_ *mesh.HealthCheck, cl *mesh.Cluster) { cl.Endpoints[0].Address = clearText }), "wait 400ms, ask 0", "X"},
		{"TLS, a connection is enough", both(secure, tcp(mesh.TCPCheck{})), "wait 400ms, ask 0", "0"},
		{"TLS, a connection of another name", both(secure, tcp(mesh.TCPCheck{}), func(_ *mesh.HealthCheck, cl *mesh.Cluster) {
			cl.TLS.Validation = w.ca.validation("spiffe://mesh/nobody")
		}), "wait 400ms, ask 0", "-"},
		{"TLS, bytes", both(secure, func(c *mesh.HealthCheck, cl *mesh.Cluster) {
			tcp(mesh.TCPCheck{Send: say, Receive: [][]byte{[]byte("HTTP/1.1 2"), []byte("-length: ")}})(c, cl)
			c.Timeout = 250 * time.Millisecond
		}), "1=body, wait 600ms, ask 1, 0=503, wait 1000ms, ask 0", "1 X"},
	}
}

// clearText stands for the address of an endpoint that has no TLS, among others
// that have.
const clearText = "127.0.0.1:9"

// patient is an endpoint whose answers to checks can be changed.
type patient struct {
	mu   sync.Mutex
	mode string
	head string // of the first check
	hi   string // what is asked for in the first TLS handshake
}

// secured is serve behind TLS.
func (p *patient) secured(w *secureWorld, who int) func(c net.Conn, r *bufio.Reader) {
	config, serve := w.tlsServer(w.server), p.serve(who)
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.hi == "" {
			p.hi = fmt.Sprintf("sni=%q alpn=%q", h.ServerName, h.SupportedProtos)
		}
		return nil, nil
	}
	return func(c net.Conn, _ *bufio.Reader) {
		tc := tls.Server(c, config)
		serve(tc, bufio.NewReader(tc))
		tc.Close()
	}
}

func (p *patient) set(mode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
}

func (p *patient) serve(who int) func(c net.Conn, r *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for {
			head, ok := readHead(r)
			if !ok {
				return
			}
			if !strings.HasPrefix(head, "GET /health") {
				status := "200"
				if strings.Contains(head, "x-do: 503") {
					status = "503"
				}
				fmt.Fprintf(c, "HTTP/1.1 %s X\r\nx-who: %d\r\ncontent-length: 0\r\n\r\n", status, who)
				continue
			}
			p.mu.Lock()
			mode := p.mode
			if p.head == "" {
				p.head = head
			}
			p.mu.Unlock()
			switch mode {
			case "close":
				return
			case "half":
				io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
				return
			case "nonsense":
				io.WriteString(c, "nonsense\r\n\r\n")
				return
			case "hang":
				io.Copy(io.Discard, r)
				return
			case "body":
				io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
			case "chunks":
				io.WriteString(c, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n")
			case "stream":
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nfine")
				return
			default:
				fmt.Fprintf(c, "HTTP/1.1 %s X\r\n", mode)
				if mode != "204" {
					io.WriteString(c, "content-length: 0\r\n")
				}
				io.WriteString(c, "\r\n")
			}
		}
	}
}

// TestChecks plays every story through both proxies: who answers, what a check
// looks like, and what the counters say in the end, are the same.
func TestChecks(t *testing.T) {
	path, w := envoy(t), newSecureWorld(t)
	all := checkStories(w)
	as := func(s checkedOn, p pair) bool { return p.envoy == p.ours && s.want == answerers(p.ours) }
	for i, p := range conformance.Again(all, func(some []checkedOn, longer time.Duration) []pair { return checked(t, path, w, some, longer) }, as) {
		t.Run(all[i].name, func(t *testing.T) {
			require.Equal(t, p.envoy, p.ours)
			require.Equal(t, all[i].want, answerers(p.ours))
		})
	}
}

// answerers are those of a story that was played.
func answerers(seen string) string { return strings.SplitN(seen, "\n", 2)[0] }

// checked plays stories through both.
func checked(t *testing.T, path string, w *secureWorld, all []checkedOn, longer time.Duration) []pair {
	cfg := mesh.Config{Admin: "127.0.0.1:0"}
	patients := make([][]*patient, len(all))
	for i, s := range all {
		name := fmt.Sprint("c", i)
		const every = 100 * time.Millisecond
		c := mesh.Cluster{Name: name, Policy: mesh.RingHash, MergeWindow: new(time.Duration(0)), Panic: new(0.), Check: &mesh.HealthCheck{
			Timeout: 2 * time.Second, Interval: every, NoTraffic: every, NoTrafficHealthy: every, Unhealthy: every, UnhealthyEdge: every, HealthyEdge: every,
			UnhealthyThreshold: 2, HealthyThreshold: 2, HTTP: &mesh.HTTPCheck{Path: "/health"}}}
		for who := range 3 {
			p := &patient{}
			patients[i] = append(patients[i], p)
			c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: answer(t, p.serve(who))})
		}
		if s.change != nil {
			s.change(c.Check, &c)
		}
		h := c.Check
		for _, d := range []*time.Duration{&h.Timeout, &h.Interval, &h.NoTraffic, &h.NoTrafficHealthy, &h.Unhealthy, &h.UnhealthyEdge, &h.HealthyEdge, &h.InitialJitter, &h.Jitter} {
			*d = min(*d, time.Minute) * longer
		}
		if c.TLS != nil {
			for who, p := range patients[i] {
				if c.Endpoints[who].Address == clearText {
					c.Endpoints[who].Address = answer(t, func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, "220 hello\r\n") })
				} else {
					c.Endpoints[who].Address = answer(t, p.secured(w, who))
				}
			}
		}
		cfg.Clusters = append(cfg.Clusters, c)
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: name, StatPrefix: name, Address: "127.0.0.1:0", VirtualHosts: []mesh.VirtualHost{{
			Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: name, Hash: []mesh.HashPolicy{{Header: "x-user"}}}}}}})
	}
	table, err := mesh.Compile(cfg)
	require.NoError(t, err)
	ready := func() {
		for i, s := range all {
			begin, _, _ := strings.Cut(s.steps, "begin")
			for who, p := range patients[i] {
				p.mu.Lock()
				p.mode, p.head, p.hi = "200", "", ""
				p.mu.Unlock()
				if strings.Contains(s.steps, "begin") && strings.Contains(begin, fmt.Sprintf("%d=503", who)) {
					p.set("503")
				}
			}
		}
	}
	play := func(addr func(i int) string) (seen []string) {
		time.Sleep(3 * beat * longer) // Envoy listens when all have been asked
		var wg sync.WaitGroup
		seen = make([]string, len(all))
		for i, s := range all {
			users := usersOf(t, table, i)
			wg.Go(func() { seen[i] = s.play(addr(i), users, patients[i], longer) })
		}
		wg.Wait()
		return seen
	}
	ready()
	ours := start(t, cfg, Options{Concurrency: 1})
	got := play(func(i int) string { return ours.Addrs()[i].String() })
	stats := scrape(t, ours.AdminAddr().String())
	ready()
	addrs := reserve(t, len(all)+1)
	cfg.Listeners = slices.Clone(cfg.Listeners)
	for i := range all {
		cfg.Listeners[i].Address = addrs[i]
	}
	cfg.Admin = addrs[len(all)]
	startEnvoy(t, path, cfg, addrs[0])
	want := play(func(i int) string { return addrs[i] })
	envoys := scrape(t, addrs[len(all)])
	out := make([]pair, len(all))
	for i := range all {
		p := fmt.Sprintf("cluster.c%d.", i)
		out[i] = pair{want[i] + checkStats(p, envoys), got[i] + checkStats(p, stats)}
	}
	return out
}

// checkStats says of the counters of checks what does not depend on how many there were.
func checkStats(p string, stats map[string]uint64) (out string) {
	for _, name := range []string{"membership_healthy", "membership_total", "health_check.healthy"} {
		out += fmt.Sprintf("\n%s: %d", name, stats[p+name])
	}
	for _, name := range []string{
		"upstream_cx_idle_timeout", "health_check.attempt", "health_check.success", "health_check.failure", "health_check.network_failure",
		"ssl.handshake", "ssl.fail_verify_san", "ssl.fail_verify_error", "ssl.connection_error", "ssl.no_certificate",
	} {
		out += fmt.Sprintf("\n%s: %t", name, stats[p+name] > 0)
	}
	return out
}

// play tells the story and returns who answered, and what the first check was.
func (s *checkedOn) play(addr string, users []string, patients []*patient, longer time.Duration) string {
	var who []string
	for _, step := range strings.Split(s.steps, ", ") {
		f := strings.Fields(step)
		switch {
		case f[0] == "wait":
			d, _ := time.ParseDuration(f[1])
			time.Sleep(d * longer)
		case f[0] == "ask":
			do := append(f, "200")[2]
			said := said(addr, users[f[1][0]-'0'], do)
			status, x, _ := strings.Cut(said, " of x-who: ")
			switch {
			case status != "200":
				x = map[bool]string{true: "-", false: status}[x == ""]
			case x != f[1] && s.want != "- - 1":
				x = "X" // somebody else
			}
			who = append(who, x)
		case f[0] != "begin":
			e, mode, _ := strings.Cut(f[0], "=")
			patients[e[0]-'0'].set(mode)
		}
	}
	p := patients[1]
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(who, " ") + "\n" + p.head + p.hi
}

// A reload ends the checks of what is gone, and begins those of what is new.
func TestChecksAndReload(t *testing.T) {
	one, two := &patient{mode: "200"}, &patient{mode: "200"}
	cfg := relay(0, mesh.Endpoint{Address: answer(t, one.serve(1))})
	cfg.Clusters[0].Check = &mesh.HealthCheck{Timeout: time.Second, Interval: 10 * time.Millisecond, NoTraffic: 10 * time.Millisecond, NoTrafficHealthy: 10 * time.Millisecond,
		Unhealthy: 10 * time.Millisecond, UnhealthyEdge: 10 * time.Millisecond, HealthyEdge: 10 * time.Millisecond, UnhealthyThreshold: 1, HealthyThreshold: 1, HTTP: &mesh.HTTPCheck{Path: "/health"}}
	s := start(t, cfg, Options{Concurrency: 2})
	eventually(t, s, "cluster.app.health_check.healthy", 1)
	cfg.Clusters = slices.Clone(cfg.Clusters)
	cfg.Clusters[0].Endpoints = []mesh.Endpoint{{Address: answer(t, two.serve(2))}}
	require.NoError(t, s.Reload(cfg))
	eventually(t, s, "cluster.app.membership_healthy", 1)
	two.set("503")
	eventually(t, s, "cluster.app.membership_healthy", 0)
	one.mu.Lock()
	one.head = ""
	one.mu.Unlock()
	time.Sleep(beat)
	one.mu.Lock()
	defer one.mu.Unlock()
	require.Empty(t, one.head, "nobody asks any more")
}
