package wire_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
)

func TestSeqWraps(t *testing.T) {
	const top = wire.Seq(0xffffffff)
	require.True(t, top.Before(0))
	require.True(t, wire.Seq(0).After(top))
	require.True(t, top.AtOrBefore(top))
	require.True(t, top.AtOrAfter(top))
	require.False(t, top.Before(top))
	require.Equal(t, wire.Seq(9), top.Add(10))
	require.Equal(t, 10, top.Distance(9))
	require.Equal(t, -10, wire.Seq(9).Distance(top))
	require.True(t, wire.Seq(4).InWindow(top, 6))
	require.False(t, wire.Seq(5).InWindow(top, 6))
	require.False(t, wire.Seq(0xfffffffe).InWindow(top, 6))
	require.Equal(t, wire.Seq(3), top.Max(3))
	require.Equal(t, wire.Seq(3), wire.Seq(3).Max(top))
}

func TestTCPFlagsRoundTrip(t *testing.T) {
	for i := range 256 {
		f, ok := wire.ParseTCPFlags(wire.TCPFlags(i).String())
		require.True(t, ok)
		require.Equal(t, wire.TCPFlags(i), f)
	}
	_, ok := wire.ParseTCPFlags("SX")
	require.False(t, ok)
	require.True(t, (wire.SYN | wire.ACK).Has(wire.SYN))
	require.False(t, wire.SYN.Has(wire.SYN|wire.ACK))
}

func TestMAC(t *testing.T) {
	m, err := wire.ParseMAC("02:00:0a:ff:00:1")
	require.NoError(t, err)
	require.Equal(t, "02:00:0a:ff:00:01", m.String())
	require.Equal(t, uint64(0x02000aff0001), m.Uint64())
	require.Equal(t, m, wire.MACFromUint64(m.Uint64()))
	require.False(t, m.IsMulticast())
	require.True(t, wire.MACFromUint64(0xffffffffffff).IsBroadcast())
	require.True(t, wire.MACFromUint64(0x01005e000001).IsMulticast())
	require.True(t, wire.MAC{}.IsZero())
	for _, bad := range []string{"", "02:00:00:00:00", "02:00:00:00:00:00:00", "02:00:00:00:00:100", "0g:00:00:00:00:00", "02-00-00-00-00-01", "002:0:0:0:0:0"} {
		_, err := wire.ParseMAC(bad)
		require.Error(t, err, bad)
		require.True(t, strings.HasPrefix(err.Error(), "wire: "), err.Error())
	}
}

// Valid is the only guard of the accessors, so each of its bounds has a row.
func TestValidRefuses(t *testing.T) {
	patch := func(b []byte, off int, v ...byte) []byte {
		b = append([]byte(nil), b...)
		copy(b[off:], v)
		return b
	}
	ip4 := patch(make([]byte, 24), 0, 0x45, 0, 0, 24)
	ip6 := patch(make([]byte, 48), 0, 0x60, 0, 0, 0, 0, 8)
	tcp := patch(make([]byte, 24), 12, 0x60)
	udp := patch(make([]byte, 12), 4, 0, 12)
	arp := patch(make([]byte, 28), 0, 0, 1, 8, 0, 6, 4)
	for _, tt := range []struct {
		name string
		got  bool
		want bool
	}{
		{"ethernet", wire.Ethernet(make([]byte, 14)).Valid(), true},
		{"ethernet short", wire.Ethernet(make([]byte, 13)).Valid(), false},
		{"vlan", wire.VLAN(make([]byte, 4)).Valid(), true},
		{"vlan short", wire.VLAN(make([]byte, 3)).Valid(), false},
		{"arp", wire.ARP(arp).Valid(), true},
		{"arp short", wire.ARP(arp[:27]).Valid(), false},
		{"arp shorter than its fixed part", wire.ARP(arp[:7]).Valid(), false},
		{"arp hardware length", wire.ARP(patch(arp, 4, 5)).Valid(), false},
		{"arp protocol length", wire.ARP(patch(arp, 5, 3)).Valid(), false},
		{"arp of another network has other lengths", wire.ARP(patch(arp, 0, 0, 6, 8, 0, 2, 4)).Valid(), true},
		{"arp of another network beyond the slice", wire.ARP(patch(arp, 0, 0, 6, 8, 0, 20, 4)).Valid(), false},
		{"ipv4", wire.IPv4(ip4).Valid(), true},
		{"ipv4 short", wire.IPv4(ip4[:19]).Valid(), false},
		{"ipv4 version", wire.IPv4(patch(ip4, 0, 0x55)).Valid(), false},
		{"ipv4 header below 20", wire.IPv4(patch(ip4, 0, 0x44)).Valid(), false},
		{"ipv4 header is all", wire.IPv4(patch(ip4, 0, 0x46)).Valid(), true},
		{"ipv4 header beyond total", wire.IPv4(patch(ip4, 0, 0x47)).Valid(), false},
		{"ipv4 total beyond slice", wire.IPv4(patch(ip4, 3, 25)).Valid(), false},
		{"ipv6", wire.IPv6(ip6).Valid(), true},
		{"ipv6 short", wire.IPv6(ip6[:39]).Valid(), false},
		{"ipv6 version", wire.IPv6(patch(ip6, 0, 0x40)).Valid(), false},
		{"ipv6 payload beyond slice", wire.IPv6(patch(ip6, 5, 9)).Valid(), false},
		{"tcp", wire.TCP(tcp).Valid(), true},
		{"tcp short", wire.TCP(tcp[:19]).Valid(), false},
		{"tcp offset below 5", wire.TCP(patch(tcp, 12, 0x40)).Valid(), false},
		{"tcp offset beyond slice", wire.TCP(patch(tcp, 12, 0x70)).Valid(), false},
		{"udp", wire.UDP(udp).Valid(), true},
		{"udp short", wire.UDP(udp[:7]).Valid(), false},
		{"udp length below 8", wire.UDP(patch(udp, 5, 7)).Valid(), false},
		{"udp length beyond slice", wire.UDP(patch(udp, 5, 13)).Valid(), false},
		{"icmp", wire.ICMP(make([]byte, 4)).Valid(), true},
		{"icmp short", wire.ICMP(make([]byte, 3)).Valid(), false},
	} {
		require.Equal(t, tt.want, tt.got, tt.name)
	}
}

