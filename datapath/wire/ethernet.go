package wire

import "encoding/binary"

// EtherTypes (IEEE 802 numbers).
const (
	TypeIPv4 uint16 = 0x0800
	TypeARP  uint16 = 0x0806
	TypeVLAN uint16 = 0x8100 // 802.1Q customer tag
	TypeIPv6 uint16 = 0x86dd
	TypeQinQ uint16 = 0x88a8 // 802.1ad service tag
)

// Lengths of the link headers in bytes.
const (
	EthernetLen = 14
	VLANLen     = 4
)

// Ethernet is a frame without FCS, destination address first.
type Ethernet []byte

// Valid reports whether the header lies inside the slice.
func (h Ethernet) Valid() bool { return len(h) >= EthernetLen }

// Dst returns the destination address.
func (h Ethernet) Dst() MAC { return MAC(h[0:6]) }

// Src returns the source address.
func (h Ethernet) Src() MAC { return MAC(h[6:12]) }

// Type returns the EtherType, or a length if it is below 1536 (IEEE 802.3).
func (h Ethernet) Type() uint16 { return binary.BigEndian.Uint16(h[12:14]) }

// Payload returns what follows the header.
func (h Ethernet) Payload() []byte { return h[EthernetLen:] }

// SetDst writes the destination address.
func (h Ethernet) SetDst(m MAC) { copy(h[0:6], m[:]) }

// SetSrc writes the source address.
func (h Ethernet) SetSrc(m MAC) { copy(h[6:12], m[:]) }

// SetType writes the EtherType.
func (h Ethernet) SetType(t uint16) { binary.BigEndian.PutUint16(h[12:14], t) }

// IsMulticast reports whether m addresses a group; broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 == 1 }

// IsBroadcast reports whether m is ff:ff:ff:ff:ff:ff.
func (m MAC) IsBroadcast() bool { return m == MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// IsZero reports whether m is 00:00:00:00:00:00.
func (m MAC) IsZero() bool { return m == MAC{} }

// Uint64 returns m as a number, the first byte the most significant of 48 bits.
func (m MAC) Uint64() uint64 {
	return uint64(binary.BigEndian.Uint16(m[0:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:6]))
}

// MACFromUint64 returns the address with the lower 48 bits of v.
func MACFromUint64(v uint64) (m MAC) {
	binary.BigEndian.PutUint16(m[0:2], uint16(v>>32))
	binary.BigEndian.PutUint32(m[2:6], uint32(v))
	return m
}

// VLAN is the four bytes after the addresses and the tag's own EtherType: tag
// control information and the next EtherType (IEEE 802.1Q §9.6).
type VLAN []byte

// Valid reports whether the tag lies inside the slice.
func (h VLAN) Valid() bool { return len(h) >= VLANLen }

// TCI returns the tag control information: priority, drop eligible, id.
func (h VLAN) TCI() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// ID returns the VLAN id, 12 bits. 0 is a priority tag.
func (h VLAN) ID() uint16 { return h.TCI() & 0xfff }

// Priority returns the priority code point, 3 bits.
func (h VLAN) Priority() uint8 { return h[0] >> 5 }

// Type returns the EtherType that the tag carries.
func (h VLAN) Type() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Payload returns what follows the tag.
func (h VLAN) Payload() []byte { return h[VLANLen:] }

// SetTCI writes the tag control information.
func (h VLAN) SetTCI(v uint16) { binary.BigEndian.PutUint16(h[0:2], v) }

// SetID writes the VLAN id and keeps the priority.
func (h VLAN) SetID(id uint16) { h.SetTCI(h.TCI()&0xf000 | id&0xfff) }

// SetType writes the EtherType that the tag carries.
func (h VLAN) SetType(t uint16) { binary.BigEndian.PutUint16(h[2:4], t) }
