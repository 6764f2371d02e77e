package tcp_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/datapath/wire"
)

// seg is a TCP packet as the parser would hand it over, without its bytes' cost.
func seg(flow uint32, fromServer bool, flags wire.TCPFlags, seq, ack uint32, n int) *datapath.Packet {
	p := &datapath.Packet{Data: make([]byte, 54)}
	p.Data[46] = 5 << 4
	h := &p.PHV
	h.Headers = datapath.HdrEthernet | datapath.HdrIPv4 | datapath.HdrTCP
	h.L3Off, h.L4Off, h.PayloadOff, h.PayloadLen = 14, 34, 54, uint32(n)
	a, b := wire.MapIPv4([4]byte{10, byte(flow >> 16), byte(flow >> 8), byte(flow)}), IP(server)
	pa, pb := uint16(flow>>24)+1024, uint16(serverPort)
	if fromServer {
		a, b, pa, pb = b, a, pb, pa
	}
	h.IPSrc, h.IPDst, h.SrcPort, h.DstPort = a, b, pa, pb
	h.Proto, h.TCPFlags, h.TCPSeq, h.TCPAck = wire.ProtoTCP, flags, wire.Seq(seq), wire.Seq(ack)
	return p
}

func findFlow(tr *tcp.Tracker, flow uint32) (tcp.Flow, bool) {
	h := seg(flow, false, 0, 0, 0, 0).PHV
	return tr.Find(h.IPSrc, h.IPDst, h.SrcPort, h.DstPort, 0)
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []tcp.Config{
		{Flows: 0, Clock: sim.Clock{Hz: 1}}, {Flows: 1000, Clock: sim.Clock{Hz: 1}}, {Flows: 8, Clock: sim.Clock{Hz: 1}},
		{Flows: 1 << 25, Clock: sim.Clock{Hz: 1}}, {Flows: 16}, {Flows: -16, Clock: sim.Clock{Hz: 1}},
	} {
		_, err := tcp.New(c)
		require.Error(t, err)
		require.True(t, strings.HasPrefix(err.Error(), "tcp: "), err.Error())
	}
}

func TestOtherPacketsPass(t *testing.T) {
	tr := newTracker(t, 16)
	Run(t, func(testing.TB) datapath.Stage { return tr }, []Row{
		{Name: "UDP", In: Eth().IPv4(client, server).UDP(1, 2), Out: Eth().IPv4(client, server).UDP(1, 2)},
		{Name: "ARP", In: Eth().ARP(1, DefaultSrc, client, DefaultDst, server)},
		{Name: "later fragment", In: Eth().IPv4(client, server).TCP(1, 2, "S").Fragment(8, false)},
		{Name: "TCP passes unchanged", In: Eth().IPv4(client, server).TCP(1, 2, "S"), Out: Eth().IPv4(client, server).TCP(1, 2, "S")},
	})
	require.Equal(t, uint64(1), tr.Counters().Segments)
	require.Equal(t, 1, tr.Len())
	first := Packet(t, Eth().IPv4(client, server).TCP(3, 4, "S").Fragment(0, true))
	tr.Process(0, first)
	require.Equal(t, uint64(1), tr.Counters().Untracked, "a fragment's sequence numbers are not all there")
	require.Equal(t, 1, tr.Len())
}

