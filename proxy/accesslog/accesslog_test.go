package accesslog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// logging is a configuration with these access logs.
func logging(paths ...string) *mesh.Config {
	cfg := &mesh.Config{Listeners: []mesh.Listener{{Name: "l", Address: "127.0.0.1:1", StatPrefix: "l"}}}
	for _, p := range paths {
		cfg.Listeners[0].Logs = append(cfg.Listeners[0].Logs, mesh.AccessLog{Path: p, Text: "%RESPONSE_CODE%\n"})
	}
	return cfg
}

func compiled(t *testing.T, cfg *mesh.Config) []mesh.Log {
	table, err := mesh.Compile(*cfg)
	require.NoError(t, err)
	return table.Listeners[0].Logs
}

// Lines come to their files in order; a configuration that has other files closes those
// it has not, when what is in them is written.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	var count Counters
	old, err := OpenAll(logging(a, b), nil, time.Hour, &count)
	require.NoError(t, err)
	var s Sinks
	logs := compiled(t, logging(a, b))
	to := s.Of(logs, old)
	for status := 200; status < 203; status++ {
		s.Append(to, logs, &mesh.Entry{Status: status}, nil)
	}
	s.HandOver()
	wanted := logging(b)
	wanted.Listeners[0].ConnLogs = logging(c).Listeners[0].Logs // in place of those of requests
	next, err := OpenAll(wanted, old, time.Hour, &count)
	require.NoError(t, err)
	require.Same(t, old[b], next[b])
	s.Keep(s.Of(compiled(t, logging(b, c)), next))
	old.Close(next)
	next.Close(nil)
	for _, f := range []Files{old, next} {
		for _, x := range f {
			x.Wait()
		}
	}
	for path, want := range map[string]string{a: "200\n201\n202\n", b: "200\n201\n202\n", c: ""} {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(got), path)
	}
	require.EqualValues(t, 2, count.completed.Load())
	require.Zero(t, count.waiting.Load())
}

// What does not fit is dropped, whole and counted.
func TestFullFile(t *testing.T) {
	var count Counters
	f, err := Open(filepath.Join(t.TempDir(), "a"), time.Hour, &count)
	require.NoError(t, err)
	f.running = true // nobody writes
	f.Add([]byte(strings.Repeat("x", Bound)))
	f.Add([]byte("y"))
	require.EqualValues(t, 1, count.buffered.Load())
	require.EqualValues(t, 1, count.failed.Load())
	require.NoError(t, f.file.Close())
}

func TestFileThatCannotBe(t *testing.T) {
	_, err := OpenAll(logging(t.TempDir()), nil, time.Hour, &Counters{})
	var f *failure.Error
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.BadFile, f.Kind)
}
