//go:build linux

package sidecar

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// world is the configuration that conversations are held with: one listener and
// one upstream for each of them, so that they do not meet.
func world(n int, listen func(i int) string, upstream func(i int) string) mesh.Config {
	cfg := mesh.Config{Node: "conformance", Clusters: []mesh.Cluster{
		{Name: "dead", Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:1"}}},
		{Name: "none"},
	}}
	for i := range n {
		up := fmt.Sprintf("up%d", i)
		cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: up, Endpoints: []mesh.Endpoint{{Address: upstream(i)}}})
		all := func(timeout time.Duration) []mesh.Route {
			return []mesh.Route{{Prefix: "/", Cluster: up, Timeout: timeout}}
		}
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{
			Name: fmt.Sprintf("l%d", i), Address: listen(i), StatPrefix: fmt.Sprintf("l%d", i),
			VirtualHosts: []mesh.VirtualHost{
				// The timeouts tell the hosts apart: they show in x-envoy-expected-rq-timeout-ms.
				{Name: "only", Domains: []string{"only.example"}, Routes: []mesh.Route{{Prefix: "/x", Cluster: up}}},
				{Name: "port", Domains: []string{"port.example:8080"}, Routes: all(8080 * time.Millisecond)},
				{Name: "suffix", Domains: []string{"*.suffix.example"}, Routes: all(1000 * time.Millisecond)},
				{Name: "longer", Domains: []string{"*.longer.suffix.example"}, Routes: all(1100 * time.Millisecond)},
				{Name: "prefix", Domains: []string{"prefix.*"}, Routes: all(1200 * time.Millisecond)},
				{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{
					{Prefix: "/slow", Cluster: up, Timeout: 300 * time.Millisecond},
					{Prefix: "/dead", Cluster: "dead"},
					{Prefix: "/none", Cluster: "none"},
					{Path: "/exact", Cluster: up, Timeout: 7 * time.Second},
					{Prefix: "/", Cluster: up},
				}},
			},
		})
	}
	return cfg
}

// upstreams opens n listeners.
func upstreams(t testing.TB, n int) (lns []net.Listener) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { ln.Close() })
		lns = append(lns, ln)
	}
	return lns
}

// reserve returns n addresses on which nothing listens, for Envoy. They are on a
// loopback address of this process's own, so that no one else takes a port
// between now and then.
func reserve(t testing.TB, n int) (addrs []string) {
	t.Helper()
	pid := os.Getpid()
	var lns []net.Listener
	for range n {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, max(pid&255, 1)))
		require.NoError(t, err)
		lns, addrs = append(lns, ln), append(addrs, ln.Addr().String())
	}
	for _, ln := range lns {
		require.NoError(t, ln.Close())
	}
	return addrs
}

// TestConversations plays every conversation through our sidecar.
func TestConversations(t *testing.T) {
	all := conversations(t)
	require.GreaterOrEqual(t, len(all), 25)
	lns := upstreams(t, len(all))
	cfg := world(len(all), func(int) string { return "127.0.0.1:0" }, func(i int) string { return lns[i].Addr().String() })
	// By way of the file, as the command runs it.
	file, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	cfg, err = envoyconf.Read(file, "world.yaml")
	require.NoError(t, err)
	s := start(t, cfg, Options{Concurrency: 1})
	update := os.Getenv("MESHNIC_UPDATE") == "1"
	got := playAll(all, lns, func(i int) string { return s.Addrs()[i].String() })
	for i, c := range all {
		t.Run(name(c), func(t *testing.T) {
			if update && c.differs {
				require.NoError(t, os.WriteFile(c.path, []byte(got[i]), 0o644))
			} else if !update {
				require.Equal(t, c.String(), got[i])
			}
		})
	}
}

// playAll holds all conversations, many at a time: most of them only wait.
func playAll(all []conversation, lns []net.Listener, addr func(i int) string) []string {
	got := make([]string, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range all {
		slots <- struct{}{}
		wg.Go(func() {
			got[i] = all[i].play(addr(i), lns[i]).String()
			<-slots
		})
	}
	wg.Wait()
	return got
}

// TestConversationsWithEnvoy plays them through the real Envoy.
func TestConversationsWithEnvoy(t *testing.T) {
	path := envoy(t)
	all := conversations(t)
	lns := upstreams(t, len(all))
	addrs := reserve(t, len(all))
	cfg := world(len(all), func(i int) string { return addrs[i] }, func(i int) string { return lns[i].Addr().String() })
	startEnvoy(t, path, cfg, addrs[len(addrs)-1])
	update := os.Getenv("MESHNIC_UPDATE") == "1"
	got := playAll(all, lns, func(i int) string { return addrs[i] })
	for i, c := range all {
		t.Run(name(c), func(t *testing.T) {
			switch {
			case c.differs && !update:
				require.NotEqual(t, c.String(), got[i], "the difference is gone: drop the line that says so")
			case c.differs:
			case update:
				require.NoError(t, os.WriteFile(c.path, []byte(got[i]), 0o644))
			default:
				require.Equal(t, c.String(), got[i])
			}
		})
	}
}

func name(c conversation) string { return strings.TrimSuffix(filepath.Base(c.path), ".txt") }

// envoy returns the real Envoy's path: $MESHNIC_ENVOY, or "envoy" on the PATH.
func envoy(t testing.TB) string {
	t.Helper()
	path := os.Getenv("MESHNIC_ENVOY")
	if path == "" {
		path, _ = exec.LookPath("envoy")
	}
	if path == "" {
		if os.Getenv("MESHNIC_REQUIRE_NET") == "1" {
			t.Fatal("no Envoy: MESHNIC_ENVOY is not set and envoy is not on the PATH")
		}
		t.Skip("no Envoy: MESHNIC_ENVOY is not set and envoy is not on the PATH")
	}
	return path
}

// startEnvoy runs Envoy with one worker until the test ends, and waits until it
// listens on addr.
func startEnvoy(t testing.TB, path string, cfg mesh.Config, addr string) {
	t.Helper()
	file, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	dir := t.TempDir()
	conf := filepath.Join(dir, "envoy.yaml")
	require.NoError(t, os.WriteFile(conf, file, 0o644))
	logf, err := os.Create(filepath.Join(dir, "envoy.log"))
	require.NoError(t, err)
	cmd := exec.Command(path, "-c", conf, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning")
	cmd.Stdout, cmd.Stderr = logf, logf
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-done
		}
		logf.Close()
	})
	for end := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-done:
			out, _ := os.ReadFile(logf.Name())
			t.Fatalf("Envoy ended: %s", out)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			out, _ := os.ReadFile(logf.Name())
			t.Fatalf("Envoy does not listen: %s", out)
		}
	}
}

// start runs a Server until the test ends.
func start(t testing.TB, cfg mesh.Config, opt Options) *Server {
	t.Helper()
	s, err := New(cfg, opt)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s
}
