package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func TestBreakEven(t *testing.T) {
	dir := t.TempDir()
	wall := func(us float64) *bench.Quantiles {
		return &bench.Quantiles{P50: us, P90: us, P99: us, P999: us, Max: us}
	}
	doc, err := json.Marshal(bench.Document{Schema: bench.Schema, Experiment: "hop", Systems: []bench.System{
		{Name: "direct", Connections: 1, WallUS: wall(20)}, {Name: "envoy", Connections: 1, WallUS: wall(130), RPS: 6800},
	}})
	require.NoError(t, err)
	file := filepath.Join(dir, "hop.json")
	require.NoError(t, os.WriteFile(file, doc, 0o644))
	said := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := newBreakEven()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := said(file)
	require.NoError(t, err)
	require.Regexp(t, `requests a connection +1 +\d+\.\d +0\.\d{4}`, out)
	require.Contains(t, out, "the host is faster")
	page, err := os.ReadFile(filepath.Join(dir, "break-even.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "110.0 us of wall time")
	require.Contains(t, string(page), "<svg")
	require.NotContains(t, string(page), "Pareto")

	_, err = said(file, "--against", "haproxy")
	require.ErrorContains(t, err, "no figures of it")
	_, err = said(filepath.Join(dir, "none.json"))
	require.Error(t, err)
}
