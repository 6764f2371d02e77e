package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/hostif/netns"
)

// dockerVar asks for the tests that start a Docker engine: make docker.
const dockerVar = "MESHNIC_DOCKER"

// engine is a dockerd of the test's own, on the test's own host.
type engine struct {
	t    *testing.T
	sock string
}

// newEngine starts it. With dockerVar unset, the test is left out.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if os.Getenv(dockerVar) == "" {
		t.Skip("a Docker engine is started only where " + dockerVar + "=1 asks for it: make docker")
	}
	require.Equal(t, "private", netns.Entered(), "the engine changes the host it is on")
	require.NoError(t, netns.Probe())
	dir := t.TempDir()
	e := &engine{t: t, sock: "unix://" + dir + "/docker.sock"}
	logFile, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/run", "--pidfile", dir+"/pid", "-H", e.sock)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		unix.Unmount(filepath.Join(dir, "run", "netns", "default"), unix.MNT_DETACH) // which it leaves
		if t.Failed() {
			b, _ := os.ReadFile(logFile.Name())
			t.Logf("dockerd: %s", b[max(0, len(b)-4000):])
		}
	})
	require.Eventually(t, func() bool { return e.command("docker", "version").Run() == nil }, 60*time.Second, 200*time.Millisecond)
	return e
}

func (e *engine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.sock, "DOCKER_BUILDKIT=0")
	return cmd
}

func (e *engine) run(name string, args ...string) string {
	e.t.Helper()
	out, err := e.command(name, args...).CombinedOutput()
	require.NoError(e.t, err, "%s %v: %s", name, args, out)
	return strings.TrimSpace(string(out))
}

// image builds the image of the repository's Containerfile, of this very binary.
func (e *engine) image() {
	e.t.Helper()
	dir := e.t.TempDir()
	exe, err := os.Executable()
	require.NoError(e.t, err)
	b, err := os.ReadFile(exe)
	require.NoError(e.t, err)
	require.NoError(e.t, os.WriteFile(filepath.Join(dir, "meshnic"), b, 0o755))
	e.run("docker", "build", "-q", "-f", filepath.Join("..", "..", "Containerfile"), "-t", "plain", dir)
	cmd := e.command("docker", "build", "-q", "-t", "meshnic", "-")
	cmd.Stdin = strings.NewReader("FROM plain\nENV " + asMeshnic + "=1\n")
	out, err := cmd.CombinedOutput()
	require.NoError(e.t, err, "%s", out)
}

// compose is docker compose, of whatever age.
func (e *engine) compose(args ...string) string {
	e.t.Helper()
	args = append([]string{"-f", filepath.Join("..", "..", "examples", "bookinfo", "compose.yaml"), "-p", "bookinfo"}, args...)
	if e.command("docker", "compose", "version").Run() == nil {
		return e.run("docker", append([]string{"compose"}, args...)...)
	}
	return e.run("docker-compose", args...)
}

// addr is where a container serves, on its only network.
func (e *engine) addr(id string) netip.AddrPort {
	e.t.Helper()
	var said []struct {
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress netip.Addr }
		}
	}
	require.NoError(e.t, json.Unmarshal([]byte(e.run("docker", "inspect", id)), &said))
	for _, n := range said[0].NetworkSettings.Networks {
		return netip.AddrPortFrom(n.IPAddress, 9080)
	}
	e.t.Fatal("no network")
	return netip.AddrPort{}
}

// page asks for Bookinfo's page as a browser would.
func page() (string, error) {
	resp, err := http.Get("http://127.0.0.1:9080/productpage")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", resp.Status, b)
	}
	return string(b), err
}

// Bookinfo by the compose file, in containers of a real engine: a NIC comes and goes in
// front of two of them under load, no request is lost, and the host is as it was.
func TestDockerCompose(t *testing.T) {
	e := newEngine(t)
	e.image()
	e.compose("up", "-d")
	t.Cleanup(func() { e.compose("down") })
	why := ""
	require.Eventually(t, func() bool {
		text, err := page()
		why = fmt.Sprint(text, err)
		return err == nil && strings.Contains(text, "ISBN-10") && strings.Contains(text, "Reviewer1")
	}, 30*time.Second, 200*time.Millisecond, "%s", &why)

	details, product := e.compose("ps", "-q", "details"), e.compose("ps", "-q", "productpage")
	before := settled(t)
	for id, cfg := range map[string]load.Config{
		details: {Path: "/details/0", Check: load.Check{Contains: []string{"ISBN-10"}}},
		product: {Path: "/health", Check: load.Check{Contains: []string{"healthy"}}},
	} {
		b := &box{name: id[:12]}
		cfg.Target = e.addr(id)
		b.under(t, cfg, func() {
			for i := range 10 {
				cmd, said := b.attach(t, e.sock)
				inFront(t, b, said)
				text, err := page()
				require.NoError(t, err)
				require.Contains(t, text, "ISBN-10")
				time.Sleep(200 * time.Millisecond)
				b.leave(t, cmd, said, i)
			}
		})
	}
	require.Eventually(t, func() bool { return hostState(t) == before }, 10*time.Second, 100*time.Millisecond, "%s\n%s", before, hostState(t))

	_, _, stderr := result(t, meshnic(t, "attach", "--container", "nobody", "--runtime", e.sock))
	require.Contains(t, stderr, "choose one that runs: bookinfo")
	e.run("docker", "run", "-d", "--name", "onhost", "--network", "host", "meshnic", "bookinfo", "details", "--listen", "127.0.0.1:9999")
	_, _, stderr = result(t, meshnic(t, "attach", "--container", "onhost", "--runtime", e.sock))
	require.Contains(t, stderr, "it uses the host's network")
	e.run("docker", "rm", "-f", "onhost")

	e.run("docker", "network", "create", "second")
	e.run("docker", "network", "connect", "second", details)
	_, _, stderr = result(t, meshnic(t, "attach", "--container", details, "--runtime", e.sock))
	require.Contains(t, stderr, "it is on several networks: eth0 (")
	require.Contains(t, stderr, "--interface eth0")
	code, _, stderr := result(t, meshnic(t, "attach", "--container", details, "--runtime", e.sock, "--interface", "eth1", "--for", "100ms"))
	require.Zero(t, code, stderr)
	e.run("docker", "network", "disconnect", "second", details)
	e.run("docker", "network", "rm", "second")

	// A container that ends takes its NIC with it.
	b := &box{name: e.compose("ps", "-q", "ratings")}
	cmd, said := b.attach(t, e.sock)
	inFront(t, b, said)
	e.run("docker", "stop", "-t", "1", b.name)
	cmd.Wait()
	require.Zero(t, cmd.ProcessState.ExitCode(), said)
	require.Contains(t, said.String(), "is gone, and its interface with it")
	_, _, stderr = result(t, meshnic(t, "attach", "--container", b.name, "--runtime", e.sock))
	require.Contains(t, stderr, "it is not running: exited")
}
