//go:build linux

package sidecar

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// logged is a proxy that answers by itself and writes a line for it.
func logged(path, text string) mesh.Config {
	cfg := relay(0)
	cfg.Listeners[0].VirtualHosts[0].Routes = []mesh.Route{{Prefix: "/", Direct: &mesh.DirectResponse{Status: 200, Body: "x"}}}
	cfg.Listeners[0].Logs = []mesh.AccessLog{{Path: path, Text: text}}
	return cfg
}

// reads waits until a file is there and says what it should.
func reads(t *testing.T, path, want string) {
	t.Helper()
	var b []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if b, err = os.ReadFile(path); err == nil && string(b) == want {
			return
		}
	}
	require.Equal(t, want, string(b), path)
}

func path(n int) string { return fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", n) }

// Reopened, a log goes on in a new file; a reload moves it to another.
func TestLogReopensAndMoves(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	s := start(t, logged(a, "%REQ(:PATH)%\n"), Options{Concurrency: 2, LogFlush: time.Millisecond})
	c := dial(t, s)
	r := bufio.NewReader(c)
	ask(t, c, r, path(1))
	reads(t, a, "/1\n")
	require.NoError(t, os.Rename(a, a+".1"))
	s.ReopenLogs()
	reads(t, a, "")
	ask(t, c, r, path(2))
	reads(t, a, "/2\n")
	reads(t, a+".1", "/1\n")

	cfg := logged(b, "to b %REQ(:PATH)%\n")
	cfg.Listeners[0].Address = s.Addrs()[0].String()
	require.NoError(t, s.Reload(cfg))
	ask(t, c, r, path(3))
	reads(t, b, "to b /3\n")
	reads(t, a, "/2\n")
	require.Zero(t, stat(t, s, "filesystem.write_failed"))
	require.Equal(t, uint64(3), stat(t, s, "filesystem.write_completed"))

	cfg.Listeners[0].Logs[0].Path = filepath.Join(dir, "none", "c")
	err := s.Reload(cfg)
	require.Equal(t, failure.BadFile, failure.KindOf(err), "%v", err)
	ask(t, c, r, path(4))
	reads(t, b, "to b /3\nto b /4\n")
}

// A reload moves a listener's log too, also of connections that there are, and of
// those that no filter chain is for.
func TestListenerLogMoves(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	to := func(path, addr string) mesh.Config {
		cfg := relay(0)
		l := &cfg.Listeners[0]
		l.VirtualHosts[0].Routes = []mesh.Route{{Prefix: "/", Direct: &mesh.DirectResponse{Status: 200, Body: "x"}}}
		l.Address, l.Match.Transport = addr, "raw_buffer"
		l.ConnLogs = []mesh.AccessLog{{Path: path, Text: "%RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED%\n"}}
		return cfg
	}
	s := start(t, to(a, "127.0.0.1:0"), Options{Concurrency: 1, LogFlush: time.Millisecond})
	addr := s.Addrs()[0].String()
	stranger := func() {
		tls.Client(dial(t, s), &tls.Config{ServerName: "x"}).Handshake()
		dial(t, s).Close() // and who leaves before that is known
	}
	c := dial(t, s)
	r := bufio.NewReader(c)
	ask(t, c, r, path(1))
	stranger()
	reads(t, a, "filter_chain_not_found NR 0\n- - 0\n")
	require.NoError(t, s.Reload(to(b, addr)))
	ask(t, c, r, path(2))
	c.Close()
	reads(t, b, fmt.Sprintf("- - %d\n", 2*len(path(1))))
	stranger()
	reads(t, b, fmt.Sprintf("- - %d\nfilter_chain_not_found NR 0\n- - 0\n", 2*len(path(1))))
	reads(t, a, "filter_chain_not_found NR 0\n- - 0\n")
}

// What is left is written when the server ends, however long the interval.
func TestLogIsWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	t.Run("serve", func(t *testing.T) {
		s := start(t, logged(file, "%REQ(:PATH)%\n"), Options{Concurrency: 1, LogFlush: time.Hour})
		c := dial(t, s)
		r := bufio.NewReader(c)
		for i := range 100 {
			ask(t, c, r, path(i))
		}
	})
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, strings.Split(string(b), "\n"), 101)
}

// A log that nobody reads keeps no request waiting: beyond a bound lines are
// dropped, whole, and counted.
func TestSlowLog(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	long := strings.Repeat("x", 64<<10)
	s := start(t, logged(fifo, long+" %REQ(:PATH)%\n"), Options{Concurrency: 1, LogFlush: time.Millisecond})
	c := dial(t, s)
	r := bufio.NewReader(c)
	for i := range 200 {
		status, _ := ask(t, c, r, path(i))
		require.Equal(t, http.StatusOK, status)
	}
	require.Greater(t, stat(t, s, "filesystem.write_failed"), uint64(100))
	require.LessOrEqual(t, stat(t, s, "filesystem.write_total_buffered"), uint64(2*accesslog.Bound))
	go func() { // so that the server can end
		for b := make([]byte, 1<<20); ; time.Sleep(time.Millisecond) {
			if n, err := reader.Read(b); n <= 0 && err != nil && !strings.Contains(err.Error(), "temporarily unavailable") {
				return
			}
		}
	}()
}