func TestSettersReadBack(t *testing.T) {
	h := wire.TCP(make([]byte, 20))
	h.SetSrcPort(1)
	h.SetDstPort(2)
	h.SetSeq(3)
	h.SetAck(4)
	h.SetHeaderLen(20)
	h.SetFlags(wire.PSH | wire.ACK)
	h.SetWindow(5)
	h.SetChecksum(6)
	h.SetUrgent(7)
	require.Equal(t, []byte{0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 0x18, 0, 5, 0, 6, 0, 7}, []byte(h))
	require.Equal(t, uint16(6), h.Checksum())
	u := wire.UDP(make([]byte, 9))
	u.SetSrcPort(1)
	u.SetDstPort(2)
	u.SetLength(9)
	u.SetChecksum(4)
	require.Equal(t, []byte{0, 1, 0, 2, 0, 9, 0, 4, 0}, []byte(u))
	require.Equal(t, uint16(4), u.Checksum())
	require.Len(t, u.Payload(), 1)
	i := wire.ICMP(make([]byte, 8))
	i.SetType(3, 4)
	i.SetChecksum(0x0506)
	require.Equal(t, []byte{3, 4, 5, 6, 0, 0, 0, 0}, []byte(i))
	require.Equal(t, uint16(0x0506), i.Checksum())
	require.Equal(t, []uint8{3, 4}, []uint8{i.Type(), i.Code()})
	require.Len(t, i.Body(), 4)
	p := wire.IPv4(make([]byte, 20))
	p.SetVersionIHL(20)
	p.SetTOS(1)
	p.SetTotalLen(20)
	p.SetID(2)
	p.SetFlagsOffset(wire.IPv4MoreFragments | 3)
	p.SetTTL(4)
	p.SetProto(5)
	p.SetSrc([4]byte{6, 7, 8, 9})
	p.SetDst([4]byte{10, 11, 12, 13})
	require.Equal(t, []byte{0x45, 1, 0, 20, 0, 2, 0x20, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 11, 12, 13}, []byte(p))
	require.Equal(t, 24, p.FragmentOffset())
	require.True(t, p.MoreFragments())
	require.Equal(t, 4, p.Version())
	six := wire.IPv6(make([]byte, 40))
	six.SetVersion(1, 2)
	six.SetPayloadLen(3)
	six.SetNextHeader(4)
	six.SetHopLimit(5)
	six.SetSrc([16]byte{15: 6})
	six.SetDst([16]byte{15: 7})
	require.Equal(t, 6, six.Version())
	require.Equal(t, 3, six.PayloadLen())
	require.Equal(t, []byte{0x60, 0x10, 0, 2, 0, 3, 4, 5}, []byte(six[:8]))
	require.Equal(t, [2][16]byte{{15: 6}, {15: 7}}, [2][16]byte{six.Src(), six.Dst()})
}

