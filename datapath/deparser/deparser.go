// Package deparser is the stage that writes the packet header vector back: each
// field that a stage before it changed (PHV.Dirty) goes into the frame, and the
// checksums that cover it are updated by the difference (RFC 1624), so that the
// rest of the packet is not read and a wrong checksum stays wrong.
//
// A field is written where the header that holds it begins. An L4 checksum is
// updated for ports, sequence numbers, flags and window, and for addresses,
// which its pseudo-header holds, except:
//
//	checksum left to a device (CsumPartial)  addresses only, in the sum that stands there
//	UDP checksum 0                           stays 0, there is none
//	fragment other than the first            it is in the first, which changes as much
//	ICMP over IPv4                           has no pseudo-header
//	destination under a source route         the checksum covers another address
//	other protocols                          not known, so not touched
//
// A VLAN tag is pushed and popped behind the addresses; the frame's first byte
// stays where it is, and the rest moves. A push needs four bytes of capacity
// behind Packet.Data; without them the packet is dropped with DropNoRoom. A third
// tag, which the parser does not look into, stays payload when the first is
// popped.
package deparser

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Deparser is the stage.
type Deparser struct{}

// New returns a deparser.
func New() *Deparser { return &Deparser{} }

// Name returns "deparser".
func (*Deparser) Name() string { return "deparser" }

const ipFields = datapath.FieldSet(1<<datapath.FieldIPSrc | 1<<datapath.FieldIPDst | 1<<datapath.FieldTTL)

const l4Fields = datapath.FieldSet(1<<datapath.FieldSrcPort | 1<<datapath.FieldDstPort |
	1<<datapath.FieldTCPSeq | 1<<datapath.FieldTCPAck | 1<<datapath.FieldTCPFlags | 1<<datapath.FieldTCPWindow)

// Process writes p's dirty fields and marks them clean.
func (*Deparser) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	dirty := p.PHV.Dirty
	if dirty == 0 {
		return datapath.Continue
	}
	p.PHV.Dirty = 0
	h := &p.PHV
	if dirty.Has(datapath.FieldEthDst) {
		wire.Ethernet(p.Data).SetDst(h.EthDst)
	}
	if dirty.Has(datapath.FieldEthSrc) {
		wire.Ethernet(p.Data).SetSrc(h.EthSrc)
	}
	var pseudo, body delta
	if dirty&ipFields != 0 {
		switch {
		case h.Has(datapath.HdrIPv4):
			pseudo = writeIPv4(wire.IPv4(p.Data[h.L3Off:]), h, dirty)
		case h.Has(datapath.HdrIPv6):
			pseudo = writeIPv6(wire.IPv6(p.Data[h.L3Off:]), h, dirty)
		}
	}
	if dirty&l4Fields != 0 {
		body = writeL4(p.Data[h.L4Off:], h, dirty)
	}
	updateL4(p, pseudo, body)
	if dirty.Has(datapath.FieldVLAN) && !writeVLAN(p) {
		p.Reason = datapath.DropNoRoom
		return datapath.Drop
	}
	return datapath.Continue
}

// delta is the sum of the words that changed, before and after.
type delta struct{ old, new uint16 }

func (d *delta) add16(old, new uint16) {
	d.old = wire.Add16(d.old, old)
	d.new = wire.Add16(d.new, new)
}

func (d *delta) add32(old, new uint32) {
	d.add16(uint16(old>>16), uint16(new>>16))
	d.add16(uint16(old), uint16(new))
}

