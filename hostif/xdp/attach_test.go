//go:build linux

package xdp

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// journal is a Recorder that remembers, and knows what held when it was told.
type journal struct {
	t       *testing.T
	ns      int
	iface   string
	changes []ethtool.Change
	fail    error
}

func (j *journal) Record(c ethtool.Change) error {
	f, err := ethtool.Get(j.ns, j.iface)
	require.NoError(j.t, err)
	require.Equal(j.t, c.Was, f[c.Feature].Requested, "%s was changed before it was recorded", c.Feature)
	j.changes = append(j.changes, c)
	return j.fail
}

func features(t *testing.T, ns int, iface string) ethtool.Features {
	t.Helper()
	f, err := ethtool.Get(ns, iface)
	require.NoError(t, err)
	return f
}

// Every feature of both ends is after Close what it was before Open, also one
// that the user had set to something unusual; in between the peer sums itself.
func TestSettingsAreRestored(t *testing.T) {
	needXDP(t)
	for _, tt := range []struct {
		name string
		off  string // a feature turned off beforehand
	}{{"as made", ""}, {"checksums off already", "tx-checksum-ip-generic"}, {"TSO off already", "tx-tcp-segmentation"}, {"SCTP sums off already", "tx-checksum-sctp"}} {
		t.Run(tt.name, func(t *testing.T) {
			nic, host := newNS(t), newNS(t)
			require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
			if tt.off != "" {
				peer, err := ethtool.FindPeer(nic, "p0")
				require.NoError(t, err)
				plan, err := ethtool.Plan(peer, false, tt.off)
				require.NoError(t, err)
				require.Len(t, plan, 1)
				require.NoError(t, ethtool.Apply(plan[0]))
			}
			wantHost, wantNIC := features(t, host, "eth0"), features(t, nic, "p0")
			j := &journal{t: t, ns: host, iface: "eth0"}
			g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Frames: 64, Recorder: j})
			f := features(t, host, "eth0")
			for _, name := range slices.Concat([]string{"tx-tcp-segmentation", "tx-tcp6-segmentation"}, txChecksum, txTags) {
				require.False(t, f[name].Active, name)
			}
			for _, c := range j.changes {
				require.NotEqual(t, tt.off, c.Feature, "recorded as changed, but it was off already")
			}
			require.NoError(t, g.Close())
			require.Equal(t, wantHost, features(t, host, "eth0"))
			require.Equal(t, wantNIC, features(t, nic, "p0"))
			require.NoError(t, g.Close(), "Close twice")

			// What the journal holds also undoes it, for a process that was killed.
			for _, c := range j.changes {
				require.NoError(t, ethtool.Apply(c))
			}
			for _, c := range append(j.changes, j.changes...) {
				require.NoError(t, ethtool.Undo(c))
			}
			require.Equal(t, wantHost, features(t, host, "eth0"))
		})
	}
}

func TestRecorderCanRefuse(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	want := features(t, ns, "eth0")
	j := &journal{t: t, ns: ns, iface: "eth0", fail: os.ErrPermission}
	_, err := Open(Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64, Recorder: j})
	require.ErrorIs(t, err, os.ErrPermission)
	require.Equal(t, want, features(t, ns, "eth0"), "changed although it could not be written down")
	require.Len(t, j.changes, 1)
	open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64}) // nothing half-attached remains
}

// A queue that was closed a moment ago is bound again, whatever the kernel is
// still busy with; a queue that stays busy names the conflict.
func TestRebind(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	retried := 0
	for range 20 {
		g := open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64, Log: func(format string, args ...any) {
			if format == "xdp: %s: queue 0 was still held by a closed socket; bound after %d ms" {
				retried++
			}
		}})
		require.NoError(t, g.Close())
	}
	t.Logf("%d of 20 binds had to be retried", retried)

	// A socket without a program: nothing but the queue is taken.
	l, err := netlinkIndex(ns, "p0")
	require.NoError(t, err)
	var s *socket
	require.NoError(t, ethtool.Do(ns, func() error { s, err = newSocket(); return err }))
	require.NoError(t, s.register(newUMEM(64, 2048)))
	require.NoError(t, s.makeRings(32))
	_, err = s.bind(l, unix.XDP_COPY, nil)
	require.NoError(t, err)
	start := time.Now()
	_, err = Open(Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
	require.ErrorIs(t, err, hostif.ErrBusy)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.GreaterOrEqual(t, time.Since(start), bindPatience)

	// Released while somebody waits for it.
	time.AfterFunc(100*time.Millisecond, func() { _ = s.close() })
	open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
}

func netlinkIndex(ns int, name string) (index int, err error) {
	err = ethtool.Do(ns, func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			index = l.Attrs().Index
		}
		return err
	})
	return index, err
}

