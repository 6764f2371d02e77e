package parser_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/wire"
)

// randomFrame is one of the frames that the builder can make.
func randomFrame(r *rand.Rand) Frame {
	f := Eth()
	for range r.IntN(3) {
		f = f.Tag([]uint16{wire.TypeVLAN, wire.TypeQinQ}[r.IntN(2)], uint16(r.Uint32()))
	}
	switch r.IntN(8) {
	case 0:
		return f.ARP(uint16(1+r.IntN(2)), DefaultSrc, src4, DefaultDst, dst4)
	case 1, 2, 3:
		f = f.IPv6(src6, dst6)
		if r.IntN(4) == 0 {
			f = f.Ext(wire.ProtoHopByHop, 1, 0, 0, 0)
		}
		for range r.IntN(3) {
			f = f.Ext([]uint8{wire.ProtoDestOpts, wire.ProtoRouting}[r.IntN(2)], 1, 0, 0, 0)
		}
		if r.IntN(4) == 0 {
			f = f.Frag6(r.IntN(3)*8, r.IntN(2) == 0)
		}
	default:
		var opts []byte
		if r.IntN(3) == 0 {
			opts = []byte{1, 1, 1, 0}
		}
		f = f.IPv4(src4, dst4, opts...)
	}
	switch r.IntN(4) {
	case 0:
		f = f.UDP(uint16(r.Uint32()), uint16(r.Uint32()))
	case 1:
		f = f.ICMP(8, 0, r.Uint32())
	case 2:
		f = f.Proto(uint8(200 + r.IntN(50)))
	default:
		f = f.TCP(uint16(r.Uint32()), uint16(r.Uint32()), "PA", Seq(r.Uint32()), Ack(r.Uint32()), Win(uint16(r.Uint32())), TS(1, 2))
	}
	f = f.Payload(string(make([]byte, r.IntN(64))))
	if r.IntN(3) == 0 {
		f = f.Pad(len(f) + r.IntN(20))
	}
	return f
}

