package corundum

import (
	"encoding/binary"
	"math/bits"
)

// Sum is what rx_checksum puts out for a frame: the one's complement sum of its
// 16-bit big-endian words, of which the first start bytes count as 0. The RTL's
// start is 14, the end of the Ethernet header. It is not complemented.
func Sum(frame []byte, start int) uint16 {
	start = min(start, len(frame))
	var sum uint64
	if start&1 == 1 && start < len(frame) { // the low half of its word
		sum, start = uint64(frame[start]), start+1
	}
	b := frame[start:]
	for ; len(b) >= 8; b = b[8:] {
		s, carry := bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum = s + carry
	}
	for ; len(b) >= 2; b = b[2:] {
		s, carry := bits.Add64(sum, uint64(binary.BigEndian.Uint16(b)), 0)
		sum = s + carry
	}
	if len(b) == 1 {
		s, carry := bits.Add64(sum, uint64(b[0])<<8, 0)
		sum = s + carry
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// Insert does what tx_checksum does to a frame: it puts the complement of the
// sum from byte start to the end at offset, as a checksum over words that begin
// at start. The frame must hold offset+2 bytes.
func Insert(frame []byte, start, offset int) {
	sum := ^Sum(frame, start)
	if start&1 == 1 {
		sum = bits.ReverseBytes16(sum)
	}
	binary.BigEndian.PutUint16(frame[offset:], sum)
}
