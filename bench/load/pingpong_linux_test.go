package load

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func echoHere(t testing.TB) netip.AddrPort {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan netip.AddrPort, 1)
	go func() {
		_, err := EchoServe(ctx, EchoConfig{Listen: loopback, Ready: func(at netip.AddrPort) { ready <- at }})
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return <-ready
}

func TestPingPong(t *testing.T) {
	at := echoHere(t)
	for _, size := range []int{1, 1000, 65536} {
		r, err := PingPong(t.Context(), PingPongConfig{Target: at, Size: size, Rounds: 200, Warmup: 5})
		require.NoError(t, err)
		require.Zero(t, r.Errors, r.Examples)
		require.EqualValues(t, 200, r.N)
		require.EqualValues(t, 205*size, r.Bytes)
		require.LessOrEqual(t, r.Hist.h.Mean()*200/1e9, r.Elapsed*1.01, "one round at a time")
	}
}

func TestPingPongErrors(t *testing.T) {
	s := newTCPServer(t, func(c *net.TCPConn) {
		b := make([]byte, 1)
		for range 5 {
			io.ReadFull(c, b)
			c.Write(b)
		}
		io.ReadFull(c, b)
	})
	r, err := PingPong(t.Context(), PingPongConfig{Target: s, Rounds: 10})
	require.NoError(t, err)
	require.Equal(t, Errors{Missing: 1}, r.Errors, r.Examples)
	require.EqualValues(t, 5, r.N)

	silent := newTCPServer(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	begin := time.Now()
	r, err = PingPong(t.Context(), PingPongConfig{Target: silent, Rounds: 10, Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, Errors{Timeout: 1}, r.Errors, r.Examples)
	require.Less(t, time.Since(begin), 30*time.Second)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err = PingPong(ctx, PingPongConfig{Target: silent, Rounds: 10})
	require.NoError(t, err)
	require.Zero(t, r.Errors)
	require.EqualValues(t, 1, r.Unfinished)

	r, err = PingPong(t.Context(), PingPongConfig{Target: netip.MustParseAddrPort("127.0.0.1:1"), Rounds: 1})
	require.NoError(t, err)
	require.Equal(t, Errors{Connect: 1}, r.Errors)

	for _, c := range []PingPongConfig{{}, {Target: s}, {Target: s, Rounds: 1, Size: -1}, {Target: s, Rounds: 1, Timeout: time.Hour}} {
		_, err := PingPong(t.Context(), c)
		require.Equal(t, failure.Usage, failure.KindOf(err))
	}
}

func newTCPServer(t testing.TB, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(loopback))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// A sink that loses bytes, or does not say what it has received, is found out.
func TestBulkBelievesTheSink(t *testing.T) {
	for name, answer := range map[string][]byte{"loses bytes": {0, 0, 0, 0, 0, 0, 0, 9}, "says nothing": nil} {
		t.Run(name, func(t *testing.T) {
			at := newTCPServer(t, func(c *net.TCPConn) {
				io.Copy(io.Discard, c)
				c.Write(answer)
			})
			_, err := Bulk(t.Context(), BulkConfig{Target: at, Duration: 20 * time.Millisecond})
			require.ErrorContains(t, err, "the sink")
		})
	}
	at := newTCPServer(t, func(c *net.TCPConn) { io.Copy(io.Discard, c); time.Sleep(300 * time.Millisecond) })
	begin := time.Now()
	_, err := Bulk(t.Context(), BulkConfig{Target: at, Duration: 20 * time.Millisecond, Timeout: 80 * time.Millisecond})
	require.Error(t, err)
	require.Less(t, time.Since(begin), 30*time.Second)
}
