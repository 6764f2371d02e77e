package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/internal/failure"
)

// A disk that is full costs the capture, not the traffic, and is said once.
func TestCaptureOnAFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("needs " + full)
	}
	var said []string
	log := func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }
	specs := []attach.PortSpec{{Name: "a"}, {Name: "b"}}
	c, err := openCapture(full, specs, nil, log)
	require.NoError(t, err)
	for range 5000 {
		require.NoError(t, c.Frame(0, 1, make([]byte, 1500)))
	}
	require.Len(t, said, 1)
	require.Contains(t, said[0], "no space left on device: the capture ends here")
	err = c.close()
	require.Equal(t, failure.Unexpected, failure.KindOf(err))
	require.ErrorContains(t, err, "capture /dev/full: ")

	said = nil
	c, err = openCapture(full, specs, nil, log)
	require.NoError(t, err)
	require.NoError(t, c.Frame(0, 0, []byte("less than is held back")))
	require.ErrorContains(t, c.close(), "no space left")
	require.Empty(t, said)

	path := filepath.Join(t.TempDir(), "live.pcapng")
	c, err = openCapture(path, specs, nil, log)
	require.NoError(t, err)
	require.NoError(t, c.Frame(0, 0, make([]byte, 60)))
	require.NoError(t, c.close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Greater(t, len(b), 100)
}
