//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// both runs the sidecar and Envoy on cfg and returns their addresses.
func both(t *testing.T, cfg mesh.Config) (ours, envoys string) {
	path := envoy(t)
	ours = start(t, cfg, Options{Concurrency: 1}).Addrs()[0].String()
	envoys = reserve(t, 1)[0]
	cfg.Listeners[0].Address = envoys
	startEnvoy(t, path, cfg, envoys)
	return ours, envoys
}

// versions are clusters v0, v1, ... that answer with their number.
func versions(t *testing.T, n int) (clusters []mesh.Cluster) {
	for i := range n {
		clusters = append(clusters, mesh.Cluster{Name: fmt.Sprint("v", i), Endpoints: []mesh.Endpoint{{Address: answer(t, ok(fmt.Sprint(i)))}}})
	}
	return clusters
}

// TestHeaderRoutes asks both proxies with headers that match and that don't:
// where a request goes, or that it goes nowhere, is the same.
func TestHeaderRoutes(t *testing.T) {
	is := func(name, kind, text string) mesh.HeaderMatch {
		return mesh.HeaderMatch{Name: name, Value: &mesh.StringMatch{Kind: kind, Text: text}}
	}
	fold := is("a", mesh.MatchContains, "Core")
	fold.Value.IgnoreCase = true
	not := is("lang", mesh.MatchExact, "de")
	not.Invert = true
	cfg := relay(0)
	cfg.Clusters = versions(t, 9)
	route := func(i int, h ...mesh.HeaderMatch) mesh.Route {
		return mesh.Route{Prefix: "/", Cluster: fmt.Sprint("v", i), Headers: h}
	}
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{
		route(0, is("end-user", mesh.MatchExact, "jason")),
		route(1, is("Two", mesh.MatchPrefix, "x"), is("three", mesh.MatchSuffix, "z")),
		route(2, fold),
		route(3, is("re", mesh.MatchRegex, "[a-c]+|yes")),
		route(4, mesh.HeaderMatch{Name: "there"}),
		route(5, not),
		route(6, is(":method", mesh.MatchExact, "POST")),
		route(7, is(":path", mesh.MatchContains, "?q")),
		route(8, mesh.HeaderMatch{Name: "gone", Invert: true}),
		route(8, is("user-agent", mesh.MatchExact, "a,b")),
		route(7, is("accept", mesh.MatchPrefix, "b")),
	}
	ours, envoys := both(t, cfg)
	for _, r := range []string{
		"GET / \nend-user: jason\n", "GET / \nEND-USER: jason\n", "GET / \nend-user: jason2\n", "GET / \nend-user: Jason\n",
		"GET / \nend-user: jason\nend-user: jason\n", "GET / \nend-user:\n", "GET / \n",
		"GET / \nend-user: x\nend-user: jason\n", "GET / \nend-user: jason\nend-user: x\n", "GET / \nend-user: jason,x\n", "GET / \nend-user: jason, jason\n",
		"GET / \ngone: 1\nlang: de\nlang: en\n", "GET / \ngone: 1\nlang: en\nlang: de\n", "GET / \ngone: 1\nlang: de\n", "GET / \ngone: 1\nlang: en\n",
		"GET / \ntwo: xa\nthree: yz\n", "GET / \ntwo: xa\n", "GET / \nthree: yz\n",
		"GET / \na: hardcore\n", "GET / \na: CORE\n", "GET / \na: cor\na: e\n", "GET / \na: x\na: core\n",
		"GET / \nre: abc\n", "GET / \nre: abcd\n", "GET / \nre: yes\n", "GET / \nre: yes!\n", "GET / \nre:\n",
		"GET / \nthere:\n", "GET / \nthere: 1\n",
		"GET / \nlang: de\n", "GET / \nlang: en\n", "GET / \nlang:\n",
		"POST / \ncontent-length: 0\n", "GET /?q \n", "GET /?x=?q \n", "GET /q \n",
		"GET / \ngone: 1\nuser-agent: a\nuser-agent: b\n", "GET / \ngone: 1\nuser-agent: a\nuser-agent: b\nuser-agent: c\n", "GET / \ngone: 1\nuser-agent:\nuser-agent: a\nuser-agent: b\n",
		"GET / \ngone: 1\naccept: a\naccept: b\n", "GET / \ngone: 1\naccept: b\naccept: a\n", "GET / \ngone: 1\naccept:\naccept: b\n", "GET / \ngone: 1\nAccept: c\naccept:\n",
		"GET / \ngone: 1\n", "POST / \ngone: 1\ncontent-length: 0\n", "PUT /?q=1 \ngone: 1\ncontent-length: 0\n",
	} {
		var got [2]string
		for i, addr := range []string{ours, envoys} {
			got[i] = once(t, addr, r)
		}
		require.Equal(t, got[1], got[0], "%q", r)
	}
}

