//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/conformance"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// retried is one request under a retry policy, to an upstream that does what its
// script says for each request it gets in turn, and answers 200 after that: a
// whole response, a status to make one of, close, or hang. A script that begins
// with early answers as soon as it has a head.
type retried struct {
	name    string
	policy  *mesh.RetryPolicy
	timeout time.Duration
	script  []string
	send    []string // with a pause after each; empty is a GET
	leave   bool     // and then close
	change  func(c *mesh.Cluster, v *mesh.VirtualHost)
	differs string // why we mean to differ
}

func on(words ...string) *mesh.RetryPolicy { return &mesh.RetryPolicy{On: words, Retries: 1} }

func with(p *mesh.RetryPolicy, change func(p *mesh.RetryPolicy)) *mesh.RetryPolicy {
	change(p)
	return p
}

// never is a wait that the tests don't see the end of, nearly.
func never(p *mesh.RetryPolicy) { p.Base, p.Max = 10*time.Hour, 10*time.Hour }

func dead(c *mesh.Cluster, _ *mesh.VirtualHost) { c.Endpoints[0].Address = "127.0.0.1:1" }
func counted(_ *mesh.Cluster, v *mesh.VirtualHost) {
	v.CountRequests, v.CountResponses = true, true
}
func breakers(b mesh.Breakers) func(*mesh.Cluster, *mesh.VirtualHost) {
	return func(c *mesh.Cluster, _ *mesh.VirtualHost) { c.Breakers = &b }
}