func TestSourceRouted(t *testing.T) {
	h := func(opts ...byte) wire.IPv4 {
		p := wire.IPv4(make([]byte, 20+len(opts)))
		p.SetVersionIHL(len(p))
		copy(p[20:], opts)
		return p
	}
	require.False(t, h().SourceRouted())
	require.True(t, h(131, 7, 4, 1, 2, 3, 4, 0).SourceRouted(), "loose, one hop to go")
	require.True(t, h(1, 137, 7, 4, 1, 2, 3, 4).SourceRouted(), "strict, behind a NOP")
	require.False(t, h(131, 7, 8, 1, 2, 3, 4, 0).SourceRouted(), "used up")
	require.False(t, h(0, 131, 7, 4, 1, 2, 3, 4).SourceRouted(), "behind the end")
	require.True(t, h(148, 4, 0, 0, 131, 7, 4, 1, 2, 3, 4, 0).SourceRouted(), "behind another option")
	require.False(t, h(131, 99, 4, 1).SourceRouted(), "longer than the options")
	require.False(t, h(131, 0, 4, 1).SourceRouted(), "no length")
	require.False(t, h(1, 1, 1, 131).SourceRouted(), "cut off")
}

func TestWalkIPv6Ext(t *testing.T) {
	hop := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	frag := func(next byte, v uint16) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{next, 0}, v), 1)
	}
	join := func(bs ...[]byte) (out []byte) {
		for _, b := range bs {
			out = append(out, b...)
		}
		return out
	}
	var nine [][]byte
	for range 9 {
		nine = append(nine, hop(wire.ProtoDestOpts))
	}
	for _, tt := range []struct {
		name  string
		proto uint8
		b     []byte
		want  wire.IPv6Chain
		ok    bool
	}{
		{"none", wire.ProtoTCP, nil, wire.IPv6Chain{Proto: wire.ProtoTCP}, true},
		{"no next header", wire.ProtoNoNext, []byte{1}, wire.IPv6Chain{Proto: wire.ProtoNoNext}, true},
		{"hop-by-hop", wire.ProtoHopByHop, hop(wire.ProtoUDP), wire.IPv6Chain{Proto: wire.ProtoUDP, Len: 8, Headers: 1}, true},
		{"cut off", wire.ProtoHopByHop, hop(wire.ProtoUDP)[:7], wire.IPv6Chain{}, false},
		{"cut off before its length", wire.ProtoHopByHop, []byte{6}, wire.IPv6Chain{}, false},
		{"longer than there is", wire.ProtoDestOpts, []byte{6, 1, 0, 0, 0, 0, 0, 0}, wire.IPv6Chain{}, false},
		{"chain", wire.ProtoHopByHop, join(hop(wire.ProtoDestOpts), hop(wire.ProtoTCP), make([]byte, 20)),
			wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 16, Headers: 2}, true},
		{"first fragment", wire.ProtoFragment, join(frag(wire.ProtoTCP, 1), make([]byte, 20)),
			wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 8, Headers: 1, More: true}, true},
		{"later fragment stops", wire.ProtoFragment, frag(wire.ProtoHopByHop, 8),
			wire.IPv6Chain{Proto: wire.ProtoHopByHop, Len: 8, Headers: 1, Fragment: true}, true},
		{"routing, segments left", wire.ProtoRouting, []byte{6, 0, 4, 1, 0, 0, 0, 0},
			wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 8, Headers: 1, Routed: true}, true},
		{"routing, used up", wire.ProtoRouting, []byte{6, 0, 4, 0, 0, 0, 0, 0},
			wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 8, Headers: 1}, true},
		{"authentication", wire.ProtoAH, append([]byte{6, 4}, make([]byte, 22)...),
			wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 24, Headers: 1}, true},
		{"ESP is no extension", wire.ProtoESP, hop(6), wire.IPv6Chain{Proto: wire.ProtoESP}, true},
		{"hop-by-hop not first", wire.ProtoDestOpts, join(hop(wire.ProtoHopByHop), hop(wire.ProtoTCP)),
			wire.IPv6Chain{Proto: wire.ProtoHopByHop, Len: 8, Headers: 1}, true},
		{"nine headers", wire.ProtoDestOpts, join(nine...), wire.IPv6Chain{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := wire.WalkIPv6Ext(tt.proto, tt.b)
			require.Equal(t, tt.ok, ok)
			if ok {
				require.Equal(t, tt.want, got)
			}
		})
	}
}