// TestPathRoutes asks both proxies for paths around the edges of each form.
func TestPathRoutes(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = versions(t, 4)
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{
		{Separated: "/api/dev", Cluster: "v0"}, {Regex: "/v[12](/.*)?", Cluster: "v1"}, {Path: "/exact", Cluster: "v2"}, {Prefix: "/pre", Cluster: "v3"},
	}
	ours, envoys := both(t, cfg)
	for _, path := range []string{"/api/dev", "/api/dev/", "/api/dev/x", "/api/dev?x", "/api/dev/?x", "/api/developer", "/api/de", "/API/dev",
		"/v1", "/v1/", "/v2/x?y", "/v3", "/v1x", "/v1?/x", "/x/v1", "/exact", "/exact/", "/exact?", "/exact?x", "/pre", "/prefix", "/pr", "/?/pre", "/"} {
		require.Equal(t, once(t, envoys, "GET "+path+" \n"), once(t, ours, "GET "+path+" \n"), path)
	}
}

// TestQueryRoutes asks both proxies for queries around the edges.
func TestQueryRoutes(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = versions(t, 5)
	is := func(name, kind, text string) mesh.QueryMatch {
		return mesh.QueryMatch{Name: name, Value: &mesh.StringMatch{Kind: kind, Text: text}}
	}
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{
		{Prefix: "/", Cluster: "v0", Query: []mesh.QueryMatch{is("a", mesh.MatchExact, "1"), is("b", mesh.MatchPrefix, "x")}},
		{Prefix: "/", Cluster: "v1", Query: []mesh.QueryMatch{{Name: "debug"}}},
		{Prefix: "/", Cluster: "v2", Query: []mesh.QueryMatch{is("re", mesh.MatchRegex, "[0-9]+")}},
		{Prefix: "/", Cluster: "v3", Query: []mesh.QueryMatch{is("e", mesh.MatchExact, "")}},
		{Prefix: "/", Cluster: "v4", Query: []mesh.QueryMatch{is("s p", mesh.MatchExact, "x y")}},
	}
	ours, envoys := both(t, cfg)
	for _, target := range []string{"/", "/?", "/?a=1&b=xy", "/?b=xy&a=1", "/?a=1", "/?a=1&a=2&b=x", "/?a=2&a=1&b=x", "/?a=1&&b=x", "/?a=1;b=x", "/?A=1&b=x", "/?a=1&b=x#f",
		"/?debug", "/?debug=", "/?debug=1", "/?Debug", "/?xdebug", "/?&debug", "/?=debug", "/?debug?", "/x?y?debug", "/?re=17", "/?re=17x", "/?re==17", "/?re=1&debug",
		"/?e", "/?e=", "/?e=1", "/?e=&e=1", "/?s%20p=x%20y", "/?s+p=x+y", "/?%61=1&b=x", "http://x/?debug"} {
		require.Equal(t, once(t, envoys, "GET "+target+" \n"), once(t, ours, "GET "+target+" \n"), target)
	}
}