func retries() []retried {
	post := []string{"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"}
	chunks := []string{"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "2\r\nde\r\n0\r\n\r\n"}
	large := []string{"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1048577\r\n\r\n" + strings.Repeat("x", 1<<20+1)}
	whole := []string{"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20)}
	counts := []string{"GET / HTTP/1.1\r\nhost: x\r\nX-Envoy-Attempt-Count: 7\r\nconnection: close\r\nx-last: 1\r\n\r\n"}
	five := with(on("5xx"), func(p *mesh.RetryPolicy) { p.Retries = 2 })
	perTry := func(p *mesh.RetryPolicy) { p.PerTry = 400 * time.Millisecond }
	return []retried{
		{name: "no policy", script: []string{"503"}},
		{name: "5xx, then not", policy: five, script: []string{"503", "500"}},
		{name: "5xx to the end", policy: five, script: []string{"503", "500", "599", "200"}},
		{name: "5xx with a body", policy: five, script: []string{"HTTP/1.1 503 X\r\ncontent-length: 3\r\n\r\nabc"}},
		{name: "5xx in chunks", policy: five, script: []string{"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"}},
		{name: "5xx to the end of the stream", policy: five, script: []string{"HTTP/1.1 503 X\r\n\r\n"}},
		{name: "5xx that closes", policy: five, script: []string{"HTTP/1.1 503 X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"}},
		{name: "5xx that says too much", policy: five, script: []string{"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"}},
		{name: "5xx after an interim response", policy: five, script: []string{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"}},
		{name: "5xx of a HEAD", policy: five, script: []string{"HTTP/1.1 503 X\r\ncontent-length: 3\r\n\r\n"}, send: []string{"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"}},
		{name: "4xx is not 5xx", policy: five, script: []string{"404"}},
		{name: "no retries", policy: &mesh.RetryPolicy{On: []string{"5xx"}}, script: []string{"503"}},
		{name: "no words", policy: &mesh.RetryPolicy{Retries: 3}, script: []string{"503"}},
		{name: "gateway-error of 500", policy: on("gateway-error"), script: []string{"500"}},
		{name: "gateway-error of 502", policy: on("gateway-error"), script: []string{"502"}},
		{name: "gateway-error of 504", policy: on("gateway-error"), script: []string{"504", "505"}},
		{name: "gateway-error of a loss", policy: on("gateway-error"), script: []string{"close", "close"}},
		{name: "retriable-4xx of 409", policy: on("retriable-4xx"), script: []string{"409", "409"}},
		{name: "retriable-4xx of 408", policy: on("retriable-4xx"), script: []string{"408"}},
		{name: "status codes", policy: with(on("retriable-status-codes"), func(p *mesh.RetryPolicy) { p.Statuses, p.Retries = []uint32{429, 200, 201}, 4 }), script: []string{"429", "201", "503"}},
		{name: "status codes without their word", policy: with(on("reset"), func(p *mesh.RetryPolicy) { p.Statuses = []uint32{429} }), script: []string{"429"}},
		{name: "headers", policy: with(on("retriable-headers"), func(p *mesh.RetryPolicy) {
			p.Headers = []mesh.HeaderMatch{{Name: "X-Again"}, {Name: "x-why", Value: &mesh.StringMatch{Kind: mesh.MatchPrefix, Text: "busy"}}}
			p.Retries = 3
		}), script: []string{"200 x-again: 1", "200 X-Why: busy!", "200 x-why: not busy"}},
		{name: "rate limited", policy: five, script: []string{"503 x-envoy-ratelimited: true"}},
		{name: "rate limited, and on", policy: on("envoy-ratelimited"), script: []string{"429 x-envoy-ratelimited: true", "429"}},
		{name: "of gRPC", policy: with(on("cancelled", "unavailable"), func(p *mesh.RetryPolicy) { p.Retries = 5 }), script: []string{"200 grpc-status: 14", "200 grpc-status: 1", "200 grpc-status: 4"}},
		{name: "of gRPC, none", policy: on("internal"), script: []string{"200 grpc-status: 0"}},
		{name: "of gRPC, no number", policy: on("internal"), script: []string{"200 grpc-status: 13x"}},
		{name: "of HTTP/2", policy: on("refused-stream"), script: []string{"503"}},
		{name: "reset", policy: on("reset"), script: []string{"close"}},
		{name: "reset, twice", policy: on("reset"), script: []string{"close", "close"}},
		{name: "reset, then another answer", policy: on("reset"), script: []string{"close", "503"}},
		{name: "reset of half a head", policy: on("reset"), script: []string{"HTTP/1.1 200 OK\r\ncont"}},
		{name: "reset of half a body", policy: on("reset", "5xx"), script: []string{"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na"}},
		{name: "reset by nonsense", policy: on("reset"), script: []string{"HTTP/1.1 garbage\r\n\r\n"}},
		{name: "nonsense to the end", policy: on("5xx"), script: []string{"HTTP/1.1 garbage\r\n\r\n", "HTTP/1.1 garbage\r\n\r\n"}},
		{name: "reset-before-request is not after", policy: on("reset-before-request"), script: []string{"close"}},
		{name: "reset-before-request", policy: on("reset-before-request"), change: dead},
		{name: "connect-failure is not a reset", policy: on("connect-failure"), script: []string{"close"}},
		{name: "connect-failure", policy: with(on("connect-failure"), func(p *mesh.RetryPolicy) { p.Retries = 3 }), change: dead},
		{name: "5xx of no connection", policy: on("5xx"), change: dead},
		{name: "statuses of no connection", policy: with(on("retriable-status-codes"), func(p *mesh.RetryPolicy) { p.Statuses = []uint32{503} }), change: dead},
		{name: "no endpoint", policy: five, change: func(c *mesh.Cluster, v *mesh.VirtualHost) { c.Endpoints, v.CountResponses = nil, true }},
		{name: "per try", policy: with(on("5xx"), perTry), script: []string{"hang"}},
		{name: "per try, twice", policy: with(on("reset"), perTry), script: []string{"hang", "hang"}, timeout: 10 * time.Second},
		{name: "per try, not on", policy: with(on("connect-failure", "retriable-4xx"), perTry), script: []string{"hang"}},
		{name: "per try, no words", policy: with(&mesh.RetryPolicy{}, perTry), script: []string{"hang"}},
		{name: "per try beyond the timeout", policy: with(on("5xx"), func(p *mesh.RetryPolicy) { p.PerTry = time.Hour }), script: []string{"503", "hang"}, timeout: 300 * time.Millisecond},
		{name: "per try, a body that comes late", policy: with(on("5xx"), perTry), script: []string{"200"}, send: []string{"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhe", "ll", "o"}},
		{name: "per try, a response that goes on", policy: with(on("5xx"), perTry), script: []string{"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na~b~c"}},
		{name: "timeout in a wait", policy: with(on("5xx"), never), script: []string{"503"}, timeout: 200 * time.Millisecond},
		{name: "timeout in a try", policy: on("5xx"), script: []string{"503", "hang"}, timeout: 500 * time.Millisecond},
		{name: "leaving in a wait", policy: with(on("5xx"), never), script: []string{"503"}, leave: true},
		{name: "leaving in a try", policy: five, script: []string{"503", "hang"}, leave: true},
		{name: "a body", policy: five, script: []string{"503", "close"}, send: post},
		{name: "chunks", policy: five, script: []string{"503", "close"}, send: chunks},
		{name: "a body refused early", policy: five, script: []string{"early 503"}, send: chunks},
		{name: "a body refused early, to the end", policy: with(on("5xx"), func(p *mesh.RetryPolicy) { p.Retries, p.Base, p.Max = 2, time.Millisecond, time.Millisecond }), script: []string{"early 503", "early 503", "early 503"}, send: chunks},
		{name: "a body that ends in a wait", policy: with(on("5xx"), never), script: []string{"early 503"}, send: chunks, timeout: 300 * time.Millisecond,
			differs: "a request that ends between two tries has no timeout with Envoy, and waits for ever"},
		{name: "a large body", policy: five, script: []string{"503"}, send: whole},
		{name: "too large a body", policy: five, script: []string{"503"}, send: large},
		{name: "too large a body to wait", policy: with(on("5xx"), never), script: []string{"early 503"},
			send: []string{"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\nconnection: close\r\n\r\nx", strings.Repeat("x", 1<<20)}},
		{name: "no place", policy: five, script: []string{"503"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9})},
		{name: "no place, and a wait", policy: with(on("5xx"), never), script: []string{"503"}, timeout: 300 * time.Millisecond, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9})},
		{name: "no place after a loss", policy: five, script: []string{"close"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9})},
		{name: "one place", policy: five, script: []string{"503", "503"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, MaxRetries: 1})},
		{name: "a budget of nothing", policy: five, script: []string{"503"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, MaxRetries: 9, Budget: &mesh.RetryBudget{Percent: 99}})},
		{name: "a budget of all", policy: five, script: []string{"503"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, Budget: &mesh.RetryBudget{Percent: 100}})},
		{name: "a least budget", policy: five, script: []string{"503", "503"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, Budget: &mesh.RetryBudget{Least: 1}})},
		{name: "no request may wait", policy: five, script: []string{"200"}, change: breakers(mesh.Breakers{MaxConnections: 9, MaxPending: 0, MaxRequests: 9, MaxRetries: 9})},
		{name: "no request may wait, headers are changed", policy: five, change: func(c *mesh.Cluster, v *mesh.VirtualHost) {
			c.Breakers = &mesh.Breakers{MaxConnections: 9, MaxPending: 0, MaxRequests: 9, MaxRetries: 9}
			counted(c, v)
			v.Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-added", Value: "1"}}
		}},
		{name: "counts", policy: five, script: []string{"503", "503"}, change: counted},
		{name: "counts of a client's", policy: five, script: []string{"503 x-envoy-attempt-count: 9"}, send: counts, change: counted},
		{name: "counts of the upstream's", policy: five, script: []string{"503", "200 x-envoy-attempt-count: 9"}, change: counted},
		{name: "counts that are not wanted", policy: five, script: []string{"503", "200 x-envoy-attempt-count: 9"}, send: counts},
		{name: "counts without retries", change: counted},
		{name: "counts of losses", policy: five, change: func(c *mesh.Cluster, v *mesh.VirtualHost) { dead(c, v); counted(c, v) }},
		{name: "counts of a try that was too long", policy: with(on("5xx"), perTry), script: []string{"hang", "hang"}, change: counted},
		{name: "counts of a timeout", policy: five, script: []string{"503", "hang"}, timeout: 300 * time.Millisecond, change: counted},
		{name: "counts, and headers that are changed", policy: five, script: []string{"503"}, change: func(c *mesh.Cluster, v *mesh.VirtualHost) {
			counted(c, v)
			v.Mutate.Request.Add = []mesh.HeaderValue{{Name: "x-added", Value: "1"}, {Name: "x-envoy-attempt-count", Value: "8", Action: mesh.OverwriteOrAdd}}
			v.Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-added", Value: "1"}, {Name: "x-envoy-attempt-count", Value: "8"}}
		}},
		{name: "of the virtual host", script: []string{"503"}, change: func(_ *mesh.Cluster, v *mesh.VirtualHost) { v.Retry = on("5xx") }},
		{name: "of the route, not the virtual host", policy: on("reset"), script: []string{"503"}, change: func(_ *mesh.Cluster, v *mesh.VirtualHost) { v.Retry = on("5xx") }},
	}
}

