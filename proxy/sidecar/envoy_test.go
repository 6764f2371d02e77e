//go:build linux

package sidecar

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// envoy returns the real Envoy's path: $MESHNIC_ENVOY, or "envoy" on the PATH. With
// -short, as under the race detector, nothing is compared with it.
func envoy(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("not compared with Envoy in short mode")
	}
	path, why := findEnvoy()
	if path == "" {
		if os.Getenv("MESHNIC_REQUIRE_NET") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return path
}

func findEnvoy() (path, why string) {
	path = os.Getenv("MESHNIC_ENVOY")
	if path == "" {
		path, _ = exec.LookPath("envoy")
	}
	return path, "no Envoy: MESHNIC_ENVOY is not set and envoy is not on the PATH"
}

// startEnvoy runs Envoy on cfg with one worker until the test ends, and waits
// until it listens on addr.
func startEnvoy(t testing.TB, path string, cfg mesh.Config, addr string) {
	t.Helper()
	file, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	runEnvoy(t, path, file, addr)
}

// runEnvoy is startEnvoy on a bootstrap file, with further arguments.
func runEnvoy(t testing.TB, path string, file []byte, addr string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "envoy.yaml")
	require.NoError(t, os.WriteFile(conf, file, 0o644))
	logf, err := os.Create(filepath.Join(dir, "envoy.log"))
	require.NoError(t, err)
	cmd := exec.Command(path, append([]string{"-c", conf, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"}, args...)...)
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
	for end := time.Now().Add(60 * time.Second); ; {
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
		case <-time.After(60 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s
}
