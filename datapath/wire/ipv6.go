package wire

import "encoding/binary"

// IPv6Len is the length of an IPv6 header without extensions.
const IPv6Len = 40

// MaxIPv6Ext is the longest chain of extension headers that is followed. RFC
// 8200 §4.1 recommends each at most once, destination options twice: seven.
const MaxIPv6Ext = 8

// IP protocol numbers (IANA).
const (
	ProtoHopByHop  uint8 = 0
	ProtoICMP      uint8 = 1
	ProtoTCP       uint8 = 6
	ProtoUDP       uint8 = 17
	ProtoRouting   uint8 = 43
	ProtoFragment  uint8 = 44
	ProtoESP       uint8 = 50
	ProtoAH        uint8 = 51
	ProtoICMPv6    uint8 = 58
	ProtoNoNext    uint8 = 59
	ProtoDestOpts  uint8 = 60
	ProtoMobility  uint8 = 135
	ProtoHIP       uint8 = 139
	ProtoShim6     uint8 = 140
	fragmentExtLen       = 8
)

// IPv6 is an IPv6 header followed by its payload and perhaps padding.
type IPv6 []byte

// Valid reports whether the version is 6 and the payload lies inside the slice.
func (h IPv6) Valid() bool {
	return len(h) >= IPv6Len && h[0]>>4 == 6 && IPv6Len+h.PayloadLen() <= len(h)
}

// Version returns the version field.
func (h IPv6) Version() int { return int(h[0] >> 4) }

// TrafficClass returns DSCP and ECN.
func (h IPv6) TrafficClass() uint8 { return h[0]<<4 | h[1]>>4 }

// FlowLabel returns the flow label, 20 bits.
func (h IPv6) FlowLabel() uint32 { return binary.BigEndian.Uint32(h[0:4]) & 0xfffff }

// PayloadLen returns the length of extension headers and payload in bytes.
func (h IPv6) PayloadLen() int { return int(binary.BigEndian.Uint16(h[4:6])) }

// NextHeader returns the protocol of what follows.
func (h IPv6) NextHeader() uint8 { return h[6] }

// HopLimit returns the hop limit.
func (h IPv6) HopLimit() uint8 { return h[7] }

// Src returns the source address.
func (h IPv6) Src() [16]byte { return [16]byte(h[8:24]) }

// Dst returns the destination address.
func (h IPv6) Dst() [16]byte { return [16]byte(h[24:40]) }

// Payload returns extension headers and payload, padding excluded.
func (h IPv6) Payload() []byte { return h[IPv6Len : IPv6Len+h.PayloadLen()] }

// SetVersion writes version 6, a traffic class and a flow label.
func (h IPv6) SetVersion(class uint8, label uint32) {
	binary.BigEndian.PutUint32(h[0:4], 6<<28|uint32(class)<<20|label&0xfffff)
}

// SetPayloadLen writes the payload length in bytes.
func (h IPv6) SetPayloadLen(n int) { binary.BigEndian.PutUint16(h[4:6], uint16(n)) }

// SetNextHeader writes the protocol of what follows.
func (h IPv6) SetNextHeader(v uint8) { h[6] = v }

// SetHopLimit writes the hop limit.
func (h IPv6) SetHopLimit(v uint8) { h[7] = v }

// SetSrc writes the source address.
func (h IPv6) SetSrc(a [16]byte) { copy(h[8:24], a[:]) }

// SetDst writes the destination address.
func (h IPv6) SetDst(a [16]byte) { copy(h[24:40], a[:]) }

// IPv6Chain is what following a chain of extension headers found.
type IPv6Chain struct {
	Proto    uint8 // of what follows the chain
	Len      int   // bytes of extension headers
	Headers  int   // how many there were
	Fragment bool  // a fragment other than the first: what follows is no L4 header
	More     bool  // a fragment, and not the last
	Routed   bool  // a routing header with segments left: Dst is not the last hop
}

// ExtLen returns the length in bytes of the extension header of type proto
// that starts b, which has at least two bytes; ok is false if proto is none.
func ExtLen(proto uint8, b []byte) (n int, ok bool) {
	switch proto {
	case ProtoHopByHop, ProtoRouting, ProtoDestOpts, ProtoMobility, ProtoHIP, ProtoShim6:
		return (int(b[1]) + 1) * 8, true // RFC 8200 §4.3, RFC 6564
	case ProtoFragment:
		return fragmentExtLen, true // RFC 8200 §4.5
	case ProtoAH:
		return (int(b[1]) + 2) * 4, true // RFC 4302 §2.2
	}
	return 0, false
}

// IsIPv6Ext reports whether proto is an extension header that can be followed.
func IsIPv6Ext(proto uint8) bool {
	_, ok := ExtLen(proto, []byte{0, 0})
	return ok
}

// WalkIPv6Ext follows the extension headers at the start of b, of which the
// first is of type proto. It stops at the first protocol that is none, at
// hop-by-hop options that are not first (RFC 8200 §4.1), and behind the fragment
// header of a fragment other than the first. It fails if a header does not fit
// in b or there are more than MaxIPv6Ext.
func WalkIPv6Ext(proto uint8, b []byte) (c IPv6Chain, ok bool) {
	c.Proto = proto
	for !c.Fragment {
		rest := b[c.Len:]
		if c.Proto == ProtoHopByHop && c.Headers > 0 {
			return c, true
		}
		if len(rest) < 2 {
			return c, !IsIPv6Ext(c.Proto)
		}
		n, is := ExtLen(c.Proto, rest)
		if !is {
			return c, true
		}
		if n > len(rest) || c.Headers == MaxIPv6Ext {
			return c, false
		}
		switch c.Proto {
		case ProtoFragment:
			v := binary.BigEndian.Uint16(rest[2:4])
			c.Fragment = v>>3 != 0
			c.More = v&1 != 0
		case ProtoRouting:
			c.Routed = c.Routed || rest[3] != 0
		}
		c.Proto = rest[0]
		c.Len += n
		c.Headers++
	}
	return c, true
}
