package parser

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Config is fixed when the parser is built.
type Config struct {
	// VerifyChecksums drops packets with a wrong IPv4, TCP, UDP, ICMP or ICMPv6
	// checksum. The package comment says which checksums are not looked at.
	VerifyChecksums bool
}

// Parser is the stage that fills the PHV.
type Parser struct {
	verify bool
	states []state
}

// New returns a parser with the default graph.
func New(cfg Config) *Parser {
	p, err := NewGraph(cfg, DefaultGraph())
	if err != nil {
		panic(err)
	}
	return p
}

// NewGraph returns a parser with a graph of the caller's.
func NewGraph(cfg Config, g Graph) (*Parser, error) {
	states, err := g.compile()
	if err != nil {
		return nil, err
	}
	return &Parser{verify: cfg.VerifyChecksums, states: states}, nil
}

// Name returns "parser".
func (*Parser) Name() string { return "parser" }

// Process fills p.PHV from p.Data. It drops malformed packets with a reason, by
// the rules in the package comment; the PHV of a dropped packet holds the
// headers before the one at fault.
func (x *Parser) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	if p.Reason = x.parse(p); p.Reason != datapath.DropNone {
		return datapath.Drop
	}
	return datapath.Continue
}

func (x *Parser) parse(p *datapath.Packet) datapath.DropReason {
	h := &p.PHV
	*h = datapath.PHV{}
	var (
		data = p.Data // cut to the IP packet's end once that is known
		off  = 0
		next = uint8(1)
		exts = 0
	)
	for next != 0 {
		s := &x.states[next]
		b := data[off:]
		switch s.extract {
		case ExtractEthernet:
			if len(b) < wire.EthernetLen {
				return datapath.DropRunt
			}
			h.EthDst = wire.MAC(b[0:6])
			h.EthSrc = wire.MAC(b[6:12])
			h.EtherType = binary.BigEndian.Uint16(b[12:14])
			off = wire.EthernetLen
			next = s.byType(h.EtherType)

		case ExtractVLAN:
			if len(b) < wire.VLANLen {
				return datapath.DropVLANTruncated
			}
			if s.header == datapath.HdrVLAN {
				h.VLAN = wire.VLAN(b).ID()
			}
			h.EtherType = wire.VLAN(b).Type()
			off += wire.VLANLen
			next = s.byType(h.EtherType)

		case ExtractIPv4:
			h.L3Off = uint16(off)
			if len(b) < wire.IPv4MinLen {
				return datapath.DropIPTruncated
			}
			ip := wire.IPv4(b)
			hl, total := wire.IPv4MinLen, ip.TotalLen()
			if b[0] != 0x45 {
				if b[0]>>4 != 4 {
					return datapath.DropIPVersion
				}
				if hl = ip.HeaderLen(); hl < wire.IPv4MinLen {
					return datapath.DropIPHeaderLen
				}
			}
			if total == 0 && p.GSOSize > 0 {
				total = len(b) // longer than the field can say
			}
			if total < wire.IPv4MinLen || total > len(b) {
				return datapath.DropIPLength
			}
			if hl > total {
				return datapath.DropIPHeaderLen
			}
			if x.verify && !headerSumOK(b, hl) {
				return datapath.DropIPChecksum
			}
			data = data[:off+total]
			h.IPSrc[10], h.IPSrc[11] = 0xff, 0xff
			h.IPDst[10], h.IPDst[11] = 0xff, 0xff
			copy(h.IPSrc[12:16], b[12:16])
			copy(h.IPDst[12:16], b[16:20])
			h.TTL = b[8]
			h.Proto = b[9]
			off += hl
			next = s.proto[h.Proto]
			if hl > wire.IPv4MinLen && ip.SourceRouted() {
				h.Headers |= datapath.HdrSourceRoute
			}
			if f := ip.FlagsOffset() & 0x3fff; f != 0 {
				if f&wire.IPv4MoreFragments != 0 {
					h.Headers |= datapath.HdrMoreFragments
				}
				if f&^wire.IPv4MoreFragments != 0 {
					h.Headers |= datapath.HdrFragment
					next = 0
				}
			}

		case ExtractIPv6:
			h.L3Off = uint16(off)
			if len(b) < wire.IPv6Len {
				return datapath.DropIPTruncated
			}
			ip := wire.IPv6(b)
			if b[0]>>4 != 6 {
				return datapath.DropIPVersion
			}
			total := wire.IPv6Len + ip.PayloadLen()
			if total == wire.IPv6Len && p.GSOSize > 0 {
				total = len(b)
			}
			if total > len(b) {
				return datapath.DropIPLength
			}
			data = data[:off+total]
			h.IPSrc = ip.Src()
			h.IPDst = ip.Dst()
			h.TTL = ip.HopLimit()
			h.Proto = ip.NextHeader()
			off += wire.IPv6Len
			next = s.proto[h.Proto]

		case ExtractIPv6Options, ExtractIPv6Routing, ExtractIPv6Fragment, ExtractIPv6AH:
			n := extLen(s.extract, b)
			if exts++; n > len(b) || exts > wire.MaxIPv6Ext {
				return datapath.DropIPExtChain
			}
			h.Proto = b[0]
			off += n
			next = s.proto[h.Proto]
			if s.extract == ExtractIPv6Routing && b[3] != 0 {
				h.Headers |= datapath.HdrSourceRoute
			}
			if s.extract == ExtractIPv6Fragment {
				f := binary.BigEndian.Uint16(b[2:4])
				if f&1 != 0 {
					h.Headers |= datapath.HdrMoreFragments
				}
				if f>>3 != 0 {
					h.Headers |= datapath.HdrFragment
					next = 0
				}
			}

		case ExtractTCP:
			h.L4Off = uint16(off)
			if len(b) < wire.TCPMinLen {
				return datapath.DropL4Truncated
			}
			hl := int(b[12]>>4) * 4
			if hl < wire.TCPMinLen || hl > len(b) {
				return datapath.DropTCPHeaderLen
			}
			if x.verify && !x.sumOK(p, b, wire.ProtoTCP) {
				return datapath.DropL4Checksum
			}
			h.SrcPort = binary.BigEndian.Uint16(b[0:2])
			h.DstPort = binary.BigEndian.Uint16(b[2:4])
			h.TCPSeq = wire.Seq(binary.BigEndian.Uint32(b[4:8]))
			h.TCPAck = wire.Seq(binary.BigEndian.Uint32(b[8:12]))
			h.TCPFlags = wire.TCPFlags(b[13])
			h.TCPWindow = binary.BigEndian.Uint16(b[14:16])
			h.Headers |= s.header
			h.PayloadOff = uint16(off + hl)
			h.PayloadLen = uint32(len(b) - hl)
			return datapath.DropNone

		case ExtractUDP:
			h.L4Off = uint16(off)
			if len(b) < wire.UDPLen {
				return datapath.DropL4Truncated
			}
			n := wire.UDP(b).Length()
			switch {
			case p.GSOSize > 0 || n > len(b) && h.Headers&datapath.HdrMoreFragments != 0:
				n = len(b) // the field speaks of the datagram, or of nothing
			case n < wire.UDPLen || n > len(b):
				return datapath.DropUDPLength
			}
			if x.verify && b[6]|b[7] != 0 && !x.sumOK(p, b[:n], wire.ProtoUDP) {
				return datapath.DropL4Checksum
			}
			h.SrcPort = binary.BigEndian.Uint16(b[0:2])
			h.DstPort = binary.BigEndian.Uint16(b[2:4])
			h.Headers |= s.header
			h.PayloadOff = uint16(off + wire.UDPLen)
			h.PayloadLen = uint32(n - wire.UDPLen)
			return datapath.DropNone

		case ExtractICMP, ExtractICMPv6:
			h.L4Off = uint16(off)
			if len(b) < wire.ICMPLen {
				return datapath.DropL4Truncated
			}
			if x.verify && !x.sumOK(p, b, h.Proto) {
				return datapath.DropL4Checksum
			}
			off += wire.ICMPLen
			next = 0

		case ExtractARP:
			h.L3Off = uint16(off)
			if !wire.ARP(b).Valid() {
				return datapath.DropARPMalformed
			}
			next = 0
		}
		h.Headers |= s.header
	}
	return accept(h, len(data), off)
}

