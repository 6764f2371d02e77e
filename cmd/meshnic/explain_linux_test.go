package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// partly is a bootstrap file of which the NIC carries a part.
func partly(t *testing.T) string {
	t.Helper()
	b, err := envoyconf.Bootstrap(mesh.Config{
		Listeners: []mesh.Listener{
			{Name: "web", Address: "10.0.0.200:80", StatPrefix: "web", VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{
				{Prefix: "/safe", Cluster: "safe"}, {Prefix: "/", Cluster: "plain"},
			}}}},
			{Name: "db", Address: "10.0.0.200:81", StatPrefix: "db", TCP: &mesh.TCPProxy{Cluster: "plain"}},
		},
		Clusters: []mesh.Cluster{
			{Name: "plain", Endpoints: []mesh.Endpoint{{Address: "10.0.0.3:80"}}},
			{Name: "safe", TLS: &mesh.ClientTLS{}, Endpoints: []mesh.Endpoint{{Address: "10.0.0.3:443"}}},
		},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "partly.yaml")
	require.NoError(t, os.WriteFile(path, b, 0o644))
	return path
}

func TestExplain(t *testing.T) {
	code, stdout, stderr := result(t, meshnic(t, "explain", "--config", partly(t), "-o", "json"))
	require.Zero(t, code, stderr)
	var e struct {
		Parts []struct{ Kind, Name, Where, Reason, Why string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &e))
	var got []string
	for _, p := range e.Parts {
		got = append(got, p.Kind+" "+p.Name+" "+p.Where+" "+p.Reason)
	}
	require.Equal(t, []string{
		"listener web (10.0.0.200:80) nic ", "route web/any/prefix /safe fallback upstream_tls", "route web/any/prefix / nic ",
		"listener db (10.0.0.200:81) fallback tcp_proxy", "cluster plain nic ", "cluster safe fallback upstream_tls",
	}, got)

	for _, tt := range []struct {
		says string
		args []string
	}{
		{"--config", nil}, {"--control", []string{"--config", partly(t), "--flow", "10.0.0.2:1"}}, {"none.sock", []string{"--control", "none.sock"}},
	} {
		code, _, stderr := result(t, meshnic(t, append([]string{"explain"}, tt.args...)...))
		require.Equal(t, 2, code)
		require.Contains(t, stderr, tt.says)
	}
}

// A running NIC says what fell back, and where connections are; without a host sidecar
// it refuses what it does not carry.
func TestExplainRunning(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	dir, name := t.TempDir(), "t_explain"
	spec, config := filepath.Join(dir, "lab.yaml"), partly(t)
	require.NoError(t, os.WriteFile(spec, []byte("name: "+name+"\nfabric: ports\nhosts: [{name: blue}, {name: green}]\n"), 0o644))
	code, _, stderr := result(t, meshnic(t, "lab", "up", spec))
	require.Zero(t, code, stderr)
	defer func() {
		code, _, stderr := result(t, meshnic(t, "lab", "down", name))
		require.Zero(t, code, stderr)
	}()
	attach := []string{"attach", "--netns", "mnic-" + name + "-switch", "--port", "a=p-blue", "--port", "b=p-green", "--program", "offload", "--config", config}
	code, _, stderr = result(t, meshnic(t, attach...))
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "next: name the host sidecar that carries it with --fallback ADDR")

	sock := filepath.Join(dir, "nic.sock")
	cmd := meshnic(t, append(attach, "--control", sock, "--fallback", "10.0.0.3,81=10.0.0.3:8081")...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	require.NoError(t, cmd.Start())
	defer func() {
		require.NoError(t, cmd.Process.Signal(unix.SIGINT))
		cmd.Wait()
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(sock); return err == nil }, 60*time.Second, 10*time.Millisecond, "%s", &errOut)
	code, stdout, stderr := result(t, meshnic(t, "explain", "--control", sock, "--flow", "10.0.0.2:4000"))
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "nothing")
	require.Contains(t, stdout, "connection 10.0.0.2:4000: the NIC's proxy has none of that client")
}
