//go:build linux

package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
)

// The contract, with each port's frames received by a thread: nothing is lost,
// though a veth's queue holds 256 frames and its threads are only woken.
func TestContractThreaded(t *testing.T) {
	needXDP(t)
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprintf("MTU %d", mtu), func(t *testing.T) {
			hostiftest.RunLink(t, func(t *testing.T) (a, b hostif.Link) {
				ns := newNS(t)
				require.NoError(t, addVeth(ns, "a", ns, "b", mtu))
				ga := open(t, Config{Ifaces: []Iface{{"a", ns}}, Threaded: ThreadedOn})
				gb := open(t, Config{Ifaces: []Iface{{"b", ns}}, Threaded: ThreadedOn})
				t.Cleanup(func() {
					require.NoError(t, ga.Check())
					require.NoError(t, gb.Check())
				})
				require.EqualValues(t, 1, counts(ga.Links[0])["xdp.threaded.on"])
				return ga.Links[0], gb.Links[0]
			})
		})
	}
}

// confine keeps this process, as far as /proc tells, on one processor.
func confine(t *testing.T) {
	t.Helper()
	var all, one unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(os.Getpid(), &all))
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	require.NoError(t, unix.SchedSetaffinity(os.Getpid(), &one))
	t.Cleanup(func() { require.NoError(t, unix.SchedSetaffinity(os.Getpid(), &all)) })
}

func counts(l hostif.Counted) map[string]uint64 {
	c := map[string]uint64{}
	l.Count(c)
	return c
}

// udpFrame is a UDP datagram to serverAddr that carries a number, without a sum.
func udpFrame(dst net.HardwareAddr, seq uint32, size int) []byte {
	b := make([]byte, max(size, 14+20+8+4))
	copy(b, dst)
	copy(b[6:], "\x02client")
	b[12] = 8
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], net.ParseIP(clientAddr).To4())
	copy(ip[16:], net.ParseIP(serverAddr).To4())
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp, 9)
	binary.BigEndian.PutUint16(udp[2:], 9)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint32(udp[8:], seq)
	return b
}

// Frames to a socket of the far end arrive, each of them once, while their
// receiver is switched between a thread and our time as fast as the kernel does
// it: a few may overtake others, none is lost.
func TestNothingIsLostAcrossSwitches(t *testing.T) {
	needXDP(t)
	confine(t)
	nic, host := newNS(t), newNS(t)
	require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
	address(t, host, "eth0", serverAddr+"/24")
	var mac net.HardwareAddr
	sock := -1
	require.NoError(t, ethtool.Do(host, func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		mac = l.Attrs().HardwareAddr
		if sock, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return errors.Join(unix.SetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.Bind(sock, &unix.SockaddrInet4{Port: 9}))
	}))
	defer unix.Close(sock)
	g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Threaded: ThreadedAuto})
	l := g.Links[0]
	l.threads.auto = false // the test switches

	const total = 60_000
	seen := make([]int, total)
	late, last, arrived := 0, -1, 0
	b := make([]byte, 2048)
	read := func() {
		for {
			n, err := unix.Read(sock, b)
			if err != nil {
				require.ErrorIs(t, err, unix.EAGAIN)
				return
			}
			require.Greater(t, n, 4)
			seq := int(binary.BigEndian.Uint32(b))
			seen[seq]++
			arrived++
			if seq < last {
				late++
			}
			last = max(last, seq)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 3))
	frames := make([]*hostif.Frame, 0, 256)
	for seq, on, round := 0, false, 0; seq < total; round++ {
		frames = frames[:0]
		for range min(1+rnd.IntN(256), total-seq) {
			frames = append(frames, &hostif.Frame{Data: udpFrame(mac, uint32(seq), 60+rnd.IntN(1400))})
			seq++
		}
		n, err := l.Send(frames)
		require.NoError(t, err)
		require.Equal(t, len(frames), n, "%+v", l.Stats())
		if round%8 == 7 {
			on = !on
			l.threads.switchTo(on)
		}
		if round%4 == 3 {
			read()
		}
	}
	for end := time.Now().Add(30 * time.Second); arrived < total && time.Now().Before(end); {
		read()
		time.Sleep(time.Millisecond)
	}
	for seq, n := range seen {
		require.Equal(t, 1, n, "datagram %d of %d", seq, total)
	}
	c := counts(l)
	require.Greater(t, c["xdp.threaded.switches"], uint64(10))
	require.NotZero(t, c["xdp.threaded.cpu_ns"])
	require.NoError(t, g.Check())
	t.Logf("%d of %d overtaken; %v", late, total, c)
}

// The policy switches by itself: bulk turns it on, lone frames off. On several
// processors bulk is of full frames.
func TestThreadedFollowsTheLoad(t *testing.T) {
	needXDP(t)
	t.Run("one processor", func(t *testing.T) {
		confine(t)
		followsTheLoad(t, 60)
	})
	t.Run("several", func(t *testing.T) {
		if oneCore() {
			t.Skip("there is one")
		}
		followsTheLoad(t, 1514)
	})
}

