//go:build linux

package sidecar

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// delayed is a relay to app that holds requests back for so long.
func delayed(delay time.Duration, app string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: app})
	cfg.Listeners[0].Filters = []mesh.Filter{{Fault: &mesh.Fault{Delay: &mesh.FaultDelay{Fixed: delay, Percentage: mesh.Fraction{Numerator: 100}}}}}
	return cfg
}

// answerOf reads the answer to a GET.
func answerOf(t *testing.T, c net.Conn) (resp *http.Response, body string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}

// A reload during a delay: the request goes where it was going, although the filters
// behind it, its route and its cluster are gone by then, and what it counts is seen.
func TestReloadDuringDelay(t *testing.T) {
	old, next := answer(t, ok("old")), answer(t, ok("new"))
	limit := mesh.Filter{RateLimit: &mesh.RateLimit{StatPrefix: "l", Max: 1, Fill: 1, Interval: time.Hour, Enabled: mesh.Fraction{Numerator: 100}, Enforced: mesh.Fraction{Numerator: 100}}}
	cfg := delayed(3*time.Second, old)
	cfg.Listeners[0].Filters = append(cfg.Listeners[0].Filters, limit)
	s := start(t, cfg, Options{Concurrency: 1})
	addr := s.Addrs()[0].String()
	c := dial(t, s)
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	eventually(t, s, "http.in.fault.active_faults", 1)

	after := relay(0, mesh.Endpoint{Address: next})
	after.Listeners[0].Address = addr
	after.Clusters = append([]mesh.Cluster{{Name: "first"}}, after.Clusters...)
	after.Clusters[1].Name, after.Listeners[0].VirtualHosts[0].Routes[0].Cluster = "other", "other"
	require.NoError(t, s.Reload(after))
	require.NoError(t, s.Reload(after), "and once more")
	require.Contains(t, statNames(s), "cluster.app.upstream_rq_total", "the cluster is still wanted")
	_, body := answerOf(t, c)
	require.Equal(t, "old", body)
	_, err = io.WriteString(c, get)
	require.NoError(t, err)
	_, body = answerOf(t, c)
	require.Equal(t, "new", body, "the next goes by what is in force, at once")
	require.NotContains(t, statNames(s), "cluster.app.upstream_rq_total")

	cfg.Listeners[0].Address = addr
	require.NoError(t, s.Reload(cfg))
	require.Equal(t, uint64(1), stat(t, s, "http.in.fault.delays_injected"))
	require.Zero(t, stat(t, s, "http.in.fault.active_faults"))
}

func statNames(s *Server) (all []string) {
	for _, st := range s.Stats() {
		all = append(all, st.Name)
	}
	return all
}

// The limit on active faults is of all workers, and goes on over a reload.
func TestReloadKeepsActiveFaults(t *testing.T) {
	cfg := delayed(3*time.Second, answer(t, ok("x")))
	cfg.Listeners[0].Filters[0].Fault.MaxActive = new(uint32(1))
	s := start(t, cfg, Options{Concurrency: 2})
	addr := s.Addrs()[0].String()
	first := dial(t, s)
	_, err := io.WriteString(first, get)
	require.NoError(t, err)
	eventually(t, s, "http.in.fault.active_faults", 1)
	cfg.Listeners[0].Address = addr
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Name = "changed"
	require.NoError(t, s.Reload(cfg))
	for range 8 { // some of them on the other worker
		c := dial(t, s)
		_, err := io.WriteString(c, get)
		require.NoError(t, err)
		answerOf(t, c)
	}
	require.Equal(t, uint64(8), stat(t, s, "http.in.fault.faults_overflow"))
	require.Equal(t, uint64(1), stat(t, s, "http.in.fault.active_faults"))
	answerOf(t, first)
	require.Zero(t, stat(t, s, "http.in.fault.active_faults"))
}

// A server that drains waits for the delay, and for what follows; when its time is
// up it ends it.
func TestDrainDuringDelay(t *testing.T) {
	for _, tt := range []struct {
		name         string
		delay, drain time.Duration
		want         bool
	}{{"in time", time.Second, 30 * time.Second, true}, {"too late", 30 * time.Second, 50 * time.Millisecond, false}} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(delayed(tt.delay, answer(t, ok("late"))), Options{Concurrency: 1, DrainTimeout: tt.drain})
			require.NoError(t, err)
			ctx, drain := context.WithCancel(t.Context())
			defer drain()
			over := make(chan error, 1)
			go func() { over <- s.Run(ctx) }()
			c := dial(t, s)
			_, err = io.WriteString(c, get)
			require.NoError(t, err)
			eventually(t, s, "http.in.fault.active_faults", 1)
			drain()
			if tt.want {
				resp, body := answerOf(t, c)
				require.Equal(t, "late", body)
				require.True(t, resp.Close)
			} else {
				c.SetDeadline(time.Now().Add(20 * time.Second))
				_, err := c.Read(make([]byte, 1))
				require.Error(t, err)
			}
			require.NoError(t, <-over)
		})
	}
}

// A delay longer than a stream may idle is cut short: the request is not the
// cluster's yet, and the cluster does not count it.
func TestIdleDuringDelay(t *testing.T) {
	for _, tt := range []struct {
		request string
		status  int
	}{{get, 504}, {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", 408}} {
		path := filepath.Join(t.TempDir(), "log")
		cfg := delayed(30*time.Second, answer(t, ok("late")))
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Timeout = 50 * time.Millisecond // which has not begun
		cfg.Listeners[0].Logs = []mesh.AccessLog{{Path: path, Text: "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER%\n"}}
		s := start(t, cfg, Options{Concurrency: 1, StreamIdle: 200 * time.Millisecond, LogFlush: time.Millisecond})
		c := dial(t, s)
		_, err := io.WriteString(c, tt.request)
		require.NoError(t, err)
		resp, _ := answerOf(t, c)
		require.Equal(t, tt.status, resp.StatusCode)
		require.Zero(t, stat(t, s, "http.in.fault.active_faults"))
		require.Zero(t, stat(t, s, "cluster.app.upstream_rq_total"))
		require.NotContains(t, statNames(s), "cluster.app.upstream_rq_504")
		require.Eventually(t, func() bool {
			b, _ := os.ReadFile(path)
			return string(b) == resp.Status[:3]+" DI,SI app\n"
		}, 30*time.Second, 10*time.Millisecond)
	}
}