// TestAnswersOfRoutes compares what a client reads, to the byte but for the date.
func TestAnswersOfRoutes(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = versions(t, 1)
	to := func(path string, r mesh.Redirect) mesh.Route { return mesh.Route{Prefix: path, Redirect: &r} }
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{
		{Path: "/robots.txt", Direct: &mesh.DirectResponse{Status: 200, Body: "no\n"}},
		{Path: "/gone", Direct: &mesh.DirectResponse{Status: 410}},
		to("/host", mesh.Redirect{Host: "new.example"}),
		to("/port", mesh.Redirect{Port: 8443, Status: 302}),
		to("/https", mesh.Redirect{HTTPS: true, Status: 307}),
		to("/path", mesh.Redirect{Path: "/new", Status: 308}),
		to("/strip", mesh.Redirect{StripQuery: true, Host: "h", Status: 303}),
		to("/own", mesh.Redirect{Path: "/new?own=1", StripQuery: true}),
		to("/all", mesh.Redirect{HTTPS: true, Host: "h", Port: 1, Path: "/p"}),
		{Prefix: "/", Cluster: "v0"},
	}
	ours, envoys := both(t, cfg)
	var requests []string
	for _, path := range []string{"/robots.txt", "/gone", "/host", "/host/x?y", "/port?y", "/https", "/path", "/path?y", "/path?", "/strip?y", "/own?y", "/all?y=z?w", "/"} {
		requests = append(requests, "HEAD "+path+" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
		for _, host := range []string{"x", "x:80", "x:443", "x:8080", "[::1]", "[::1]:80"} {
			requests = append(requests, "GET "+path+" HTTP/1.1\r\nhost: "+host+"\r\nconnection: close\r\n\r\n")
		}
	}
	// The body is thrown away, the connection goes on.
	requests = append(requests, "POST /robots.txt HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloGET /gone HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
	// At once: both keep a connection for a second after its last answer.
	got, want := make([]string, len(requests)), make([]string, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() { got[i] = raw(ours, r) })
		wg.Go(func() { want[i] = raw(envoys, r) })
	}
	wg.Wait()
	for i, r := range requests {
		require.Contains(t, want[i], "HTTP/1.1 ", "%q", r)
		require.Equal(t, want[i], got[i], "%q", r)
	}
}

var timeOfDay = regexp.MustCompile(`(?m)^(date|x-envoy-upstream-service-time): .*$`)

// raw is all that a connection answers, without the time of day, and with the
// error that ended it, if one did.
func raw(addr, request string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = io.WriteString(c, request); err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(c)
	if err != nil {
		b = append(b, err.Error()...)
	}
	return timeOfDay.ReplaceAllString(string(b), "$1:")
}

// once sends "METHOD TARGET \nfields\n" on a connection of its own and returns
// status and body.
func once(t *testing.T, addr, request string) string {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	text := ""
	for i, line := 0, bufio.NewScanner(strings.NewReader(request)); line.Scan(); i++ {
		text += line.Text()
		if i == 0 {
			text += "HTTP/1.1\r\nhost: x"
		}
		text += "\r\n"
	}
	status, body := ask(t, c, bufio.NewReader(c), text+"\r\n")
	return fmt.Sprint(status, " ", body)
}

// TestSplit holds a canary's share against its weight, ours and Envoy's.
func TestSplit(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = versions(t, 3)
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	r.Cluster, r.Clusters = "", []mesh.WeightedCluster{{Name: "v0", Weight: 80}, {Name: "v1", Weight: 5}, {Name: "v2", Weight: 15}}
	ours, envoys := both(t, cfg)
	for _, addr := range []string{ours, envoys} {
		counts := ask3000(t, addr)
		require.Less(t, distance(counts, []float64{.8, .05, .15}), 27.6, "%v", counts)
	}
}
