//go:build linux

package sidecar

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// adminAnswer is what an admin page said.
type adminAnswer struct {
	status      int
	contentType string
	body        string
}

func askAdmin(t testing.TB, admin, method, path string) adminAnswer {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequest(method, "http://"+admin+path, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return adminAnswer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b)}
}

// Both proxies run from the same file, see the same requests, and are asked the
// same things.
func TestAdminWithEnvoy(t *testing.T) {
	path := envoy(t)
	app := answer(t, func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Path == "/bad" {
				io.WriteString(c, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
			} else {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	addrs := reserve(t, 2)
	cfg := relay(0, mesh.Endpoint{Address: app})
	cfg.Node, cfg.Listeners[0].Address = "conformance", addrs[0]
	cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "none"}, mesh.Cluster{Name: "dead", Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:1"}}})
	routes := &cfg.Listeners[0].VirtualHosts[0].Routes
	*routes = append([]mesh.Route{{Prefix: "/dead", Cluster: "dead"}}, *routes...)
	cfg.Clusters[0].Breakers = &mesh.Breakers{MaxConnections: 7, MaxPending: 8, MaxRequests: 9}
	cfg.Clusters[0].Endpoints[0].Weight, cfg.Clusters[0].Endpoints[0].Hostname = 3, "app.example"
	cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "named", DNS: &mesh.DNS{Family: mesh.FamilyV4}, Endpoints: []mesh.Endpoint{{Address: "localhost:1"}, {Address: "127.0.0.1:2", Hostname: "other.example"}}})
	cfg.Admin = addrs[1]
	startEnvoy(t, path, cfg, addrs[0])
	ours := cfg
	oursAddrs := reserve(t, 2)
	ours.Listeners = append([]mesh.Listener(nil), cfg.Listeners...)
	ours.Listeners[0].Address, ours.Admin = oursAddrs[0], oursAddrs[1]
	start(t, ours, Options{Concurrency: 1})

	for _, addr := range []string{addrs[0], oursAddrs[0]} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		r := bufio.NewReader(c)
		for _, p := range []string{"/", "/", "/bad", "/dead", "/"} {
			ask(t, c, r, "GET "+p+" HTTP/1.1\r\nHost: a\r\n\r\n")
		}
	}
	both := func(method, path string) (theirs, us adminAnswer) {
		fix := strings.NewReplacer(oursAddrs[0], addrs[0], oursAddrs[1], addrs[1],
			portOf(oursAddrs[0]), portOf(addrs[0]), portOf(oursAddrs[1]), portOf(addrs[1]))
		theirs, us = askAdmin(t, addrs[1], method, path), askAdmin(t, oursAddrs[1], method, path)
		us.body = fix.Replace(us.body)
		theirs.body, us.body = sorted(theirs.body), sorted(us.body)
		return theirs, us
	}
	// The very same.
	for _, q := range []struct{ method, path string }{
		{"GET", "/ready"}, {"POST", "/ready"}, {"GET", "/clusters"}, {"GET", "/clusters?filter=^ap"}, {"GET", "/clusters?filter=("},
		{"GET", "/listeners"}, {"GET", "/healthcheck/fail"}, {"GET", "/drain_listeners"}, {"POST", "/healthcheck/fail"}, {"GET", "/ready"},
		{"GET", "/stats?filter=server.live$"}, {"POST", "/healthcheck/ok"}, {"GET", "/ready"}, {"POST", "/drain_listeners?inboundonly"},
		{"GET", "/stats?type=bogus"}, {"GET", "/stats?format=json&filter=nothing"}, {"GET", "/stats?filter=server.live&format=json"},
		{"GET", "/stats?filter=server.live&format=prometheus"}, {"GET", "/stats/prometheus?filter=^cluster.app.upstream_rq_[1-9]"},
		{"GET", "/stats?type=Gauges&filter=server.live"}, {"GET", "/stats?type=Counters&filter=server.live"},
	} {
		theirs, us := both(q.method, q.path)
		require.Equal(t, theirs, us, "%s %s", q.method, q.path)
	}
	// The same but for the order of keys.
	for _, p := range []string{"/clusters?format=json", "/listeners?format=json"} {
		theirs, us := both("GET", p)
		require.Equal(t, theirs.contentType, us.contentType)
		require.Equal(t, anyOrder(t, theirs.body), anyOrder(t, us.body), p)
	}
	theirs, us := both("GET", "/stats?filter=(")
	require.Equal(t, theirs.status, us.status)
	require.Regexp(t, `^Invalid re2 regex: missing .*\)`, theirs.body)
	require.Regexp(t, `^Invalid re2 regex: missing .*\)`, us.body)
	theirs, us = both("GET", "/nothing")
	require.Equal(t, theirs.status, us.status)
	require.Contains(t, us.body, "invalid path. admin commands are:\n")
	require.Contains(t, theirs.body, "invalid path. admin commands are:\n")

	theirs, us = both("GET", "/config_dump")
	require.Equal(t, dumped(t, theirs.body), dumped(t, us.body))

	theirs, us = both("GET", "/server_info")
	var a, b map[string]any
	require.NoError(t, json.Unmarshal([]byte(theirs.body), &a))
	require.NoError(t, json.Unmarshal([]byte(us.body), &b))
	for k := range b {
		require.Contains(t, a, k)
	}
	require.Equal(t, a["state"], b["state"])

	// Every metric of ours has Envoy's type and labels.
	theirs, us = both("GET", "/stats?format=prometheus")
	known := map[string]bool{}
	for line := range strings.Lines(theirs.body) {
		known[promValue.ReplaceAllString(line, "")] = true
	}
	compared := 0
	for line := range strings.Lines(us.body) {
		l := promValue.ReplaceAllString(line, "")
		compared++
		require.True(t, known[l], "Envoy has no %s", line)
	}
	require.Greater(t, compared, 150)
}

