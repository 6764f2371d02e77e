package deparser_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/wire"
)

type set struct {
	f datapath.Field
	v datapath.Value
}

func ip(s string) datapath.Value { return datapath.IPValue(IP(s)) }

func apply(t testing.TB, sets []set) func(*datapath.Packet) {
	return func(p *datapath.Packet) {
		for _, s := range sets {
			require.True(t, p.SetField(s.f, s.v), s.f)
		}
	}
}

const (
	a4, b4, c4 = "10.0.0.1", "10.0.0.2", "192.0.2.77"
	a6, b6, c6 = "2001:db8::1", "2001:db8::2", "fd00:1:2:3:4:5:6:7"
)

// Out is built afresh from the new values: every rewrite must give the bytes, and
// so the checksums, that a sender of these values would have sent.
func TestRewrite(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sets    []set
		in, out Frame
	}{
		{"nothing", nil, Eth().IPv4(a4, b4).TCP(1, 2, "S"), Eth().IPv4(a4, b4).TCP(1, 2, "S")},
		{"MAC addresses", []set{{datapath.FieldEthDst, datapath.MACValue(MAC("02:00:00:00:00:09"))}, {datapath.FieldEthSrc, datapath.MACValue(MAC("02:00:00:00:00:08"))}},
			Eth().EtherType(0x1234).Payload("x"), Eth("02:00:00:00:00:09", "02:00:00:00:00:08").EtherType(0x1234).Payload("x")},
		{"IPv4 destination and port", []set{{datapath.FieldIPDst, ip(c4)}, {datapath.FieldDstPort, datapath.Uint(8080)}},
			Eth().IPv4(a4, b4).TCP(4000, 80, "PA").Payload("odd"), Eth().IPv4(a4, c4).TCP(4000, 8080, "PA").Payload("odd")},
		{"IPv4 source and port, UDP", []set{{datapath.FieldIPSrc, ip(c4)}, {datapath.FieldSrcPort, datapath.Uint(9)}},
			Eth().IPv4(a4, b4).UDP(4000, 53).Payload("query"), Eth().IPv4(c4, b4).UDP(9, 53).Payload("query")},
		{"behind IPv4 options", []set{{datapath.FieldIPDst, ip(c4)}, {datapath.FieldTTL, datapath.Uint(9)}},
			Eth().IPv4(a4, b4, 1, 1, 1, 0).UDP(1, 2), Eth().IPv4(a4, c4, 1, 1, 1, 0).UDP(1, 2).TTL(9)},
		{"IPv6 addresses", []set{{datapath.FieldIPSrc, ip(c6)}, {datapath.FieldIPDst, ip(a6)}},
			Eth().IPv6(a6, b6).TCP(1, 2, "A").Payload("x"), Eth().IPv6(c6, a6).TCP(1, 2, "A").Payload("x")},
		{"IPv6 behind extension headers", []set{{datapath.FieldIPDst, ip(c6)}, {datapath.FieldDstPort, datapath.Uint(7)}},
			Eth().IPv6(a6, b6).Ext(wire.ProtoHopByHop, 1, 4).UDP(1, 2), Eth().IPv6(a6, c6).Ext(wire.ProtoHopByHop, 1, 4).UDP(1, 7)},
		{"ICMPv6 has a pseudo-header", []set{{datapath.FieldIPDst, ip(c6)}},
			Eth().IPv6(a6, b6).ICMP(128, 0, 1).Payload("x"), Eth().IPv6(a6, c6).ICMP(128, 0, 1).Payload("x")},
		{"ICMP has none", []set{{datapath.FieldIPDst, ip(c4)}},
			Eth().IPv4(a4, b4).ICMP(8, 0, 1).Payload("x"), Eth().IPv4(a4, c4).ICMP(8, 0, 1).Payload("x")},
		{"unknown protocol", []set{{datapath.FieldIPDst, ip(c4)}},
			Eth().IPv4(a4, b4).Proto(99).Payload("x"), Eth().IPv4(a4, c4).Proto(99).Payload("x")},
		{"TTL", []set{{datapath.FieldTTL, datapath.Uint(1)}}, Eth().IPv4(a4, b4).UDP(1, 2), Eth().IPv4(a4, b4).UDP(1, 2).TTL(1)},
		{"hop limit", []set{{datapath.FieldTTL, datapath.Uint(1)}}, Eth().IPv6(a6, b6).UDP(1, 2), Eth().IPv6(a6, b6).UDP(1, 2).TTL(1)},
		{"TCP header", []set{{datapath.FieldTCPSeq, datapath.Uint(0xfffffff0)}, {datapath.FieldTCPAck, datapath.Uint(5)}, {datapath.FieldTCPFlags, datapath.Uint(uint64(wire.RST | wire.ACK))}, {datapath.FieldTCPWindow, datapath.Uint(0)}},
			Eth().IPv4(a4, b4).TCP(1, 2, "A", Seq(1), Ack(2), TS(3, 4)), Eth().IPv4(a4, b4).TCP(1, 2, "RA", Seq(0xfffffff0), Ack(5), Win(0), TS(3, 4))},
		{"padding stays", []set{{datapath.FieldDstPort, datapath.Uint(9)}}, Eth().IPv4(a4, b4).TCP(1, 2, "A").Pad(60), Eth().IPv4(a4, b4).TCP(1, 9, "A").Pad(60)},
		{"back to what it was", []set{{datapath.FieldIPDst, ip(c4)}, {datapath.FieldIPDst, ip(b4)}}, Eth().IPv4(a4, b4).UDP(1, 2), Eth().IPv4(a4, b4).UDP(1, 2)},
		{"UDP without a checksum", []set{{datapath.FieldIPDst, ip(c4)}, {datapath.FieldDstPort, datapath.Uint(9)}},
			Eth().IPv4(a4, b4).UDP(1, 2).Patch(40, 0, 0), Eth().IPv4(a4, c4).UDP(1, 9).Patch(40, 0, 0)},
		{"partial checksum: addresses count", []set{{datapath.FieldIPDst, ip(c4)}, {datapath.FieldDstPort, datapath.Uint(9)}},
			Eth().IPv4(a4, b4).TCP(1, 2, "A").PartialChecksum(), Eth().IPv4(a4, c4).TCP(1, 9, "A").PartialChecksum()},
		{"partial checksum over IPv6", []set{{datapath.FieldIPSrc, ip(c6)}},
			Eth().IPv6(a6, b6).UDP(1, 2).PartialChecksum(), Eth().IPv6(c6, b6).UDP(1, 2).PartialChecksum()},
		{"a wrong checksum stays wrong by as much", []set{{datapath.FieldDstPort, datapath.Uint(9)}},
			Eth().IPv4(a4, b4).TCP(1, 2, "A").Payload("x").BadL4Checksum(), Eth().IPv4(a4, b4).TCP(1, 9, "A").Payload("x").BadL4Checksum()},

		{"VLAN id, priority kept", []set{{datapath.FieldVLAN, datapath.Uint(9)}}, Eth().Tag(wire.TypeVLAN, 0xe005).IPv4(a4, b4).UDP(1, 2), Eth().Tag(wire.TypeVLAN, 0xe009).IPv4(a4, b4).UDP(1, 2)},
		{"VLAN push", []set{{datapath.FieldVLAN, datapath.Uint(9)}}, Eth().IPv4(a4, b4).UDP(1, 2), Eth().VLAN(9).IPv4(a4, b4).UDP(1, 2)},
		{"VLAN pop", []set{{datapath.FieldVLAN, datapath.Uint(0)}}, Eth().VLAN(9).IPv4(a4, b4).UDP(1, 2), Eth().IPv4(a4, b4).UDP(1, 2)},
		{"VLAN pop of two", []set{{datapath.FieldVLAN, datapath.Uint(0)}}, Eth().VLAN(9).VLAN(8).IPv4(a4, b4).UDP(1, 2), Eth().VLAN(8).IPv4(a4, b4).UDP(1, 2)},
		{"VLAN pop of none", []set{{datapath.FieldVLAN, datapath.Uint(0)}}, Eth().IPv4(a4, b4).UDP(1, 2), Eth().IPv4(a4, b4).UDP(1, 2)},
		{"VLAN push and all the rest", []set{{datapath.FieldVLAN, datapath.Uint(9)}, {datapath.FieldIPDst, ip(c4)}, {datapath.FieldDstPort, datapath.Uint(9)}, {datapath.FieldTTL, datapath.Uint(3)}},
			Eth().IPv4(a4, b4).UDP(1, 2).Payload("x"), Eth().VLAN(9).IPv4(a4, c4).UDP(1, 9).Payload("x").TTL(3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			partial := strings.HasPrefix(tt.name, "partial")
			p := Packet(t, tt.in)
			p.CsumPartial = partial
			apply(t, tt.sets)(p)
			want := p.PHV
			require.Equal(t, datapath.Continue, deparser.New().Process(0, p))
			require.Equal(t, []byte(tt.out), p.Data)

			// The PHV still describes the frame.
			fresh := &datapath.Packet{Data: p.Data, CsumPartial: partial}
			parser.New(parser.Config{}).Process(0, fresh)
			require.Equal(t, fresh.PHV, p.PHV)
			if want.Dirty == 0 {
				require.Equal(t, want, p.PHV)
			}
		})
	}
}