func followsTheLoad(t *testing.T, full int) {
	nic, host := newNS(t), newNS(t)
	require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
	g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Threaded: ThreadedAuto})
	l := g.Links[0]
	tso := func() bool { return features(t, nic, "p0")["tx-tcp-segmentation"].Active }
	send := func(n int) {
		var frames []*hostif.Frame
		for range n {
			frames = append(frames, &hostif.Frame{Data: make([]byte, full)})
		}
		_, err := l.Send(frames)
		require.NoError(t, err)
	}
	require.True(t, tso())
	require.Eventually(t, func() bool { send(64); return !tso() }, 30*time.Second, 100*time.Microsecond, "bulk")
	require.EqualValues(t, 1, counts(l)["xdp.threaded.on"])
	require.Eventually(t, func() bool { send(1); return tso() }, 30*time.Second, 100*time.Microsecond, "lone frames")
	require.Eventually(t, func() bool { send(64); return !tso() }, 30*time.Second, 100*time.Microsecond, "bulk again")
	frames := make([]*hostif.Frame, 8)
	require.Eventually(t, func() bool {
		_, err := l.Recv(frames)
		require.NoError(t, err)
		return tso()
	}, 30*time.Second, time.Millisecond, "nothing to send")
	c := counts(l)
	require.EqualValues(t, 4, c["xdp.threaded.switches"], c)
	require.Zero(t, c["xdp.threaded.on"])
}

// allChanges is a Recorder.
type allChanges []ethtool.Change

func (a *allChanges) Record(c ethtool.Change) error { *a = append(*a, c); return nil }

// Whatever a user had set, and whether it was switched on when it ended: after
// Close, and after what the journal of a killed process says is undone, it is as
// before, and the threads are gone.
func TestThreadedIsRestored(t *testing.T) {
	needXDP(t)
	confine(t)
	for _, tt := range []struct {
		name  string
		mode  Threaded
		far   []string // on beforehand, at the far end
		near  string   // off beforehand, at ours
		kill  bool
		means bool // threads are to be had
	}{
		{"auto", ThreadedAuto, nil, "", false, true},
		{"auto, killed", ThreadedAuto, nil, "", true, true},
		{"on", ThreadedOn, nil, "", false, true},
		{"on, killed", ThreadedOn, nil, "", true, true},
		{"GRO on already", ThreadedAuto, []string{"rx-gro"}, "", true, true},
		{"threads already", ThreadedAuto, []string{"rx-gro", ethtool.ThreadedNAPI}, "", true, true},
		{"a TSO off already", ThreadedOn, nil, "tx-tcp6-segmentation", true, true},
		{"off", ThreadedOff, nil, "", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nic, host := newNS(t), newNS(t)
			require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
			far, err := ethtool.FindPeer(nic, "p0")
			require.NoError(t, err)
			near, err := ethtool.FindPeer(host, "eth0")
			require.NoError(t, err)
			set := func(p ethtool.Peer, on bool, f string) {
				plan, err := ethtool.Plan(p, on, f)
				require.NoError(t, err)
				require.Len(t, plan, 1)
				require.NoError(t, ethtool.Apply(plan[0]))
			}
			for _, f := range tt.far {
				set(far, true, f)
			}
			if tt.near != "" {
				set(near, false, tt.near)
			}
			state := func() string {
				plan, err := ethtool.Plan(far, true, ethtool.ThreadedNAPI)
				require.NoError(t, err)
				list, err := far.NAPI()
				require.NoError(t, err)
				return fmt.Sprint(features(t, host, "eth0"), features(t, nic, "p0"), len(plan), len(list))
			}
			before := state()
			var made allChanges
			g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Threaded: tt.mode, Recorder: &made})
			l := g.Links[0]
			require.Equal(t, tt.means, l.threads != nil)
			if tt.means {
				list, err := far.NAPI()
				require.NoError(t, err)
				require.Len(t, list, 1)
				var own, its unix.CPUSet
				require.NoError(t, unix.SchedGetaffinity(os.Getpid(), &own))
				require.NoError(t, unix.SchedGetaffinity(list[0].PID, &its))
				if len(tt.far) < 2 { // else it is the user's, and left alone
					require.Equal(t, own, its)
				}
				l.threads.switchTo(true)
				require.Eventually(t, func() bool { return !features(t, nic, "p0")["tx-tcp-segmentation"].Active }, 5*time.Second, time.Millisecond)
			}
			if tt.kill { // as if what Close undoes had not been undone
				l.changes = nil
			}
			require.NoError(t, g.Close())
			if tt.kill {
				require.NotEqual(t, before, state())
				for i := len(made) - 1; i >= 0; i-- {
					require.NoError(t, ethtool.Undo(made[i]))
				}
			}
			require.Equal(t, before, state())
		})
	}
}

// Where threads are not to be had, that is said, once, and nothing is changed.
func TestThreadedIsNotToBeHad(t *testing.T) {
	needXDP(t)
	confine(t)
	nic, host := newNS(t), newNS(t)
	require.NoError(t, addVeth(nic, "p0", host, "eth0", 1500))
	near, err := ethtool.FindPeer(host, "eth0")
	require.NoError(t, err)
	plan, err := ethtool.Plan(near, false, allTSO...)
	require.NoError(t, err)
	for _, c := range plan {
		require.NoError(t, ethtool.Apply(c))
	}
	var said []string
	logf := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	g := open(t, Config{Ifaces: []Iface{{"p0", nic}}, Threaded: ThreadedAuto, Log: logf})
	require.Contains(t, said, "xdp: p0: its peer receives in our time, not in a thread of its own: TSO of p0, which it is switched by, is off already")
	require.False(t, features(t, host, "eth0")["rx-gro"].Active)
	require.Empty(t, counts(g.Links[0]))
	require.NoError(t, g.Close())

	require.NoError(t, ethtool.Do(host, func() error { // no NAPI while it is down
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(l)
	}))
	said = nil
	g = open(t, Config{Ifaces: []Iface{{"p0", nic}}, Threaded: ThreadedOn, Log: logf})
	require.Contains(t, fmt.Sprint(said), "xdp: p0: its peer receives in our time, not in a thread of its own: ")
	require.False(t, features(t, host, "eth0")["rx-gro"].Requested)
	require.Nil(t, g.Links[0].threads)
}
