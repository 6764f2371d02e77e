package packet_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/segment"
	"github.com/meshnic/meshnic/internal/failure"
)

// patience is how long a frame may take on a busy machine before it is lost.
const patience = 30 * time.Second

// one waits for one frame that fits.
func one(l hostif.Link, wait time.Duration, fits func([]byte) bool) *hostif.Frame {
	frames := make([]*hostif.Frame, 16)
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		hostiftest.Readable(l.Fd(), 20*time.Millisecond)
		n, err := l.Recv(frames)
		if err != nil {
			return nil
		}
		for _, f := range frames[:n] {
			if fits(f.Data) {
				return f.Clone()
			}
		}
	}
	return nil
}

// The kernel takes the tag out of a frame; the link puts it back in, and moves
// what points behind it.
func TestVLANTag(t *testing.T) {
	a, b := pair(1500, packet.Config{}, packet.Config{})(t)
	for _, tpid := range []uint16{0x8100, 0x88a8} {
		plain := hostiftest.Unfinished(hostif.GSOTCPv4, 9, 20000, 1400)
		want := append([]byte(nil), plain.Data[:12]...)
		want = binary.BigEndian.AppendUint16(want, tpid)
		want = binary.BigEndian.AppendUint16(want, 0xa007)
		want = append(want, plain.Data[12:]...)
		o := plain.Offload
		o.CsumStart += 4
		o.HdrLen += 4
		n, err := b.Send([]*hostif.Frame{{Data: append([]byte(nil), want...), Offload: o}})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		if tpid != 0x8100 {
			// No device segments 802.1ad here, so the kernel does before it sends.
			got := one(a, patience, func(b []byte) bool { return bytes.Equal(b[:16], want[:16]) })
			require.NotNil(t, got, "%#x", tpid)
			continue
		}
		got := one(a, patience, func(b []byte) bool { return bytes.Equal(b[:12], want[:12]) })
		require.NotNil(t, got)
		require.True(t, bytes.Equal(want, got.Data), "sent %x\n got %x", want[:60], got.Data[:60])
		require.Equal(t, o, got.Offload)
	}
	// A full-size frame stays one with its tag.
	f := hostiftest.Frame(3, 1518)
	copy(f.Data[12:], []byte{0x81, 0, 0, 5, 0x88, 0xb5})
	want := append([]byte(nil), f.Data...)
	n, err := b.Send([]*hostif.Frame{f})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	got := one(a, patience, func(b []byte) bool { return bytes.Equal(b[:12], want[:12]) })
	require.NotNil(t, got)
	require.Equal(t, want, got.Data)
}

func arp(target string) *hostif.Frame {
	b := append(bytes.Repeat([]byte{0xff}, 6), 2, 's', 0, 0, 0, 9, 8, 6)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1, 2, 's', 0, 0, 0, 9, 10, 8, 0, 9, 0, 0, 0, 0, 0, 0)
	return &hostif.Frame{Data: append(b, target...)}
}

// The host's stack would answer for its own addresses; the shield keeps frames
// from it, and goes with the link.
func TestShield(t *testing.T) {
	near, far := hostiftest.NewNS(t), hostiftest.NewNS(t)
	hostiftest.Veth(t, near, "n", far, "f", 1500)
	hostiftest.SetUp(t, near, "n", "10.8.0.1/24")
	peer := open(t, packet.Config{Name: "f", NS: far})
	ask := func(wait time.Duration) bool {
		_, err := peer.Send([]*hostif.Frame{arp("\x0a\x08\x00\x01")})
		require.NoError(t, err)
		return one(peer, wait, func(b []byte) bool { return len(b) >= 22 && b[12] == 8 && b[13] == 6 && b[21] == 2 }) != nil
	}
	require.True(t, ask(patience), "the stack answers while nobody holds the interface")
	l := open(t, packet.Config{Name: "n", NS: near})
	require.False(t, ask(200*time.Millisecond), "the stack answered behind the link")
	require.NotNil(t, one(l, patience, func(b []byte) bool { return b[12] == 8 && b[13] == 6 }), "the link itself still sees it")
	second := open(t, packet.Config{Name: "n", NS: near})
	require.NoError(t, l.Close())
	require.False(t, ask(200*time.Millisecond), "the second link has a filter of its own")
	require.NoError(t, second.Close())
	// The kernel takes an owned table away after the socket, not at once.
	require.Eventually(t, func() bool { return ask(100 * time.Millisecond) }, patience, time.Millisecond)
	shared := open(t, packet.Config{Name: "n", NS: near, Shared: true})
	require.True(t, ask(patience))
	require.NoError(t, shared.Close())
}

