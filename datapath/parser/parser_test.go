package parser_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/wire"
)

const (
	eth  = datapath.HdrEthernet
	ip4  = eth | datapath.HdrIPv4
	ip6  = eth | datapath.HdrIPv6
	src4 = "10.0.0.1"
	dst4 = "10.0.0.2"
	src6 = "2001:db8::1"
	dst6 = "2001:db8::2"
)

func tcp4() Frame { return Eth().IPv4(src4, dst4).TCP(4000, 80, "PA", Seq(7), Ack(9)).Payload("GET /") }
func tcp6() Frame { return Eth().IPv6(src6, dst6).TCP(4000, 80, "PA", Seq(7), Ack(9)).Payload("GET /") }
func udp4() Frame { return Eth().IPv4(src4, dst4).UDP(4000, 53).Payload("query") }
func udp6() Frame { return Eth().IPv6(src6, dst6).UDP(4000, 53).Payload("query") }

func parse(t testing.TB, f Frame, verify bool) (*datapath.Packet, datapath.Verdict) {
	p := &datapath.Packet{Data: f}
	p.PHV.SrcPort, p.PHV.VLAN, p.PHV.IPSrc[3] = 1, 2, 3 // of the packet before
	v := parser.New(parser.Config{VerifyChecksums: verify}).Process(0, p)
	require.Equal(t, v == datapath.Drop, p.Reason != datapath.DropNone)
	return p, v
}

