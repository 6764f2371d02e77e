// Package wire holds views of protocol headers over the bytes of a frame,
// checksums, and TCP sequence numbers. A view's Valid is called once, where the
// bytes enter; its other methods index without checks. Setters change the field
// alone: checksums are the caller's, with Update16 and Update32.
package wire

// MAC is an Ethernet address.
type MAC [6]byte

// Seq is a TCP sequence number; it wraps at 2^32, so it has no < operator that
// means anything. Compare with Before.
type Seq uint32

// Before reports whether s precedes t (RFC 9293 §3.4).
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }

// TCPFlags are the control bits of a TCP header.
type TCPFlags uint8

// The control bits (RFC 9293 §3.1).
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)
