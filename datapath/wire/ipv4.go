package wire

import "encoding/binary"

// IPv4MinLen is the length of an IPv4 header without options.
const IPv4MinLen = 20

// IPv4 fragment flags, as in the upper bits of FlagsOffset.
const (
	IPv4DontFragment  uint16 = 1 << 14
	IPv4MoreFragments uint16 = 1 << 13
)

// IPv4 options that change which address the L4 checksum covers (RFC 791).
const (
	ipv4OptEnd  = 0
	ipv4OptNop  = 1
	ipv4OptLSRR = 131
	ipv4OptSSRR = 137
)

// IPv4 is an IPv4 header followed by its payload and perhaps padding.
type IPv4 []byte

// Valid reports whether the version is 4 and header and total length lie inside
// the slice.
func (h IPv4) Valid() bool {
	return len(h) >= IPv4MinLen && h[0]>>4 == 4 && h.HeaderLen() >= IPv4MinLen &&
		h.HeaderLen() <= h.TotalLen() && h.TotalLen() <= len(h)
}

// Version returns the version field.
func (h IPv4) Version() int { return int(h[0] >> 4) }

// HeaderLen returns the header's length with options, in bytes.
func (h IPv4) HeaderLen() int { return int(h[0]&0xf) * 4 }

// TOS returns DSCP and ECN.
func (h IPv4) TOS() uint8 { return h[1] }

// TotalLen returns the length of header and payload in bytes.
func (h IPv4) TotalLen() int { return int(binary.BigEndian.Uint16(h[2:4])) }

// ID returns the identification.
func (h IPv4) ID() uint16 { return binary.BigEndian.Uint16(h[4:6]) }

// FlagsOffset returns the flags and the fragment offset as they stand.
func (h IPv4) FlagsOffset() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// FragmentOffset returns the fragment's offset in bytes.
func (h IPv4) FragmentOffset() int { return int(h.FlagsOffset()&0x1fff) * 8 }

// MoreFragments reports whether another fragment follows this one.
func (h IPv4) MoreFragments() bool { return h.FlagsOffset()&IPv4MoreFragments != 0 }

// TTL returns the time to live.
func (h IPv4) TTL() uint8 { return h[8] }

// Proto returns the protocol of the payload.
func (h IPv4) Proto() uint8 { return h[9] }

// Checksum returns the header checksum.
func (h IPv4) Checksum() uint16 { return binary.BigEndian.Uint16(h[10:12]) }

// Src returns the source address.
func (h IPv4) Src() [4]byte { return [4]byte(h[12:16]) }

// Dst returns the destination address.
func (h IPv4) Dst() [4]byte { return [4]byte(h[16:20]) }

// Options returns the options with their padding.
func (h IPv4) Options() []byte { return h[IPv4MinLen:h.HeaderLen()] }

// Payload returns what the total length says is payload, padding excluded.
func (h IPv4) Payload() []byte { return h[h.HeaderLen():h.TotalLen()] }

// SourceRouted reports whether a source route with hops to go is among the
// options. The L4 checksum then covers the last hop's address, not Dst
// (RFC 9293 §3.1). Options that do not parse hold no route.
func (h IPv4) SourceRouted() bool {
	for o := h.Options(); len(o) > 0; {
		switch o[0] {
		case ipv4OptEnd:
			return false
		case ipv4OptNop:
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return false
		}
		if (o[0] == ipv4OptLSRR || o[0] == ipv4OptSSRR) && o[1] >= 3 && o[2] <= o[1] {
			return true
		}
		o = o[o[1]:]
	}
	return false
}

// SetVersionIHL writes version 4 and a header length in bytes.
func (h IPv4) SetVersionIHL(headerLen int) { h[0] = 4<<4 | uint8(headerLen/4) }

// SetTOS writes DSCP and ECN.
func (h IPv4) SetTOS(v uint8) { h[1] = v }

// SetTotalLen writes the total length in bytes.
func (h IPv4) SetTotalLen(n int) { binary.BigEndian.PutUint16(h[2:4], uint16(n)) }

// SetID writes the identification.
func (h IPv4) SetID(v uint16) { binary.BigEndian.PutUint16(h[4:6], v) }

// SetFlagsOffset writes flags and fragment offset as they shall stand.
func (h IPv4) SetFlagsOffset(v uint16) { binary.BigEndian.PutUint16(h[6:8], v) }

// SetTTL writes the time to live.
func (h IPv4) SetTTL(v uint8) { h[8] = v }

// SetProto writes the protocol.
func (h IPv4) SetProto(v uint8) { h[9] = v }

// SetChecksum writes the header checksum.
func (h IPv4) SetChecksum(v uint16) { binary.BigEndian.PutUint16(h[10:12], v) }

// SetSrc writes the source address.
func (h IPv4) SetSrc(a [4]byte) { copy(h[12:16], a[:]) }

// SetDst writes the destination address.
func (h IPv4) SetDst(a [4]byte) { copy(h[16:20], a[:]) }

// FillChecksum computes the header checksum and writes it.
func (h IPv4) FillChecksum() {
	h.SetChecksum(0)
	h.SetChecksum(Checksum(h[:h.HeaderLen()]))
}

// ChecksumOK reports whether the header checksum is right.
func (h IPv4) ChecksumOK() bool { return Sum(h[:h.HeaderLen()], 0) == 0xffff }

// MapIPv4 returns a as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
func MapIPv4(a [4]byte) (m [16]byte) {
	m[10], m[11] = 0xff, 0xff
	copy(m[12:], a[:])
	return m
}

// UnmapIPv4 returns the IPv4 address in a; ok is false if a is not mapped.
func UnmapIPv4(a [16]byte) (v4 [4]byte, ok bool) {
	if binary.BigEndian.Uint64(a[0:8]) != 0 || binary.BigEndian.Uint32(a[8:12]) != 0xffff {
		return v4, false
	}
	return [4]byte(a[12:16]), true
}