// The checksum of a datagram is in its first fragment. What changes in all of
// them must come out right when they are put together.
func TestFragments(t *testing.T) {
	whole := Eth().IPv4(a4, b4).UDP(1, 2).Payload("sixteen bytes ok and the rest")
	want := Eth().IPv4(a4, c4).UDP(1, 2).Payload("sixteen bytes ok and the rest")
	first := whole.Truncate(34+24).TotalLen(44).Fragment(0, true)
	second := append(whole.Truncate(34), whole[34+24:]...).TotalLen(20+13).Fragment(24, false)
	var l4 []byte
	for _, f := range []Frame{first, second} {
		p := Packet(t, f)
		p.SetField(datapath.FieldIPDst, ip(c4))
		require.Equal(t, datapath.Continue, deparser.New().Process(0, p))
		require.True(t, wire.IPv4(p.Data[14:]).ChecksumOK())
		l4 = append(l4, p.Data[34:]...)
	}
	require.Equal(t, []byte(want[34:]), l4)
}

func TestSourceRoute(t *testing.T) {
	f := Eth().IPv4(a4, b4, 131, 7, 4, 9, 9, 9, 9, 0).TCP(1, 2, "A").Payload("x")
	p := Packet(t, f)
	p.SetField(datapath.FieldIPDst, ip(c4))
	require.Equal(t, datapath.Continue, deparser.New().Process(0, p))
	require.Equal(t, []byte(f[42:]), p.Data[42:], "the checksum covers the last hop, which is the same")
	p.SetField(datapath.FieldIPSrc, ip(c4))
	deparser.New().Process(0, p)
	require.NotEqual(t, []byte(f[42:]), p.Data[42:], "and the source")
}