// The whole PHV, so that a field of a header that is not there would show.
func TestParseFillsThePHV(t *testing.T) {
	link := datapath.PHV{EthDst: MAC(DefaultDst), EthSrc: MAC(DefaultSrc)}
	with := func(f func(h *datapath.PHV)) datapath.PHV { h := link; f(&h); return h }
	l4 := func(h *datapath.PHV) {
		h.IPSrc, h.IPDst, h.TTL = IP(src4), IP(dst4), DefaultTTL
		h.SrcPort, h.DstPort = 4000, 80
		h.Proto, h.TCPFlags, h.TCPSeq, h.TCPAck, h.TCPWindow = wire.ProtoTCP, wire.PSH|wire.ACK, 7, 9, DefaultWindow
		h.PayloadLen = 5
	}
	for _, tt := range []struct {
		name string
		in   Frame
		want datapath.PHV
	}{
		{"TCP over IPv4", tcp4(), with(func(h *datapath.PHV) {
			l4(h)
			h.Headers, h.EtherType = ip4|datapath.HdrTCP, wire.TypeIPv4
			h.L3Off, h.L4Off, h.PayloadOff = 14, 34, 54
		})},
		{"TCP over IPv6", tcp6(), with(func(h *datapath.PHV) {
			l4(h)
			h.IPSrc, h.IPDst = IP(src6), IP(dst6)
			h.Headers, h.EtherType = ip6|datapath.HdrTCP, wire.TypeIPv6
			h.L3Off, h.L4Off, h.PayloadOff = 14, 54, 74
		})},
		{"UDP in a VLAN", Eth().VLAN(5).IPv4(src4, dst4).UDP(4000, 53).Payload("query"), with(func(h *datapath.PHV) {
			h.Headers, h.EtherType, h.VLAN = ip4|datapath.HdrVLAN|datapath.HdrUDP, wire.TypeIPv4, 5
			h.IPSrc, h.IPDst, h.TTL, h.Proto = IP(src4), IP(dst4), DefaultTTL, wire.ProtoUDP
			h.SrcPort, h.DstPort, h.PayloadLen = 4000, 53, 5
			h.L3Off, h.L4Off, h.PayloadOff = 18, 38, 46
		})},
		{"two tags: VLAN is the outer", Eth().Tag(wire.TypeQinQ, 0x6007).VLAN(5).IPv4(src4, dst4).ICMP(8, 0, 1), with(func(h *datapath.PHV) {
			h.Headers, h.EtherType, h.VLAN = ip4|datapath.HdrVLAN|datapath.HdrQinQ|datapath.HdrICMP, wire.TypeIPv4, 7
			h.IPSrc, h.IPDst, h.TTL, h.Proto = IP(src4), IP(dst4), DefaultTTL, wire.ProtoICMP
			h.L3Off, h.L4Off, h.PayloadOff, h.PayloadLen = 22, 42, 46, 4
		})},
		{"ARP", Eth().ARP(wire.ARPRequest, DefaultSrc, src4, "00:00:00:00:00:00", dst4).Pad(60), with(func(h *datapath.PHV) {
			h.Headers, h.EtherType = eth|datapath.HdrARP, wire.TypeARP
			h.L3Off, h.L4Off, h.PayloadOff, h.PayloadLen = 14, 14, 14, 46
		})},
		{"IPv6 extension headers", Eth().IPv6(src6, dst6).Ext(wire.ProtoHopByHop, 1, 4).Ext(wire.ProtoDestOpts, 1, 4).UDP(1, 2), with(func(h *datapath.PHV) {
			h.Headers, h.EtherType = ip6|datapath.HdrIPv6Ext|datapath.HdrUDP, wire.TypeIPv6
			h.IPSrc, h.IPDst, h.TTL, h.Proto = IP(src6), IP(dst6), DefaultTTL, wire.ProtoUDP
			h.SrcPort, h.DstPort = 1, 2
			h.L3Off, h.L4Off, h.PayloadOff = 14, 70, 78
		})},
		{"unknown EtherType", Eth().EtherType(0x88cc).Payload("lldp"), with(func(h *datapath.PHV) {
			h.Headers, h.EtherType = eth, 0x88cc
			h.L3Off, h.L4Off, h.PayloadOff, h.PayloadLen = 14, 14, 14, 4
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, v := parse(t, tt.in, true)
			require.Equal(t, datapath.Continue, v, p.Reason)
			require.Equal(t, tt.want, p.PHV)
		})
	}
}

// One row a line of the package comment.
func TestRules(t *testing.T) {
	chain := func(n int) Frame {
		f := Eth().IPv6(src6, dst6)
		for range n {
			f = f.Ext(wire.ProtoDestOpts, 1, 4)
		}
		return f.UDP(1, 2)
	}
	none, drop := datapath.DropNone, func(r datapath.DropReason) datapath.DropReason { return r }
	for _, tt := range []struct {
		name    string
		in      Frame
		reason  datapath.DropReason
		headers datapath.Header
		payload int // bytes; of packets that pass
	}{
		{"no bytes", Frame{}, drop(datapath.DropRunt), 0, 0},
		{"13 bytes", Eth().Truncate(13), drop(datapath.DropRunt), 0, 0},
		{"14 bytes", Eth(), none, eth, 0},
		{"55 bytes, not padded", Eth().IPv4(src4, dst4).TCP(1, 2, "A").Payload("x"), none, ip4 | datapath.HdrTCP, 1},
		{"padding is no payload", Eth().IPv4(src4, dst4).TCP(1, 2, "A").Pad(60), none, ip4 | datapath.HdrTCP, 0},
		{"padding behind IPv6", udp6().Pad(200), none, ip6 | datapath.HdrUDP, 5},
		{"802.3 length", Eth().EtherType(46).Payload("llc"), none, eth, 3},

		{"tag cut off", Eth().VLAN(5).Truncate(-1), drop(datapath.DropVLANTruncated), eth, 0},
		{"second tag cut off", Eth().VLAN(5).VLAN(6).Truncate(-1), drop(datapath.DropVLANTruncated), eth | datapath.HdrVLAN, 0},
		{"third tag", Eth().VLAN(5).VLAN(6).VLAN(7).IPv4(src4, dst4), none, eth | datapath.HdrVLAN | datapath.HdrQinQ, 24},
		{"priority tag", Eth().Tag(wire.TypeVLAN, 0xe000).IPv4(src4, dst4).UDP(1, 2), none, ip4 | datapath.HdrVLAN | datapath.HdrUDP, 0},

		{"ARP cut off", Eth().ARP(1, DefaultSrc, src4, DefaultDst, dst4).Truncate(-1), drop(datapath.DropARPMalformed), eth, 0},
		{"ARP hardware length", Eth().ARP(1, DefaultSrc, src4, DefaultDst, dst4).Patch(18, 8), drop(datapath.DropARPMalformed), eth, 0},
		{"ARP protocol length", Eth().ARP(1, DefaultSrc, src4, DefaultDst, dst4).Patch(19, 16), drop(datapath.DropARPMalformed), eth, 0},
		{"ARP operation 9", Eth().ARP(9, DefaultSrc, src4, DefaultDst, dst4), none, eth | datapath.HdrARP, 28},
		{"ARP of another network", Eth().ARP(1, DefaultSrc, src4, DefaultDst, dst4).Patch(14, 0, 6), none, eth | datapath.HdrARP, 28},

		{"IPv4 cut off", tcp4().Truncate(33), drop(datapath.DropIPTruncated), eth, 0},
		{"IPv4, nothing there", Eth().EtherType(wire.TypeIPv4), drop(datapath.DropIPTruncated), eth, 0},
		{"IPv4 says version 6", tcp4().Patch(14, 0x65), drop(datapath.DropIPVersion), eth, 0},
		{"IHL 4", tcp4().IHL(4), drop(datapath.DropIPHeaderLen), eth, 0},
		{"IHL beyond the total length", Eth().IPv4(src4, dst4).Payload("1234").IHL(15), drop(datapath.DropIPHeaderLen), eth, 0},
		{"total length 19", tcp4().TotalLen(19), drop(datapath.DropIPLength), eth, 0},
		{"total length 0", tcp4().TotalLen(0), drop(datapath.DropIPLength), eth, 0},
		{"total length beyond the frame", tcp4().TotalLen(46), drop(datapath.DropIPLength), eth, 0},
		{"header checksum", tcp4().BadIPChecksum(), drop(datapath.DropIPChecksum), eth, 0},
		{"header checksum with options", Eth().IPv4(src4, dst4, 1, 1, 1, 1).UDP(1, 2).BadIPChecksum(), drop(datapath.DropIPChecksum), eth, 0},
		{"options", Eth().IPv4(src4, dst4, 7, 3, 4, 0).UDP(1, 2), none, ip4 | datapath.HdrUDP, 0},
		{"options that do not parse", Eth().IPv4(src4, dst4, 7, 99, 4, 0).UDP(1, 2), none, ip4 | datapath.HdrUDP, 0},
		{"unknown protocol", Eth().IPv4(src4, dst4).Proto(132).Payload("sctp"), none, ip4, 4},
		{"ICMPv6 over IPv4", Eth().IPv4(src4, dst4).Proto(58).Payload("four"), none, ip4, 4},
		{"TTL 0", tcp4().TTL(0), none, ip4 | datapath.HdrTCP, 5},
		{"source is the destination", Eth().IPv4(src4, src4).UDP(1, 1), none, ip4 | datapath.HdrUDP, 0},

		{"IPv6 cut off", tcp6().Truncate(53), drop(datapath.DropIPTruncated), eth, 0},
		{"IPv6 says version 4", tcp6().Patch(14, 0x45), drop(datapath.DropIPVersion), eth, 0},
		{"payload length beyond the frame", tcp6().TotalLen(26), drop(datapath.DropIPLength), eth, 0},
		{"payload length 0 with TCP", tcp6().TotalLen(0), drop(datapath.DropL4Truncated), ip6, 0},
		{"extension header cut off", chain(1).TotalLen(7), drop(datapath.DropIPExtChain), ip6, 0},
		{"extension header longer than the packet", chain(1).Patch(55, 9), drop(datapath.DropIPExtChain), ip6, 0},
		{"eight extension headers", chain(8), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrUDP, 0},
		{"nine extension headers", chain(9), drop(datapath.DropIPExtChain), ip6 | datapath.HdrIPv6Ext, 0},
		{"hop-by-hop options not first", Eth().IPv6(src6, dst6).Ext(wire.ProtoDestOpts, 1, 4).Ext(wire.ProtoHopByHop, 1, 4), none, ip6 | datapath.HdrIPv6Ext, 8},
		{"no next header", Eth().IPv6(src6, dst6).Payload("ignored"), none, ip6, 7},
		{"ESP", Eth().IPv6(src6, dst6).Proto(wire.ProtoESP).Payload("secret"), none, ip6, 6},
		{"authentication header", Eth().IPv6(src6, dst6).Ext(wire.ProtoAH, make([]byte, 22)...).UDP(1, 2), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrUDP, 0},

		{"later fragment", tcp4().Fragment(8, true), none, ip4 | datapath.HdrFragment | datapath.HdrMoreFragments, 25},
		{"last fragment", tcp4().Fragment(1480, false), none, ip4 | datapath.HdrFragment, 25},
		{"first fragment", tcp4().Fragment(0, true), none, ip4 | datapath.HdrTCP | datapath.HdrMoreFragments, 5},
		{"first fragment, sum covers more", udp4().Fragment(0, true).BadL4Checksum(), none, ip4 | datapath.HdrUDP | datapath.HdrMoreFragments, 5},
		{"first fragment, UDP length covers more", udp4().UDPLen(3000).Fragment(0, true), none, ip4 | datapath.HdrUDP | datapath.HdrMoreFragments, 5},
		{"first fragment, half a header", Eth().IPv4(src4, dst4).Proto(wire.ProtoTCP).Payload("8 bytes.").Fragment(0, true), drop(datapath.DropL4Truncated), ip4 | datapath.HdrMoreFragments, 0},
		{"IPv6 later fragment", Eth().IPv6(src6, dst6).Frag6(1232, false).Proto(wire.ProtoUDP).Payload("rest"), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrFragment, 4},
		{"IPv6 first fragment", Eth().IPv6(src6, dst6).Frag6(0, true).UDP(1, 2).BadL4Checksum(), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrUDP | datapath.HdrMoreFragments, 0},
		{"IPv6 atomic fragment", Eth().IPv6(src6, dst6).Frag6(0, false).UDP(1, 2), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrUDP, 0},

		{"TCP cut off", Eth().IPv4(src4, dst4).Proto(wire.ProtoTCP).Payload(strings.Repeat("x", 19)), drop(datapath.DropL4Truncated), ip4, 0},
		{"UDP cut off", Eth().IPv4(src4, dst4).Proto(wire.ProtoUDP).Payload("7 bytes"), drop(datapath.DropL4Truncated), ip4, 0},
		{"ICMP cut off", Eth().IPv4(src4, dst4).Proto(wire.ProtoICMP).Payload("abc"), drop(datapath.DropL4Truncated), ip4, 0},
		{"ICMPv6 cut off", Eth().IPv6(src6, dst6).Proto(wire.ProtoICMPv6).Payload("abc"), drop(datapath.DropL4Truncated), ip6, 0},
		{"data offset 4", tcp4().DataOffset(4), drop(datapath.DropTCPHeaderLen), ip4, 0},
		{"data offset beyond the packet", tcp4().Pad(80).DataOffset(7), drop(datapath.DropTCPHeaderLen), ip4, 0},
		{"TCP options that do not parse", Eth().IPv4(src4, dst4).TCP(1, 2, "S", Raw(2, 0, 0, 0)), none, ip4 | datapath.HdrTCP, 0},
		{"all TCP flags", Eth().IPv4(src4, dst4).TCP(1, 2, "FSRPAUEC"), none, ip4 | datapath.HdrTCP, 0},
		{"UDP length 7", udp4().UDPLen(7), drop(datapath.DropUDPLength), ip4, 0},
		{"UDP length beyond the packet", udp4().Pad(80).UDPLen(14), drop(datapath.DropUDPLength), ip4, 0},
		{"UDP length below what IP carries", udp4().UDPLen(10), none, ip4 | datapath.HdrUDP, 2},

		{"TCP checksum", tcp4().BadL4Checksum(), drop(datapath.DropL4Checksum), ip4, 0},
		{"TCP checksum over IPv6", tcp6().BadL4Checksum(), drop(datapath.DropL4Checksum), ip6, 0},
		{"UDP checksum", udp4().BadL4Checksum(), drop(datapath.DropL4Checksum), ip4, 0},
		{"UDP checksum over IPv6", udp6().BadL4Checksum(), drop(datapath.DropL4Checksum), ip6, 0},
		{"ICMP checksum", Eth().IPv4(src4, dst4).ICMP(8, 0, 1).BadL4Checksum(), drop(datapath.DropL4Checksum), ip4, 0},
		{"ICMPv6 checksum", Eth().IPv6(src6, dst6).ICMP(128, 0, 1).BadL4Checksum(), drop(datapath.DropL4Checksum), ip6, 0},
		{"ICMPv6", Eth().IPv6(src6, dst6).ICMP(128, 0, 1), none, ip6 | datapath.HdrICMP, 4},
		{"UDP checksum 0", udp4().Patch(40, 0, 0), none, ip4 | datapath.HdrUDP, 5},
		{"UDP checksum 0 over IPv6", udp6().Patch(60, 0, 0), none, ip6 | datapath.HdrUDP, 5},
		{"source route with a hop to go", Eth().IPv4(src4, dst4, 131, 7, 4, 9, 9, 9, 9, 0).UDP(1, 2).BadL4Checksum(), none, ip4 | datapath.HdrUDP | datapath.HdrSourceRoute, 0},
		{"routing header with a segment left", Eth().IPv6(src6, dst6).Ext(wire.ProtoRouting, 4, 1).UDP(1, 2).BadL4Checksum(), none, ip6 | datapath.HdrIPv6Ext | datapath.HdrUDP | datapath.HdrSourceRoute, 0},
		{"routing header used up", Eth().IPv6(src6, dst6).Ext(wire.ProtoRouting, 4, 0).UDP(1, 2).BadL4Checksum(), drop(datapath.DropL4Checksum), ip6 | datapath.HdrIPv6Ext, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := parse(t, tt.in, true)
			require.Equal(t, tt.reason, p.Reason, "reason %v", p.Reason)
			require.Equal(t, tt.headers, p.PHV.Headers, "headers %011b", p.PHV.Headers)
			if tt.reason == datapath.DropNone {
				require.Equal(t, tt.payload, int(p.PHV.PayloadLen))
			}
			unverified, _ := parse(t, tt.in, false)
			switch tt.reason {
			case datapath.DropIPChecksum, datapath.DropL4Checksum:
				require.Equal(t, none, unverified.Reason, "checksums are not looked at")
			default:
				require.Equal(t, tt.reason, unverified.Reason)
			}
		})
	}
}

