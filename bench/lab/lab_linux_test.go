package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

func snapshot(t *testing.T) string {
	t.Helper()
	s, err := netns.Snapshot()
	require.NoError(t, err)
	return s
}

// mustUp makes a lab for the time of a test and sees that the host is the same
// after it.
func mustUp(t *testing.T, spec Spec) *Lab {
	t.Helper()
	hostiftest.NeedNet(t, netns.Probe)
	before := snapshot(t)
	l, err := Up(t.Context(), spec)
	require.NoError(t, err)
	require.NotEqual(t, before, snapshot(t))
	carries(t, l)
	t.Cleanup(func() {
		require.NoError(t, l.Down())
		require.Equal(t, before, snapshot(t))
		require.NoError(t, l.Down(), "again")
	})
	return l
}

// carries sees that no link of a lab is still on its way up.
func carries(t *testing.T, l *Lab) {
	t.Helper()
	hosts := []string{l.Spec().Hosts[0].Name}
	if f := l.Spec().Fabric; f == Bridge || f == Ports {
		hosts = append(hosts, SwitchHost)
	}
	for _, h := range hosts {
		require.NoError(t, l.Do(h, func() error {
			links, err := netlink.LinkList()
			for _, link := range links {
				if link.Type() != "device" { // loopback
					require.Equal(t, netlink.LinkOperState(netlink.OperUp), link.Attrs().OperState, link.Attrs().Name)
				}
			}
			return err
		}))
	}
}

// synsAgain is how often a host has begun a connection anew after a second: nothing had
// come of its SYN.
func synsAgain(t *testing.T, l *Lab, host string) (n int) {
	t.Helper()
	require.NoError(t, l.Do(host, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/netstat")
		if err != nil {
			return err
		}
		lines := strings.Split(string(b), "\n")
		i := slices.Index(strings.Fields(lines[0]), "TCPSynRetrans")
		_, err = fmt.Sscan(strings.Fields(lines[1])[i], &n)
		return err
	}))
	return n
}

// serve starts a server in a host that tells everybody its name.
func serve(t *testing.T, l *Lab, host, addr, name string) *Process {
	t.Helper()
	p, err := l.Start(host, Cmd{Name: name, Path: "/proc/self/exe", Env: append(os.Environ(), childEnv("serve", addr, name)...)})
	require.NoError(t, err)
	require.NoError(t, p.WaitListening(addr, 30*time.Second))
	return p
}

// dial connects n times from a host and counts the answers.
func dial(t *testing.T, l *Lab, host, addr string, n int) map[string]int {
	t.Helper()
	r, err := l.Run(t.Context(), host, Cmd{Path: "/proc/self/exe", Env: append(os.Environ(), childEnv("dial", addr, fmt.Sprint(n))...)})
	require.NoError(t, err)
	counts := map[string]int{}
	for name := range strings.FieldsSeq(string(r.Stdout)) {
		counts[name]++
	}
	return counts
}

func TestTraffic(t *testing.T) {
	for _, tt := range []struct {
		fabric Fabric
		mtu    int
		static bool
	}{{Direct, 1500, false}, {Direct, 9000, true}, {Bridge, 0, false}, {Bridge, 9000, true}} {
		t.Run(fmt.Sprintf("%s %d %v", tt.fabric, tt.mtu, tt.static), func(t *testing.T) {
			spec := twoHosts("t")
			spec.Fabric, spec.MTU, spec.StaticNeighbours = tt.fabric, tt.mtu, tt.static
			spec.Hosts[0].Hosts = map[string]string{"details": "10.77.230.11"}
			began := time.Now()
			l := mustUp(t, spec)
			t.Log("up after", time.Since(began))
			serve(t, l, "b", ":9080", "b")
			require.Equal(t, map[string]int{"b": 3}, dial(t, l, "a", l.IP("b")+":9080", 3))
			require.Equal(t, map[string]int{"b": 1}, dial(t, l, "a", "b:9080", 1), "by the host's name")
			require.Equal(t, map[string]int{"b": 1}, dial(t, l, "a", "details:9080", 1), "by a name of its own")
			require.Zero(t, synsAgain(t, l, "a"), "no packet waited for the kernel")
			require.Empty(t, l.SwitchPorts())
		})
	}
}

func TestSysctl(t *testing.T) {
	l := mustUp(t, twoHosts("t"))
	require.NoError(t, l.Sysctl("b", "net.ipv4.tcp_tw_reuse", "1"))
	for host, want := range map[string]string{"a": "2\n", "b": "1\n"} {
		require.NoError(t, l.Do(host, func() error {
			got, err := os.ReadFile("/proc/sys/net/ipv4/tcp_tw_reuse")
			require.Equal(t, want, string(got), host)
			return err
		}))
	}
	require.ErrorContains(t, l.Sysctl("c", "net.ipv4.tcp_tw_reuse", "1"), `"c"`)
}

