package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to acc in ones' complement (RFC
// 1071) and folds to 16 bits. An odd last byte counts as the upper half of a
// word. Only zeros sum to 0; a region with its right checksum in it sums to
// 0xffff.
func Sum(b []byte, acc uint16) uint16 {
	// Ones' complement sums do not depend on byte order (RFC 1071 §2.B), so add
	// eight bytes at a time as they lie and swap at the end. The loop runs two
	// carry chains, because one alone is bound by its latency.
	var s, t, c, d uint64
	for len(b) >= 64 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:8]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:16]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:24]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:32]), c)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(b[32:40]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(b[40:48]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(b[48:56]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(b[56:64]), d)
		b = b[64:]
	}
	s, c = bits.Add64(s, t, c)
	s, c = bits.Add64(s, d, c)
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[0:8]), c)
		b = b[8:]
	}
	var tail uint64
	if len(b) >= 4 {
		tail = uint64(binary.LittleEndian.Uint32(b[0:4]))
		b = b[4:]
	}
	if len(b) >= 2 {
		tail += uint64(binary.LittleEndian.Uint16(b[0:2]))
		b = b[2:]
	}
	if len(b) == 1 {
		tail += uint64(b[0])
	}
	s, c = bits.Add64(s, tail, c)
	s, c = bits.Add64(s, uint64(bits.ReverseBytes16(acc)), c)
	// s can be all ones only if no carry came out of the last addition's chain,
	// so one more addition of the carry does not overflow twice.
	s, c = bits.Add64(s, 0, c)
	s += c
	return bits.ReverseBytes16(Fold(s))
}

// Fold makes a sum of 16 or of 32-bit words one of 16 bits.
func Fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// Checksum returns the Internet checksum of b.
func Checksum(b []byte) uint16 { return ^Sum(b, 0) }

// PseudoIPv4 sums the IPv4 pseudo-header of an L4 segment of n bytes (RFC 9293
// §3.1).
func PseudoIPv4(src, dst [4]byte, proto uint8, n int) uint16 {
	s := uint64(binary.BigEndian.Uint32(src[:])) + uint64(binary.BigEndian.Uint32(dst[:]))
	return Fold(s + uint64(proto) + uint64(n))
}

// PseudoIPv6 sums the IPv6 pseudo-header of an L4 segment of n bytes (RFC 8200
// §8.1).
func PseudoIPv6(src, dst [16]byte, proto uint8, n int) uint16 {
	return Sum(dst[:], Sum(src[:], Fold(uint64(proto)+uint64(n))))
}

// Add16 returns the ones' complement sum of two folded sums.
func Add16(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s>>16 + s)
}

// Update16 returns the checksum after one 16-bit word that it covers has changed
// (RFC 1624 equation 3).
func Update16(sum, old, new uint16) uint16 {
	return ^Fold(uint64(^sum) + uint64(^old) + uint64(new))
}

// Update32 returns the checksum after 32 bits at an even offset have changed.
func Update32(sum uint16, old, new uint32) uint16 {
	return ^Fold(uint64(^sum) + uint64(^old) + uint64(new))
}

// UpdateSum returns the checksum after a region at an even offset whose words
// summed to old now sum to new, both as Sum returns them.
func UpdateSum(sum, old, new uint16) uint16 { return Update16(sum, old, new) }