// What a sender leaves to a device is not the parser's to judge.
func TestOffloads(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     Frame
		packet datapath.Packet
		want   datapath.DropReason
		length uint32
	}{
		{"partial checksum", tcp4().PartialChecksum(), datapath.Packet{CsumPartial: true}, datapath.DropNone, 5},
		{"partial checksum, not said", tcp4().PartialChecksum(), datapath.Packet{}, datapath.DropL4Checksum, 0},
		{"partial checksum, IP sum still counts", tcp4().PartialChecksum().BadIPChecksum(), datapath.Packet{CsumPartial: true}, datapath.DropIPChecksum, 0},
		{"segments", tcp4().BadL4Checksum(), datapath.Packet{GSOSize: 2}, datapath.DropNone, 5},
		{"segments longer than IP can say", tcp4().TotalLen(0), datapath.Packet{GSOSize: 2}, datapath.DropNone, 5},
		{"segments longer than IPv6 can say", tcp6().TotalLen(0), datapath.Packet{GSOSize: 2}, datapath.DropNone, 5},
		{"datagrams of one length", udp4().UDPLen(8), datapath.Packet{GSOSize: 2}, datapath.DropNone, 5},
		{"segments, other lengths count", tcp4().TotalLen(46), datapath.Packet{GSOSize: 2}, datapath.DropIPLength, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.packet
			p.Data = tt.in
			parser.New(parser.Config{VerifyChecksums: true}).Process(0, &p)
			require.Equal(t, tt.want, p.Reason, "%v", p.Reason)
			require.Equal(t, tt.length, p.PHV.PayloadLen)
		})
	}
}

