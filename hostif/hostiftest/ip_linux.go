package hostiftest

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// IP runs ip(8), where the test is.
func IP(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %v: %s", args, out)
}
