package netns

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// asUser prepares this test binary to run as a user without rights, as one
// that knows nothing of the private host the test itself runs in.
func asUser(t *testing.T, child string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 || Entered() == "unprivileged" {
		t.Skip("needs root to become somebody else")
	}
	if err := userNamespaces(); err != nil {
		t.Skip(err)
	}
	// A user need not be able to read the directory go test builds in.
	b, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "netns")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	bin := filepath.Join(dir, "netns.test")
	require.NoError(t, os.WriteFile(bin, b, 0o755))
	cmd := exec.Command(bin)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "NETNS_TEST_CHILD="+child, enteredVar+"=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func TestEnterUnprivileged(t *testing.T) {
	restored(t)
	cmd := asUser(t, "user")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s%s", out, errOut.String())
	require.Equal(t, 43, exit.ExitCode(), "the program's exit code comes out: %s", errOut.String())
	require.Contains(t, string(out), "entered unprivileged uid 0 made a lab and removed it")
	require.Contains(t, errOut.String(), "not root: running in a user and network namespace of its own")
	require.Equal(t, 1, strings.Count(errOut.String(), "\n"), "one line: %s", errOut.String())
}

// startUser starts the child that makes a lab and waits, and returns once it has.
func startUser(t *testing.T) (*exec.Cmd, *bufio.Reader) {
	cmd := asUser(t, "user wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "waiting")
	return cmd, r
}

func TestEnterPassesSignalsOn(t *testing.T) {
	restored(t)
	cmd, out := startUser(t)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "cleaned up after 1 terminated\n", string(rest))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 143, exit.ExitCode())
}

// After kill -9 of the outermost process nothing of the private host is left.
func TestEnterKilled(t *testing.T) {
	restored(t)
	before := processes(t)
	cmd, out := startUser(t)
	require.Greater(t, len(processes(t)), len(before)+2)
	require.NoError(t, cmd.Process.Kill())
	_, err := io.ReadAll(out) // ends when the last of them is gone
	require.NoError(t, err)
	cmd.Wait()
	require.Eventually(t, func() bool { return len(processes(t)) == len(before) }, 20*time.Second, 5*time.Millisecond)
}

func processes(t *testing.T) (alive []int) {
	list, err := pids()
	require.NoError(t, err)
	for _, pid := range list {
		if st, err := readStat(pid); err == nil && st.state != 'Z' {
			alive = append(alive, pid)
		}
	}
	return alive
}

// A system that denies user namespaces is named, with the way out of it. (The
// real switches are of the whole machine, so copies are set here.)
func TestEnterDenied(t *testing.T) {
	dir := t.TempDir()
	sw := func(name, value string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(value), 0o600))
		return p
	}
	for _, tt := range []struct {
		name   string
		values [3]string
		next   string
	}{
		{"no limit", [3]string{"100\n", "1\n", "0\n"}, ""},
		{"limit", [3]string{"0\n", "1\n", "0\n"}, "max_user_namespaces=10000"},
		{"clone", [3]string{"9\n", "0\n", "0\n"}, "unprivileged_userns_clone=1"},
		{"apparmor", [3]string{"9\n", "1\n", "1\n"}, "apparmor_restrict_unprivileged_userns=0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := userNSSwitches()
			require.Len(t, list, 3)
			for i := range list {
				list[i].file = sw(filepath.Base(list[i].file), tt.values[i])
			}
			err := denied(list)
			if tt.next == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, failure.Privilege, failure.KindOf(err))
			require.ErrorContains(t, err, tt.next)
		})
	}
	err := enterFailed("fork/exec: operation not permitted", true)
	require.Equal(t, failure.Privilege, failure.KindOf(err))
	require.ErrorContains(t, err, "--privileged")
	require.Equal(t, failure.Unsupported, failure.KindOf(enterFailed("no such thing", false)))
	for errno, want := range map[syscall.Errno]struct {
		kind failure.Kind
		says string
	}{
		syscall.EPERM:  {failure.Privilege, "user namespaces are denied to this user here"},
		syscall.ENOSPC: {failure.Privilege, "user.max_user_namespaces=10000"},
		syscall.EINVAL: {failure.Unsupported, "CONFIG_USER_NS"},
		syscall.EIO:    {failure.Unsupported, "input/output error"},
	} {
		err := enterDenied(unprivileged, &os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: errno})
		require.Equal(t, want.kind, failure.KindOf(err), errno)
		require.ErrorContains(t, err, want.says)
		require.ErrorContains(t, err, "next: run it as root")
	}
}
