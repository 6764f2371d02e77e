package offload_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// otherIP is a second pod's, whose place is that of the servers.
const otherIP = "10.9.0.4"

// pod has the servers' host take the address of another pod, or lose it.
func (b *bench) pod(t *testing.T, there bool) {
	hostiftest.WithHandle(t, b.server, func(h *netlink.Handle) {
		links, err := h.LinkList()
		require.NoError(t, err)
		addr, err := netlink.ParseAddr(otherIP + "/24")
		require.NoError(t, err)
		for _, l := range links {
			switch {
			case l.Attrs().Name == "lo":
			case there:
				require.NoError(t, h.AddrAdd(l, addr))
			default:
				require.NoError(t, h.AddrDel(l, addr))
			}
		}
	})
}

// pods are a caller's proxy, with Istio's retries, and those of a service's pods, each of
// which stands before its own, at one port. Requests for /other are for the pod at otherIP alone.
func pods(port int, log string, addrs ...string) mesh.Config {
	logs := []mesh.AccessLog{{Path: log, Text: "%ROUTE_NAME% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_HOST%\n"}}
	listener := func(name, at string, routes ...mesh.Route) mesh.Listener {
		return mesh.Listener{Name: name, Address: at, StatPrefix: name, Logs: logs, VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: routes}}}
	}
	retry := &mesh.RetryPolicy{On: []string{"connect-failure", "refused-stream", "unavailable", "cancelled"}, Retries: 2, OtherHosts: true, HostAttempts: 5}
	cfg := mesh.Config{
		Listeners: []mesh.Listener{listener("out", proxyIP+":80", mesh.Route{Name: "alone", Prefix: "/other", Cluster: "other", Retry: retry}, mesh.Route{Name: "out", Prefix: "/", Cluster: "out", Retry: retry})},
		Clusters: []mesh.Cluster{{Name: "out", Breakers: &mesh.Breakers{MaxConnections: 1000, MaxPending: 1000, MaxRequests: 1000, MaxRetries: 1000}, Outliers: &mesh.OutlierDetection{Consecutive5xx: 5, Interval: time.Hour, BaseEjection: time.Hour, MaxEjection: time.Hour, MaxPercent: 50, Enforce5xx: 100}},
			{Name: "other", Endpoints: []mesh.Endpoint{{Address: fmt.Sprintf("%s:%d", otherIP, port)}}}},
	}
	for _, ip := range addrs {
		at := fmt.Sprintf("%s:%d", ip, port)
		in := listener(ip, at, mesh.Route{Name: "in", Prefix: "/", Cluster: ip})
		in.Intercept.Transparent = true
		cfg.Listeners = append(cfg.Listeners, in)
		cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: ip, ConnectTimeout: 10 * time.Second, Endpoints: []mesh.Endpoint{{Address: at}}})
		cfg.Clusters[0].Endpoints = append(cfg.Clusters[0].Endpoints, mesh.Endpoint{Address: at})
	}
	return cfg
}

// served is a server that says at which of its addresses it was asked, at a port of all of them.
func served(t *testing.T, b *bench) (port int) {
	var ln net.Listener
	hostiftest.In(t, b.server, func() {
		var err error
		ln, err = net.Listen("tcp4", ":0")
		require.NoError(t, err)
	})
	serveEach(t, ln, func(c net.Conn) {
		at, _, _ := net.SplitHostPort(c.LocalAddr().String())
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(at), at)
		}
	})
	return ln.Addr().(*net.TCPAddr).Port
}

// asked is what came of requests.
type asked struct {
	status, took map[string]int // by status, and of those of 200 by who answered
	longest      time.Duration
}

// askFor asks on one connection for as long as more says so.
func (b *bench) askFor(t *testing.T, path string, more func() bool) asked {
	out := asked{status: map[string]int{}, took: map[string]int{}}
	var c net.Conn
	var r *bufio.Reader
	for more() {
		if c == nil {
			var err error
			if c, err = b.dial(t, proxyIP+":80"); err != nil {
				t.Error(err)
				return out
			}
			r = bufio.NewReader(c)
		}
		began := time.Now()
		c.SetDeadline(began.Add(15 * time.Second))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			out.status[err.Error()]++
			c.Close()
			c = nil
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		out.longest = max(out.longest, time.Since(began))
		if out.status[resp.Status]++; resp.StatusCode == http.StatusOK {
			out.took[string(body)]++
		}
	}
	if c != nil {
		c.Close()
	}
	return out
}

