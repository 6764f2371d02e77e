package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

func TestCheckVerb(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "envoy.yaml")
	check := func(text string, args ...string) (int, string, string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		var out, errs bytes.Buffer
		code := run(append([]string{"check", file}, args...), &out, &errs)
		return code, out.String(), errs.String()
	}
	good := "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}\n" +
		"static_resources:\n  listeners:\n  - name: l\n    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}\n" +
		"    filter_chains: [{filters: [{name: t, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c}}]}]\n" +
		"  clusters: [{name: c}]\n"
	code, out, errs := check(good)
	require.Zero(t, code, errs)
	require.Contains(t, out, file+":1:8:   host  admin: is a server of the host's")
	require.Contains(t, out, "nic   static_resources.listeners[0]: takes connections in")
	code, out, errs = check(good+"layered_runtime: {}\n", "-o", "json")
	require.Equal(t, int(failure.BadFile), code)
	require.Contains(t, errs, "items are refused")
	var doc struct {
		Schema string
		Items  []struct {
			Line    int
			Verdict string
			Path    string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Equal(t, "meshnic.check/1", doc.Schema)
	last := doc.Items[len(doc.Items)-1]
	require.Equal(t, "refused", last.Verdict)
	require.Equal(t, "layered_runtime", last.Path)
	require.Equal(t, 8, last.Line)
	code, out, _ = check("# nothing\n")
	require.Equal(t, int(failure.BadFile), code)
	require.Contains(t, out, file+":1:1:  refused  the file: is empty, want a mapping with static_resources")
	require.Equal(t, int(failure.BadFile), run([]string{"check", filepath.Join(dir, "none")}, &bytes.Buffer{}, &bytes.Buffer{}))
	code, _, _ = check(good, "-o", "xml")
	require.Equal(t, int(failure.Usage), code)
}

// What the NIC leaves to a host sidecar, check and explain say in the same words.
func TestCheckAndExplainAgree(t *testing.T) {
	const sec = time.Second
	at := []mesh.Endpoint{{Address: "10.0.0.3:80"}}
	pem := mesh.Source{Inline: "-"}
	to := []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "plain"}}}}
	b, err := envoyconf.Bootstrap(mesh.Config{
		Listeners: []mesh.Listener{
			{Name: "tcp", Address: "10.0.0.200:81", StatPrefix: "tcp", TCP: &mesh.TCPProxy{Cluster: "plain"}},
			{Name: "tls", Address: "10.0.0.200:82", StatPrefix: "tls", VirtualHosts: to,
				TLS: &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{{Chain: pem, Key: pem}}}}},
			{Name: "log", Address: "10.0.0.200:83", StatPrefix: "log", VirtualHosts: to, ConnLogs: []mesh.AccessLog{{Path: "/dev/null"}}},
		},
		Clusters: []mesh.Cluster{
			{Name: "plain", Endpoints: at},
			{Name: "safe", Endpoints: at, TLS: &mesh.ClientTLS{}},
			{Name: "asked", Endpoints: at, Check: &mesh.HealthCheck{Timeout: sec, Interval: sec, NoTraffic: sec, NoTrafficHealthy: sec,
				Unhealthy: sec, UnhealthyEdge: sec, HealthyEdge: sec, UnhealthyThreshold: 1, HealthyThreshold: 1, TCP: &mesh.TCPCheck{}}},
		},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	require.NoError(t, os.WriteFile(file, b, 0o644))
	cfg, err := readBootstrap(file)
	require.NoError(t, err)
	parts, err := offload.Explain(cfg)
	require.NoError(t, err)
	var items, explained []string
	for _, i := range envoyconf.Check(b, file) {
		if i.Verdict == envoyconf.Host && !strings.Contains(i.Path, "access_log") {
			items = append(items, i.Why)
		}
	}
	for _, p := range parts {
		if p.Where == "fallback" && p.Kind != "route" {
			explained = append(explained, p.Why)
		}
	}
	require.Len(t, explained, 5)
	require.ElementsMatch(t, explained, items)
}