// sorted is text line by line in order, as far as that says the same: Envoy keeps
// its clusters in a hash table.
func sorted(text string) string {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "#") {
		lines := strings.SplitAfter(text, "\n")
		slices.Sort(lines)
		return strings.Join(lines, "")
	}
	return text
}

var promValue = regexp.MustCompile(` \d+\n$`)

// anyOrder decodes a list of things that are known by name.
func anyOrder(t *testing.T, body string) map[string]any {
	t.Helper()
	var d map[string][]map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &d))
	all := map[string]any{}
	for k, list := range d {
		for _, e := range list {
			all[k+"/"+e["name"].(string)] = e
		}
	}
	return all
}

func portOf(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }

// dumped is what a config dump holds, without times and without what Envoy says
// about itself.
func dumped(t *testing.T, body string) any {
	t.Helper()
	var d struct {
		Configs []map[string]any `json:"configs"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &d))
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range []string{"last_updated", "extensions", "user_agent_name", "user_agent_build_version"} {
				delete(v, k)
			}
			for _, e := range v {
				strip(e)
			}
		case []any:
			for _, e := range v {
				strip(e)
			}
		}
	}
	for _, c := range d.Configs {
		require.NotEmpty(t, c["@type"])
		strip(c)
		if all, ok := c["static_clusters"].([]any); ok { // Envoy has them in a hash table
			slices.SortFunc(all, func(a, b any) int {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				return bytes.Compare(x, y)
			})
		}
	}
	return d.Configs
}

// What the drain does to connections, here and with Envoy.
func TestDrainListenersWithEnvoy(t *testing.T) {
	app := answer(t, ok("x"))
	for _, who := range []string{"sidecar", "envoy"} {
		for _, graceful := range []bool{false, true} {
			t.Run(who+"/graceful="+map[bool]string{true: "yes", false: "no"}[graceful], func(t *testing.T) {
				addrs := reserve(t, 2)
				cfg := relay(0, mesh.Endpoint{Address: app})
				cfg.Listeners[0].Address, cfg.Admin = addrs[0], addrs[1]
				t.Parallel() // most of it is waiting
				const drain = 5 * time.Second
				if who == "envoy" {
					file, err := envoyconf.Bootstrap(cfg)
					require.NoError(t, err)
					runEnvoy(t, envoy(t), file, addrs[0], "--drain-time-s", fmt.Sprint(drain.Seconds()))
				} else {
					start(t, cfg, Options{Concurrency: 2, DrainTime: drain})
				}
				idle, err := net.Dial("tcp", addrs[0])
				require.NoError(t, err)
				defer idle.Close()
				r := bufio.NewReader(idle)
				ask(t, idle, r, get)
				q := "/drain_listeners"
				if graceful {
					q += "?graceful"
				}
				began := time.Now()
				require.Equal(t, "OK\n", askAdmin(t, addrs[1], "POST", q).body)
				require.Equal(t, "LIVE\n", askAdmin(t, addrs[1], "GET", "/ready").body)
				listens := func() bool {
					c, err := net.Dial("tcp", addrs[0])
					if err == nil {
						c.Close()
					}
					return err == nil
				}
				require.Eventually(t, func() bool { return !listens() }, 2*drain, 10*time.Millisecond)
				require.Equal(t, graceful, time.Since(began) > drain*9/10, "at the end of the time, or at once")
				// Whoever stayed is still served, and told to go, at the end of the time at the latest.
				for last := false; !last; time.Sleep(10 * time.Millisecond) {
					require.Less(t, time.Since(began), 4*drain)
					last = asksClose(t, idle, r)
				}
			})
		}
	}
}

// An unhealthy proxy has every response ask for the close.
func TestHealthcheckFail(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok("x"))}), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	ask(t, c, r, get)
	s.FailHealthcheck(true)
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.True(t, resp.Close)
	require.Equal(t, uint64(1), stat(t, s, "http.in.downstream_cx_drain_close"))
	s.FailHealthcheck(false)
	c = dial(t, s)
	ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, Live, s.State())
}
