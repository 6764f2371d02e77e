package offload_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// says is a server that serves each connection by f.
func says(t *testing.T, b *bench, f func(c net.Conn)) net.Listener {
	t.Helper()
	ln, err := b.listen(t)
	require.NoError(t, err)
	serveEach(t, ln, f)
	return ln
}

// serveEach serves each connection to ln by f until the test ends.
func serveEach(t *testing.T, ln net.Listener, f func(c net.Conn)) {
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
}

// answers is a server that answers all requests by body.
func answers(t *testing.T, b *bench, body string) net.Listener {
	return says(t, b, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			got, _ := io.ReadAll(q.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(body)+len(got), body, got)
		}
	})
}

// mixed is a configuration of which the NIC carries a part: a listener for HTTP, whose
// route /checked has a cluster with health checks, and a TCP proxy.
func mixed(app net.Listener) mesh.Config {
	to := []mesh.Endpoint{{Address: app.Addr().String()}}
	every := time.Minute
	return mesh.Config{
		Listeners: []mesh.Listener{
			{Name: "http", Address: proxyIP + ":80", StatPrefix: "http", VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{
				{Prefix: "/checked", Cluster: "checked"}, {Prefix: "/", Cluster: "app"},
			}}}},
			{Name: "tcp", Address: proxyIP + ":81", StatPrefix: "tcp", TCP: &mesh.TCPProxy{Cluster: "app"}},
		},
		Clusters: []mesh.Cluster{
			{Name: "app", Endpoints: to},
			{Name: "checked", Endpoints: to, Check: &mesh.HealthCheck{Timeout: time.Second, Interval: every, NoTraffic: every, NoTrafficHealthy: every, Unhealthy: every,
				UnhealthyEdge: every, HealthyEdge: every, UnhealthyThreshold: 1, HealthyThreshold: 1, TCP: &mesh.TCPCheck{}}},
		},
	}
}

// What the NIC does not carry goes to the host sidecar, from the first byte of a
// connection, or from the first request that needs it on.
func TestFallback(t *testing.T) {
	b, start := newBench(t)
	app := answers(t, b, "app ")
	host := answers(t, b, "host ")
	greets := says(t, b, func(c net.Conn) {
		fmt.Fprint(c, "220 hello\n")
		io.Copy(c, c)
	})
	start(offload.Config{Mesh: mixed(app), Fallback: offload.Fallback{Addr: netip.MustParseAddr(serverIP), Ports: map[uint16]netip.AddrPort{
		80: netip.MustParseAddrPort(host.Addr().String()), 81: netip.MustParseAddrPort(greets.Addr().String()),
	}}})

	c, err := b.dial(t, proxyIP+":80")
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReader(c)
	ask := func(path, body string) string {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(got)
	}
	require.Equal(t, "app 1", ask("/", "1"))
	require.Equal(t, "host 2", ask("/checked", "2"))
	require.Equal(t, "host 3", ask("/", "3"), "the connection is the sidecar's now")
	require.Equal(t, "host 4", ask("/checked", "4"))

	s, err := b.dial(t, proxyIP+":81")
	require.NoError(t, err)
	defer s.Close()
	s.SetDeadline(time.Now().Add(60 * time.Second))
	sr := bufio.NewReader(s)
	line, err := sr.ReadString('\n')
	require.NoError(t, err, "who speaks first is the server")
	require.Equal(t, "220 hello\n", line)
	fmt.Fprint(s, "echo\n")
	line, err = sr.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "echo\n", line)
	require.NoError(t, s.(*net.TCPConn).CloseWrite())
	_, err = sr.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the end of a stream passes, too")

	for _, tt := range []struct {
		of   net.Conn
		want string
	}{{c, "with the host sidecar at " + host.Addr().String() + ", by health_check"}, {s, "with the host sidecar at " + greets.Addr().String() + ", by tcp_proxy"}} {
		where, ok, err := b.nic.Flow(t.Context(), netip.MustParseAddrPort(tt.of.LocalAddr().String()))
		require.NoError(t, err)
		require.True(t, ok)
		require.Contains(t, where, tt.want)
	}
	n := b.stats(t)
	require.EqualValues(t, 1, n["fallback.health_check"])
	require.EqualValues(t, 1, n["fallback.tcp_proxy"])
	require.EqualValues(t, 1, n["http.http.downstream_rq_total"], "what the sidecar serves it counts")
	require.EqualValues(t, 0, n["http.http.downstream_rq_active"])
	require.EqualValues(t, 2, n["splice.accepted"])
}

// Without a host sidecar, what would fall back to it is refused.
func TestNoFallback(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	cfg := offload.Config{Mesh: mixed(ln), Conns: 16, Ports: 2, Clock: sim.Clock{Hz: hz}}
	_, err = offload.New(cfg)
	require.ErrorContains(t, err, "listener tcp: is not carried")
	require.ErrorContains(t, err, "--fallback")
	cfg.Mesh.Listeners = cfg.Mesh.Listeners[:1]
	_, err = offload.New(cfg)
	require.ErrorContains(t, err, "cluster checked")
}

// A listener that logs its connections falls back, and without a host sidecar is
// refused.
func TestListenerLogFallsBack(t *testing.T) {
	cfg := mesh.Config{
		Listeners: []mesh.Listener{{Name: "http", Address: proxyIP + ":80", StatPrefix: "http", ConnLogs: []mesh.AccessLog{{Path: "/dev/null"}}}},
		Clusters:  []mesh.Cluster{{Name: "app"}},
	}
	parts, err := offload.Explain(cfg)
	require.NoError(t, err)
	require.Equal(t, offload.Part{Kind: "listener", Name: "http (" + proxyIP + ":80)", Where: "fallback", Reason: offload.ByListenerLog, Why: offload.ByListenerLog.Why()}, parts[0])
	_, err = offload.New(offload.Config{Mesh: cfg, Conns: 1 << 4, Ports: 2, Clock: sim.Clock{Hz: nic.CoreHz}})
	require.ErrorContains(t, err, "the NIC has logs of requests alone")
}