// The places for the NIC's ports are there, and a NIC that does nothing but
// hand frames on, here a bridge and TAP devices of the test, makes hosts reach
// each other.
func TestPortsForANIC(t *testing.T) {
	spec := twoHosts("t")
	spec.Fabric = Ports
	l := mustUp(t, spec)
	refs := l.SwitchPorts()
	require.Len(t, refs, 2)
	require.Equal(t, PortRef{Host: "a", IfName: "p-a", NSPath: "/run/netns/mnic-t-switch",
		PeerIf: "eth0", PeerNSPath: "/run/netns/mnic-t-a", PeerMAC: "02:6e:0a:4d:e6:0a"}, refs[0])
	sw := netns.Name("t", SwitchHost)
	require.NoError(t, netns.Bridge(sw, "nic", 1500))
	require.NoError(t, netns.SetUp(sw, "nic"))
	for _, r := range refs {
		require.NoError(t, netns.Enslave(sw, r.IfName, "nic"))
	}
	serve(t, l, "b", "0.0.0.0:80", "b")
	require.Equal(t, map[string]int{"b": 1}, dial(t, l, "a", "b:80", 1))
	require.Equal(t, failure.Usage, failure.KindOf(l.ConfigureTap("a")), "not this fabric")
}

func TestTaps(t *testing.T) {
	spec := twoHosts("t")
	spec.Fabric = Taps
	spec.Hosts[0].Balance = []VIP{{Addr: "10.1.1.1:80", Backends: []string{"10.77.230.11:80"}}}
	l := mustUp(t, spec)
	for _, r := range l.SwitchPorts() {
		require.Equal(t, r.NSPath, l.Namespace(r.Host))
		require.Equal(t, "eth0", r.IfName)
		require.Error(t, l.ConfigureTap(r.Host), "there is none yet")
		made := netns.DoPath(r.NSPath, func() error {
			return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: r.IfName}, Mode: netlink.TUNTAP_MODE_TAP})
		})
		if made != nil {
			t.Skipf("no TAP devices: %v", made)
		}
		require.NoError(t, l.ConfigureTap(r.Host))
	}
	require.Equal(t, failure.Usage, failure.KindOf(l.ConfigureTap("nobody")))
	r, err := l.Run(t.Context(), "a", Cmd{Path: "ip", Args: []string{"-o", "addr", "show", "dev", "eth0"}})
	if err != nil {
		t.Skip(err)
	}
	require.Contains(t, string(r.Stdout), l.IP("a")+"/24")
	r, err = l.Run(t.Context(), "a", Cmd{Path: "ip", Args: []string{"route", "get", "10.1.1.1"}})
	require.NoError(t, err, "balanced addresses are routed")
	require.Contains(t, string(r.Stdout), "dev eth0")
}

// Connections to a balanced address spread evenly, whether the address is in
// the network or not, and other addresses are not touched.
func TestBalance(t *testing.T) {
	spec := Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "client"}, {Name: "v1"}, {Name: "v2"}, {Name: "v3"}}}
	ip := func(i int) string { return fmt.Sprintf("10.77.230.%d", 10+i) }
	backends := []string{ip(1) + ":9080", ip(2) + ":9080", ip(3) + ":9081"}
	spec.Hosts[0].Balance = []VIP{{Addr: "10.77.230.200:80", Backends: backends}, {Addr: "10.96.0.1:9080", Backends: backends}}
	spec.Hosts[0].Hosts = map[string]string{"reviews": "10.96.0.1"}
	l := mustUp(t, spec)
	serve(t, l, "v1", ":9080", "v1")
	serve(t, l, "v2", ":9080", "v2")
	serve(t, l, "v3", ":9081", "v3")
	for _, addr := range []string{"10.77.230.200:80", "reviews:9080"} {
		const n = 900
		counts := dial(t, l, "client", addr, n)
		t.Log(addr, counts)
		require.Len(t, counts, 3)
		for name, c := range counts {
			// Six standard deviations of a fair choice: sqrt(900·1/3·2/3) = 14.1.
			require.InDelta(t, n/3, c, 85, name)
		}
	}
	require.Equal(t, map[string]int{"v2": 20}, dial(t, l, "client", "v2:9080", 20))
}

func TestConcurrentLabs(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			hostiftest.NeedNet(t, netns.Probe)
			t.Parallel()
			l, err := Up(t.Context(), twoHosts(fmt.Sprintf("t_%d", i)))
			require.NoError(t, err)
			defer l.Down()
			serve(t, l, "b", ":80", fmt.Sprint("of lab ", i))
			for range 3 {
				require.Equal(t, 1, dial(t, l, "a", "b:80", 1)[fmt.Sprint(i)])
			}
		})
	}
}

