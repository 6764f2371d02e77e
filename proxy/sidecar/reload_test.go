//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// version is a relay at addr to app that names itself in a response header.
func version(n int, addr, app string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: app})
	cfg.Listeners[0].Address = addr
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Mutate.Response.Add = []mesh.HeaderValue{{Name: "x-version", Value: fmt.Sprint(n), Action: mesh.OverwriteOrAdd}}
	return cfg
}

// Reloads under load, every 50 ms where the machine is quick: endpoints change, routes change, a listener
// comes and goes, and no request is lost, on kept connections and on new ones.
func TestReloadUnderLoad(t *testing.T) {
	apps := []string{answer(t, ok("0")), answer(t, ok("1")), answer(t, ok("2"))}
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("workers=%d", workers), func(t *testing.T) {
			s := start(t, version(0, "127.0.0.1:0", apps[0]), Options{Concurrency: workers, DrainTime: 100 * time.Millisecond})
			addr := s.Addrs()[0].String()
			var done atomic.Bool
			var requests atomic.Int64
			errs := make(chan error, 64)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					for !done.Load() {
						if err := askMany(addr, 1+i*20, &done, &requests); err != nil {
							errs <- err
							return
						}
					}
				})
			}
			reloads := 0
			for began := time.Now(); time.Since(began) < time.Minute && (time.Since(began) < 2*time.Second || reloads <= 20 || requests.Load() <= 1000); time.Sleep(50 * time.Millisecond) {
				reloads++
				cfg := version(reloads, addr, apps[reloads%len(apps)])
				if reloads%2 == 0 {
					extra := cfg.Listeners[0]
					extra.Name, extra.Address, extra.StatPrefix = "extra", "127.0.0.1:0", "extra"
					cfg.Listeners = append(cfg.Listeners, extra)
				}
				if reloads%5 == 0 {
					cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: "more", Policy: mesh.Maglev, Endpoints: cfg.Clusters[0].Endpoints})
				}
				require.NoError(t, s.Reload(cfg))
			}
			done.Store(true)
			wg.Wait()
			close(errs)
			for err := range errs {
				t.Error(err)
			}
			require.Greater(t, requests.Load(), int64(1000))
			require.Greater(t, reloads, 20)
			require.Equal(t, uint64(requests.Load()), stat(t, s, "http.in.downstream_rq_2xx"), "counters go on")
			eventually(t, s, "http.in.downstream_cx_active", 0)
			require.NoError(t, s.Reload(version(0, addr, apps[0])))
			for _, w := range s.workers {
				left := make(chan int, 1)
				w.post(func() { w.prune(); left <- len(w.retired) + len(w.replaced) + len(w.listeners) })
				require.Equal(t, 1, <-left)
			}
			t.Logf("%d requests, %d reloads", requests.Load(), reloads)
		})
	}
}

// askMany sends up to n requests on one connection.
func askMany(addr string, n int, done *atomic.Bool, requests *atomic.Int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReader(c)
	for range n {
		if done.Load() {
			return nil
		}
		if _, err := io.WriteString(c, get); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			return fmt.Errorf("status %d, %w", resp.StatusCode, err)
		}
		requests.Add(1)
		// Body and header come from the same version: one request, one table.
		if v := resp.Header.Get("X-Version"); v != "" && fmt.Sprint(atoi(v)%3) != string(body) {
			return fmt.Errorf("version %s answered by endpoint %s", v, body)
		}
		if resp.Close {
			return nil
		}
	}
	return nil
}

func atoi(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

// A request under way ends by the table it began with; the next one on the same
// connection goes by the new.
func TestReloadOnKeptConnection(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 1)
	old := answer(t, func(c net.Conn, r *bufio.Reader) {
		for skipHead(r) == nil {
			arrived <- struct{}{}
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
		}
	})
	s := start(t, version(0, "127.0.0.1:0", old), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	_, err := io.WriteString(c, get)
	require.NoError(t, err)
	<-arrived
	require.NoError(t, s.Reload(version(1, "127.0.0.1:0", answer(t, ok("new")))))
	close(release)
	resp, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "old", string(body))
	require.Equal(t, "0", resp.Header.Get("X-Version"), "the old route's header")
	require.False(t, resp.Close)
	_, got := ask(t, c, r, get)
	require.Equal(t, "new", got)
	// The old cluster's connection went when its request was done, and its
	// counters went over to its successor.
	eventually(t, s, "cluster.app.upstream_cx_active", 1)
	require.Equal(t, uint64(2), stat(t, s, "cluster.app.upstream_rq_total"))
	require.Equal(t, uint64(1), stat(t, s, "http.in.downstream_cx_total"))
}