// agree holds our parse of a frame against gopacket's. Where gopacket finds a
// header that the parse graph knows, we must have found it, with the same
// fields, unless we dropped the frame.
func agree(t testing.TB, f []byte) {
	p := &datapath.Packet{Data: f}
	if parser.New(parser.Config{}).Process(0, p) == datapath.Drop {
		return
	}
	h := &p.PHV
	inside(t, p)
	if h.Has(datapath.HdrIPv6) && wire.IPv6(f[h.L3Off:]).NextHeader() == wire.ProtoHopByHop {
		// gopacket cuts the padding off as if the payload length began behind
		// this header: it would keep as much padding as the header is long.
		f = f[:int(h.L3Off)+wire.IPv6Len+wire.IPv6(f[h.L3Off:]).PayloadLen()]
	}
	g := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	e := g.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	require.Equal(t, wire.MAC(e.SrcMAC), h.EthSrc)
	require.Equal(t, wire.MAC(e.DstMAC), h.EthDst)
	all := g.Layers()
	for i, l := range all[1:] {
		switch l.LayerType() {
		case layers.LayerTypeIPv4, layers.LayerTypeIPv6, layers.LayerTypeARP:
			if t := all[i].LayerType(); t != layers.LayerTypeEthernet && t != layers.LayerTypeDot1Q {
				return // a tunnel
			}
		case layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Destination, layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Fragment:
			if !h.Has(datapath.HdrIPv6) || l.LayerType() == layers.LayerTypeIPv6HopByHop && all[i].LayerType() != layers.LayerTypeIPv6 {
				return // in a place that is not theirs
			}
		}
		switch l := l.(type) {
		case *layers.Dot1Q:
			if i == 0 && e.EthernetType == layers.EthernetTypeDot1Q {
				require.True(t, h.Has(datapath.HdrVLAN))
				require.Equal(t, l.VLANIdentifier, h.VLAN)
			}
			if i >= 2 {
				return // a third tag is not for us
			}
		case *layers.ARP:
			require.True(t, h.Has(datapath.HdrARP))
		case *layers.IPv4:
			require.True(t, h.Has(datapath.HdrIPv4))
			require.Equal(t, wire.MapIPv4([4]byte(l.SrcIP.To4())), h.IPSrc)
			require.Equal(t, wire.MapIPv4([4]byte(l.DstIP.To4())), h.IPDst)
			require.Equal(t, l.TTL, h.TTL)
			require.Equal(t, uint8(l.Protocol), h.Proto)
			require.Equal(t, int(l.IHL)*4, int(h.L4Off-h.L3Off))
			require.Equal(t, l.FragOffset != 0, h.Has(datapath.HdrFragment))
			if h.Has(datapath.HdrFragment) {
				return
			}
		case *layers.IPv6:
			require.True(t, h.Has(datapath.HdrIPv6))
			require.Equal(t, [16]byte(l.SrcIP.To16()), h.IPSrc)
			require.Equal(t, [16]byte(l.DstIP.To16()), h.IPDst)
			require.Equal(t, l.HopLimit, h.TTL)
		case *layers.IPv6Fragment:
			require.Equal(t, l.FragmentOffset != 0, h.Has(datapath.HdrFragment))
			return // gopacket stops here
		case *layers.TCP:
			require.True(t, h.Has(datapath.HdrTCP))
			require.Equal(t, uint16(l.SrcPort), h.SrcPort)
			require.Equal(t, uint16(l.DstPort), h.DstPort)
			require.Equal(t, wire.Seq(l.Seq), h.TCPSeq)
			require.Equal(t, wire.Seq(l.Ack), h.TCPAck)
			require.Equal(t, l.Window, h.TCPWindow)
			require.Equal(t, l.SYN, h.TCPFlags.Has(wire.SYN))
			require.Equal(t, l.FIN, h.TCPFlags.Has(wire.FIN))
			require.Equal(t, l.RST, h.TCPFlags.Has(wire.RST))
			require.Equal(t, l.ACK, h.TCPFlags.Has(wire.ACK))
			require.Equal(t, int(h.PayloadLen), len(l.Payload))
			return
		case *layers.UDP:
			require.True(t, h.Has(datapath.HdrUDP))
			require.Equal(t, uint16(l.SrcPort), h.SrcPort)
			require.Equal(t, uint16(l.DstPort), h.DstPort)
			require.Equal(t, int(h.PayloadLen), len(l.Payload))
			return
		case *layers.ICMPv4: // over IPv6 it is not known
			require.Equal(t, h.Has(datapath.HdrIPv4), h.Has(datapath.HdrICMP))
			return
		case *layers.ICMPv6: // nor this over IPv4
			require.Equal(t, h.Has(datapath.HdrIPv6), h.Has(datapath.HdrICMP))
			return
		case *gopacket.DecodeFailure:
			return
		case *layers.IPv6HopByHop, *layers.IPv6Destination, *layers.IPv6Routing:
			require.True(t, h.Has(datapath.HdrIPv6Ext))
		default:
			return // a protocol that the graph does not know
		}
	}
}

func TestAgainstGopacket(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 20000 {
		f := randomFrame(r)
		p, v := parse(t, f, true)
		require.Equal(t, datapath.Continue, v, "%v: % x", p.Reason, []byte(f))
		agree(t, f)
		for range r.IntN(3) { // and with bits flipped
			f = f.Patch(r.IntN(len(f)), byte(r.Uint32()))
			agree(t, f)
		}
	}
}

func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(6, 6))
	for range 50 {
		f.Add([]byte(randomFrame(r)), false, uint16(0))
	}
	f.Add([]byte(tcp4().TotalLen(0)), true, uint16(1448))
	f.Add([]byte(Eth().IPv6(src6, dst6).Ext(wire.ProtoHopByHop, 1, 0, 0, 0).TCP(4000, 80, "PA").Pad(90)), false, uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, partial bool, gso uint16) {
		was := append([]byte{}, b...)
		for _, verify := range []bool{false, true} {
			p := &datapath.Packet{Data: b, CsumPartial: partial, GSOSize: gso}
			x := parser.New(parser.Config{VerifyChecksums: verify})
			v := x.Process(0, p)
			require.Equal(t, v == datapath.Drop, p.Reason != datapath.DropNone)
			inside(t, p)
			again := &datapath.Packet{Data: b, CsumPartial: partial, GSOSize: gso}
			require.Equal(t, v, x.Process(1, again))
			require.Equal(t, p.PHV, again.PHV, "the same frame parses the same")
			if verify && v == datapath.Continue && !partial && gso == 0 {
				require.True(t, wire.L4ChecksumOK(b), "FillL4Checksum and the parser agree on what is covered")
			}
		}
		require.Equal(t, was, b, "parsing changes nothing")
		if gso == 0 {
			agree(t, b)
		}
	})
}
