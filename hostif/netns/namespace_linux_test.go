package netns

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/internal/failure"
)

// with makes namespaces for a test and removes them after it.
func with(t *testing.T, hosts ...string) (names []string) {
	t.Helper()
	hostiftest.NeedNet(t, Probe)
	restored(t)
	j, err := Create("t", nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, j.Close())
		_, err := Undo("t", UndoOptions{})
		require.NoError(t, err)
	})
	for _, h := range hosts {
		ns := Name("t", h)
		require.NoError(t, j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) }))
		names = append(names, ns)
	}
	return names
}

func TestDo(t *testing.T) {
	ns := with(t, "a")[0]
	home, ok := nsInode("/proc/self/ns/net")
	require.True(t, ok)
	there, ok := nsInode(Path(ns))
	require.True(t, ok)
	require.NotEqual(t, home, there)
	bad := errors.New("bad")
	for range 50 { // many, to see that no thread stays behind
		err := Do(ns, func() error {
			id, _ := nsInode("/proc/thread-self/ns/net")
			require.Equal(t, there, id)
			return bad
		})
		require.ErrorIs(t, err, bad)
		id, _ := nsInode("/proc/thread-self/ns/net")
		require.Equal(t, home, id)
	}
	require.ErrorContains(t, Do(ns, func() error { runtime.Goexit(); return nil }), "ended its goroutine")
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, task := range tasks {
		id, ok := nsInode("/proc/self/task/" + task.Name() + "/ns/net")
		require.True(t, !ok || id == home, "thread %s is in another namespace", task.Name())
	}
	require.ErrorIs(t, Do("mnic-t-nosuch", func() error { return nil }), os.ErrNotExist)
}

// A kernel may be without a sysctl; a namespace that is not there is an error.
func TestSysctl(t *testing.T) {
	ns := with(t, "a")[0]
	require.NoError(t, Sysctl(ns, "net.ipv4.ip_local_port_range", "1024 65535"))
	require.NoError(t, Do(ns, func() error {
		got, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		require.Equal(t, "1024\t65535\n", string(got))
		return err
	}))
	require.NoError(t, Sysctl(ns, "net.ipv4.no_such", "1"))
	require.Error(t, Sysctl(ns, "net.ipv4.ip_local_port_range", "many"))
	require.ErrorIs(t, Sysctl("mnic-t-nosuch", "net.ipv4.ip_forward", "1"), os.ErrNotExist)
	require.ErrorIs(t, Sysctl(Path(ns), "net.ipv4.ip_forward", "1"), os.ErrNotExist, "a path is no name")
}

func TestNewTwiceIsAConflict(t *testing.T) {
	ns := with(t, "a")[0]
	require.Equal(t, failure.Conflict, failure.KindOf(New(ns)))
	require.NoError(t, Delete(ns))
	require.NoError(t, Delete(ns))
	require.NoError(t, New(ns), "the name is free again")
}

// The primitives together: two hosts over a bridge carry TCP, also in frames
// larger than usual, without ARP where neighbours are given.
func TestTwoHostsOverABridge(t *testing.T) {
	names := with(t, "a", "b", "switch")
	a, b, sw := names[0], names[1], names[2]
	const mtu = 9000
	require.NoError(t, Bridge(sw, "br0", mtu))
	require.NoError(t, SetUp(sw, "br0"))
	for i, ns := range []string{a, b} {
		port := "p" + itoa(i)
		mac := "02:00:00:00:00:0" + itoa(i+1)
		require.NoError(t, Sysctl(ns, "net.ipv6.conf.default.disable_ipv6", "1"))
		require.NoError(t, Veth(End{NS: ns, Name: "eth0", MAC: mac, Index: 100}, End{NS: sw, Name: port}, mtu))
		require.NoError(t, Enslave(sw, port, "br0"))
		require.NoError(t, SetUp(sw, port))
		require.NoError(t, SetUp(ns, "lo"))
		require.NoError(t, AddAddr(ns, "eth0", netip.MustParsePrefix("10.77.0."+itoa(i+1)+"/24")))
		require.NoError(t, SetUp(ns, "eth0"))
	}
	began := time.Now()
	for i, ns := range []string{a, b} {
		require.NoError(t, WaitUp(ns, "eth0", 20*time.Second))
		require.NoError(t, WaitUp(sw, "p"+itoa(i), 20*time.Second))
	}
	require.NoError(t, WaitUp(sw, "br0", 20*time.Second))
	t.Log("packets pass after", time.Since(began))
	require.NoError(t, AddNeigh(a, "eth0", netip.MustParseAddr("10.77.0.2"), "02:00:00:00:00:02"))
	require.NoError(t, AddNeigh(b, "eth0", netip.MustParseAddr("10.77.0.1"), "02:00:00:00:00:01"))
	require.NoError(t, AddRoute(a, "eth0", netip.MustParsePrefix("10.9.0.0/16"), netip.MustParseAddr("10.77.0.2")))
	require.NoError(t, AddAddr(b, "lo", netip.MustParsePrefix("10.9.1.1/32")))

	var l net.Listener
	require.NoError(t, Do(b, func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:80")
		return err
	}))
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	for _, addr := range []string{"10.77.0.2:80", "10.9.1.1:80"} {
		var got bytes.Buffer
		require.NoError(t, Do(a, func() error {
			c, err := net.DialTimeout("tcp4", addr, 20*time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = got.ReadFrom(c)
			return err
		}))
		require.Equal(t, "hello", got.String())
	}
	require.NoError(t, Do(a, func() error {
		i, err := net.InterfaceByName("eth0")
		require.Equal(t, mtu, i.MTU)
		addrs, _ := i.Addrs()
		require.Len(t, addrs, 1, "no IPv6 address, so no noise of it")
		return err
	}))
	require.Error(t, SetMTU(a, "eth0", 1<<20))
	require.ErrorContains(t, SetUp(a, "eth9"), "bring up eth9 in "+a)
	require.ErrorContains(t, Veth(End{NS: a, Name: "eth0"}, End{NS: b, Name: "x"}, mtu), "file exists")
}