func TestFailures(t *testing.T) {
	ns := hostiftest.NewNS(t)
	_, err := packet.Open(packet.Config{Name: "nothere", NS: ns})
	require.Equal(t, failure.Usage, failure.KindOf(err), "%v", err)
	require.ErrorIs(t, err, hostif.ErrNoInterface)
	_, err = packet.Open(packet.Config{Name: "a-name-of-more-than-fifteen", NS: ns})
	require.ErrorIs(t, err, hostif.ErrNoInterface)

	hostiftest.Veth(t, ns, "x", ns, "y", 1500)
	hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
		l, err := h.LinkByName("x")
		require.NoError(t, err)
		require.NoError(t, h.LinkSetDown(l))
	})
	_, err = packet.Open(packet.Config{Name: "x", NS: ns})
	require.Equal(t, failure.Usage, failure.KindOf(err))
	require.ErrorIs(t, err, unix.ENETDOWN)
	require.ErrorContains(t, err, "ip link set x up")
}

// A peer that leaves everything to the device (the default of a veth) is no
// reason to deliver unfinished frames where finished ones are asked for, and
// order is kept across the segments.
func TestFinishesInSoftware(t *testing.T) {
	a, b := pair(1500, packet.Config{NoOffload: true}, packet.Config{})(t)
	super := hostiftest.Unfinished(hostif.GSOTCPv4, 2, 30000, 1400)
	var want [][]byte
	frames := []*hostif.Frame{hostiftest.Frame(1, 100), super.Clone(), hostiftest.Frame(3, 100)}
	for _, f := range []*hostif.Frame{hostiftest.Frame(1, 100), super, hostiftest.Frame(3, 100)} {
		require.NoError(t, segment.Finish(f, 1500, func(s *hostif.Frame) { want = append(want, append([]byte(nil), s.Data...)) }))
	}
	n, err := b.Send(frames)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	in := make([]*hostif.Frame, 5) // fewer than the segments of one superframe
	for i := 0; i < len(want); {
		require.True(t, len(want)-i > 0)
		n, err := a.Recv(in)
		require.NoError(t, err)
		if n == 0 {
			require.True(t, hostiftest.Readable(a.Fd(), patience), "%d of %d", i, len(want))
			continue
		}
		for _, f := range in[:n] {
			require.Equal(t, hostif.Offload{}, f.Offload)
			require.True(t, bytes.Equal(want[i], f.Data), "frame %d of %d", i, len(want))
			i++
		}
	}
}

// An interface that goes down says so once and works again when it is up.
func TestDownAndUp(t *testing.T) {
	ns := hostiftest.NewNS(t)
	hostiftest.Veth(t, ns, "x", ns, "y", 1500)
	x, y := open(t, packet.Config{Name: "x", NS: ns}), open(t, packet.Config{Name: "y", NS: ns})
	set := func(up bool) {
		hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
			l, err := h.LinkByName("x")
			require.NoError(t, err)
			if up {
				require.NoError(t, h.LinkSetUp(l))
			} else {
				require.NoError(t, h.LinkSetDown(l))
			}
		})
	}
	set(false)
	_, err := x.Recv(make([]*hostif.Frame, 1))
	require.ErrorIs(t, err, unix.ENETDOWN)
	n, err := x.Send([]*hostif.Frame{hostiftest.Frame(1, 60)})
	require.NoError(t, err)
	require.Zero(t, n)
	require.EqualValues(t, 1, x.Stats().TxDropError)
	set(true)
	hostiftest.Settle(t, ns, "y")
	n, err = y.Send([]*hostif.Frame{hostiftest.Frame(2, 60)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NotNil(t, one(x, patience, func(b []byte) bool { return b[12] == 0x88 && hostiftest.Seq(b) == 2 }))
}

// What another sender puts on the interface leaves the host: it has not arrived.
func TestIgnoresOutgoing(t *testing.T) {
	ns := hostiftest.NewNS(t)
	hostiftest.Veth(t, ns, "x", ns, "y", 1500)
	l, other := open(t, packet.Config{Name: "x", NS: ns}), open(t, packet.Config{Name: "x", NS: ns})
	y := open(t, packet.Config{Name: "y", NS: ns})
	n, err := other.Send([]*hostif.Frame{hostiftest.Frame(1, 60)})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	test := func(b []byte) bool { return b[12] == 0x88 && b[13] == 0xb5 }
	require.NotNil(t, one(y, patience, test), "it left")
	require.Nil(t, one(l, 50*time.Millisecond, test), "an outgoing frame was received")
}

// A receive buffer that overflows drops whole frames, and each is counted.
func TestOverflowIsCounted(t *testing.T) {
	a, b := pair(1500, packet.Config{RecvBuffer: 1 << 16}, packet.Config{})(t)
	const total = 1000
	for seq := range uint32(total) {
		n, err := b.Send([]*hostif.Frame{hostiftest.Frame(seq, 1000)})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	frames := make([]*hostif.Frame, 64)
	got := 0
	read := func() {
		for hostiftest.Readable(a.Fd(), 50*time.Millisecond) {
			n, err := a.Recv(frames)
			require.NoError(t, err)
			got += n
		}
	}
	require.Eventually(t, func() bool { read(); return got+int(a.Stats().RxDropFull) >= total }, patience, time.Millisecond)
	st := a.Stats()
	require.NotZero(t, st.RxDropFull)
	require.Equal(t, st, a.Stats(), "reading the counters does not lose them")
}
