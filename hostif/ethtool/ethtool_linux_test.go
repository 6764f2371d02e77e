package ethtool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
)

// newNS makes an anonymous namespace, which ends with its last descriptor.
func newNS(t *testing.T) int {
	t.Helper()
	var h netns.NsHandle
	hostiftest.NeedNet(t, func() error {
		done := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // the thread ends with this goroutine
			var err error
			h, err = netns.New()
			done <- err
		}()
		return <-done
	})
	t.Cleanup(func() { h.Close() })
	return int(h)
}

func veth(t *testing.T, nsA int, a string, nsB int, b string) {
	t.Helper()
	h, err := netlink.NewHandleAt(netns.NsHandle(nsA))
	require.NoError(t, err)
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a
	require.NoError(t, h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b, PeerNamespace: netlink.NsFd(nsB)}))
}

func TestFindPeer(t *testing.T) {
	one, two := newNS(t), newNS(t)
	veth(t, one, "a", two, "b")
	veth(t, one, "c", one, "d")
	idOne, err := Identify(one)
	require.NoError(t, err)
	idTwo, err := Identify(two)
	require.NoError(t, err)
	require.NotEqual(t, idOne.Inode, idTwo.Inode)
	for _, tt := range []struct {
		name string
		ns   int
		from string
		peer string
		in   NetNS
	}{
		{"another namespace", one, "a", "b", idTwo},
		{"back again", two, "b", "a", idOne},
		{"the same namespace", one, "c", "d", idOne},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := FindPeer(tt.ns, tt.from)
			require.NoError(t, err)
			require.Equal(t, tt.peer, p.Name)
			require.Equal(t, tt.in.Inode, p.NetNS.Inode)
			require.Equal(t, tt.in.Cookie, p.NetNS.Cookie)
			require.NotZero(t, p.NetNS.Cookie)
		})
	}
	_, err = FindPeer(one, "lo")
	require.ErrorIs(t, err, ErrNoPeer)
	_, err = FindPeer(one, "none")
	require.ErrorIs(t, err, hostif.ErrNoInterface)
}

// A change survives JSON, and another reader of it finds the interface after
// both the interface and the path to its namespace were renamed.
func TestChange(t *testing.T) {
	ns, far := newNS(t), newNS(t)
	veth(t, ns, "a", far, "b")
	p, err := FindPeer(ns, "a")
	require.NoError(t, err)
	before, err := p.Features()
	require.NoError(t, err)
	plan, err := Plan(p, false, "tx-checksum-ip-generic", "rx-gro", "no-such-feature", "tx-checksum-ipv4")
	require.NoError(t, err)
	require.Len(t, plan, 1, "GRO of a veth is off already, IPv4 sums are not its to change: %v", plan)
	b, err := json.Marshal(plan[0])
	require.NoError(t, err)
	var c Change
	require.NoError(t, json.Unmarshal(b, &c))
	require.Equal(t, plan[0], c)
	require.Equal(t, "tx-checksum-ip-generic of b: off (was on)", c.String())

	require.NoError(t, Apply(c))
	f, err := Get(far, "b")
	require.NoError(t, err)
	require.False(t, f[c.Feature].Active)
	require.False(t, f["tx-tcp-segmentation"].Active, "TSO needs sums")
	require.True(t, f["tx-tcp-segmentation"].Requested)

	require.NoError(t, Do(far, func() error {
		l, err := netlink.LinkByName("b")
		if err != nil {
			return err
		}
		return netlink.LinkSetName(l, "renamed")
	}))
	c.NetNS.Path = "/proc/self/ns/net" // leads elsewhere by now
	require.NoError(t, Undo(c))
	f, err = Get(far, "renamed")
	require.NoError(t, err)
	require.Equal(t, before, f)
	require.NoError(t, Undo(c), "twice")
}

