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

	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// source is where the NIC's connections come from where no listener is its own.
var source = netip.MustParseAddr("10.9.0.77")

// caller is a client's connection.
type caller struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func (b *bench) call(t *testing.T, at net.Addr) *caller {
	t.Helper()
	c, err := b.dial(t, at.String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(60*time.Second)))
	return &caller{t, c, bufio.NewReader(c)}
}

func (c *caller) ask() {
	c.t.Helper()
	_, err := fmt.Fprint(c.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(c.t, err)
}

// hear returns who the server takes its client for, and whether the connection stays.
func (c *caller) hear() (from string, stays bool) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	require.NoError(c.t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return string(b), !resp.Close
}

// admin is the one of the NIC that b runs.
func (b *bench) admin(t *testing.T, o *offload.Offload) *offload.Admin {
	a, err := offload.NewAdmin(o, func(f func()) error { return b.nic.Do(t.Context(), func(*nic.NIC) { f() }) }, t.Output())
	require.NoError(t, err)
	return a
}

// before is the configuration of a NIC in front of a server, of nothing but what its
// sidecar's file would say.
func before(server net.Addr) mesh.Config {
	at := netip.MustParseAddrPort(server.String())
	cfg := standing(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port()).String())
	cfg.Listeners = cfg.Listeners[:1]
	cfg.Listeners[0].Address = fmt.Sprintf("0.0.0.0:%d", at.Port())
	cfg.Listeners[0].Intercept.Transparent = false
	return offload.Before(cfg, at.Addr())
}

// The NIC comes in front of a host that has connections, and leaves: those from before
// pass, its own end after the response that is under way, and then the host has new ones.
func TestComesAndLeaves(t *testing.T) {
	b, start := newBench(t)
	wait := make(chan struct{})
	server := says(t, b, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			<-wait
			from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(from), from)
		}
	})
	elsewhere := standing(serverIP + ":9")
	o := start(offload.Config{Mesh: elsewhere, Source: source})
	a := b.admin(t, o)

	old := b.call(t, server.Addr())
	client, _, err := net.SplitHostPort(old.c.LocalAddr().String())
	require.NoError(t, err)
	require.NoError(t, a.Reload(before(server.Addr())))
	old.ask()
	idle, busy := b.call(t, server.Addr()), b.call(t, server.Addr())
	idle.ask()
	for range 2 {
		wait <- struct{}{}
	}
	from, stays := old.hear()
	require.Equal(t, client, from, "it is the host's own connection, as it was")
	require.True(t, stays)
	from, stays = idle.hear()
	require.Equal(t, source.String(), from)
	require.True(t, stays)

	busy.ask()
	left := make(chan int, 1)
	go func() { left <- a.Leave(t.Context(), 60*time.Second) }()
	_, err = idle.r.ReadByte()
	require.ErrorIs(t, err, io.EOF, "without a request, it is ended")
	late := b.call(t, server.Addr())
	late.ask()
	require.Empty(t, left)
	for range 2 {
		wait <- struct{}{}
	}
	from, stays = busy.hear()
	require.Equal(t, source.String(), from)
	require.False(t, stays, "it is asked to end")
	busy.c.Close()
	from, _ = late.hear()
	require.Equal(t, client, from, "the host's own, too")
	require.Zero(t, <-left)
	require.EqualValues(t, 2, b.stats(t)["splice.accepted"])

	old.ask()
	wait <- struct{}{}
	from, _ = old.hear()
	require.Equal(t, client, from)
}

// A connection that is not done in time is counted.
func TestLeavesInTime(t *testing.T) {
	b, start := newBench(t)
	server := says(t, b, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	o := start(offload.Config{Mesh: before(server.Addr()), Source: source})
	c := b.call(t, server.Addr())
	c.ask()
	require.Eventually(t, func() bool { return b.stats(t)["cluster.in.upstream_rq_active"] == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, b.admin(t, o).Leave(t.Context(), 50*time.Millisecond))
}

func TestBefore(t *testing.T) {
	host := netip.MustParseAddr("172.17.0.2")
	cfg := mesh.Config{
		Listeners: []mesh.Listener{{Address: "0.0.0.0:9080"}, {Address: "172.17.0.2:80"}, {Address: "172.17.0.9:80"}},
		Clusters:  []mesh.Cluster{{Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:9080"}, {Address: "10.1.2.3:80"}, {Address: "reviews:80"}}}},
	}
	got := offload.Before(cfg, host)
	stands := mesh.Interception{Transparent: true}
	require.Equal(t, []mesh.Listener{{Address: "172.17.0.2:9080", Intercept: stands}, {Address: "172.17.0.2:80", Intercept: stands}, {Address: "172.17.0.9:80"}}, got.Listeners)
	require.Equal(t, []mesh.Endpoint{{Address: "172.17.0.2:9080"}, {Address: "10.1.2.3:80"}, {Address: "reviews:80"}}, got.Clusters[0].Endpoints)
	require.Equal(t, "0.0.0.0:9080", cfg.Listeners[0].Address, "what it was made of is as it was")
	require.Equal(t, "127.0.0.1:9080", cfg.Clusters[0].Endpoints[0].Address)
}
