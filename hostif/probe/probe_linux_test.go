package probe

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEveryFailureSaysWhatToDo(t *testing.T) {
	for _, f := range Host() {
		require.NotEmpty(t, f.Name)
		require.NotEmpty(t, f.For)
		if !f.OK {
			require.NotEmpty(t, f.Why, f.Name)
		}
	}
}

func TestCausesThatShareAnErrnoStayApart(t *testing.T) {
	err := because("open /dev/net/tun", unix.EACCES, "run as root", "modprobe tun")
	require.ErrorContains(t, err, "run as root")
	err = because("open /dev/net/tun", unix.ENOENT, "run as root", "modprobe tun")
	require.ErrorContains(t, err, "modprobe tun")
	require.NotContains(t, err.Error(), "run as root")
	f := finding("TAP", "tests", err)
	require.False(t, f.OK)
	require.Equal(t, "modprobe tun", f.Next)
	require.NotContains(t, f.Why, "\n")
}
