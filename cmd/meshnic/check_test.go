package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
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
	require.Equal(t, int(failure.BadFile), run([]string{"check", filepath.Join(dir, "none")}, &bytes.Buffer{}, &bytes.Buffer{}))
	code, _, _ = check(good, "-o", "xml")
	require.Equal(t, int(failure.Usage), code)
}
