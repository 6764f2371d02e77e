package wire

import "encoding/binary"

// Lengths of headers in bytes.
const (
	UDPLen  = 8
	ICMPLen = 4 // the part all ICMP messages share
)

// UDP is a UDP header followed by its payload.
type UDP []byte

// Valid reports whether header and stated length lie inside the slice.
func (h UDP) Valid() bool { return len(h) >= UDPLen && h.Length() >= UDPLen && h.Length() <= len(h) }

// SrcPort returns the source port.
func (h UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Length returns the length of header and payload in bytes.
func (h UDP) Length() int { return int(binary.BigEndian.Uint16(h[4:6])) }

// Checksum returns the checksum; 0 means that there is none (RFC 768).
func (h UDP) Checksum() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// Payload returns the payload by the stated length.
func (h UDP) Payload() []byte { return h[UDPLen:h.Length()] }

// SetSrcPort writes the source port.
func (h UDP) SetSrcPort(p uint16) { binary.BigEndian.PutUint16(h[0:2], p) }

// SetDstPort writes the destination port.
func (h UDP) SetDstPort(p uint16) { binary.BigEndian.PutUint16(h[2:4], p) }

// SetLength writes the length in bytes.
func (h UDP) SetLength(n int) { binary.BigEndian.PutUint16(h[4:6], uint16(n)) }

// SetChecksum writes the checksum.
func (h UDP) SetChecksum(v uint16) { binary.BigEndian.PutUint16(h[6:8], v) }

// ICMP is an ICMP or ICMPv6 message.
type ICMP []byte

// Valid reports whether the shared part lies inside the slice.
func (h ICMP) Valid() bool { return len(h) >= ICMPLen }

// Type returns the message type.
func (h ICMP) Type() uint8 { return h[0] }

// Code returns the message code.
func (h ICMP) Code() uint8 { return h[1] }

// Checksum returns the checksum.
func (h ICMP) Checksum() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Body returns what follows the shared part.
func (h ICMP) Body() []byte { return h[ICMPLen:] }

// SetType writes type and code.
func (h ICMP) SetType(typ, code uint8) { h[0], h[1] = typ, code }

// SetChecksum writes the checksum.
func (h ICMP) SetChecksum(v uint16) { binary.BigEndian.PutUint16(h[2:4], v) }