func TestPushNeedsRoom(t *testing.T) {
	f := Eth().IPv4(a4, b4).UDP(1, 2)
	p := Packet(t, f)
	p.Data = p.Data[: len(f) : len(f)+3]
	p.SetField(datapath.FieldVLAN, datapath.Uint(9))
	require.Equal(t, datapath.Drop, deparser.New().Process(0, p))
	require.Equal(t, datapath.DropNoRoom, p.Reason)
	require.Equal(t, []byte(f), p.Data)
}

// A UDP sum that comes out as 0 must not turn into "no checksum".
func TestUDPSumNeverBecomesZero(t *testing.T) {
	for port := range 1 << 16 {
		f := Eth().IPv4(a4, b4).UDP(uint16(port), 53)
		if f[40] == 0xff && f[41] == 0xff {
			p := Packet(t, Eth().IPv4(a4, b4).UDP(1, 53))
			p.SetField(datapath.FieldSrcPort, datapath.Uint(uint64(port)))
			deparser.New().Process(0, p)
			require.Equal(t, []byte(f), p.Data)
			return
		}
	}
	t.Fatal("one port of 65536 gives 0")
}

func TestDeparseAllocatesNothing(t *testing.T) {
	p := Packet(t, Eth().VLAN(3).IPv4(a4, b4).TCP(1, 2, "A"))
	d := deparser.New()
	vlan := uint64(1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		vlan ^= 1 // pop, push
		p.SetField(datapath.FieldVLAN, datapath.Uint(vlan))
		p.SetField(datapath.FieldIPDst, ip4Value)
		p.SetField(datapath.FieldDstPort, datapath.Uint(vlan))
		d.Process(0, p)
	}))
}

var ip4Value = ip(c4)

// randomSets are changes that make sense for any packet.
func randomSets(r *rand.Rand, v4 bool) (sets []set) {
	for f := range datapath.NumFields {
		if !f.Settable() || r.IntN(2) == 0 {
			continue
		}
		v := datapath.Value{Lo: r.Uint64()}
		switch {
		case f.Bits() < 64:
			v.Lo &= 1<<f.Bits() - 1
			if f == datapath.FieldVLAN && r.IntN(3) == 0 {
				v.Lo = 0
			}
		case v4:
			v = datapath.IPValue(wire.MapIPv4([4]byte{byte(v.Lo), byte(v.Lo >> 8), byte(v.Lo >> 16), byte(v.Lo >> 24)}))
		default:
			v.Hi = r.Uint64()
		}
		sets = append(sets, set{f, v})
	}
	return sets
}

