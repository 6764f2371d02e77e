package wire_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
)

// serialize builds a frame with gopacket: lengths and checksums are its.
func serialize(t testing.TB, ls ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...)
	require.NoError(t, err)
	return buf.Bytes()
}

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	macB = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func eth(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: t}
}

func ipv4(p layers.IPProtocol, opts ...layers.IPv4Option) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 63, TOS: 0x2e, Id: 77, Flags: layers.IPv4DontFragment, Protocol: p,
		SrcIP: net.IP{10, 1, 2, 3}, DstIP: net.IP{192, 168, 255, 254}, Options: opts}
}

func ipv6(p layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 61, TrafficClass: 0x5a, FlowLabel: 0xabcde, NextHeader: p,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("fe80::ffff:2")}
}

func TestEthernetAndVLANAgainstGopacket(t *testing.T) {
	f := serialize(t, eth(layers.EthernetTypeDot1Q),
		&layers.Dot1Q{VLANIdentifier: 0xabc, Priority: 5, Type: layers.EthernetTypeIPv4}, ipv4(layers.IPProtocolUDP))
	e := wire.Ethernet(f)
	require.True(t, e.Valid())
	require.Equal(t, wire.MAC(macA), e.Src())
	require.Equal(t, wire.MAC(macB), e.Dst())
	require.Equal(t, wire.TypeVLAN, e.Type())
	v := wire.VLAN(e.Payload())
	require.True(t, v.Valid())
	require.Equal(t, uint16(0xabc), v.ID())
	require.Equal(t, uint8(5), v.Priority())
	require.Equal(t, wire.TypeIPv4, v.Type())
	require.True(t, wire.IPv4(v.Payload()).Valid())
	v.SetID(7)
	require.Equal(t, uint8(5), v.Priority(), "the priority stays")
	require.Equal(t, uint16(7), v.ID())
}

func TestARPAgainstGopacket(t *testing.T) {
	f := serialize(t, eth(layers.EthernetTypeARP), &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: layers.ARPReply, SourceHwAddress: macA, SourceProtAddress: []byte{10, 0, 0, 1},
		DstHwAddress: macB, DstProtAddress: []byte{10, 0, 0, 2}})
	a := wire.ARP(wire.Ethernet(f).Payload())
	require.True(t, a.Valid())
	require.True(t, a.IsIPv4())
	require.Equal(t, wire.ARPReply, a.Op())
	require.Equal(t, wire.MAC(macA), a.SenderMAC())
	require.Equal(t, [4]byte{10, 0, 0, 1}, a.SenderIP())
	require.Equal(t, wire.MAC(macB), a.TargetMAC())
	require.Equal(t, [4]byte{10, 0, 0, 2}, a.TargetIP())
	built := wire.ARP(make([]byte, wire.ARPLen))
	built.Init(wire.ARPReply)
	built.SetSender(wire.MAC(macA), [4]byte{10, 0, 0, 1})
	built.SetTarget(wire.MAC(macB), [4]byte{10, 0, 0, 2})
	require.Equal(t, []byte(a[:wire.ARPLen]), []byte(built))
}

func TestIPv4AgainstGopacket(t *testing.T) {
	f := serialize(t, eth(layers.EthernetTypeIPv4),
		ipv4(layers.IPProtocolUDP, layers.IPv4Option{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}),
		gopacket.Payload("hello"))
	h := wire.IPv4(f[14:])
	require.True(t, h.Valid())
	require.Equal(t, 24, h.HeaderLen())
	require.Equal(t, 29, h.TotalLen())
	require.Equal(t, "hello", string(h.Payload()))
	require.Equal(t, []byte{148, 4, 0, 0}, h.Options())
	require.Equal(t, uint8(0x2e), h.TOS())
	require.Equal(t, uint16(77), h.ID())
	require.Equal(t, uint8(63), h.TTL())
	require.Equal(t, wire.ProtoUDP, h.Proto())
	require.Equal(t, [4]byte{10, 1, 2, 3}, h.Src())
	require.Equal(t, [4]byte{192, 168, 255, 254}, h.Dst())
	require.False(t, h.MoreFragments())
	require.Zero(t, h.FragmentOffset())
	require.True(t, h.ChecksumOK())
	want := h.Checksum()
	h.SetChecksum(0xdead)
	require.False(t, h.ChecksumOK())
	h.FillChecksum()
	require.Equal(t, want, h.Checksum())
}

