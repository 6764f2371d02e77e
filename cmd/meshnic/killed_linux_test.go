package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// hostState is what there is on this host: namespaces, labs, links, addresses,
// routes, nft tables, the offload settings of every interface, and, of all
// processes, how many there are.
func hostState(t *testing.T) string {
	t.Helper()
	text, err := netns.Snapshot()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString(text)
	links, err := netlink.LinkList()
	require.NoError(t, err)
	for _, l := range links {
		f, err := ethtool.Get(-1, l.Attrs().Name)
		require.NoError(t, err)
		var on []string
		for name, x := range f {
			if x.Requested || x.Active {
				on = append(on, fmt.Sprintf("%s=%t/%t", name, x.Requested, x.Active))
			}
		}
		slices.Sort(on)
		self, err := ethtool.Identify(-1)
		require.NoError(t, err)
		// Without privilege, sysfs may not be mounted, and nothing is threaded.
		unthreaded, _ := ethtool.Plan(ethtool.Peer{NetNS: self, Name: l.Attrs().Name, Index: l.Attrs().Index}, true, ethtool.ThreadedNAPI)
		fmt.Fprintln(&b, l.Attrs().Name, unthreaded, "xdp", l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached, on)
	}
	n := 0
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, s := range stats {
		if text, err := os.ReadFile(s); err == nil && !strings.Contains(string(text), ") Z ") {
			n++
		}
	}
	fmt.Fprintln(&b, n, "processes")
	return b.String()
}

// cleaned cleans and waits for the state of before.
func cleaned(t *testing.T, before, when string) {
	t.Helper()
	code, _, stderr := result(t, meshnic(t, "clean"))
	require.Zero(t, code, "%s: %s", when, stderr)
	now := ""
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now = hostState(t); now == before {
			return
		}
	}
	require.Equal(t, before, now, when)
}

// kill9After starts a bench of args and kills it after d.
func kill9After(t *testing.T, d time.Duration, args ...string) {
	t.Helper()
	cmd := meshnic(t, append([]string{"bench", "--quick", "--dir", filepath.Join(t.TempDir(), "run")}, args...)...)
	require.NoError(t, cmd.Start())
	time.Sleep(d)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
}

// kill -9 of a bench at any moment leaves what the next clean restores exactly:
// while it looks around, makes its labs, starts programs, measures, and takes
// labs away. Bookinfo's labs balance by nftables, curl's and link's make TAPs.
func TestKilledBenchIsCleaned(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before := hostState(t)
	dirty := 0
	for slower := time.Duration(1); dirty <= 5 && slower <= 8; slower *= 2 { // than the machine these moments are of
		for exp, moments := range map[string][]time.Duration{
			"hop": {30, 100, 250, 500, 900, 1500}, "curl": {400, 1100}, "link": {600, 1300}, "bookinfo": {500, 900, 2000},
			"bookinfo --systems k8s_nic_offload,k8s_sidecar": {700, 1500},
		} {
			for _, ms := range moments {
				kill9After(t, slower*ms*time.Millisecond, strings.Fields(exp)...)
				if hostState(t) != before {
					dirty++
				}
				cleaned(t, before, fmt.Sprintf("%s killed after %d ms", exp, slower*ms))
			}
		}
	}
	require.Greater(t, dirty, 5, "there was something to clean")
}

// whenItRuns is a moment of which no clock tells.
const whenItRuns time.Duration = -1

// kill -9 of an attach on interfaces that were there before it, and stay: the
// settings of their peers are restored.
func TestKilledAttachIsCleaned(t *testing.T) {
	twoVeths(t)
	before := hostState(t)
	changed := 0
	for _, mode := range []string{"xdp", "xdp, threaded", "packet", "tap"} {
		for _, ms := range []time.Duration{5, 15, 30, 60, 200, whenItRuns} {
			mode, threaded := strings.CutSuffix(mode, ", threaded")
			args := []string{"attach", "--mode", mode, "--port", "a=port-a", "--port", "b=port-b"}
			if threaded {
				args = append(args, "--threaded-receive", "on")
			}
			if mode == "tap" {
				args = []string{"attach", "--mode", mode, "--port", "a=tap-a", "--port", "b=tap-b"}
			}
			sock := filepath.Join(t.TempDir(), "nic.sock")
			cmd := meshnic(t, append(args, "--control", sock)...)
			require.NoError(t, cmd.Start())
			if ms == whenItRuns {
				await(t, sock)
			} else {
				time.Sleep(ms * time.Millisecond)
			}
			require.NoError(t, cmd.Process.Kill())
			cmd.Wait()
			if mode == "xdp" && hostState(t) != before {
				changed++
			}
			cleaned(t, before, fmt.Sprintf("%s killed after %d ms", mode, ms))
		}
	}
	if netns.Entered() != "unprivileged" {
		require.NotZero(t, changed, "an offload was turned off, and stayed so until the clean")
	}
}

// An attach whose terminal is closed, or whose output nobody reads any more, as with
// "| tee log" and an interrupt that tee has too, restores what it changed.
func TestAttachOutlivesItsTerminal(t *testing.T) {
	twoVeths(t)
	before := hostState(t)
	for name, end := range map[string]func(cmd *exec.Cmd, read *os.File) error{
		"hung up": func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Signal(unix.SIGHUP) },
		"broken pipe": func(cmd *exec.Cmd, read *os.File) error {
			return errors.Join(read.Close(), cmd.Process.Signal(unix.SIGTERM))
		},
	} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			require.NoError(t, err)
			defer read.Close()
			sock := filepath.Join(t.TempDir(), "nic.sock")
			cmd := meshnic(t, "attach", "--port", "a=port-a", "--port", "b=port-b", "--control", sock)
			cmd.Stdout, cmd.Stderr = write, write
			require.NoError(t, cmd.Start())
			require.NoError(t, write.Close())
			await(t, sock)
			require.NoError(t, end(cmd, read))
			cmd.Wait()
			require.Eventually(t, func() bool { return hostState(t) == before }, 30*time.Second, 20*time.Millisecond)
		})
		cleaned(t, before, name)
	}
}

// await waits until an attach carries frames: its control socket is there.
func await(t *testing.T, sock string) {
	t.Helper()
	require.Eventually(t, func() bool { _, err := os.Stat(sock); return err == nil }, 60*time.Second, 10*time.Millisecond)
}