// TestRetries compares what the client and what the upstream sees of every case,
// and the cluster's counters, with the real Envoy's.
func TestRetries(t *testing.T) {
	path, all := envoy(t), retries()
	as := func(c retried, p pair) bool { return (p.envoy != p.ours) == (c.differs != "") }
	for i, p := range conformance.Again(all, func(some []retried, _ time.Duration) []pair { return tried(t, path, some) }, as) {
		t.Run(all[i].name, func(t *testing.T) {
			if all[i].differs != "" {
				require.NotEqual(t, p.envoy, p.ours, "the difference is gone: drop %q", all[i].differs)
				return
			}
			require.Equal(t, p.envoy, p.ours)
		})
	}
}

// tried plays cases through both.
func tried(t *testing.T, path string, all []retried) []pair {
	type side struct {
		cfg  mesh.Config
		seen []*transcript
	}
	world := func() (s side) {
		s.cfg = mesh.Config{Admin: "127.0.0.1:0"}
		for i, c := range all {
			up := &transcript{script: c.script, early: make(chan struct{}, 9)}
			name := fmt.Sprint("c", i)
			cluster := mesh.Cluster{Name: name, Endpoints: []mesh.Endpoint{{Address: answer(t, up.serve)}}}
			host := mesh.VirtualHost{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: name, Timeout: c.timeout, Retry: c.policy}}}
			if c.change != nil {
				c.change(&cluster, &host)
			}
			s.cfg.Clusters = append(s.cfg.Clusters, cluster)
			s.cfg.Listeners = append(s.cfg.Listeners, mesh.Listener{Name: name, StatPrefix: name, Address: "127.0.0.1:0", VirtualHosts: []mesh.VirtualHost{host}})
			s.seen = append(s.seen, up)
		}
		return s
	}
	play := func(s side, addr func(i int) string, admin string) (seen []string, stats map[string]uint64) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		seen = make([]string, len(all))
		for i, c := range all {
			slots <- struct{}{}
			wg.Go(func() {
				client := c.play(addr(i), s.seen[i])
				seen[i] = "client: " + client + "\n" + s.seen[i].String()
				<-slots
			})
		}
		wg.Wait()
		return seen, scrape(t, admin)
	}
	one, two := world(), world()
	ours := start(t, one.cfg, Options{Concurrency: 1})
	got, stats := play(one, func(i int) string { return ours.Addrs()[i].String() }, ours.AdminAddr().String())
	addrs := reserve(t, len(all)+1)
	for i := range all {
		two.cfg.Listeners[i].Address = addrs[i]
	}
	two.cfg.Admin = addrs[len(all)]
	startEnvoy(t, path, two.cfg, addrs[0])
	want, envoys := play(two, func(i int) string { return addrs[i] }, addrs[len(all)])
	out := make([]pair, len(all))
	for i, c := range all {
		out[i] = pair{want[i], got[i]}
		if c.differs == "" {
			out[i].ours += differ(fmt.Sprintf("cluster.c%d.", i), envoys, stats)
		}
	}
	return out
}