func writeIPv4(ip wire.IPv4, h *datapath.PHV, dirty datapath.FieldSet) (pseudo delta) {
	sum := ip.Checksum()
	put := func(off int, a [16]byte) (old, new uint32) {
		old, new = binary.BigEndian.Uint32(ip[off:]), binary.BigEndian.Uint32(a[12:])
		binary.BigEndian.PutUint32(ip[off:], new)
		sum = wire.Update32(sum, old, new)
		return old, new
	}
	if dirty.Has(datapath.FieldIPSrc) {
		pseudo.add32(put(12, h.IPSrc))
	}
	if dirty.Has(datapath.FieldIPDst) {
		old, new := put(16, h.IPDst)
		if !h.Has(datapath.HdrSourceRoute) {
			pseudo.add32(old, new)
		}
	}
	if dirty.Has(datapath.FieldTTL) {
		old := binary.BigEndian.Uint16(ip[8:])
		ip.SetTTL(h.TTL)
		sum = wire.Update16(sum, old, binary.BigEndian.Uint16(ip[8:]))
	}
	ip.SetChecksum(sum)
	return pseudo
}

func writeIPv6(ip wire.IPv6, h *datapath.PHV, dirty datapath.FieldSet) (pseudo delta) {
	if dirty.Has(datapath.FieldIPSrc) {
		old := ip.Src()
		pseudo.add16(wire.Sum(old[:], 0), wire.Sum(h.IPSrc[:], 0))
		ip.SetSrc(h.IPSrc)
	}
	if dirty.Has(datapath.FieldIPDst) {
		old := ip.Dst()
		if !h.Has(datapath.HdrSourceRoute) {
			pseudo.add16(wire.Sum(old[:], 0), wire.Sum(h.IPDst[:], 0))
		}
		ip.SetDst(h.IPDst)
	}
	if dirty.Has(datapath.FieldTTL) {
		ip.SetHopLimit(h.TTL)
	}
	return pseudo
}

// writeL4 writes the fields of a TCP or UDP header. Both have their ports in the
// same place.
func writeL4(b []byte, h *datapath.PHV, dirty datapath.FieldSet) (body delta) {
	put16 := func(f datapath.Field, off int, v uint16) {
		if dirty.Has(f) {
			body.add16(binary.BigEndian.Uint16(b[off:]), v)
			binary.BigEndian.PutUint16(b[off:], v)
		}
	}
	if h.Headers&(datapath.HdrTCP|datapath.HdrUDP) == 0 {
		return body
	}
	put16(datapath.FieldSrcPort, 0, h.SrcPort)
	put16(datapath.FieldDstPort, 2, h.DstPort)
	if !h.Has(datapath.HdrTCP) {
		return body
	}
	tcp := wire.TCP(b)
	if dirty.Has(datapath.FieldTCPSeq) {
		body.add32(uint32(tcp.Seq()), uint32(h.TCPSeq))
		tcp.SetSeq(h.TCPSeq)
	}
	if dirty.Has(datapath.FieldTCPAck) {
		body.add32(uint32(tcp.Ack()), uint32(h.TCPAck))
		tcp.SetAck(h.TCPAck)
	}
	put16(datapath.FieldTCPFlags, 12, uint16(b[12])<<8|uint16(h.TCPFlags))
	put16(datapath.FieldTCPWindow, 14, h.TCPWindow)
	return body
}

// updateL4 puts the differences into the L4 checksum.
func updateL4(p *datapath.Packet, pseudo, body delta) {
	h := &p.PHV
	off := int(h.L4Off)
	switch {
	case h.Has(datapath.HdrTCP):
		off += 16
	case h.Has(datapath.HdrUDP):
		off += 6
	case h.Has(datapath.HdrICMP | datapath.HdrIPv6):
		off += 2
	default:
		return
	}
	if pseudo == (delta{}) && body == (delta{}) {
		return
	}
	field := p.Data[off : off+2]
	sum := binary.BigEndian.Uint16(field)
	switch {
	case p.CsumPartial: // the field holds a sum, not its complement
		sum = ^wire.UpdateSum(^sum, pseudo.old, pseudo.new)
	case h.Has(datapath.HdrUDP) && sum == 0:
		return
	default:
		body.add16(pseudo.old, pseudo.new)
		sum = wire.UpdateSum(sum, body.old, body.new)
		if sum == 0 && h.Has(datapath.HdrUDP) {
			sum = 0xffff
		}
	}
	binary.BigEndian.PutUint16(field, sum)
}