// A reload that leaves a cluster as it is leaves its connections, its place in the
// rotation and its circuit breakers.
func TestReloadKeepsClusters(t *testing.T) {
	a, b := answer(t, ok("a")), answer(t, ok("b"))
	cfg := relay(0, mesh.Endpoint{Address: a}, mesh.Endpoint{Address: b})
	s := start(t, cfg, Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	_, first := ask(t, c, r, get)
	for i := range 10 {
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Timeout = time.Duration(i) * time.Second
		require.NoError(t, s.Reload(cfg))
		_, next := ask(t, c, r, get)
		require.NotEqual(t, first, next)
		first = next
	}
	require.Equal(t, uint64(2), stat(t, s, "cluster.app.upstream_cx_total"))
}

func TestReloadRefusedChangesNothing(t *testing.T) {
	s := start(t, relay(0, mesh.Endpoint{Address: answer(t, ok("x"))}), Options{Concurrency: 1})
	c := dial(t, s)
	r := bufio.NewReader(c)
	ask(t, c, r, get)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	before := countFDs(t)

	wrong := relay(0)
	wrong.Listeners[0].StatPrefix = ""
	require.Equal(t, failure.BadFile, failure.KindOf(s.Reload(wrong)))
	conflict := relay(0)
	extra := conflict.Listeners[0]
	extra.Name, extra.Address = "extra", "127.0.0.1:0"
	conflict.Listeners = append(conflict.Listeners, extra)
	extra.Name, extra.Address = "taken", taken.Addr().String()
	conflict.Listeners = append(conflict.Listeners, extra)
	require.Equal(t, failure.Conflict, failure.KindOf(s.Reload(conflict)))
	conflict = relay(0)
	conflict.Admin = taken.Addr().String()
	require.Equal(t, failure.Conflict, failure.KindOf(s.Reload(conflict)))

	require.Equal(t, before, countFDs(t))
	require.Len(t, s.Addrs(), 1)
	status, body := ask(t, c, r, get)
	require.Equal(t, 200, status)
	require.Equal(t, "x", body)
}

// A listener that is gone accepts no one, serves who is there, and at the end of
// the drain time closes.
func TestReloadRemovesListener(t *testing.T) {
	const drain = time.Second
	app := answer(t, ok("x"))
	cfg := relay(0, mesh.Endpoint{Address: app})
	second := cfg.Listeners[0]
	second.Name, second.StatPrefix = "second", "second"
	cfg.Listeners = append(cfg.Listeners, second)
	s := start(t, cfg, Options{Concurrency: 1, DrainTime: drain})
	gone := s.Addrs()[1].String()
	active, err := net.Dial("tcp", gone)
	require.NoError(t, err)
	defer active.Close()
	idle, err := net.Dial("tcp", gone)
	require.NoError(t, err)
	defer idle.Close()
	r := bufio.NewReader(active)
	ask(t, active, r, get)
	idle.SetDeadline(time.Now().Add(30 * time.Second))

	cfg.Listeners = cfg.Listeners[:1]
	began := time.Now()
	require.NoError(t, s.Reload(cfg))
	_, err = net.Dial("tcp", gone)
	require.Error(t, err)
	for !asksClose(t, active, r) {
	}
	require.Equal(t, uint64(1), stat(t, s, "http.second.downstream_cx_drain_close"))
	_, err = idle.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.GreaterOrEqual(t, time.Since(began), drain)
	require.Eventually(t, func() bool { return !strings.Contains(strings.Join(statNames(s), " "), "http.second.") }, 30*time.Second, time.Millisecond, "with its last connection its counters go")
	_, err = net.Dial("tcp", s.Addrs()[0].String())
	require.NoError(t, err)
}

func TestReloadMovesAdmin(t *testing.T) {
	cfg := relay(0)
	cfg.Admin = "127.0.0.1:0"
	s := start(t, cfg, Options{Concurrency: 1})
	was := s.AdminAddr().String()
	cfg.Admin = reserve(t, 1)[0]
	require.NoError(t, s.Reload(cfg))
	_, err := net.Dial("tcp", was)
	require.Error(t, err)
	c, err := net.Dial("tcp", cfg.Admin)
	require.NoError(t, err)
	c.Close()
	cfg.Admin = ""
	require.NoError(t, s.Reload(cfg))
	require.Nil(t, s.AdminAddr())
}

// Many reloads leave no descriptors behind.
func TestReloadLeavesNothing(t *testing.T) {
	app := answer(t, ok("x"))
	s := start(t, version(0, "127.0.0.1:0", app), Options{Concurrency: 2})
	before := countFDs(t)
	for i := range 50 {
		cfg := version(i, "127.0.0.1:0", app)
		cfg.Listeners[0].Name = fmt.Sprintf("in%d", i) // other sockets each time
		require.NoError(t, s.Reload(cfg))
		c := dial(t, s)
		status, _ := ask(t, c, bufio.NewReader(c), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		require.Equal(t, 200, status)
		c.Close()
	}
	for end := time.Now().Add(30 * time.Second); countFDs(t) > before+4 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	require.LessOrEqual(t, countFDs(t), before+4) // a pooled connection a worker, both ends
}