// Flows differ by each part of their key.
func TestKeys(t *testing.T) {
	tr := newTracker(t, 16)
	frames := []Frame{
		Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "S"),
		Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(2, 1, "S"),
		Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 3, "S"),
		Eth().IPv4("10.0.0.1", "10.0.0.3").TCP(1, 2, "S"),
		Eth().IPv4("10.0.0.3", "10.0.0.2").TCP(1, 2, "S"),
		Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "S"),
		Eth().IPv6("::a00:1", "::a00:2").TCP(1, 2, "S"),
		Eth().IPv6("1::a00:1", "::a00:2").TCP(1, 2, "S"),
	}
	for i, f := range frames {
		tr.Process(0, Packet(t, f))
		require.Equal(t, i+1, tr.Len())
	}
	for _, f := range frames {
		h := Packet(t, f).PHV
		there, ok := tr.Find(h.IPSrc, h.IPDst, h.SrcPort, h.DstPort, h.VLAN)
		require.True(t, ok)
		back, ok := tr.Find(h.IPDst, h.IPSrc, h.DstPort, h.SrcPort, h.VLAN)
		require.True(t, ok)
		require.Equal(t, there, back, "both directions are one flow")
		require.Equal(t, h.IPSrc, there.ClientIP)
		require.Equal(t, h.DstPort, there.ServerPort)
		require.Equal(t, h.VLAN, there.VLAN)
	}
	// Both ends the same: a connection of a host to itself.
	self := Eth().IPv4("10.0.0.9", "10.0.0.9").TCP(7, 7, "S")
	tr.Process(0, Packet(t, self))
	tr.Process(0, Packet(t, self))
	require.Equal(t, len(frames)+1, tr.Len())
}

// The table against a map: opened, restarted, expired, evicted, in any order.
func TestTableAgainstMap(t *testing.T) {
	for _, flows := range []int{16, 64, 1024} {
		tr := newTracker(t, flows)
		r := rand.New(rand.NewPCG(uint64(flows), 1))
		last := map[uint32]sim.Cycle{}
		now := sim.Cycle(0)
		for range 40 * flows {
			now += sim.Cycle(r.IntN(7440 * hz / flows)) // more live flows than there is room for
			if r.IntN(10*flows) == 0 {
				now += 7000 * hz // and a silence
			}
			f := uint32(r.IntN(2 * flows))
			f |= f << 24 // ports differ too
			tr.Process(now, seg(f, false, wire.ACK, 1, 1, 0))
			last[f] = now
			require.LessOrEqual(t, tr.Len(), flows)
			_, ok := findFlow(tr, f)
			require.True(t, ok, "what just came is there")
			if r.IntN(50) == 0 {
				tr.Expire(now, flows)
				for f, at := range last {
					if now-at > 7440*hz {
						_, ok := findFlow(tr, f)
						require.False(t, ok, "quiet for longer than the timeout")
					}
				}
			}
		}
		n := 0
		for f := range tr.Flows() {
			n++
			port := uint32(f.ClientPort-1024) << 24
			ip := uint32(f.ClientIP[13])<<16 | uint32(f.ClientIP[14])<<8 | uint32(f.ClientIP[15])
			require.Equal(t, last[port|ip], f.Last, "each flow is one that was sent, as of its last segment")
			got, ok := findFlow(tr, port|ip)
			require.True(t, ok)
			require.Equal(t, f, got)
		}
		require.Equal(t, tr.Len(), n)
		c := tr.Counters()
		require.Equal(t, uint64(tr.Len()), c.Opened-c.Expired-c.Evicted)
		require.NotZero(t, c.Evicted)
		require.NotZero(t, c.Expired)
	}
}

// A full table gives up a closed flow before a half-open one, that before an
// established one, and of those the one that is quiet for longest.
func TestEviction(t *testing.T) {
	tr := newTracker(t, 16)
	for i := range uint32(16) {
		tr.Process(sim.Cycle(100+i), seg(i, false, wire.ACK, 1, 1, 0))
	}
	tr.Process(200, seg(3, false, wire.RST|wire.ACK, 1, 1, 0))
	tr.Process(200, seg(0, false, wire.ACK, 1, 1, 0)) // no longer the oldest
	gone := func(i uint32) bool { _, ok := findFlow(tr, i); return !ok }
	open := func(i uint32, f wire.TCPFlags) { tr.Process(300, seg(i, false, f, 1, 1, 0)) }
	open(16, wire.SYN)
	require.True(t, gone(3), "the closed one")
	open(17, wire.ACK)
	require.True(t, gone(16), "the half-open one")
	open(18, wire.ACK)
	require.True(t, gone(1), "the one quiet for longest")
	require.False(t, gone(0))
	require.Equal(t, uint64(3), tr.Counters().Evicted)
	require.Equal(t, 16, tr.Len())
}