func TestIPv6AgainstGopacket(t *testing.T) {
	f := serialize(t, eth(layers.EthernetTypeIPv6), ipv6(layers.IPProtocolUDP), gopacket.Payload("hello"))
	h := wire.IPv6(f[14:])
	require.True(t, h.Valid())
	require.Equal(t, uint8(0x5a), h.TrafficClass())
	require.Equal(t, uint32(0xabcde), h.FlowLabel())
	require.Equal(t, uint8(61), h.HopLimit())
	require.Equal(t, "hello", string(h.Payload()))
	require.Equal(t, "2001:db8::1", wire.FormatIP(h.Src()))
	require.Equal(t, "fe80::ffff:2", wire.FormatIP(h.Dst()))
	class, label := h.TrafficClass(), h.FlowLabel()
	was := append([]byte(nil), f...)
	h.SetVersion(class, label)
	require.Equal(t, was, f)
}

func TestTCPAgainstGopacket(t *testing.T) {
	l3 := ipv4(layers.IPProtocolTCP)
	l4 := &layers.TCP{SrcPort: 4000, DstPort: 80, Seq: 0xfffffff0, Ack: 7, SYN: true, ACK: true, CWR: true, Window: 501, Urgent: 9,
		Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}},
			{OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{9}},
			{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 1, 0, 0, 0, 0, 2}},
		}}
	require.NoError(t, l4.SetNetworkLayerForChecksum(l3))
	f := serialize(t, eth(layers.EthernetTypeIPv4), l3, l4, gopacket.Payload("GET /"))
	h := wire.TCP(wire.IPv4(f[14:]).Payload())
	require.True(t, h.Valid())
	require.Equal(t, uint16(4000), h.SrcPort())
	require.Equal(t, uint16(80), h.DstPort())
	require.Equal(t, wire.Seq(0xfffffff0), h.Seq())
	require.Equal(t, wire.Seq(7), h.Ack())
	require.Equal(t, wire.SYN|wire.ACK|wire.CWR, h.Flags())
	require.Equal(t, "SAC", h.Flags().String())
	require.Equal(t, uint16(501), h.Window())
	require.Equal(t, uint16(9), h.Urgent())
	require.Equal(t, "GET /", string(h.Payload()))
	require.Equal(t, wire.TCPSynOptions{MSS: 1460, WindowScale: 9, SACKPermitted: true, Timestamps: true, TSVal: 256, TSEcr: 2}, h.SynOptions())
}

// Every checksum that gopacket computes must be right for us, and one that is
// overwritten must come back.
func TestFillL4ChecksumAgainstGopacket(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 3000 {
		payload := make([]byte, r.IntN(1461))
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		f := randomFrame(t, r, payload)
		if r.IntN(2) == 0 {
			f = append(f, make([]byte, r.IntN(8))...) // padding is not covered
		}
		want := append([]byte(nil), f...)
		l, ok := wire.FindL4(f)
		require.True(t, ok)
		require.True(t, wire.L4ChecksumOK(f))
		at := l.Off + l.SumOff
		switch r.IntN(3) {
		case 0: // what a sender with checksum offload leaves
			f[at], f[at+1] = byte(l.Pseudo>>8), byte(l.Pseudo)
		case 1:
			f[at], f[at+1] = byte(r.Uint32()), byte(r.Uint32())
		}
		require.True(t, wire.FillL4Checksum(f))
		require.Equal(t, want, f)
		f[l.Off+l.Len-1] ^= 0x10
		require.False(t, wire.L4ChecksumOK(f))
	}
}

