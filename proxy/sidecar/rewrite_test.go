//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

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

// mirror answers each request with its own head.
func mirror(c net.Conn, r *bufio.Reader) {
	for {
		head, ok := readHead(r)
		if !ok {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(head), head)
	}
}

var randomID = regexp.MustCompile(`x-request-id: [0-9a-f-]{36}`)

var contentLength = regexp.MustCompile(`content-length: \d+`)

// seenUpstream sends a request on a connection of its own and returns the head
// that the upstream got, or the status if none did.
func seenUpstream(t *testing.T, addr, request string) string {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	status, body := ask(t, c, bufio.NewReader(c), request)
	return fmt.Sprintf("%d\n%s", status, randomID.ReplaceAllString(body, "x-request-id: ID"))
}

// TestRewrites compares what the upstream is asked for.
func TestRewrites(t *testing.T) {
	cfg := relay(0, mesh.Endpoint{Address: answer(t, mirror)})
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{
		{Prefix: "/api/", Rewrite: mesh.Rewrite{Prefix: "/"}},
		{Prefix: "/old", Rewrite: mesh.Rewrite{Prefix: "/new/"}},
		{Separated: "/sep", Rewrite: mesh.Rewrite{Prefix: "/x"}},
		{Path: "/whole", Rewrite: mesh.Rewrite{Prefix: "/part"}},
		{Regex: "/re/[0-9]+", Rewrite: mesh.Rewrite{Prefix: "/number"}},
		{Prefix: "/service/", Rewrite: mesh.Rewrite{Regex: "^/service/([^/]+)(/.*)$", Substitution: `\2/instance/\1`}},
		{Prefix: "/one", Rewrite: mesh.Rewrite{Regex: "one", Substitution: `two$1\\`}},
		{Prefix: "/xx", Rewrite: mesh.Rewrite{Regex: "x*", Substitution: `-\0-`}},
		{Prefix: "/case", Rewrite: mesh.Rewrite{Regex: "(?i)/Xxx/", Substitution: `/yyy/`}},
		{Prefix: "/host", Rewrite: mesh.Rewrite{Host: "other.example:81"}},
		{Prefix: "/gone", Rewrite: mesh.Rewrite{Regex: "/gone", Substitution: "/"}},
		{Prefix: "/empty", Rewrite: mesh.Rewrite{Regex: "^/empty$"}},
		{Prefix: "/timed", Timeout: 5e9, Rewrite: mesh.Rewrite{Prefix: "/t", Host: "h"}},
		{Prefix: "/"},
	}
	routes := cfg.Listeners[0].VirtualHosts[0].Routes
	for i := range routes {
		routes[i].Cluster = "app"
	}
	ours, envoys := both(t, cfg)
	twice := "GET /old HTTP/1.1\r\nhost: x\r\nx-envoy-original-path: /a\r\nx-envoy-original-path: /b\r\n\r\n"
	require.Equal(t, seenUpstream(t, envoys, twice), seenUpstream(t, ours, twice))
	for _, target := range []string{
		"/api/", "/api/v1", "/api//v1?q=/api/", "/api", "/old", "/older/x?y", "/old/", "/sep", "/sep/a?b", "/sep?", "/separate", "/whole", "/whole?x", "/whole/",
		"/re/17", "/re/17?x=/re/1", "/service/foo/v1/api", "/service/foo/v1/api?x=/service/y/z", "/service/foo", "/one/one/onetwo", "/one?one", "/xx", "/xxaxx/b",
		"/case/one/XXX/two/xxX/", "/host", "/host?x", "/gone", "/gone/gone", "/empty", "/empty?x", "/empty/x", "/timed/x", "/", "http://a.example/api/x?y", "http://a.example/host/x", "http://a.example",
	} {
		for _, fields := range []string{"", "x-envoy-original-path: /mine\r\nx-envoy-original-host: mine\r\nx-last: 1\r\n", "x-request-id: 1\r\nx-forwarded-proto: https\r\n"} {
			r := "GET " + target + " HTTP/1.1\r\nhost: x.example\r\n" + fields + "\r\n"
			require.Equal(t, seenUpstream(t, envoys, r), seenUpstream(t, ours, r), "%q", r)
		}
	}
}