// TestRetriesElsewhere compares which endpoints the tries of a request go to, with
// policies that leave nothing to chance, and without and with a predicate.
func TestRetriesElsewhere(t *testing.T) {
	for _, policy := range []mesh.Policy{mesh.RingHash, mesh.Maglev} {
		t.Run(string(policy), func(t *testing.T) {
			var endpoints []mesh.Endpoint
			for i := range 4 {
				endpoints = append(endpoints, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
					for {
						head, ok := readHead(r)
						if !ok {
							return
						}
						// Each says who it is; the client is told of the last alone.
						fmt.Fprintf(c, "HTTP/1.1 503 X\r\nx-who: %d, %s\r\ncontent-length: 0\r\n\r\n", i, attemptLine.FindString(head))
					}
				})})
			}
			cfg := relay(0, endpoints...)
			cfg.Clusters[0].Policy = policy
			v := &cfg.Listeners[0].VirtualHosts[0]
			v.CountRequests, v.Routes = true, nil
			for tries := range uint32(3) {
				for attempts := range uint32(4) {
					v.Routes = append(v.Routes, mesh.Route{
						Path: fmt.Sprintf("/%d/%d", tries, attempts), Cluster: "app", Hash: []mesh.HashPolicy{{Header: "x-user"}},
						Retry: &mesh.RetryPolicy{On: []string{"5xx"}, Retries: tries + 1, Base: time.Millisecond, OtherHosts: attempts < 3, HostAttempts: attempts},
					})
				}
			}
			ours, envoys := both(t, cfg)
			for _, r := range v.Routes {
				for user := range 30 {
					request := fmt.Sprintf("GET %s \nx-user: %d\n", r.Path, user)
					require.Equal(t, whoLine(t, envoys, request), whoLine(t, ours, request), "%q", request)
				}
			}
		})
	}
}

