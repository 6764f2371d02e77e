//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// TestMutations compares what the upstream and what the client sees of headers
// that routes, virtual hosts and the listener take out and add.
func TestMutations(t *testing.T) {
	add := func(pairs ...string) (out []mesh.HeaderValue) {
		for _, p := range pairs {
			f := strings.SplitN(p, " ", 3)
			out = append(out, mesh.HeaderValue{Name: f[1], Value: f[2], Action: map[string]mesh.AppendAction{
				"+": "", "?": mesh.AddIfAbsent, "=": mesh.OverwriteOrAdd, "!": mesh.OverwriteIfExists}[f[0]]})
		}
		return out
	}
	// The upstream answers with what the client asked it to, and with what it saw.
	cfg := relay(0, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, ok := readHead(r)
			if !ok {
				return
			}
			extra := ""
			for _, line := range strings.Split(head, "\r\n") {
				if f, ok := strings.CutPrefix(line, "x-answer: "); ok {
					extra += f + "\r\n"
				}
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s", extra, len(head), head)
		}
	})})
	l := &cfg.Listeners[0]
	l.Mutate.Request = mesh.Mutations{Remove: []string{"x-gone-last"}, Add: add("+ x-listener 1", "= x-over listener", "? x-absent listener")}
	l.Mutate.Response = mesh.Mutations{Remove: []string{"x-powered-by"}, Add: add("+ x-listener 2", "? x-absent listener")}
	h := &l.VirtualHosts[0]
	h.Mutate.Request = mesh.Mutations{Remove: []string{"X-Route"}, Add: add("+ x-host 1", "= x-over host", "! x-there host")}
	h.Mutate.Response = mesh.Mutations{Add: add("+ x-host 2")}
	route := func(prefix string, request, response mesh.Mutations) mesh.Route {
		return mesh.Route{Prefix: prefix, Cluster: "app", Mutate: mesh.HeaderMutations{Request: request, Response: response}}
	}
	h.Routes = []mesh.Route{
		route("/order", mesh.Mutations{Add: add("+ x-a 1", "= x-b 2", "+ x-c 3", "! x-d 4", "? x-e 5", "+ x-a 6", "= x-b 7")}, mesh.Mutations{Add: add("+ x-a 1", "= x-b 2", "+ x-c 100%%", "! x-d 4", "? x-e 5")}),
		route("/remove", mesh.Mutations{Remove: []string{"User-Agent", "x-a", "x-request-id", "x-forwarded-proto"}}, mesh.Mutations{Remove: []string{"x-envoy-upstream-service-time", "x-a"}}),
		route("/route", mesh.Mutations{Add: add("+ x-route 1", "+ x-absent mine", "+ x-gone-last 1")}, mesh.Mutations{Add: add("+ x-absent mine", "+ x-powered-by me")}),
		route("/empty", mesh.Mutations{Add: []mesh.HeaderValue{{Name: "x-none"}, {Name: "x-empty", KeepEmpty: true}, {Name: "x-a", Action: mesh.OverwriteOrAdd}}}, mesh.Mutations{Add: []mesh.HeaderValue{{Name: "x-empty", KeepEmpty: true}}}),
		{Prefix: "/both", Cluster: "app", Timeout: 5e9, Rewrite: mesh.Rewrite{Prefix: "/rewritten", Host: "h"}, Mutate: mesh.HeaderMutations{Request: mesh.Mutations{Add: add("+ x-a 1")}}},
		route("/known", mesh.Mutations{Add: add("+ user-agent b", "+ cookie b", "+ x-request-id b", "+ accept b", "+ traceparent b")}, mesh.Mutations{Add: add("+ vary b", "+ set-cookie b", "+ etag b", "+ location b")}),
		{Prefix: "/direct", Direct: &mesh.DirectResponse{Status: 200, Body: "hi"}, Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Remove: []string{"content-type"}, Add: add("+ x-a 1", "? x-e 5")}}},
		{Prefix: "/page", Direct: &mesh.DirectResponse{Status: 200, Body: "<p>"}, Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Add: add("+ content-type text/html")}}},
		{Prefix: "/redirect", Redirect: &mesh.Redirect{Path: "/x"}, Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Add: add("+ x-a 1", "+ location b")}}},
		{Prefix: "/none", Cluster: "none", Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Add: add("+ x-a 1", "= content-type text/html")}}},
		{Prefix: "/refused", Cluster: "refused", Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Add: add("+ x-a 1")}}},
		{Prefix: "/", Cluster: "app"},
	}
	cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "none"}, mesh.Cluster{Name: "refused", Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:1"}}})
	ours, envoys := both(t, cfg)
	for _, target := range []string{"/order", "/remove", "/route", "/empty", "/both/x", "/known", "/direct", "/page", "/redirect", "/none", "/refused", "/"} {
		for _, fields := range []string{"", "x-a: mine\r\nX-B: mine\r\nx-c: mine\r\nx-d: mine\r\nx-e: mine\r\nx-last: 1\r\n", "x-a: 1\r\nx-b: 1\r\nx-a: 2\r\nx-b: 2\r\nx-d: 1\r\nx-d: 2\r\n",
			"User-Agent: me\r\nx-there: client\r\nx-over: client\r\nx-absent: client\r\nx-route: client\r\nx-gone-last: client\r\n",
			"x-answer: x-a: up\r\nx-answer: x-b: up\r\nx-answer: X-D: up\r\nx-answer: x-e: up\r\nx-answer: x-powered-by: up\r\nx-answer: x-absent: up\r\nx-answer: x-last: 1\r\n",
			"user-agent: a\r\ncookie: a\r\nAccept: a\r\nx-request-id: a\r\ntraceparent: a\r\nx-answer: vary: a\r\nx-answer: set-cookie: a\r\nx-answer: etag: a\r\nx-answer: location:\r\n",
			"Accept: a\r\nx-one: 1\r\naccept: b\r\naccept:\r\naccept: c;q=1\r\nuser-agent:\r\nx-two: 1\r\nuser-agent: x\r\nx-two: 2\r\n" +
				"x-answer: vary: a\r\nx-answer: vary: b\r\nx-answer: set-cookie: a\r\nx-answer: set-cookie: b\r\nx-answer: x-accept: a\r\nx-answer: Vary: c\r\n",
			"x-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nx-forwarded-proto: https\r\nx-forwarded-proto: http\r\nx-request-id: a\r\nx-request-id: b\r\n",
			"x-request-id: mine\r\nx-forwarded-proto: https\r\n", "x-forwarded-proto: HTTPS\r\n", "x-forwarded-proto: ftp\r\n"} {
			r := "GET " + target + " HTTP/1.1\r\nhost: x.example\r\n" + fields + "\r\n"
			require.Equal(t, wholeAnswer(t, envoys, r), wholeAnswer(t, ours, r), "%q", r)
		}
	}
}

// wholeAnswer is the head and the body of an answer, without what is by chance.
func wholeAnswer(t *testing.T, addr, request string) string {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	r := bufio.NewReader(c)
	out, length := "", 0
	for !strings.HasSuffix(out, "\r\n\r\n") {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		fmt.Sscanf(line, "content-length: %d", &length)
		out += line
	}
	body := make([]byte, length)
	_, err = io.ReadFull(r, body)
	require.NoError(t, err)
	out = contentLength.ReplaceAllString(timeOfDay.ReplaceAllString(out, "$1:"), "content-length: N")
	return out + randomID.ReplaceAllString(string(body), "x-request-id: ID")
}
