package datapathtest_test

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/wire"
)

// What the builder makes, gopacket makes again from its own reading of it:
// lengths, protocol numbers and checksums are right.
func TestFramesAgainstGopacket(t *testing.T) {
	for name, f := range map[string]Frame{
		"TCP":           Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA", Seq(1), Ack(2)).Payload("odd"),
		"TCP, options":  Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S", MSS(1460), SACKPermitted(), TS(7, 0), NOP(), WScale(7)),
		"TCP over IPv6": Eth().IPv6("2001:db8::1", "2001:db8::2").TCP(4000, 80, "FA", Win(1)).Payload("even"),
		"UDP in a VLAN": Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").UDP(4001, 4000).Payload("answer"),
		"UDP over IPv6": Eth().IPv6("2001:db8::1", "2001:db8::2").UDP(4001, 4000).Payload("answer"),
		"ICMP":          Eth().IPv4("10.0.0.1", "10.0.0.2").ICMP(8, 0, 0x00010002).Payload("ping"),
		"IPv4 options":  Eth().IPv4("10.0.0.1", "10.0.0.2", 148, 4, 0, 0).UDP(1, 2).Payload("x"),
		"two tags":      Eth().Tag(wire.TypeVLAN, 0x2005).VLAN(6).IPv4("10.0.0.1", "10.0.0.2").UDP(1, 2),
		"ARP":           Eth().ARP(2, DefaultSrc, "10.0.0.1", DefaultDst, "10.0.0.2"),
	} {
		t.Run(name, func(t *testing.T) {
			p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
			require.Nil(t, p.ErrorLayer())
			buf := gopacket.NewSerializeBuffer()
			var ls []gopacket.SerializableLayer
			var network gopacket.NetworkLayer
			for _, l := range p.Layers() {
				switch l := l.(type) {
				case *layers.IPv4:
					network = l
				case *layers.IPv6:
					network = l
				case *layers.TCP:
					require.NoError(t, l.SetNetworkLayerForChecksum(network))
				case *layers.UDP:
					require.NoError(t, l.SetNetworkLayerForChecksum(network))
				}
				if s, ok := l.(gopacket.SerializableLayer); ok {
					ls = append(ls, s)
				}
			}
			opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
			require.NoError(t, gopacket.SerializeLayers(buf, opts, ls...))
			require.Equal(t, buf.Bytes()[:len(f)], []byte(f)) // gopacket pads to 60
		})
	}
}

func TestExtensionHeadersChain(t *testing.T) {
	f := Eth().IPv6("2001:db8::1", "2001:db8::2").Ext(wire.ProtoHopByHop, 1, 4).Ext(wire.ProtoRouting, 4, 0).Frag6(0, false).TCP(1, 2, "S")
	h := wire.IPv6(f[14:])
	require.True(t, h.Valid())
	c, ok := wire.WalkIPv6Ext(h.NextHeader(), h.Payload())
	require.True(t, ok)
	require.Equal(t, wire.IPv6Chain{Proto: wire.ProtoTCP, Len: 24, Headers: 3}, c)
	require.True(t, wire.L4ChecksumOK(f))
	require.Equal(t, 14+40+24, f.L4())
}

// A frame is a value: what comes later does not change what came before.
func TestFramesDoNotShareMemory(t *testing.T) {
	base := Eth().IPv4("10.0.0.1", "10.0.0.2")
	was := append(Frame(nil), base...)
	a, b := base.TCP(1, 2, "S"), base.UDP(3, 4)
	_ = a.TTL(1).Payload("x").BadIPChecksum().BadL4Checksum().Pad(100).Truncate(20)
	require.Equal(t, was, base)
	require.Equal(t, wire.ProtoTCP, wire.IPv4(a[14:]).Proto())
	require.Equal(t, wire.ProtoUDP, wire.IPv4(b[14:]).Proto())
}

func TestLies(t *testing.T) {
	f := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "S").Payload("data")
	ip := func(f Frame) wire.IPv4 { return wire.IPv4(f[14:]) }
	require.False(t, ip(f.BadIPChecksum()).ChecksumOK())
	require.True(t, ip(f.TotalLen(9)).ChecksumOK(), "one lie at a time")
	require.Equal(t, 9, ip(f.TotalLen(9)).TotalLen())
	require.True(t, ip(f.TTL(3)).ChecksumOK())
	require.Equal(t, uint8(3), ip(f.TTL(3)).TTL())
	require.Equal(t, 64, ip(f.Fragment(64, true)).FragmentOffset())
	require.False(t, wire.L4ChecksumOK(f.BadL4Checksum()))
	require.False(t, wire.L4ChecksumOK(f.PartialChecksum()))
	require.True(t, wire.FillL4Checksum(f.PartialChecksum()))
	require.Equal(t, 24, wire.TCP(f.DataOffset(6)[34:]).HeaderLen())
	require.True(t, wire.L4ChecksumOK(f.DataOffset(6)))
	require.Len(t, f.Truncate(-3), len(f)-3)
	require.Equal(t, byte(7), f.Patch(-1, 7)[len(f)-1])
	require.Equal(t, uint8(9), wire.IPv6(Eth().IPv6("::1", "::2").TTL(9)[14:]).HopLimit())
}

func TestPanicsAreForTestsThatAreWrong(t *testing.T) {
	require.Panics(t, func() { Eth("no") })
	require.Panics(t, func() { Eth().IPv4("::1", "10.0.0.1") })
	require.Panics(t, func() { Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "X") })
	require.Panics(t, func() { Eth().IPv4("10.0.0.1", "10.0.0.2").PartialChecksum() })
	require.Equal(t, datapath.HdrEthernet, Packet(t, Eth()).PHV.Headers)
}