// whoLine is what the last endpoint of a request, in the form of once, said of itself.
func whoLine(t *testing.T, addr, request string) string {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, strings.NewReplacer(" \n", " HTTP/1.1\r\nhost: x\r\n", "\n", "\r\n\r\n").Replace(request))
	require.NoError(t, err)
	head, ok := readHead(bufio.NewReader(c))
	require.True(t, ok)
	line := regexp.MustCompile(`x-who: .*`).FindString(head)
	require.NotEmpty(t, line)
	return line
}

var attemptLine = regexp.MustCompile(`x-envoy-attempt-count: \d+`)

// TestRetriesWait compares what a request is told of whose cluster has its only
// place for retries taken by one that waits.
func TestRetriesWait(t *testing.T) {
	cfg := relay(time.Second, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
		for skipHead(r) == nil {
			io.WriteString(c, "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")
		}
	})})
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Retry = with(on("5xx"), never)
	cfg.Clusters[0].Breakers = &mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, MaxRetries: 1}
	said := strings.Split(likewise(t, func() pair {
		ours, envoys := both(t, cfg)
		var said [2]string
		for i, addr := range []string{ours, envoys} {
			first := make(chan string)
			go func() { first <- raw(addr, closing) }()
			time.Sleep(2 * beat)
			second := raw(addr, closing)
			said[i] = strings.Join([]string{<-first, second, raw(addr, closing)}, "\nthen\n")
		}
		return pair{said[1], said[0]}
	}), "\nthen\n")
	require.Contains(t, said[1], "503", "there is one place, and it is taken")
	require.Contains(t, said[2], "504", "it was given back")
}

const closing = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

// A dead endpoint among live ones is not seen by clients, whatever the policy.
func TestRetriesHideADeadEndpoint(t *testing.T) {
	for _, policy := range mesh.Policies() {
		cfg := relay(0, mesh.Endpoint{Address: answer(t, ok("a"))}, mesh.Endpoint{Address: "127.0.0.1:1"}, mesh.Endpoint{Address: answer(t, ok("b"))})
		cfg.Clusters[0].Policy = mesh.Policy(policy)
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Retry = &mesh.RetryPolicy{On: []string{"connect-failure"}, Retries: 1, Base: time.Millisecond, OtherHosts: true, HostAttempts: 1000}
		s := start(t, cfg, Options{Concurrency: 1})
		c := dial(t, s)
		r := bufio.NewReader(c)
		for range 60 {
			status, _ := ask(t, c, r, get)
			require.Equal(t, 200, status, policy)
		}
		require.Equal(t, stat(t, s, "cluster.app.upstream_cx_connect_fail"), stat(t, s, "cluster.app.upstream_rq_retry_success"))
		require.NotZero(t, stat(t, s, "cluster.app.upstream_rq_retry"), policy)
	}
}

// differ says which counters whose names begin with prefix are not Envoy's, of those
// we have, but for those that count bytes.
func differ(prefix string, envoys, ours map[string]uint64) string {
	var differ []string
	for name, v := range ours {
		want, ok := envoys[name]
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, "bytes") && !strings.Contains(name, "flow_control") && want != v && (ok || v != 0) {
			differ = append(differ, fmt.Sprintf("%s is %d, want %d", name, v, want))
		}
	}
	for name, v := range envoys {
		if _, ok := ours[name]; !ok && v != 0 && strings.HasPrefix(name, prefix) && !strings.Contains(name, "circuit_breakers") &&
			(strings.Contains(name, "retry") || strings.Contains(name, "outlier")) {
			differ = append(differ, name+" is not there")
		}
	}
	slices.Sort(differ)
	return strings.Join(differ, "\n")
}