func TestFillL4ChecksumLeavesAlone(t *testing.T) {
	whole := func() []byte { return udpFrame("payload") }
	edit := func(f func(b []byte) []byte) []byte { return f(whole()) }
	for name, b := range map[string][]byte{
		"empty":             {},
		"runt":              make([]byte, 13),
		"unknown type":      edit(func(b []byte) []byte { b[12] = 0x12; return b }),
		"cut-off tag":       append(whole()[:12], 0x81, 0, 0),
		"cut off":           edit(func(b []byte) []byte { return b[:30] }),
		"later fragment":    edit(func(b []byte) []byte { b[21] = 1; return b }),
		"first fragment":    edit(func(b []byte) []byte { b[20] = 0x20; return b }),
		"lying total":       edit(func(b []byte) []byte { b[17] = 200; return b }),
		"lying UDP length":  edit(func(b []byte) []byte { b[39] = 200; return b }),
		"unknown protocol":  edit(func(b []byte) []byte { b[23] = 132; return b }),
		"ICMPv6 over IPv4":  edit(func(b []byte) []byte { b[23] = 58; return b }),
		"TCP that is short": edit(func(b []byte) []byte { b[23] = 6; return b }),
	} {
		was := append([]byte{}, b...)
		require.False(t, wire.FillL4Checksum(b), name)
		require.Equal(t, was, b, name)
		require.True(t, wire.L4ChecksumOK(b), name)
	}
}

func udpFrame(payload string) []byte {
	b := make([]byte, 14+20+8, 100)
	b[12] = 8
	b = append(b, payload...)
	h := wire.IPv4(b[14:])
	h.SetVersionIHL(20)
	h.SetTotalLen(len(h))
	h.SetProto(wire.ProtoUDP)
	h.SetSrc([4]byte{10, 0, 0, 1})
	h.SetDst([4]byte{10, 0, 0, 2})
	h.FillChecksum()
	wire.UDP(h[20:]).SetLength(len(h) - 20)
	wire.FillL4Checksum(b)
	return b
}

// A UDP sum that comes out as 0 is sent as 0xffff, since 0 means none.
func TestFillL4ChecksumNeverWritesUDPZero(t *testing.T) {
	b := udpFrame("ab")
	sum := binary.BigEndian.Uint16(b[40:])
	word := binary.BigEndian.Uint16(b[42:])
	binary.BigEndian.PutUint16(b[42:], wire.Add16(word, sum)) // now everything sums to 0xffff without a checksum
	require.True(t, wire.FillL4Checksum(b))
	require.Equal(t, uint16(0xffff), binary.BigEndian.Uint16(b[40:]))
	require.True(t, wire.L4ChecksumOK(b))
	b[40], b[41] = 0, 0
	b[43]++
	require.True(t, wire.L4ChecksumOK(b), "no checksum cannot be wrong")
}

// What UDP's own length leaves out is not covered.
func TestFillL4ChecksumUDPLengthBelowIPs(t *testing.T) {
	b := udpFrame("payload")
	want := udpFrame("pay")
	binary.BigEndian.PutUint16(b[38:], 11)
	require.True(t, wire.FillL4Checksum(b))
	require.Equal(t, want[34:45], b[34:45])
}

func FuzzFillL4Checksum(f *testing.F) {
	f.Add(udpFrame("payload"))
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		was := append([]byte{}, b...)
		if !wire.FillL4Checksum(b) {
			require.Equal(t, was, b)
			return
		}
		require.True(t, wire.L4ChecksumOK(b))
		l, _ := wire.FindL4(b)
		b[l.Off+l.SumOff], b[l.Off+l.SumOff+1] = was[l.Off+l.SumOff], was[l.Off+l.SumOff+1]
		require.Equal(t, was, b, "nothing but the checksum changed")
	})
}

func FuzzIPv6Chain(f *testing.F) {
	f.Add(uint8(0), []byte{6, 0, 1, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, proto uint8, b []byte) {
		c, ok := wire.WalkIPv6Ext(proto, b)
		require.LessOrEqual(t, c.Len, len(b))
		require.LessOrEqual(t, c.Headers, wire.MaxIPv6Ext)
		if ok && !c.Fragment && !(c.Proto == wire.ProtoHopByHop && c.Headers > 0) {
			require.False(t, wire.IsIPv6Ext(c.Proto), "the chain is followed to its end")
		}
	})
}