// A superframe of 64 KiB parses like any other.
func TestSuperframe(t *testing.T) {
	f := Eth().IPv4(src4, dst4).TCP(1, 2, "A").Payload(strings.Repeat("x", 65000))
	p := &datapath.Packet{Data: f, CsumPartial: true, GSOSize: 1448}
	require.Equal(t, datapath.Continue, parser.New(parser.Config{VerifyChecksums: true}).Process(0, p))
	require.Equal(t, uint32(65000), p.PHV.PayloadLen)
}

// Cut anywhere, a frame is dropped with a reason or passes; it never panics and
// never has headers beyond its end.
func TestEveryTruncation(t *testing.T) {
	for _, f := range []Frame{
		tcp4(), tcp6(), udp4(), udp6(),
		Eth().VLAN(1).VLAN(2).IPv6(src6, dst6).Ext(wire.ProtoHopByHop, 1, 4).Ext(wire.ProtoRouting, 4, 0).Frag6(0, false).TCP(1, 2, "S", MSS(1460), TS(1, 2)),
		Eth().ARP(1, DefaultSrc, src4, DefaultDst, dst4),
		Eth().IPv4(src4, dst4, 1, 1, 1, 1).ICMP(8, 0, 1),
	} {
		for n := range len(f) {
			for _, verify := range []bool{false, true} {
				p, _ := parse(t, f.Truncate(n), verify)
				inside(t, p)
			}
		}
	}
}

