//go:build linux

package sidecar

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// A destination is kept while somebody asks for it, and forgotten after.
func TestOriginalDestinationsAreForgotten(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "original", OriginalDst: true, Cleanup: 20 * time.Millisecond})
	s := start(t, cfg, Options{Concurrency: 1})
	w := s.workers[0]
	do := func(f func(cl *cluster) int) int {
		n := make(chan int, 1)
		w.post(func() { n <- f(w.clusters[1]) })
		return <-n
	}
	kept := func(cl *cluster) int { return len(cl.led) }
	first, second := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	require.Equal(t, 2, do(func(cl *cluster) int {
		require.Nil(t, cl.toward(w, netip.AddrPort{}), "led by nobody")
		require.Same(t, cl.toward(w, first), cl.toward(w, first))
		cl.toward(w, second)
		return len(cl.led)
	}))
	require.Eventually(t, func() bool {
		return do(func(cl *cluster) int { cl.toward(w, first); return len(cl.led) }) == 1
	}, 30*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return do(kept) == 0 }, 30*time.Second, 5*time.Millisecond)
}

// A listener without a socket of its own takes up no port, and gets one when a
// reload says so, and gives it up again.
func TestUnboundListener(t *testing.T) {
	addr := reserve(t, 1)[0]
	with := func(unbound bool) mesh.Config {
		cfg := relay(0, mesh.Endpoint{Address: answer(t, ok("x"))})
		more := cfg.Listeners[0]
		more.Name, more.Address, more.Intercept = "more", addr, mesh.Interception{Unbound: unbound}
		cfg.Listeners = append(cfg.Listeners, more)
		return cfg
	}
	s := start(t, with(true), Options{Concurrency: 2})
	require.Error(t, askOnce(addr))
	require.NoError(t, s.Reload(with(false)))
	require.NoError(t, askOnce(addr))
	require.NoError(t, s.Reload(with(true)))
	require.Error(t, askOnce(addr))
}

func askOnce(addr string) error {
	return askMany(addr, 1, new(atomic.Bool), new(atomic.Int64))
}