func TestExpire(t *testing.T) {
	tr := newTracker(t, 16)
	tr.Process(0, seg(1, false, wire.SYN, 1, 0, 0))
	tr.Process(0, seg(2, false, wire.ACK, 1, 1, 0))
	tr.Process(0, seg(3, false, wire.ACK, 1, 1, 0))
	tr.Process(0, seg(3, false, wire.FIN|wire.ACK, 1, 1, 0))
	tr.Process(0, seg(4, false, wire.ACK, 1, 1, 0))
	tr.Process(0, seg(4, true, wire.RST, 1, 0, 0))
	for _, step := range []struct {
		now     sim.Cycle
		expired int
	}{{10 * hz, 0}, {10*hz + 1, 1}, {240 * hz, 0}, {240*hz + 1, 2}, {7440 * hz, 0}, {7440*hz + 1, 1}} {
		require.Equal(t, step.expired, tr.Expire(step.now, 16), step.now)
	}
	require.Zero(t, tr.Len())
	require.Zero(t, tr.Expire(1e9, 16))
}

// A new flow looks at two old ones, so the table stays clean by itself.
func TestExpireComesAlong(t *testing.T) {
	tr := newTracker(t, 1024)
	for i := range uint32(20000) {
		tr.Process(sim.Cycle(i)*hz, seg(i, false, wire.SYN, 1, 0, 0)) // one a second, 240 s each
	}
	// 240 s each, and half as many again until the sweep, two a second, is back.
	require.LessOrEqual(t, tr.Len(), 480)
	require.Zero(t, tr.Counters().Evicted)
}

// What one side sends, byte by byte: an independent account of which segments are
// new, sent again, or late. At most one hole is open at a time.
func TestAgainstBitmap(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		tr := newTracker(t, 16)
		isn := r.Uint32()
		tr.Process(0, seg(1, false, wire.SYN, isn, 0, 0))
		tr.Process(0, seg(1, true, wire.SYN|wire.ACK, 9, isn+1, 0))
		tr.Process(0, seg(1, false, wire.ACK, isn+1, 10, 0))
		const size = 50000
		seen := make([]bool, size+2000)
		top, holeLow, holeHigh := 0, 0, 0
		var again, late, bytes uint64
		send := func(from, n int) {
			fresh, old := 0, 0
			for i := from; i < from+n; i++ {
				if seen[i] {
					old++
				} else {
					fresh++
				}
				seen[i] = true
			}
			switch {
			case from >= top:
			case fresh > 0 && from+n <= top:
				late++
			default:
				again++
			}
			top = max(top, from+n)
			bytes += uint64(n)
			tr.Process(1, seg(1, false, wire.ACK, isn+1+uint32(from), 10, n))
		}
		for top < size {
			n := 1 + r.IntN(1400)
			switch {
			case holeLow < holeHigh && r.IntN(3) == 0: // fill from the front
				m := min(n, holeHigh-holeLow)
				send(holeLow, m)
				holeLow += m
			case holeLow == holeHigh && r.IntN(8) == 0: // skip some
				holeLow, holeHigh = top, top+n
				send(top+n, 1+r.IntN(1400))
			case holeLow == holeHigh && r.IntN(8) == 0 && top > n+2: // send again
				from := r.IntN(top - n)
				send(from, n)
			case r.IntN(20) == 0 && holeLow == holeHigh && top > 100: // again, and more
				send(top-50, 100)
			default:
				send(top, n)
			}
		}
		f, ok := findFlow(tr, 1)
		require.True(t, ok)
		require.Equal(t, again, f.Client.Retransmissions, "seed %d", seed)
		require.Equal(t, late, f.Client.OutOfOrder, "seed %d", seed)
		require.Equal(t, bytes, f.Client.Bytes)
		require.Equal(t, wire.Seq(isn+1+uint32(top)), f.Client.Next)
	}
}

