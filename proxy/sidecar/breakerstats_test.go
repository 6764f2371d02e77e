//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// The gauges of circuit breakers, while requests are under way, wait and are tried
// again, and when all is over, against the real Envoy's.
func TestBreakerGaugesWithEnvoy(t *testing.T) {
	path := envoy(t)
	var ours map[string][]string
	likewise(t, func() pair {
		theirs := gauges(t, func(t *testing.T, cfg mesh.Config) (addr, admin string) {
			addrs := reserve(t, 2)
			cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
			startEnvoy(t, path, cfg, addrs[0])
			return addrs[0], addrs[1]
		})
		ours = gauges(t, startOurs)
		return pair{inTurn(theirs), inTurn(ours)}
	})
	for _, want := range []string{
		"one.circuit_breakers.default.cx_open=1", "one.circuit_breakers.default.rq_pending_open=1", "few.circuit_breakers.default.rq_open=1", "many.circuit_breakers.default.rq_open=1",
		"again.circuit_breakers.default.rq_retry_open=1", "again.circuit_breakers.default.remaining_retries=0", "few.circuit_breakers.default.remaining_rq=0", "zero.circuit_breakers.default.cx_open=1",
	} {
		require.Contains(t, ours["at once"], want)
	}
	require.NotContains(t, ours["over"], "few.circuit_breakers.default.rq_open=1")
}

// inTurn are gauges, those of one moment after the other.
func inTurn(all map[string][]string) (out string) {
	for _, when := range slices.Sorted(maps.Keys(all)) {
		out += when + ":\n" + strings.Join(all[when], "\n") + "\n"
	}
	return out
}

func startOurs(t *testing.T, cfg mesh.Config) (addr, admin string) {
	cfg.Listeners[0].Address, cfg.Admin = "127.0.0.1:0", "127.0.0.1:0"
	s := start(t, cfg, Options{Concurrency: 1})
	return s.Addrs()[0].String(), s.AdminAddr().String()
}

// gauges has the proxy that run starts in states of all kinds, and returns what its
// gauges say in each.
func gauges(t *testing.T, run func(t *testing.T, cfg mesh.Config) (addr, admin string)) map[string][]string {
	release := make(chan struct{})
	var asked sync.Map // by cluster, of those that are tried again
	app := answer(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, ok := readHead(r)
			if !ok {
				return
			}
			if path, cluster, _ := strings.Cut(head, "c: "); strings.HasPrefix(path, "GET /again ") {
				if _, again := asked.LoadOrStore(cluster[:1], true); !again {
					io.WriteString(c, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
					continue
				}
			}
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	retry := &mesh.RetryPolicy{On: []string{"5xx"}, Retries: 1, Base: time.Millisecond, Max: time.Millisecond}
	breakers := map[string]*mesh.Breakers{
		"plain": nil,
		"one":   {MaxConnections: 1, MaxPending: 1, MaxRequests: 5, MaxRetries: 3},
		"few":   {MaxConnections: 5, MaxPending: 5, MaxRequests: 2, MaxRetries: 3, TrackRemaining: true},
		"many":  {MaxConnections: 2, MaxPending: 5, MaxRequests: 2, MaxRetries: 3},
		"again": {MaxConnections: 5, MaxPending: 5, MaxRequests: 5, MaxRetries: 1, TrackRemaining: true},
		"zero":  {MaxPending: 1, TrackRemaining: true},
		"spare": {MaxConnections: 7, MaxPending: 8, MaxRequests: 9, MaxRetries: 10, TrackRemaining: true},
		"share": {MaxConnections: 7, MaxPending: 8, MaxRequests: 9, MaxRetries: 10, TrackRemaining: true, Budget: &mesh.RetryBudget{Percent: 20, Least: 1}},
	}
	cfg := mesh.Config{Node: "breakers", Listeners: []mesh.Listener{{Name: "in", StatPrefix: "in", VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}}}}}}
	for name, b := range breakers {
		cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: name, Breakers: b, Endpoints: []mesh.Endpoint{{Address: app}}})
		cfg.Listeners[0].VirtualHosts[0].Routes = append(cfg.Listeners[0].VirtualHosts[0].Routes, mesh.Route{Prefix: "/", Headers: []mesh.HeaderMatch{{Name: "c", Value: &mesh.StringMatch{Kind: mesh.MatchExact, Text: name}}}, Cluster: name, Retry: retry})
	}
	addr, admin := run(t, cfg)
	all := map[string][]string{}
	see := func(when string) {
		resp, err := http.Get("http://" + admin + "/stats?filter=circuit_breakers")
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		all[when] = strings.Fields(strings.NewReplacer("cluster.", "", ": ", "=").Replace(string(b)))
	}
	see("at first")
	var clients []net.Conn
	for _, ask := range []string{"plain /", "one /", "one /", "few /", "few /", "many /", "many /", "again /again", "share /again", "zero /"} {
		cluster, path, _ := strings.Cut(ask, " ")
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nC: %s\r\n\r\n", path, cluster)
		require.NoError(t, err)
		clients = append(clients, c)
		time.Sleep(30 * time.Millisecond) // so that they come in this order
	}
	time.Sleep(200 * time.Millisecond)
	see("at once")
	close(release)
	for _, c := range clients {
		answerOf(t, c)
	}
	time.Sleep(200 * time.Millisecond)
	see("over")
	return all
}