func TestUndoLeavesOthersAlone(t *testing.T) {
	ns := newNS(t)
	veth(t, ns, "a", ns, "b")
	p, err := FindPeer(ns, "a")
	require.NoError(t, err)
	plan, err := Plan(p, false, "tx-checksum-ip-generic")
	require.NoError(t, err)
	require.Len(t, plan, 1)
	require.NoError(t, Undo(plan[0]), "a change that was recorded and never made")
	require.NoError(t, Apply(plan[0]))
	gone := plan[0]
	gone.Ifindex = 9999
	require.NoError(t, Undo(gone), "the interface is gone")
	gone = plan[0]
	gone.NetNS.Cookie++
	require.NoError(t, Undo(gone), "the namespace is gone, its number is another's")
	f, err := Get(ns, "b")
	require.NoError(t, err)
	require.False(t, f["tx-checksum-ip-generic"].Requested, "undone in a namespace with the same number")
	gone.NetNS.Inode = 1
	_, err = gone.NetNS.Open()
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Do leaves the caller's thread where it is, and runs f where it says.
func TestDo(t *testing.T) {
	ns := newNS(t)
	inode := func() (ino uint64) {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(selfNS, &st))
		return st.Ino
	}
	home := inode()
	id, err := Identify(ns)
	require.NoError(t, err)
	require.NoError(t, Do(ns, func() error {
		require.Equal(t, id.Inode, inode())
		return Do(ns, func() error { require.Equal(t, id.Inode, inode()); return nil })
	}))
	require.NoError(t, Do(-1, func() error { require.Equal(t, home, inode()); return nil }))
	require.Equal(t, home, inode())
	require.ErrorIs(t, Do(ns, func() error { return os.ErrInvalid }), os.ErrInvalid)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	require.Error(t, Do(int(null.Fd()), func() error { t.Error("ran outside"); return nil }))
}

func TestQueries(t *testing.T) {
	ns := newNS(t)
	veth(t, ns, "a", ns, "b")
	n, err := RxQueues(ns, "a")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = RxQueues(ns, "lo")
	require.NoError(t, err, "a driver without channels")
	require.Equal(t, 1, n)
	c, err := Counters(ns, "a")
	require.NoError(t, err)
	require.Contains(t, c, "rx_queue_0_drops")
	_, err = Counters(ns, "none")
	require.ErrorIs(t, err, unix.ENODEV)
	_, err = Get(ns, "a-name-longer-than-the-kernel-takes")
	require.Error(t, err)
}

func TestParseMounts(t *testing.T) {
	got := parseMounts("36 35 0:4 net:[4026532] /run/netns/a rw shared:1 - nsfs nsfs rw\n" +
		"37 35 8:1 / /mnt rw - ext4 /dev/sda1 rw\n" +
		"38 35 0:4 mnt:[1] /run/m rw - nsfs nsfs rw\n\nshort\n" +
		`39 35 0:4 net:[7] /run/with\040space rw - nsfs nsfs rw`)
	require.Equal(t, []string{"/run/netns/a", "/run/with space"}, got)
}

func FuzzParseMounts(f *testing.F) {
	f.Add("36 35 0:4 net:[4026532] /run/netns/a rw shared:1 - nsfs nsfs rw\n")
	f.Add("net:[ net:[ net:[ net:[ net:[")
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range parseMounts(s) {
			require.NotEmpty(t, p)
		}
	})
}