func TestOpenRefuses(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "port0", ns, "port0peer", 1500))
	require.NoError(t, addVeth(ns, "port1", ns, "port1peer", 1500))
	require.NoError(t, ethtool.Do(ns, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "br0"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: a}); err != nil {
			return err
		}
		a = netlink.NewLinkAttrs()
		a.Name, a.NumTxQueues, a.NumRxQueues = "wide", 2, 2
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "widepeer"})
	}))
	for _, tt := range []struct {
		name string
		cfg  Config
		kind failure.Kind
		is   error
		says []string
	}{
		{"no interface", Config{}, failure.Usage, nil, []string{"0 interfaces"}},
		{"frames", Config{Ifaces: []Iface{{"port0", ns}}, Frames: 100}, failure.Usage, nil, []string{"100 frames", "power of two"}},
		{"unknown, near", Config{Ifaces: []Iface{{"prot0", ns}}}, failure.Usage, hostif.ErrNoInterface, []string{"prot0", "did you mean port0"}},
		{"unknown, far", Config{Ifaces: []Iface{{"wlan7", ns}}}, failure.Usage, hostif.ErrNoInterface, []string{"wlan7", "port0", "br0"}},
		{"twice", Config{Ifaces: []Iface{{"port0", ns}, {"port0", ns}}}, failure.Usage, nil, []string{"given twice"}},
		{"no native XDP", Config{Ifaces: []Iface{{"br0", ns}}}, failure.Unsupported, hostif.ErrNotSupported, []string{"br0", "no native XDP", "--mode tap"}},
		{"generic without a view of TSO", Config{Ifaces: []Iface{{"br0", ns}}, Generic: true}, failure.Unsupported, hostif.ErrNotSupported, []string{"TSO"}},
		{"several queues", Config{Ifaces: []Iface{{"wide", ns}}}, failure.Unsupported, hostif.ErrNotSupported, []string{"2 receive queues", "ethtool -L wide"}},
		{"second of two is bad", Config{Ifaces: []Iface{{"port0", ns}, {"br0", ns}}}, failure.Unsupported, hostif.ErrNotSupported, []string{"br0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := features(t, ns, "port0peer")
			_, err := Open(tt.cfg)
			require.Error(t, err)
			require.Equal(t, tt.kind, failure.KindOf(err), "%v", err)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			for _, s := range tt.says {
				require.ErrorContains(t, err, s)
			}
			require.Equal(t, before, features(t, ns, "port0peer"), "something half-changed remains")
			open(t, Config{Ifaces: []Iface{{"port0", ns}}, Frames: 64}).Close()
		})
	}
}

// A program that is there already is named with its owner, and left alone.
func TestLeftoverProgram(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	index, err := netlinkIndex(ns, "p0")
	require.NoError(t, err)
	p, err := loadProgram(false, nil)
	require.NoError(t, err)
	defer p.close()
	require.NoError(t, ethtool.Do(ns, func() error { return p.attach(index, link.XDPDriverMode) }))
	id, err := p.prog.Info()
	require.NoError(t, err)
	number, _ := id.ID()
	_, err = Open(Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
	require.ErrorIs(t, err, hostif.ErrBusy)
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, fmt.Sprintf("XDP program %d (meshnic_port)", number))
	require.ErrorContains(t, err, fmt.Sprintf("is already attached, held by process %d (", os.Getpid()))
	require.ErrorContains(t, err, "ip link set dev p0 xdpdrv off")
	p.close()
	p.link, p.prog, p.socks = nil, nil, nil
	open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
}

// An interface that is removed under the port ends it with a clear error.
func TestInterfaceVanishes(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	g := open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
	require.NoError(t, ethtool.Do(ns, func() error {
		l, err := netlink.LinkByName("p0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(l)
	}))
	frames := make([]*hostif.Frame, 4)
	require.Eventually(t, func() bool {
		_, err := g.Links[0].Recv(frames)
		return errors.Is(err, hostif.ErrNoInterface)
	}, 20*time.Second, 100*time.Microsecond)
}

// The one frame that waits while its interface is down leaves when nothing comes, and is
// counted if the far end refuses it then.
func TestRefusedWhileIdle(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	l := open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64}).Links[0]
	set := func(name string, f func(netlink.Link) error) {
		require.NoError(t, ethtool.Do(ns, func() error {
			end, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return f(end)
		}))
	}
	set("p0", netlink.LinkSetDown)
	n, err := l.Send([]*hostif.Frame{{Data: make([]byte, 60)}})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	set("eth0", netlink.LinkSetDown)
	set("p0", netlink.LinkSetUp)
	_, err = l.Recv(make([]*hostif.Frame, 1))
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Stats().TxDropError)
}

// While the interface is down, frames are lost and counted, not kept for later.
func TestInterfaceDown(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "p0", ns, "eth0", 1500))
	g := open(t, Config{Ifaces: []Iface{{"p0", ns}}, Frames: 64})
	set := func(f func(netlink.Link) error) {
		require.NoError(t, ethtool.Do(ns, func() error {
			l, err := netlink.LinkByName("p0")
			if err != nil {
				return err
			}
			return f(l)
		}))
	}
	l := g.Links[0]
	frame := func() []*hostif.Frame { return []*hostif.Frame{{Data: make([]byte, 60)}} }
	set(netlink.LinkSetDown)
	took := 0
	for range 1000 {
		n, err := l.Send(frame())
		require.NoError(t, err)
		took += n
	}
	st := l.Stats()
	require.LessOrEqual(t, took, 1, "frames for a dead interface were queued")
	require.EqualValues(t, 1000-took, st.TxDropError)
	set(netlink.LinkSetUp)
	n, err := l.Send(frame())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, g.Check())
}