func randomFrame(t testing.TB, r *rand.Rand, payload []byte) []byte {
	type l3 interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	v6 := r.IntN(2) == 0
	proto := []layers.IPProtocol{layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolICMPv4}[r.IntN(3)]
	if v6 && proto == layers.IPProtocolICMPv4 {
		proto = layers.IPProtocolICMPv6
	}
	var ip l3 = ipv4(proto)
	typ := layers.EthernetTypeIPv4
	if v6 {
		ip, typ = ipv6(proto), layers.EthernetTypeIPv6
	}
	var ls []gopacket.SerializableLayer
	if r.IntN(3) == 0 {
		ls = append(ls, eth(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: uint16(r.IntN(4095)), Type: typ})
	} else {
		ls = append(ls, eth(typ))
	}
	ls = append(ls, ip)
	switch proto {
	case layers.IPProtocolTCP:
		l := &layers.TCP{SrcPort: layers.TCPPort(r.Uint32()), DstPort: 80, Seq: r.Uint32(), ACK: true, Window: 1000}
		require.NoError(t, l.SetNetworkLayerForChecksum(ip))
		ls = append(ls, l)
	case layers.IPProtocolUDP:
		l := &layers.UDP{SrcPort: layers.UDPPort(r.Uint32()), DstPort: 53}
		require.NoError(t, l.SetNetworkLayerForChecksum(ip))
		ls = append(ls, l)
	case layers.IPProtocolICMPv4:
		ls = append(ls, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 3, Seq: 4})
	default:
		l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
		require.NoError(t, l.SetNetworkLayerForChecksum(ip))
		ls = append(ls, l, &layers.ICMPv6Echo{Identifier: 1, SeqNumber: 2})
	}
	return append([]byte(nil), serialize(t, append(ls, gopacket.Payload(payload))...)...)
}

func TestParseIPAgainstNetip(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0", "255.255.255.255", "10.0.0.1", "::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7:8", "1:0:0:2:0:0:0:3",
		"::ffff:10.0.0.1", "64:ff9b::1.2.3.4", "fe80::1:0:0", "1:2:3:4:5:6:7::", "0:0:1::", "1::2:0:0:3",
		"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", ":", ":::", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::", "1:", ":1", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", "+1::", "1.2.-3.4",
	} {
		want, wantErr := netip.ParseAddr(s)
		if wantErr == nil && want.Zone() != "" {
			wantErr = net.InvalidAddrError("zones are not for us")
		}
		got, err := wire.ParseIP(s)
		require.Equal(t, wantErr == nil, err == nil, "%q: %v, netip %v", s, err, wantErr)
		if err == nil {
			require.Equal(t, want.As16(), got, s)
			require.Equal(t, want.Unmap().String(), wire.FormatIP(got), s)
		}
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 5000 {
		var a [16]byte
		for i := range a {
			a[i] = byte(r.Uint32()) * byte(r.IntN(2))
		}
		s := netip.AddrFrom16(a).Unmap().String()
		require.Equal(t, s, wire.FormatIP(a))
		got, err := wire.ParseIP(s)
		require.NoError(t, err)
		require.Equal(t, a, got)
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add("1::2")
	f.Add("1.2.3.4")
	f.Fuzz(func(t *testing.T, s string) {
		want, wantErr := netip.ParseAddr(s)
		got, err := wire.ParseIP(s)
		if wantErr == nil && want.Zone() != "" {
			wantErr = net.InvalidAddrError("zone")
		}
		if (wantErr == nil) != (err == nil) || err == nil && got != want.As16() {
			t.Fatalf("ParseIP(%q) = %v, %v; netip %v, %v", s, got, err, want, wantErr)
		}
	})
}
