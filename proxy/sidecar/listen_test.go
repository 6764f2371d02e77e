//go:build linux

package sidecar

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for _, concurrency := range []int{1, 2} {
		cfg := relay(0)
		cfg.Listeners[0].Address = ln.Addr().String()
		_, err = New(cfg, Options{Concurrency: concurrency})
		require.Equal(t, failure.Conflict, failure.KindOf(err), "%v", err)
		require.ErrorContains(t, err, ln.Addr().String())
		require.ErrorContains(t, err, fmt.Sprintf("pid %d", os.Getpid()))
		require.ErrorContains(t, err, "choose another port")
	}
	cfg := relay(0)
	cfg.Admin = ln.Addr().String()
	_, err = New(cfg, Options{Concurrency: 1})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, fmt.Sprintf("pid %d", os.Getpid()))
}

// A second sidecar on the address of a first one with several workers must not
// slip in by way of SO_REUSEPORT.
func TestPortInUseByAnotherSidecar(t *testing.T) {
	s := start(t, relay(0), Options{Concurrency: 2})
	cfg := relay(0)
	cfg.Listeners[0].Address = s.Addrs()[0].String()
	_, err := New(cfg, Options{Concurrency: 2})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
}

func TestNewRefuses(t *testing.T) {
	_, err := New(mesh.Config{}, Options{})
	require.Equal(t, failure.BadFile, failure.KindOf(err))
	_, err = New(relay(0), Options{Concurrency: -1})
	require.Equal(t, failure.Usage, failure.KindOf(err))
	cfg := relay(0)
	cfg.Listeners[0].Address = "203.0.113.1:1234"
	_, err = New(cfg, Options{})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "ip -brief address")
}

func TestCloseWithoutRun(t *testing.T) {
	before := countFDs(t)
	cfg := relay(0)
	cfg.Admin = "127.0.0.1:0"
	s, err := New(cfg, Options{Concurrency: 2})
	require.NoError(t, err)
	require.NotEmpty(t, s.Stats(), "works before Run")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.Error(t, s.Run(context.Background()))
	require.Equal(t, before, countFDs(t))
}

func countFDs(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(es)
}

func TestNothingIsLeft(t *testing.T) {
	addr := answer(t, ok("x"))
	before := countFDs(t)
	cfg := relay(0, mesh.Endpoint{Address: addr})
	cfg.Admin = "127.0.0.1:0"
	for range 3 {
		s, err := New(cfg, Options{Concurrency: 2})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		c := dial(t, s)
		ask(t, c, bufio.NewReader(c), get)
		c.Close()
		cancel()
		require.NoError(t, <-done)
	}
	// The upstream's ends close when they notice.
	for end := time.Now().Add(30 * time.Second); countFDs(t) > before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	require.Equal(t, before, countFDs(t))
}

func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	ln.Close()
	up := answer(t, ok("six"))
	cfg := relay(0, mesh.Endpoint{Address: up})
	cfg.Listeners[0].Address = "[::1]:0"
	s := start(t, cfg, Options{Concurrency: 1})
	c := dial(t, s)
	_, body := ask(t, c, bufio.NewReader(c), get)
	require.Equal(t, "six", body)
	require.True(t, s.Addrs()[0].Addr().Is6())
}

func TestUnreachable(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: "255.255.255.255:80"}), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	for range 3 { // connect fails in the call, and the next request is none the worse
		status, body := ask(t, c, r, get)
		require.Equal(t, 503, status)
		require.Contains(t, body, "remote connection failure")
	}
	require.Zero(t, stat(t, s, "cluster.app.upstream_cx_active"))
}