// RTT samples of a whole transfer with fixed delays on both sides of the card.
func TestRTTOfBothSides(t *testing.T) {
	tr := newTracker(t, 16)
	const toServer, toClient = 30, 8 // there and back
	now := sim.Cycle(1000)
	tr.Process(now, seg(1, false, wire.SYN, 0, 0, 0))
	tr.Process(now+toServer, seg(1, true, wire.SYN|wire.ACK, 0, 1, 0))
	tr.Process(now+toServer+toClient, seg(1, false, wire.ACK, 1, 1, 0))
	c, s := uint32(1), uint32(1)
	for range 100 {
		now += 1000
		tr.Process(now, seg(1, false, wire.ACK, c, s, 100))
		c += 100
		tr.Process(now+toServer, seg(1, true, wire.ACK, s, c, 500))
		s += 500
		tr.Process(now+toServer+toClient, seg(1, false, wire.ACK, c, s, 0))
	}
	f, _ := findFlow(tr, 1)
	require.Equal(t, tcp.RTT{Samples: 101, Min: toServer, Smoothed: toServer}, f.Client.RTT)
	require.Equal(t, tcp.RTT{Samples: 101, Min: toClient, Smoothed: toClient}, f.Server.RTT)
	require.Equal(t, uint64(202), tr.Counters().RTTSamples)
}

func TestProcessAllocatesNothing(t *testing.T) {
	tr := newTracker(t, 64)
	i := uint32(0)
	p := seg(0, false, wire.SYN, 1, 0, 0)
	require.Zero(t, testing.AllocsPerRun(1000, func() { // with a full table
		i++
		p.PHV.IPSrc[15], p.PHV.SrcPort = byte(i), uint16(i>>8)
		tr.Process(sim.Cycle(i), p)
		tr.Expire(sim.Cycle(i), 4)
	}))
	require.NotZero(t, tr.Counters().Evicted)
}

// A Hint is that of the flow that Process then looks for: of every kind of frame
// that has one.
func TestHints(t *testing.T) {
	tr := newTracker(t, 1024)
	for _, f := range []Frame{
		Eth().IPv4(client, server).TCP(1, 2, "S"),
		Eth().IPv4(client, server, 1, 1, 1, 0).TCP(1, 2, "S"),
		Eth().VLAN(5).IPv4(client, server).TCP(1, 2, "S").Pad(60),
		Eth().IPv6("2001:db8::1", "2001:db8::2").TCP(1, 2, "S"),
		Eth().VLAN(5).IPv6("2001:db8::1", "2001:db8::2").TCP(1, 2, "S"),
	} {
		require.Equal(t, tcp.HashOf(tr, Packet(t, f)), tr.Hint(f))
		require.NotZero(t, tr.Hint(f))
		for n := range len(f) {
			tr.Warm(tr.Hint(f[:n])) // cut off anywhere
		}
		tr.Process(0, Packet(t, f))
		tr.Warm(tr.Hint(f))
	}
	for _, f := range []Frame{{}, Eth(), Eth().IPv4(client, server).UDP(1, 2), Eth().EtherType(9).Pad(60), Eth().VLAN(1).VLAN(2).IPv4(client, server).TCP(1, 2, "S")} {
		require.Zero(t, tr.Hint(f))
		tr.Warm(tr.Hint(f))
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { tr.Warm(tr.Hint(hinted)) }))
}

var hinted = Eth().IPv4(client, server).TCP(1, 2, "S")