// NAPI comes with GRO, its thread with ThreadedNAPI; both are planned, changed
// and put back like features, from another namespace, and the thread is gone.
func TestThreadedNAPI(t *testing.T) {
	ns, far := newNS(t), newNS(t)
	veth(t, ns, "a", far, "b")
	for ns, name := range map[int]string{ns: "a", far: "b"} {
		require.NoError(t, Do(ns, func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return netlink.LinkSetUp(l)
		}))
	}
	p, err := FindPeer(ns, "a")
	require.NoError(t, err)
	before, err := p.Features()
	require.NoError(t, err)
	list, err := p.NAPI()
	require.NoError(t, err)
	require.Empty(t, list, "a veth without GRO or a program")

	var made []Change
	for _, f := range []string{"rx-gro", ThreadedNAPI} {
		plan, err := Plan(p, true, f)
		require.NoError(t, err)
		require.Len(t, plan, 1, f)
		require.NoError(t, Apply(plan[0]))
		made = append(made, plan[0])
		again, err := Plan(p, true, f)
		require.NoError(t, err)
		require.Empty(t, again, "%s is on already", f)
	}
	require.Equal(t, "threaded-napi of b: on (was off)", made[1].String())
	list, err = p.NAPI()
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotZero(t, list[0].ID)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", list[0].PID))
	require.NoError(t, err)
	require.Contains(t, string(comm), "napi/b-")

	require.NoError(t, Undo(made[1]))
	require.NoError(t, Undo(made[0]))
	require.NoFileExists(t, fmt.Sprintf("/proc/%d/comm", list[0].PID))
	f, err := p.Features()
	require.NoError(t, err)
	require.Equal(t, before, f)
	require.NoError(t, Undo(made[1]), "twice, and without NAPI")

	require.NoError(t, Apply(made[0]))
	require.NoError(t, Apply(made[1]))
	require.NoError(t, Undo(made[0]))
	require.NoError(t, Undo(made[1]), "NAPI is gone, threads are still asked for")
	require.NoError(t, Undo(made[0]))
}

func FuzzDecodeNAPI(f *testing.F) {
	f.Add([]byte{napiGet, 1, 0, 0, 8, 0, napiID, 0, 1, 2, 3, 4, 8, 0, napiPID, 0, 5, 0, 0, 0})
	f.Add([]byte{napiGet, 1, 0, 0, 255, 255, napiID, 0})
	f.Add([]byte{napiGet, 1, 0, 0, 8, 0, napiID, 0, 1, 2, 3, 4, 7, 0, napiPID, 0, 5, 0, 0}) // the last one unpadded
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNAPI(b)
		if err == nil && n.ID != 0 {
			require.True(t, bytes.Contains(b, binary.NativeEndian.AppendUint32(nil, n.ID)))
		}
	})
}

// A Toggle switches all its features and no other, and by its own socket: in
// whatever namespace the caller is.
func TestToggle(t *testing.T) {
	ns := newNS(t)
	veth(t, ns, "a", ns, "b")
	p, err := FindPeer(ns, "a")
	require.NoError(t, err)
	before, err := p.Features()
	require.NoError(t, err)
	toggle, err := NewToggle(p, "tx-tcp-segmentation", "tx-tcp6-segmentation", "no-such-feature")
	require.NoError(t, err)
	defer toggle.Close()
	for _, on := range []bool{false, true, true, false, true} {
		require.NoError(t, toggle.Set(on))
		f, err := p.Features()
		require.NoError(t, err)
		require.Equal(t, on, f["tx-tcp-segmentation"].Active)
		require.Equal(t, on, f["tx-tcp6-segmentation"].Active)
		require.True(t, f["tx-udp-segmentation"].Active)
	}
	f, err := p.Features()
	require.NoError(t, err)
	require.Equal(t, before, f)

	// It keeps to its interface when that has another name, and another one has its.
	rename := func(from, to string) {
		require.NoError(t, Do(ns, func() error {
			l, err := netlink.LinkByName(from)
			if err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetDown(l), netlink.LinkSetName(l, to))
		}))
	}
	rename("b", "c")
	rename("a", "b")
	other, err := Get(ns, "b")
	require.NoError(t, err)
	require.NoError(t, toggle.Set(false))
	f, err = p.Features()
	require.NoError(t, err)
	require.False(t, f["tx-tcp-segmentation"].Active)
	f, err = Get(ns, "b")
	require.NoError(t, err)
	require.Equal(t, other, f)

	require.NoError(t, Do(ns, func() error {
		l, err := netlink.LinkByName("b")
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	}))
	require.ErrorIs(t, toggle.Set(false), unix.ENODEV)
}
