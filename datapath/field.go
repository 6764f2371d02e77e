package datapath

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath/wire"
)

// Field names one field that a table can match or set.
type Field uint8

// The fields. All but FieldInPort are the PHV's.
const (
	FieldInPort Field = iota
	FieldHeaders
	FieldEthDst
	FieldEthSrc
	FieldEtherType
	FieldVLAN
	FieldIPSrc
	FieldIPDst
	FieldProto
	FieldTTL
	FieldSrcPort
	FieldDstPort
	FieldTCPFlags
	FieldTCPSeq
	FieldTCPAck
	FieldTCPWindow
	NumFields // number of fields, for arrays
)

// fields holds each field's name, its width in bits, and the headers of which
// one must be there for it to be set; 0 means that it can only be matched.
var fields = [NumFields]struct {
	name string
	bits int
	in   Header
}{
	FieldInPort:    {"in_port", 8, 0},
	FieldHeaders:   {"headers", 16, 0},
	FieldEthDst:    {"eth_dst", 48, HdrEthernet},
	FieldEthSrc:    {"eth_src", 48, HdrEthernet},
	FieldEtherType: {"ether_type", 16, 0},
	FieldVLAN:      {"vlan", 12, HdrEthernet},
	FieldIPSrc:     {"ip_src", 128, HdrIPv4 | HdrIPv6},
	FieldIPDst:     {"ip_dst", 128, HdrIPv4 | HdrIPv6},
	FieldProto:     {"proto", 8, 0},
	FieldTTL:       {"ttl", 8, HdrIPv4 | HdrIPv6},
	FieldSrcPort:   {"src_port", 16, HdrTCP | HdrUDP},
	FieldDstPort:   {"dst_port", 16, HdrTCP | HdrUDP},
	FieldTCPFlags:  {"tcp_flags", 8, HdrTCP},
	FieldTCPSeq:    {"tcp_seq", 32, HdrTCP},
	FieldTCPAck:    {"tcp_ack", 32, HdrTCP},
	FieldTCPWindow: {"tcp_window", 16, HdrTCP},
}

// String returns the field's name.
func (f Field) String() string {
	if f < NumFields {
		return fields[f].name
	}
	return "unknown"
}

// Bits returns the field's width.
func (f Field) Bits() int { return fields[f].bits }

// Settable reports whether a stage may change the field.
func (f Field) Settable() bool { return f < NumFields && fields[f].in != 0 }

// FieldSet is a set of fields, one bit each.
type FieldSet uint32

// Add returns s with f.
func (s FieldSet) Add(f Field) FieldSet { return s | 1<<f }

// Has reports whether f is in s.
func (s FieldSet) Has(f Field) bool { return s>>f&1 == 1 }

// Value is a field's value, right aligned in 128 bits.
type Value struct{ Hi, Lo uint64 }

// Uint returns v as a Value.
func Uint(v uint64) Value { return Value{Lo: v} }

// MACValue returns the Value of an Ethernet address.
func MACValue(m wire.MAC) Value { return Value{Lo: m.Uint64()} }

// IPValue returns the Value of an IP address; IPv4 is mapped.
func IPValue(a [16]byte) Value {
	return Value{binary.BigEndian.Uint64(a[0:8]), binary.BigEndian.Uint64(a[8:16])}
}

// IP returns v as an IP address.
func (v Value) IP() (a [16]byte) {
	binary.BigEndian.PutUint64(a[0:8], v.Hi)
	binary.BigEndian.PutUint64(a[8:16], v.Lo)
	return a
}

// Fits reports whether v is not wider than bits.
func (v Value) Fits(bits int) bool {
	switch {
	case bits >= 128:
		return true
	case bits >= 64:
		return v.Hi>>(bits-64) == 0
	}
	return v.Hi == 0 && v.Lo>>bits == 0
}

// Field returns the value of f.
func (p *Packet) Field(f Field) Value {
	h := &p.PHV
	switch f {
	case FieldInPort:
		return Uint(uint64(p.In))
	case FieldHeaders:
		return Uint(uint64(h.Headers))
	case FieldEthDst:
		return MACValue(h.EthDst)
	case FieldEthSrc:
		return MACValue(h.EthSrc)
	case FieldEtherType:
		return Uint(uint64(h.EtherType))
	case FieldVLAN:
		return Uint(uint64(h.VLAN))
	case FieldIPSrc:
		return IPValue(h.IPSrc)
	case FieldIPDst:
		return IPValue(h.IPDst)
	case FieldProto:
		return Uint(uint64(h.Proto))
	case FieldTTL:
		return Uint(uint64(h.TTL))
	case FieldSrcPort:
		return Uint(uint64(h.SrcPort))
	case FieldDstPort:
		return Uint(uint64(h.DstPort))
	case FieldTCPFlags:
		return Uint(uint64(h.TCPFlags))
	case FieldTCPSeq:
		return Uint(uint64(h.TCPSeq))
	case FieldTCPAck:
		return Uint(uint64(h.TCPAck))
	case FieldTCPWindow:
		return Uint(uint64(h.TCPWindow))
	}
	return Value{}
}

// SetField changes f in the PHV and marks it for the deparser, which writes it
// and the checksums that cover it. It does nothing and returns false if f cannot
// be set, its header is not there, v is wider than f, or an IPv4 packet would
// get an address that is not mapped. VLAN 0 pops the outer tag; another VLAN
// rewrites the tag's id or, on an untagged frame, pushes a tag.
func (p *Packet) SetField(f Field, v Value) bool {
	h := &p.PHV
	if !f.Settable() || h.Headers&fields[f].in == 0 || !v.Fits(f.Bits()) {
		return false
	}
	switch f {
	case FieldEthDst:
		h.EthDst = wire.MACFromUint64(v.Lo)
	case FieldEthSrc:
		h.EthSrc = wire.MACFromUint64(v.Lo)
	case FieldVLAN:
		h.VLAN = uint16(v.Lo)
	case FieldIPSrc, FieldIPDst:
		a := v.IP()
		if _, mapped := wire.UnmapIPv4(a); h.Has(HdrIPv4) && !mapped {
			return false
		}
		if f == FieldIPSrc {
			h.IPSrc = a
		} else {
			h.IPDst = a
		}
	case FieldTTL:
		h.TTL = uint8(v.Lo)
	case FieldSrcPort:
		h.SrcPort = uint16(v.Lo)
	case FieldDstPort:
		h.DstPort = uint16(v.Lo)
	case FieldTCPFlags:
		h.TCPFlags = wire.TCPFlags(v.Lo)
	case FieldTCPSeq:
		h.TCPSeq = wire.Seq(v.Lo)
	case FieldTCPAck:
		h.TCPAck = wire.Seq(v.Lo)
	case FieldTCPWindow:
		h.TCPWindow = uint16(v.Lo)
	}
	h.Dirty = h.Dirty.Add(f)
	return true
}