func FuzzHint(f *testing.F) {
	f.Add([]byte(hinted))
	f.Add([]byte(Eth().VLAN(5).IPv6("2001:db8::1", "2001:db8::2").TCP(1, 2, "S")))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := newTracker(t, 16)
		h := tr.Hint(b)
		tr.Warm(h)
		p := &datapath.Packet{Data: b}
		// An IPv4 fragment with bytes where ports would be has a hint for nothing.
		if parser.New(parser.Config{}).Process(0, p) == datapath.Continue && p.PHV.Has(datapath.HdrTCP) && h != 0 {
			require.Equal(t, tcp.HashOf(tr, p), h)
		}
	})
}

// digest is all that a tracker knows.
func digest(tr *tcp.Tracker) uint64 {
	h := fnv.New64a()
	for f := range tr.Flows() {
		fmt.Fprint(h, f)
	}
	fmt.Fprint(h, tr.Counters())
	return h.Sum64()
}

// FuzzTracker makes segments of bytes: five flows, small numbers, so that they
// meet; and holds what every flow owes.
func FuzzTracker(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0, 1, 128, 18, 0, 1, 0, 1, 0, 16, 1, 1, 0, 1})
	f.Add([]byte("a client and a server talk of many things, six bytes at a time, until one of them resets."))
	f.Fuzz(func(t *testing.T, b []byte) {
		run := func() *tcp.Tracker {
			tr := newTracker(t, 16)
			now := sim.Cycle(0)
			for ; len(b) >= 6; b = b[6:] {
				now += sim.Cycle(b[5]) * sim.Cycle(b[5])
				p := seg(uint32(b[0]&0x7f)%20, b[0]&0x80 != 0, wire.TCPFlags(b[1]), uint32(b[2])*10-100, uint32(b[3])*10-100, int(b[4]))
				p.GSOSize = uint16(b[4] & 7)
				require.Equal(t, datapath.Continue, tr.Process(now, p))
			}
			return tr
		}
		whole := b
		tr := run()
		b = whole
		require.Equal(t, digest(tr), digest(run()), "the same segments give the same flows")
		c := tr.Counters()
		require.Equal(t, c.Opened, uint64(tr.Len())+c.Expired+c.Evicted)
		n, samples := 0, uint64(0)
		for f := range tr.Flows() {
			n++
			require.NotEqual(t, tcp.None, f.State)
			require.LessOrEqual(t, f.Start, f.Last)
			for _, s := range []tcp.Side{f.Client, f.Server} {
				samples += s.RTT.Samples
				require.LessOrEqual(t, s.Retransmissions+s.OutOfOrder, s.Segments)
				if s.RTT.Samples > 0 {
					require.LessOrEqual(t, s.RTT.Min, s.RTT.Smoothed+1)
				}
			}
			if f.State == tcp.Closed {
				require.Equal(t, f.Client.Next, f.Client.Acked.Max(f.Client.Next))
			}
			got, ok := tr.Find(f.ServerIP, f.ClientIP, f.ServerPort, f.ClientPort, f.VLAN)
			require.True(t, ok)
			require.Equal(t, f, got)
		}
		require.Equal(t, tr.Len(), n)
		require.LessOrEqual(t, samples, c.RTTSamples)
	})
}

func BenchmarkTracker(b *testing.B) {
	for _, flows := range []uint32{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dFlows", flows), func(b *testing.B) {
			tr := newTracker(b, int(flows))
			p := seg(0, false, wire.ACK, 1, 1, 100)
			flow := func(i uint32) {
				p.PHV.IPSrc[13], p.PHV.IPSrc[14], p.PHV.IPSrc[15] = byte(i>>16), byte(i>>8), byte(i)
			}
			for i := range flows {
				flow(i)
				tr.Process(0, p)
			}
			b.ReportAllocs()
			n := uint32(0)
			for b.Loop() {
				n++
				flow(n * 0x9e3779b1 >> 7 % flows)
				tr.Process(sim.Cycle(n), p)
			}
		})
	}
}