func TestWaitUp(t *testing.T) {
	ns := with(t, "a")[0]
	require.NoError(t, Veth(End{NS: ns, Name: "x"}, End{NS: ns, Name: "y"}, 1500))
	require.NoError(t, SetUp(ns, "x"))
	require.ErrorContains(t, WaitUp(ns, "x", 20*time.Millisecond), "it is lower-layer-down after 20ms")
	go func() {
		time.Sleep(20 * time.Millisecond)
		SetUp(ns, "y")
	}()
	require.NoError(t, WaitUp(ns, "x", 20*time.Second))
	require.ErrorContains(t, WaitUp(ns, "z", time.Second), "wait for z in "+ns)
}

// Running the tests as an ordinary user says what is missing and how to get it.
func TestWithoutRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	err := privilege(unix.EPERM, "make network namespace x")
	require.Equal(t, failure.Privilege, failure.KindOf(err))
	require.ErrorIs(t, err, hostif.ErrPrivilege)
	require.ErrorContains(t, err, "CAP_SYS_ADMIN and CAP_NET_ADMIN")
	err = privilege(unix.ENOSYS, "x")
	require.Equal(t, failure.Unsupported, failure.KindOf(err))
	require.ErrorIs(t, err, hostif.ErrNotSupported)
	require.NoError(t, privilege(nil, "x"))
}

func TestSnapshotSeesEveryLeftover(t *testing.T) {
	hostiftest.NeedNet(t, Probe)
	restored(t)
	before := snapshot(t)
	sees := func(what string) {
		t.Helper()
		require.Contains(t, strings.Replace(snapshot(t), before, "", 1), what)
	}
	j, err := Create("t", nil)
	require.NoError(t, err)
	sees("file /run/meshnic/t/journal.jsonl")
	ns := Name("t", "a")
	require.NoError(t, New(ns))
	sees("netns " + ns + " mounted=true")
	p := inNS(t, ns, "sleep", "100")
	sees("process " + itoa(p.Process.Pid) + " sleep")
	for _, cmd := range []string{
		"ip link add mnic0 type veth peer name mnic1|link ",
		"ip addr add 10.1.2.3/24 dev mnic0|addr mnic0 10.1.2.3/24",
		"ip link set mnic0 up|route table=255 10.1.2.3/32",
		"nft add table ip mnic|nft table 2 mnic",
		"ip rule add from 10.1.2.3 table 77|rule ",
	} {
		text, want, _ := strings.Cut(cmd, "|")
		f := strings.Fields(text)
		if _, err := exec.LookPath(f[0]); err != nil {
			continue
		}
		was := snapshot(t)
		out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", text, out)
		require.NotEqual(t, was, snapshot(t), text)
		sees(want)
	}
	for _, text := range []string{"ip rule del from 10.1.2.3 table 77", "nft delete table ip mnic", "ip link del mnic0"} {
		f := strings.Fields(text)
		exec.Command(f[0], f[1:]...).Run()
	}
	require.NoError(t, j.Close())
	_, err = Undo("t", UndoOptions{})
	require.NoError(t, err)
}

// Where /run is not the caller's, journals go to a directory that is, and never
// to one that somebody else could write.
func TestRunDirOfAUser(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_RUNTIME_DIR", "")
	run, err := RunDir()
	require.NoError(t, err)
	require.Equal(t, "/run/meshnic", run, "this host's /run is ours")

	dir, err := userRunDir()
	require.NoError(t, err)
	require.Equal(t, tmp, filepath.Dir(dir))
	require.NoError(t, os.Mkdir(dir, 0o777))
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err = userRunDir()
	require.Equal(t, failure.Conflict, failure.KindOf(err))

	x := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", x)
	require.NoError(t, os.Chmod(x, 0o700))
	dir, err = userRunDir()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(x, "meshnic"), dir)
}
