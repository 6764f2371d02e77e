package wire

import "encoding/binary"

// TCPOptionKind is the first byte of a TCP option.
type TCPOptionKind uint8

// The option kinds that this package reads (IANA).
const (
	OptEnd           TCPOptionKind = 0
	OptNOP           TCPOptionKind = 1
	OptMSS           TCPOptionKind = 2 // RFC 9293 §3.7.1
	OptWindowScale   TCPOptionKind = 3 // RFC 7323 §2
	OptSACKPermitted TCPOptionKind = 4 // RFC 2018 §2
	OptSACK          TCPOptionKind = 5 // RFC 2018 §3
	OptTimestamps    TCPOptionKind = 8 // RFC 7323 §3
)

// MaxWindowScale is the largest shift; a larger one counts as it (RFC 7323 §2.3).
const MaxWindowScale = 14

// TCPOption is one option: kind, and the bytes after the length.
type TCPOption struct {
	Kind TCPOptionKind
	Data []byte
}

// TCPOptions walks options. Make one with the bytes of TCP.Options.
//
//	for it := wire.TCPOptions(h.Options()); it.Next(&o); { … }
type TCPOptions []byte

// Next stores the next option in o, skipping NOP, and reports whether there was
// one. It ends at the end-of-list option, at the end of the bytes, and at an
// option whose length lies: below two or beyond the end.
func (t *TCPOptions) Next(o *TCPOption) bool {
	b := *t
	for len(b) > 0 && TCPOptionKind(b[0]) == OptNOP {
		b = b[1:]
	}
	if len(b) < 2 || TCPOptionKind(b[0]) == OptEnd || b[1] < 2 || int(b[1]) > len(b) {
		*t = b
		return false
	}
	n := int(b[1])
	o.Kind, o.Data = TCPOptionKind(b[0]), b[2:n]
	*t = b[n:]
	return true
}

// Malformed reports, once Next has returned false, whether it ended at an
// option that lies rather than at the end.
func (t TCPOptions) Malformed() bool { return len(t) > 0 && TCPOptionKind(t[0]) != OptEnd }

// MSS returns the maximum segment size in bytes.
func (o *TCPOption) MSS() (mss uint16, ok bool) {
	if o.Kind != OptMSS || len(o.Data) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(o.Data), true
}

// WindowScale returns the shift, at most MaxWindowScale.
func (o *TCPOption) WindowScale() (shift uint8, ok bool) {
	if o.Kind != OptWindowScale || len(o.Data) != 1 {
		return 0, false
	}
	return min(o.Data[0], MaxWindowScale), true
}

// SACKPermitted reports whether o is the SACK-permitted option.
func (o *TCPOption) SACKPermitted() bool { return o.Kind == OptSACKPermitted && len(o.Data) == 0 }

// Timestamps returns value and echo reply.
func (o *TCPOption) Timestamps() (val, ecr uint32, ok bool) {
	if o.Kind != OptTimestamps || len(o.Data) != 8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(o.Data[0:4]), binary.BigEndian.Uint32(o.Data[4:8]), true
}

// SACKBlock is a range of bytes that has arrived: from Left up to, not with,
// Right.
type SACKBlock struct{ Left, Right Seq }

// MaxSACKBlocks is how many fit into the 40 bytes of options.
const MaxSACKBlocks = 4

// SACKBlocks returns the blocks and how many there are; n is 0 if o is no SACK
// option or its length is not that of whole blocks.
func (o *TCPOption) SACKBlocks() (blocks [MaxSACKBlocks]SACKBlock, n int) {
	if o.Kind != OptSACK || len(o.Data)%8 != 0 || len(o.Data) > 8*MaxSACKBlocks {
		return blocks, 0
	}
	for d := o.Data; len(d) >= 8; d = d[8:] {
		blocks[n] = SACKBlock{Seq(binary.BigEndian.Uint32(d[0:4])), Seq(binary.BigEndian.Uint32(d[4:8]))}
		n++
	}
	return blocks, n
}

// timestampsOnly is how all common stacks lay out a segment whose only option
// is timestamps: NOP, NOP, kind 8, length 10 (RFC 7323 appendix A).
const timestampsOnly = 1<<24 | 1<<16 | uint32(OptTimestamps)<<8 | 10

// Timestamps returns the timestamps option of h, if it has one.
func (h TCP) Timestamps() (val, ecr uint32, ok bool) {
	opts := h.Options()
	if len(opts) >= 12 && binary.BigEndian.Uint32(opts[0:4]) == timestampsOnly {
		return binary.BigEndian.Uint32(opts[4:8]), binary.BigEndian.Uint32(opts[8:12]), true
	}
	it := TCPOptions(opts)
	for o := (TCPOption{}); it.Next(&o); {
		if val, ecr, ok = o.Timestamps(); ok {
			return val, ecr, true
		}
	}
	return 0, 0, false
}

// TCPSynOptions are the options that a SYN negotiates.
type TCPSynOptions struct {
	MSS           uint16 // 0 if absent
	WindowScale   int8   // -1 if absent
	SACKPermitted bool
	Timestamps    bool
	TSVal, TSEcr  uint32
}

// SynOptions reads the options of a SYN. The first of each kind counts.
func (h TCP) SynOptions() TCPSynOptions {
	s := TCPSynOptions{WindowScale: -1}
	it := TCPOptions(h.Options())
	for o := (TCPOption{}); it.Next(&o); {
		if v, ok := o.MSS(); ok && s.MSS == 0 {
			s.MSS = v
		}
		if v, ok := o.WindowScale(); ok && s.WindowScale < 0 {
			s.WindowScale = int8(v)
		}
		if v, e, ok := o.Timestamps(); ok && !s.Timestamps {
			s.Timestamps, s.TSVal, s.TSEcr = true, v, e
		}
		s.SACKPermitted = s.SACKPermitted || o.SACKPermitted()
	}
	return s
}