// scrape is what the admin listener says of all counters.
func scrape(t *testing.T, admin string) map[string]uint64 {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + admin + "/stats")
	require.NoError(t, err)
	defer resp.Body.Close()
	stats := map[string]uint64{}
	for line := bufio.NewScanner(resp.Body); line.Scan(); {
		var n uint64
		if name, v, _ := strings.Cut(line.Text(), ": "); v != "" {
			if _, err := fmt.Sscan(v, &n); err == nil {
				stats[name] = n
			}
		}
	}
	return stats
}

const beat = 100 * time.Millisecond

// play sends the case's request and returns all that comes of it.
func (c *retried) play(addr string, up *transcript) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(map[bool]time.Duration{false: 20 * time.Second, true: 2 * time.Second}[c.differs != ""]))
	send := c.send
	if len(send) == 0 {
		send = []string{"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"}
	}
	for i, s := range send {
		if i == 1 && strings.HasPrefix(c.script[0], "early") {
			<-up.early
		}
		if i > 0 {
			time.Sleep(beat)
		}
		if _, err := io.WriteString(conn, s); err != nil {
			return err.Error()
		}
	}
	if c.leave {
		time.Sleep(3 * beat)
		conn.Close()
		time.Sleep(beat)
		return "left"
	}
	b, err := io.ReadAll(conn)
	if conformance.Reason(err) != "closed" {
		b = append(b, err.Error()...)
	}
	return timeOfDay.ReplaceAllString(string(b), "$1:")
}

// transcript is an upstream with a script, and what it saw.
type transcript struct {
	script []string
	early  chan struct{} // an early answer was given

	mu    sync.Mutex
	conns int
	next  int
	seen  []string
}

func (u *transcript) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.seen, "\n")
}

func (u *transcript) note(i int, s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen[i] += s
}

// leftOver is a timeout of which something is gone, unless it is a try's own.
var leftOver = regexp.MustCompile(`(x-envoy-expected-rq-timeout-ms): (?:[013-9]\d*|2|2[1-9]\d*|20|20[1-9]\d*|200\d+)\r`)

func (u *transcript) serve(c net.Conn, r *bufio.Reader) {
	u.mu.Lock()
	u.conns++
	conn := u.conns
	u.mu.Unlock()
	for {
		head, ok := readHead(r)
		if !ok {
			return
		}
		u.mu.Lock()
		at, do := u.next, "200"
		if u.next++; at < len(u.script) {
			do = u.script[at]
		}
		if head = randomID.ReplaceAllString(head, "x-request-id: ID"); at > 0 {
			head = leftOver.ReplaceAllString(head, "$1: LEFT\r")
		}
		u.seen = append(u.seen, fmt.Sprintf("connection %d, %s: %s", conn, do, head))
		u.mu.Unlock()
		do, early := strings.CutPrefix(do, "early ")
		if !early {
			u.note(at, bodyOf(head, r))
		}
		switch {
		case do == "close":
			return
		case do == "hang":
			io.Copy(io.Discard, r)
			return
		case !strings.HasPrefix(do, "HTTP"):
			status, field, _ := strings.Cut(do, " ")
			if field != "" {
				field += "\r\n"
			}
			do = "HTTP/1.1 " + status + " X\r\ncontent-length: 0\r\n" + field + "\r\n"
		}
		for i, part := range strings.Split(do, "~") {
			if i > 0 {
				time.Sleep(3 * beat / 2)
			}
			io.WriteString(c, part)
		}
		switch {
		case early:
			u.early <- struct{}{}
			io.Copy(io.Discard, r)
			return
		case !strings.HasSuffix(do, "\r\n\r\n") && !strings.Contains(do, "abc") && !strings.Contains(do, "~"), strings.Contains(do, "X\r\n\r\n"):
			return // half of something
		}
	}
}

// bodyOf reads the body that the head says there is.
func bodyOf(head string, r *bufio.Reader) string {
	req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), r)))
	if err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return fmt.Sprintf("%s, then %v", conformance.Abridge(b), err)
	}
	if len(b) == 0 {
		return ""
	}
	return conformance.Abridge(b)
}
