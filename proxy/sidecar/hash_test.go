//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// TestPlacementByQuery has requests with and without the parameter that is hashed.
func TestPlacementByQuery(t *testing.T) {
	endpoints, _ := balanced(t, 1, 1, 1)
	cfg := relay(0, endpoints...)
	cfg.Clusters[0].Policy = mesh.RingHash
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Hash = []mesh.HashPolicy{{Header: "x-last"}, {Query: "id"}}
	ours, envoys := both(t, cfg)
	var requests []string
	for i := range 40 {
		requests = append(requests, fmt.Sprintf("GET /?a&id=%d&id=x HTTP/1.1\r\nhost: x\r\n\r\n", i), fmt.Sprintf("GET /?id=%%%d HTTP/1.1\r\nhost: x\r\nx-last: %d\r\n\r\n", i, i))
	}
	for _, target := range []string{"/?id", "/?id=", "/?ID=1", "/?x=id=1&id=2=3", "/id=1"} {
		requests = append(requests, "GET "+target+" HTTP/1.1\r\nhost: x\r\nx-last: 1\r\n\r\n")
	}
	got, want := placed(t, ours, requests), placed(t, envoys, requests)
	for i, r := range requests {
		require.Equal(t, string(want[i]), string(got[i]), "%q", r)
	}
	for _, who := range []string{"0", "1", "2"} {
		require.Contains(t, got, who)
	}
}

// TestPlacementByAddress has clients at many addresses, and such as were forwarded for
// others.
func TestPlacementByAddress(t *testing.T) {
	endpoints, _ := balanced(t, 1, 1, 1)
	cfg := relay(0, endpoints...)
	cfg.Clusters[0].Policy = mesh.Maglev
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Hash = []mesh.HashPolicy{{Header: "x-user"}, {SourceIP: true}}
	ours, envoys := both(t, cfg)
	all := ""
	for i := range 40 {
		for _, fields := range []string{
			"", "x-user: 1\r\n", fmt.Sprintf("x-forwarded-for: 10.1.2.%d\r\n", i), fmt.Sprintf("x-forwarded-for: fd00::%d\r\n", i), fmt.Sprintf("x-forwarded-for: FD00:0::%d\r\n", i),
			fmt.Sprintf("x-forwarded-for: 10.0.0.1, 10.1.2.%d\t \r\n", i), fmt.Sprintf("x-forwarded-for: 10.0.0.1\r\nx-forwarded-for: 10.1.2.%d\r\n", i),
			fmt.Sprintf("x-forwarded-for: 10.1.2.%d:80\r\n", i), fmt.Sprintf("x-forwarded-for: [fd00::%d]\r\n", i), fmt.Sprintf("x-forwarded-for: 10.1.2.%d,\r\n", i), "x-forwarded-for: me\r\n",
			fmt.Sprintf("x-forwarded-for: ::ffff:10.1.2.%d\r\n", i),
		} {
			var who [2]string
			for j, addr := range []string{ours, envoys} {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i))}}
				c, err := dialer.Dial("tcp", addr)
				require.NoError(t, err)
				var status int
				status, who[j] = ask(t, c, bufio.NewReader(c), "GET / HTTP/1.1\r\nhost: x\r\n"+fields+"\r\n")
				require.Equal(t, 200, status)
				c.Close()
			}
			require.Equal(t, who[1], who[0], "127.0.1.%d, %q", i, fields)
			all += who[0]
		}
	}
	for _, who := range []string{"0", "1", "2"} {
		require.Contains(t, all, who)
	}
}

// TestGivenCookies: the cookie that a client is given is the hash of its connection's
// ends, with both proxies, and is what its request was placed by already.
func TestGivenCookies(t *testing.T) {
	endpoints, _ := balanced(t, 1, 1, 1)
	cfg := relay(0, endpoints...)
	cfg.Clusters[0].Policy = mesh.RingHash
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Hash = []mesh.HashPolicy{{Cookie: "who", Give: &mesh.GivenCookie{TTL: time.Minute}}}
	ours, envoys := both(t, cfg)
	for _, addr := range []string{ours, envoys} {
		for range 20 {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			r := bufio.NewReader(c)
			first := fetched(t, c, r, get)
			want := fmt.Sprintf("%016x", xxhash.Sum64String(c.LocalAddr().String()+c.RemoteAddr().String()))
			require.Equal(t, []string{`who="` + want + `"; Max-Age=60; HttpOnly`}, first.Header["Set-Cookie"])
			again := fetched(t, c, r, "GET / HTTP/1.1\r\nhost: x\r\ncookie: who="+want+"\r\n\r\n")
			require.Empty(t, again.Header["Set-Cookie"])
			require.Equal(t, first.Trailer, again.Trailer)
			c.Close()
		}
	}
}

// fetched is the answer to a request, with its body under Trailer's "body".
func fetched(t *testing.T, c net.Conn, r *bufio.Reader, request string) *http.Response {
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Trailer = http.Header{"body": {string(body)}}
	return resp
}
