package control

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/mem"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

func running(t *testing.T) *nic.NIC {
	t.Helper()
	a, farA := mem.Pipe(4)
	b, farB := mem.Pipe(4)
	n, err := nic.New(nic.DefaultConfig(), []nic.Port{{Name: "a", Link: a}, {Name: "b", Link: b}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, nic.RunOptions{}) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		for _, l := range []*mem.Link{a, b, farA, farB} {
			l.Close()
		}
	})
	return n
}

// serve serves until stop, which waits for its end.
func serve(t *testing.T, path string, n *nic.NIC) (stop func() error) {
	t.Helper()
	l, err := Listen(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, n) }()
	return func() error { cancel(); return <-ended }
}

func TestAnswersAndRemovesItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nic.sock")
	stop := serve(t, path, running(t))
	require.Eventually(t, func() bool {
		s, err := Get(t.Context(), path)
		return err == nil && len(s.Ports) == 2
	}, 30*time.Second, time.Millisecond)
	require.NoError(t, stop())
	require.NoFileExists(t, path)
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nic.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
	stop := serve(t, path, running(t))
	require.Eventually(t, func() bool { _, err := Get(t.Context(), path); return err == nil }, 30*time.Second, time.Millisecond)
	require.NoError(t, stop())
}

func TestASocketInUseIsAConflict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nic.sock")
	n := running(t)
	stop := serve(t, path, n)
	require.Eventually(t, func() bool { _, err := Get(t.Context(), path); return err == nil }, 30*time.Second, time.Millisecond)
	_, err := Listen(path)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "another meshnic answers on it")
	_, err = Get(t.Context(), path)
	require.NoError(t, err, "the first one goes on answering")
	require.NoError(t, stop())
}

// A socket of another kind refuses nobody, and is in use all the same.
func TestAnotherProgramsSocketIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer other.Close()
	_, err = Listen(path)
	require.Equal(t, failure.Conflict, failure.KindOf(err), "%v", err)
	_, err = net.Dial("unixgram", path)
	require.NoError(t, err)
}

// Who connects and says nothing is waited for, and nobody behind him.
func TestSilentClientsHoldUpNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nic.sock")
	stop := serve(t, path, running(t))
	for range clients - 1 {
		silent, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer silent.Close()
	}
	_, err := Get(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, stop())
}

func TestAFileIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	_, err := Listen(path)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.FileExists(t, path)
	_, err = Listen(filepath.Join(path, "below.sock"))
	require.Equal(t, failure.Usage, failure.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "choose a path that can be written")
}

func TestNobodyAnswers(t *testing.T) {
	_, err := Get(t.Context(), filepath.Join(t.TempDir(), "none.sock"))
	require.Error(t, err)
}
