package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// On SIGHUP the sidecar reads its file again; one that is refused is named with
// line and column and changes nothing. On SIGUSR1 it opens its access log anew.
func TestSidecarReloadsOnHangup(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	dir := t.TempDir()
	file, accesses := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "log")
	write := func(body string) {
		b, err := envoyconf.Bootstrap(mesh.Config{Listeners: []mesh.Listener{{
			Name: "in", Address: addr, StatPrefix: "in", Logs: []mesh.AccessLog{{Path: accesses, Text: "%BYTES_SENT%\n"}},
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{
				Prefix: "/", Direct: &mesh.DirectResponse{Status: 200, Body: body},
			}}}},
		}}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, b, 0o644))
	}
	write("one")
	cmd := meshnic(t, "sidecar", "--config", file, "--concurrency", "1")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { // also when a requirement is not met
		cmd.Process.Kill()
		cmd.Wait()
	}()
	defer time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }).Stop()
	log := bufio.NewReader(stderr)
	until := func(what string) string {
		for {
			line, err := log.ReadString('\n')
			require.NoError(t, err)
			if strings.Contains(line, what) {
				return line
			}
		}
	}
	fetch := func() string {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(c)
		require.NoError(t, err)
		_, body, _ := strings.Cut(string(b), "\r\n\r\n")
		return body
	}
	until("listens on")
	require.Equal(t, "one", fetch())
	write("two")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	until("reloaded")
	require.Equal(t, "two", fetch())
	require.NoError(t, os.WriteFile(file, []byte("static_resources:\n  listeners: []\n  secrets: []\n"), 0o644))
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	require.Contains(t, until("reload refused"), "envoy.yaml:3:3: static_resources.secrets: is not supported")
	require.Equal(t, "two", fetch())
	require.NoError(t, os.Rename(accesses, accesses+".1"))
	require.NoError(t, cmd.Process.Signal(syscall.SIGUSR1))
	require.Eventually(t, func() bool { _, err := os.Stat(accesses); return err == nil }, 60*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_, err = io.Copy(io.Discard, log)
	require.NoError(t, err)
	before, err := os.ReadFile(accesses + ".1")
	require.NoError(t, err)
	after, err := os.ReadFile(accesses) // of what was not written yet
	require.NoError(t, err)
	require.Equal(t, "3\n3\n3\n", string(before)+string(after))
}