// inside checks what everybody behind the parser relies on.
func inside(t testing.TB, p *datapath.Packet) {
	h := &p.PHV
	if p.Reason != datapath.DropNone {
		return
	}
	require.LessOrEqual(t, int(h.L3Off), int(h.L4Off))
	require.LessOrEqual(t, int(h.L4Off), int(h.PayloadOff))
	require.LessOrEqual(t, int(h.PayloadOff)+int(h.PayloadLen), len(p.Data))
	l4 := p.Data[h.L4Off:]
	if h.Has(datapath.HdrTCP) {
		require.True(t, wire.TCP(l4).Valid())
		require.Equal(t, int(h.PayloadOff-h.L4Off), wire.TCP(l4).HeaderLen())
	}
	if h.Has(datapath.HdrUDP) {
		require.GreaterOrEqual(t, len(l4), wire.UDPLen)
	}
	if h.Has(datapath.HdrIPv4) {
		_, mapped := wire.UnmapIPv4(h.IPSrc)
		require.True(t, mapped)
	}
	if h.Has(datapath.HdrFragment) {
		require.Zero(t, h.Headers&(datapath.HdrTCP|datapath.HdrUDP|datapath.HdrICMP))
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	x := parser.New(parser.Config{VerifyChecksums: true})
	for _, f := range []Frame{tcp4(), tcp6(), udp4(), tcp4().BadL4Checksum(), Eth().VLAN(3).IPv6(src6, dst6).Frag6(0, false).UDP(1, 2)} {
		p := &datapath.Packet{Data: f}
		require.Zero(t, testing.AllocsPerRun(100, func() { x.Process(0, p) }))
	}
}
