package offload_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// standing is a proxy of callers at an address of its own, and one that stands before
// their server.
func standing(server string) mesh.Config {
	listener := func(name, at string) mesh.Listener {
		return mesh.Listener{Name: name, Address: at, StatPrefix: name,
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: name}}}}}
	}
	cfg := mesh.Config{Listeners: []mesh.Listener{listener("in", server), listener("out", proxyIP+":80")}}
	cfg.Listeners[0].Intercept.Transparent = true
	for _, name := range []string{"in", "out"} {
		cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: name, Endpoints: []mesh.Endpoint{{Address: server}}})
	}
	return cfg
}

// What asks for a host's address is led through the listener that stands before the
// host, once, whether it came through another listener or not; the host is asked by
// the NIC, and what else is for it passes.
func TestListenerBeforeAHost(t *testing.T) {
	b, start := newBench(t)
	app := says(t, b, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(from), from)
		}
	})
	other := says(t, b, func(c net.Conn) { fmt.Fprint(c, c.RemoteAddr()) })
	start(offload.Config{Mesh: standing(app.Addr().String())})
	ask := func(at string) string {
		c, err := b.dial(t, at)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(60 * time.Second))
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "envoy", resp.Header.Get("Server"))
		return string(body)
	}
	require.Equal(t, proxyIP, ask(proxyIP+":80"))
	require.Equal(t, proxyIP, ask(app.Addr().String()))
	require.Equal(t, proxyIP, ask(app.Addr().String()))
	n := b.stats(t)
	for name, want := range map[string]uint64{"http.out.downstream_rq_2xx": 1, "http.in.downstream_rq_2xx": 3, "cluster.out.upstream_rq_200": 1,
		"cluster.in.upstream_rq_200": 3, "cluster.out.upstream_cx_total": 0, "splice.accepted": 3} {
		require.EqualValues(t, want, n[name], name)
	}
	c, err := b.dial(t, other.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	seen, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, c.LocalAddr().String(), string(seen), "another port is the host's own")
}

// A listener that stands nowhere, or alone, is refused.
func TestListenerBeforeNoHost(t *testing.T) {
	cfg := offload.Config{Mesh: standing("10.0.0.9:80"), Conns: 16, Ports: 2, Clock: sim.Clock{Hz: hz}}
	_, err := offload.New(cfg)
	require.NoError(t, err)
	cfg.Mesh.Listeners = cfg.Mesh.Listeners[:1]
	_, err = offload.New(cfg)
	require.ErrorContains(t, err, "no listener's address is the NIC's own")
	cfg.Mesh = standing("10.0.0.9:80")
	cfg.Mesh.Listeners[0].Address = "0.0.0.0:80"
	_, err = offload.New(cfg)
	require.ErrorContains(t, err, "not its own")
	cfg.Mesh.Listeners[0].Address, cfg.Mesh.Listeners[0].Intercept.OriginalDst = "10.0.0.9:80", true
	_, err = offload.New(cfg)
	require.ErrorContains(t, err, "not its own")
}
