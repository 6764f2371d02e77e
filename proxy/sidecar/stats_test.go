//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// TestStatsWithEnvoy sends the same requests through both and compares every
// counter that both have.
func TestStatsWithEnvoy(t *testing.T) {
	path := envoy(t)
	app := answer(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			switch req.URL.Path {
			case "/slow/":
				io.Copy(io.Discard, r)
				return
			case "/close":
				return
			case "/garbage":
				io.WriteString(c, "garbage\r\n\r\n")
				return
			case "/last":
				io.WriteString(c, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				return
			default:
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	cfg := mesh.Config{Node: "stats", Listeners: []mesh.Listener{{
		Name: "l0", StatPrefix: "l0", VirtualHosts: []mesh.VirtualHost{
			{Name: "only", Domains: []string{"only.example"}, Routes: []mesh.Route{{Prefix: "/x", Cluster: "up0"}}},
			{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{
				{Prefix: "/slow", Cluster: "up0", Timeout: 300 * time.Millisecond},
				{Prefix: "/dead", Cluster: "dead"},
				{Prefix: "/none", Cluster: "none"},
				{Prefix: "/", Cluster: "up0"},
			}},
		}}},
		Clusters: []mesh.Cluster{
			{Name: "up0", Endpoints: []mesh.Endpoint{{Address: app}}},
			{Name: "dead", Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:1"}}},
			{Name: "none"},
		}}
	compared := likewise(t, func() pair {
		addrs := reserve(t, 2)
		cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
		startEnvoy(t, path, cfg, addrs[0])
		theirs := exercise(t, addrs[0], addrs[1])

		cfg.Listeners[0].Address, cfg.Admin = "127.0.0.1:0", "127.0.0.1:0"
		s := start(t, cfg, Options{Concurrency: 1})
		c, err := net.Dial("tcp", s.Addrs()[0].String()) // as startEnvoy does
		require.NoError(t, err)
		c.Close()
		return comparable(theirs, exercise(t, s.Addrs()[0].String(), s.AdminAddr().String()), func(name string) bool { return differently[name] == "" })
	})
	require.Greater(t, strings.Count(compared, "\n"), 60)
}

// comparable says, a line each, what the counters are that we have, of those that are
// looked at; one that is 0 need not be there.
func comparable(theirs, ours map[string]uint64, looked func(name string) bool) (p pair) {
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		want, known := theirs[name]
		if !known && ours[name] == 0 || !looked(name) {
			continue
		}
		p.envoy += fmt.Sprintf("%s: %d\n", name, want)
		p.ours += fmt.Sprintf("%s: %d\n", name, ours[name])
	}
	return p
}

// differently lists the counters that count something else, and why.
var differently = map[string]string{
	"cluster.up0.upstream_cx_rx_bytes_total":      "the length of x-envoy-upstream-service-time and of dates varies",
	"server.uptime":                               "runs",
	"http.l0.downstream_cx_tx_bytes_total":        "the length of x-envoy-upstream-service-time varies",
	"http.l0.downstream_cx_delayed_close_timeout": "depends on who closes first",
	"http.l0.downstream_cx_destroy_local":         "depends on who closes first",
	"http.l0.downstream_cx_destroy_remote":        "depends on who closes first",
}

// exercise sends one request of each kind and returns the proxy's counters.
func exercise(t *testing.T, addr, admin string) map[string]uint64 {
	t.Helper()
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	path := func(p string) string { return "GET " + p + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	for _, requests := range [][]string{
		{path("/"), post, path("/")},
		{"GET /y HTTP/1.1\r\nHost: only.example\r\n\r\n", path("/dead"), path("/none"), path("/")},
		{path("/slow/"), path("/")},
		{path("/close"), path("/garbage"), path("/last"), path("/")},
		{"GET / HTTP/1.0\r\n\r\n"},
		{"junk\r\n\r\n"},
		{path("/a#b")},
		{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"POST /y HTTP/1.1\r\nHost: only.example\r\nContent-Length: 3\r\n\r\nabc"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"GET / HTTP/1.1\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		c.SetDeadline(time.Now().Add(30 * time.Second))
		r := bufio.NewReader(c)
		for _, q := range requests {
			_, err := io.WriteString(c, q)
			require.NoError(t, err)
			resp, err := http.ReadResponse(r, nil)
			require.NoError(t, err, q)
			io.Copy(io.Discard, resp.Body)
		}
		c.Close()
	}
	// Clients that leave while they wait, and in the middle of a head.
	for _, q := range []string{path("/slow/"), "GET / HT"} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		io.WriteString(c, q)
		time.Sleep(100 * time.Millisecond)
		c.Close()
	}
	time.Sleep(1200 * time.Millisecond) // delayed closes
	stats := map[string]uint64{}
	for name, n := range adminStats(t, admin) {
		stats[listenerAddr.ReplaceAllString(name, "listener.ADDR.")] = n
	}
	return stats
}

// adminStats reads a proxy's counters.
func adminStats(t *testing.T, admin string) map[string]uint64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + admin + "/stats")
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	stats := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseUint(v, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats
}

var listenerAddr = regexp.MustCompile(`^listener\.127(\.\d+){3}_\d+\.`)