// accept ends the parse at off, behind the last header that was found.
func accept(h *datapath.PHV, end, off int) datapath.DropReason {
	if h.L4Off == 0 {
		h.L4Off = uint16(off)
	}
	if h.L3Off == 0 {
		h.L3Off = uint16(off)
	}
	h.PayloadOff = uint16(off)
	h.PayloadLen = uint32(end - off)
	return datapath.DropNone
}

// extLen returns the length of the extension header that starts b, or one
// beyond b if it is not even long enough to say.
func extLen(e Extract, b []byte) int {
	if len(b) < 8 {
		return len(b) + 1
	}
	switch e {
	case ExtractIPv6Fragment:
		return 8
	case ExtractIPv6AH:
		return (int(b[1]) + 2) * 4
	}
	return (int(b[1]) + 1) * 8
}

// headerSumOK reports whether the checksum of an IPv4 header of hl bytes is
// right. Nearly all have 20, which are quicker added up here than by Sum.
func headerSumOK(b []byte, hl int) bool {
	if hl != wire.IPv4MinLen {
		return wire.Sum(b[:hl], 0) == 0xffff
	}
	b = b[:wire.IPv4MinLen]
	s := uint64(binary.BigEndian.Uint32(b[0:4])) + uint64(binary.BigEndian.Uint32(b[4:8])) +
		uint64(binary.BigEndian.Uint32(b[8:12])) + uint64(binary.BigEndian.Uint32(b[12:16])) +
		uint64(binary.BigEndian.Uint32(b[16:20]))
	return s != 0 && s%0xffff == 0
}

// unsummed are the packets whose L4 checksum covers more than this packet has,
// or another address.
const unsummed = datapath.HdrMoreFragments | datapath.HdrSourceRoute

// sumOK reports whether the checksum of the L4 segment seg is right, or not to
// be looked at.
func (x *Parser) sumOK(p *datapath.Packet, seg []byte, proto uint8) bool {
	h := &p.PHV
	if p.CsumPartial || p.GSOSize > 0 || h.Headers&unsummed != 0 {
		return true
	}
	acc := uint16(0)
	switch {
	case proto == wire.ProtoICMP:
	case h.Headers&datapath.HdrIPv4 != 0:
		ip := p.Data[h.L3Off:]
		s := uint32(binary.BigEndian.Uint16(ip[12:14])) + uint32(binary.BigEndian.Uint16(ip[14:16])) +
			uint32(binary.BigEndian.Uint16(ip[16:18])) + uint32(binary.BigEndian.Uint16(ip[18:20])) +
			uint32(proto) + uint32(len(seg))
		s = s>>16 + s&0xffff
		acc = uint16(s>>16 + s&0xffff)
	default:
		acc = wire.PseudoIPv6(h.IPSrc, h.IPDst, proto, len(seg))
	}
	return wire.Sum(seg, acc) == 0xffff
}
