package wire

import "encoding/binary"

// TCPMinLen is the length of a TCP header without options.
const TCPMinLen = 20

// TCP is a TCP header followed by its payload.
type TCP []byte

// Valid reports whether the header with its options lies inside the slice.
func (h TCP) Valid() bool {
	return len(h) >= TCPMinLen && h.HeaderLen() >= TCPMinLen && h.HeaderLen() <= len(h)
}

// SrcPort returns the source port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Seq returns the sequence number.
func (h TCP) Seq() Seq { return Seq(binary.BigEndian.Uint32(h[4:8])) }

// Ack returns the acknowledgement number; it means nothing without ACK.
func (h TCP) Ack() Seq { return Seq(binary.BigEndian.Uint32(h[8:12])) }

// HeaderLen returns the header's length with options, in bytes.
func (h TCP) HeaderLen() int { return int(h[12]>>4) * 4 }

// Flags returns the control bits.
func (h TCP) Flags() TCPFlags { return TCPFlags(h[13]) }

// Window returns the window as it stands, not scaled.
func (h TCP) Window() uint16 { return binary.BigEndian.Uint16(h[14:16]) }

// Checksum returns the checksum.
func (h TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:18]) }

// Urgent returns the urgent pointer.
func (h TCP) Urgent() uint16 { return binary.BigEndian.Uint16(h[18:20]) }

// Options returns the options with their padding.
func (h TCP) Options() []byte { return h[TCPMinLen:h.HeaderLen()] }

// Payload returns what follows the header.
func (h TCP) Payload() []byte { return h[h.HeaderLen():] }

// SetSrcPort writes the source port.
func (h TCP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(h[0:2], p) }

// SetDstPort writes the destination port.
func (h TCP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(h[2:4], p) }

// SetSeq writes the sequence number.
func (h TCP) SetSeq(s Seq) { binary.BigEndian.PutUint32(h[4:8], uint32(s)) }

// SetAck writes the acknowledgement number.
func (h TCP) SetAck(s Seq) { binary.BigEndian.PutUint32(h[8:12], uint32(s)) }

// SetHeaderLen writes the data offset from a length in bytes.
func (h TCP) SetHeaderLen(n int) { h[12] = uint8(n/4)<<4 | h[12]&0xf }

// SetFlags writes the control bits.
func (h TCP) SetFlags(f TCPFlags) { h[13] = uint8(f) }

// SetWindow writes the window.
func (h TCP) SetWindow(w uint16) { binary.BigEndian.PutUint16(h[14:16], w) }

// SetChecksum writes the checksum.
func (h TCP) SetChecksum(v uint16) { binary.BigEndian.PutUint16(h[16:18], v) }

// SetUrgent writes the urgent pointer.
func (h TCP) SetUrgent(v uint16) { binary.BigEndian.PutUint16(h[18:20], v) }

// Has reports whether all control bits in g are set.
func (f TCPFlags) Has(g TCPFlags) bool { return f&g == g }

// flagLetters names the control bits from the lowest, as tcpdump does except
// that ACK is A.
const flagLetters = "FSRPAUEC"

// String returns the letters of the bits that are set, in the order of the
// header from the left: "SA", "PA", "". ParseTCPFlags reads it.
func (f TCPFlags) String() string {
	var b [8]byte
	n := 0
	for i := range flagLetters {
		if f>>i&1 == 1 {
			b[n] = flagLetters[i]
			n++
		}
	}
	return string(b[:n])
}

// ParseTCPFlags returns the control bits that the letters in s name; ok is
// false if one names none.
func ParseTCPFlags(s string) (f TCPFlags, ok bool) {
next:
	for i := range len(s) {
		for j := range flagLetters {
			if s[i] == flagLetters[j] {
				f |= 1 << j
				continue next
			}
		}
		return 0, false
	}
	return f, true
}
