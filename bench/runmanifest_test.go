package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The manifest of a run folder joins those of its experiments and has the hash
// of every file but itself, also when it is written again.
func TestWriteRunManifest(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "hop"), 0o755))
	for name, text := range map[string]string{"hop.json": "{}\n", "hop/envoy.yaml": "a: b\n", "report.html": "<p>"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	curl := Manifest{Started: "2026-01-02T03:04:05Z", Seed: 7, Kernel: "6.18", Command: []string{"meshnic", "bench"},
		Binaries: map[string]Binary{"curl": {Version: "8"}}, Placement: map[string]string{"curl": "1"}, Notes: []string{"x"}}
	hop := Manifest{Started: "2026-01-02T03:05:05Z", Seed: 7, Kernel: "6.18",
		Binaries: map[string]Binary{"envoy": {Version: "1.40.0"}}, Placement: map[string]string{"hop": "any core"}, Notes: []string{"x", "y"}}
	for range 2 {
		require.NoError(t, WriteRunManifest(dir, curl, hop))
		b, err := os.ReadFile(filepath.Join(dir, RunManifestFile))
		require.NoError(t, err)
		var m RunManifest
		require.NoError(t, json.Unmarshal(b, &m))
		require.Equal(t, RunSchema, m.Schema)
		require.Equal(t, curl.Started, m.Started)
		require.Equal(t, curl.Command, m.Command)
		require.Equal(t, map[string]Binary{"curl": {Version: "8"}, "envoy": {Version: "1.40.0"}}, m.Binaries)
		require.Equal(t, map[string]string{"curl": "1", "hop": "any core"}, m.Placement)
		require.Equal(t, []string{"x", "y"}, m.Notes)
		require.Equal(t, map[string]string{ // sha256sum of the files
			"hop.json":       "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356",
			"hop/envoy.yaml": "52c9693cf3f219d51ba6af4362ee092c55fb5e6f96d6f9da13c8ede7eff8e71b",
			"report.html":    "33f2799467177287a29260780a107ac98ea63dd6165f67fcc0d74767d0a82090",
		}, m.Files)
	}
	require.NoError(t, WriteRunManifest(t.TempDir()))
}