func TestConflictListInspect(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before := snapshot(t)
	cmd := self("up", "other", "start")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out := &lines{}
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 2 }, 30*time.Second, time.Millisecond)
	owner := fmt.Sprintf("process %d", cmd.Process.Pid)

	_, err = Up(t.Context(), twoHosts("other"))
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, owner)
	found, err := Down("other", false, nil)
	require.True(t, found)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, owner)
	mine, err := Up(t.Context(), twoHosts("mine"))
	require.NoError(t, err)
	removed, err := Clean(false, nil)
	require.Empty(t, removed)
	require.ErrorContains(t, err, owner)
	require.ErrorContains(t, err, "this process is using it")
	require.Equal(t, failure.Conflict, failure.KindOf(err))

	list, err := List()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "mine", list[0].Name)
	info := list[1]
	require.Equal(t, "other", info.Name)
	require.Equal(t, cmd.Process.Pid, info.Owner)
	require.True(t, info.Alive)
	require.Equal(t, []string{"mnic-other-a", "mnic-other-b", "mnic-other-switch"}, info.Namespaces)
	require.Len(t, info.Processes, 1)
	require.Equal(t, "sleep 1000", info.Processes[0].Command)
	require.Equal(t, "mnic-other-a", info.Processes[0].NS)
	require.Equal(t, Bridge, info.Spec.Fabric)
	require.Equal(t, "ip netns add mnic-other-switch", info.Steps[0])
	require.Equal(t, "ip netns exec mnic-other-a sleep 1000", info.Steps[len(info.Steps)-1])

	require.NoError(t, mine.Down())
	in.Close() // it leaves the lab standing
	require.NoError(t, cmd.Wait(), out.String())
	info2, err := Inspect("other")
	require.NoError(t, err)
	require.False(t, info2.Alive)
	require.Empty(t, info2.Processes, "its programs have ended with it")
	require.Len(t, info2.Namespaces, 3)
	_, err = Up(t.Context(), twoHosts("other"))
	require.ErrorContains(t, err, "meshnic lab down other")
	removed, err = Clean(false, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"other"}, removed)
	require.Equal(t, before, snapshot(t))

	_, err = Inspect("other")
	require.ErrorIs(t, err, ErrNoLab)
	require.Equal(t, failure.Usage, failure.KindOf(err))
	found, err = Down("other", false, nil)
	require.NoError(t, err)
	require.False(t, found)
	_, err = Down("../x", true, nil)
	require.Equal(t, failure.Usage, failure.KindOf(err))
}

// A lab taken away from its owner by force goes with its programs; the owner
// itself is not touched.
func TestForcedDown(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before := snapshot(t)
	cmd := self("up", "forced", "start")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out := &lines{}
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return strings.Count(out.String(), "\n") == 2 }, 30*time.Second, time.Millisecond)
	found, err := Down("forced", true, nil)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, before, snapshot(t))
	require.NoError(t, cmd.Process.Signal(syscall.Signal(0)))
	in.Close()
	require.NoError(t, cmd.Wait(), out.String())
}

// Whatever step is cancelled, or fails, what was made before it is undone.
func TestUpAllOrNothing(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before := snapshot(t)
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		points := 0
		l, err := up(ctx, twoHosts("t"), func(string) {
			if points++; points == n {
				cancel()
			}
		})
		cancel()
		if err == nil {
			require.Greater(t, n, 40)
			require.NoError(t, l.Down())
			break
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, before, snapshot(t), "cancelled at %d", n)
	}
	points := 0
	_, err := up(t.Context(), twoHosts("t"), func(string) {
		if points++; points == 20 {
			require.NoError(t, netns.Delete("mnic-t-b"))
		}
	})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, before, snapshot(t))
}

// As a user without rights, Up says what is missing.
func TestWithoutRights(t *testing.T) {
	if os.Getuid() != 0 || netns.Entered() == "unprivileged" {
		t.Skip("needs root to become somebody else")
	}
	cmd := self("up", "t", "")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, int(failure.Privilege), exit.ExitCode(), "%s", out)
	require.Contains(t, string(out), "CAP_SYS_ADMIN and CAP_NET_ADMIN")
	require.Contains(t, string(out), "next: run it as root")
}

// These tests run as a user without rights too, in a user namespace.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 || netns.Entered() == "unprivileged" {
		t.Skip("needs root to become somebody else")
	}
	b, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "lab")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	bin := filepath.Join(dir, "lab.test")
	require.NoError(t, os.WriteFile(bin, b, 0o755))
	before, alive := snapshot(t), others(t)
	cmd := exec.Command(bin, "-test.short", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MESHNIC_ENTERED=", "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("make a user namespace")) {
		t.Skipf("%s", out)
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "not root: running in a user and network namespace of its own")
	for _, name := range []string{"TestTraffic", "TestBalance", "TestKilledAtEveryStep", "TestProcess"} {
		require.Contains(t, string(out), "--- PASS: "+name+" ")
	}
	require.Equal(t, before, snapshot(t))
	require.Equal(t, alive, others(t))
}