// FuzzDeparse changes random fields of any frame that parses: what is written,
// parsed again, must be what was set, nothing else may have changed, and right
// checksums must be right after.
func FuzzDeparse(f *testing.F) {
	f.Add([]byte(Eth().IPv4(a4, b4).TCP(1, 2, "S", MSS(1460))), uint64(1))
	f.Add([]byte(Eth().VLAN(5).VLAN(6).IPv4(a4, b4).UDP(1, 2)), uint64(2))
	f.Add([]byte(Eth().IPv6(a6, b6).Ext(wire.ProtoDestOpts, 1, 4).UDP(1, 2)), uint64(3))
	f.Add([]byte(Eth().IPv6(a6, b6).ICMP(128, 0, 1)), uint64(4))
	f.Add([]byte(Eth().IPv4(a4, b4).ICMP(8, 0, 1).Pad(60)), uint64(5))
	f.Add([]byte(Eth().ARP(1, DefaultSrc, a4, DefaultDst, b4)), uint64(6))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		x := parser.New(parser.Config{VerifyChecksums: true})
		p := &datapath.Packet{Data: append(make([]byte, 0, len(b)+8), b...)}
		if x.Process(0, p) == datapath.Drop {
			return
		}
		if t := p.PHV.EtherType; p.PHV.Has(datapath.HdrQinQ) && (t == wire.TypeVLAN || t == wire.TypeQinQ) {
			return // a third tag, which a pop would bring to light
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for _, s := range randomSets(r, p.PHV.Has(datapath.HdrIPv4)) {
			p.SetField(s.f, s.v)
		}
		want := p.PHV
		require.Equal(t, datapath.Continue, deparser.New().Process(0, p))
		require.Zero(t, p.PHV.Dirty)

		again := &datapath.Packet{Data: p.Data}
		require.Equal(t, datapath.Continue, x.Process(0, again), "%v: % x -> % x", again.Reason, b, p.Data)
		got := again.PHV
		require.Equal(t, p.PHV, got, "the PHV describes the frame")
		if want.VLAN == 0 && want.Has(datapath.HdrQinQ) && want.Dirty.Has(datapath.FieldVLAN) {
			want.VLAN = got.VLAN // the inner tag came to light
		}
		got.Dirty, got.Headers, got.L3Off, got.L4Off, got.PayloadOff = want.Dirty, want.Headers, want.L3Off, want.L4Off, want.PayloadOff
		require.Equal(t, want, got)
		tail := int(again.PHV.PayloadOff)
		before := b[int(want.PayloadOff):]
		require.Equal(t, string(before), string(p.Data[tail:]), "the payload is not touched")
	})
}

func TestRandomRewrites(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 5000 {
		v4 := r.IntN(2) == 0
		build := func(src, dst string, sp, dp uint16) Frame {
			f := Eth()
			if v4 {
				f = f.IPv4(src, dst)
			} else {
				f = f.IPv6(src, dst)
			}
			return f.UDP(sp, dp).Payload("some payload")
		}
		src, dst := a4, b4
		if !v4 {
			src, dst = a6, b6
		}
		p := Packet(t, build(src, dst, 1, 2))
		for range 1 + r.IntN(4) {
			s, d := wire.MapIPv4([4]byte{byte(r.Uint32()), 0, 255, byte(r.Uint32())}), wire.MapIPv4([4]byte{255, 255, byte(r.Uint32()), 0})
			if !v4 {
				s[0], d[1] = 0x20, byte(r.Uint32())|1
			}
			sp, dp := r.IntN(1<<16), r.IntN(1<<16)
			p.SetField(datapath.FieldIPSrc, datapath.IPValue(s))
			p.SetField(datapath.FieldIPDst, datapath.IPValue(d))
			p.SetField(datapath.FieldSrcPort, datapath.Uint(uint64(sp)))
			p.SetField(datapath.FieldDstPort, datapath.Uint(uint64(dp)))
			deparser.New().Process(0, p)
			require.Equal(t, []byte(build(wire.FormatIP(s), wire.FormatIP(d), uint16(sp), uint16(dp))), p.Data)
		}
	}
}

func BenchmarkDeparse(b *testing.B) {
	p := Packet(b, Eth().IPv4(a4, b4).TCP(4000, 80, "A").Pad(60))
	d := deparser.New()
	b.ReportAllocs()
	for b.Loop() { // what a NAT changes
		p.SetField(datapath.FieldIPDst, ip4Value)
		p.SetField(datapath.FieldDstPort, datapath.Uint(8080))
		p.SetField(datapath.FieldTTL, datapath.Uint(63))
		d.Process(0, p)
	}
}