func times(n int) func() bool {
	return func() bool { n--; return n >= 0 }
}

// A pod that is not there costs nobody a page where there is another: to its callers it is a
// connection that fails. It is waited for once, and then ejected; its own proxy has seen
// and says nothing. Where it is alone, that is what the client is told, at once.
func TestPodIsNotThere(t *testing.T) {
	b, start := newBench(t)
	port := served(t, b)
	log := filepath.Join(t.TempDir(), "log")
	start(offload.Config{Mesh: pods(port, log, serverIP, otherIP), LogFlush: 20 * time.Millisecond})
	r := b.askFor(t, "/", times(100))
	require.Equal(t, map[string]int{serverIP: 100}, r.took, "%+v", r)
	require.Less(t, r.longest, 5*time.Second)
	n := b.stats(t)
	for name, want := range map[string]uint64{"cluster.out.membership_healthy": 1, "cluster.out.outlier_detection.ejections_enforced_consecutive_5xx": 1, "cluster.out.upstream_rq_retry": 5,
		"cluster.out.upstream_cx_connect_fail": 5, "cluster.out.upstream_rq_200": 100, "cluster.out.upstream_rq_total": 100, "http." + otherIP + ".downstream_rq_total": 0, "http." + serverIP + ".downstream_rq_total": 100} {
		require.Equal(t, want, n[name], name)
	}
	r = b.askFor(t, "/other", times(10))
	require.Equal(t, map[string]int{"503 Service Unavailable": 10}, r.status)
	require.Less(t, r.longest, 2*time.Second)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		return strings.Count(string(text), "\n") == 210 && strings.Count(string(text),
			"alone 503 URX,UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_No_route_to_host} "+otherIP) == 10
	}, 5*time.Second, 20*time.Millisecond)
}

// A pod that vanishes without a word, under load: who has not got an answer yet may not get
// one, who comes after has another pod's. When it is back it has requests again.
func TestPodVanishes(t *testing.T) {
	b, start := newBench(t)
	b.pod(t, true)
	port := served(t, b)
	cfg := pods(port, filepath.Join(t.TempDir(), "log"), serverIP, otherIP)
	cfg.Clusters[0].Outliers = nil
	start(offload.Config{Mesh: cfg})
	const clients = 4
	during := func(lasts time.Duration, do func()) (all asked) {
		all = asked{status: map[string]int{}, took: map[string]int{}}
		var wg sync.WaitGroup
		var mu sync.Mutex
		end := time.Now().Add(lasts)
		for range clients {
			wg.Go(func() {
				r := b.askFor(t, "/", func() bool { return time.Now().Before(end) })
				mu.Lock()
				defer mu.Unlock()
				for k, v := range r.status {
					all.status[k] += v
				}
				for k, v := range r.took {
					all.took[k] += v
				}
				all.longest = max(all.longest, r.longest)
			})
		}
		do()
		wg.Wait()
		return all
	}
	r := during(300*time.Millisecond, func() {})
	require.Len(t, r.status, 1, "%+v", r)
	require.Len(t, r.took, 2, "%+v", r)
	r = during(6*time.Second, func() {
		time.Sleep(300 * time.Millisecond)
		b.pod(t, false)
	})
	ok := r.status["200 OK"]
	delete(r.status, "200 OK")
	failed := 0
	for _, v := range r.status {
		failed += v
	}
	require.LessOrEqual(t, failed, clients, "%+v", r)
	require.Greater(t, ok, 100)
	require.Less(t, r.longest, 5*time.Second)
	require.NotZero(t, b.stats(t)["neighbours.gone"])
	r = during(500*time.Millisecond, func() {})
	require.Equal(t, map[string]int{serverIP: r.status["200 OK"]}, r.took)
	require.Len(t, r.status, 1, "%+v", r)
	require.Less(t, r.longest, 500*time.Millisecond, "nobody waits for it any more")
	b.pod(t, true)
	r = during(3*time.Second, func() {})
	require.Len(t, r.status, 1, "%+v", r)
	require.NotZero(t, r.took[otherIP])
}
