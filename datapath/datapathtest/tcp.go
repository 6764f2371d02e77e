package datapathtest

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath/wire"
)

// TCPField sets a field or adds an option of a TCP header.
type TCPField func(h *tcpHeader)

type tcpHeader struct {
	seq, ack wire.Seq
	window   uint16
	options  []byte
}

// Seq sets the sequence number; 0 without it.
func Seq(n uint32) TCPField { return func(h *tcpHeader) { h.seq = wire.Seq(n) } }

// Ack sets the acknowledgement number; 0 without it.
func Ack(n uint32) TCPField { return func(h *tcpHeader) { h.ack = wire.Seq(n) } }

// Win sets the window; DefaultWindow without it.
func Win(n uint16) TCPField { return func(h *tcpHeader) { h.window = n } }

// DefaultWindow is the window of TCP.
const DefaultWindow = 65535

// Option adds an option; its length is filled in.
func Option(kind wire.TCPOptionKind, data ...byte) TCPField {
	return Raw(append([]byte{byte(kind), byte(2 + len(data))}, data...)...)
}

// Raw adds bytes to the options as they are.
func Raw(b ...byte) TCPField { return func(h *tcpHeader) { h.options = append(h.options, b...) } }

// NOP adds a no-operation option.
func NOP() TCPField { return Raw(byte(wire.OptNOP)) }

// MSS adds a maximum segment size.
func MSS(n uint16) TCPField { return Option(wire.OptMSS, byte(n>>8), byte(n)) }

// WScale adds a window scale.
func WScale(shift uint8) TCPField { return Option(wire.OptWindowScale, shift) }

// SACKPermitted adds the SACK-permitted option.
func SACKPermitted() TCPField { return Option(wire.OptSACKPermitted) }

// SACK adds SACK blocks, each from a left edge to a right one.
func SACK(edges ...uint32) TCPField {
	var b []byte
	for _, e := range edges {
		b = binary.BigEndian.AppendUint32(b, e)
	}
	return Option(wire.OptSACK, b...)
}

// TS adds timestamps as all common stacks lay them out, behind two NOPs.
func TS(val, ecr uint32) TCPField {
	b := []byte{byte(wire.OptNOP), byte(wire.OptNOP), byte(wire.OptTimestamps), 10}
	return Raw(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, val), ecr)...)
}

// TCP adds a TCP header with control bits by letter (F S R P A U E C). Options
// are padded to a multiple of four bytes with the end-of-list option.
func (f Frame) TCP(src, dst uint16, flags string, fields ...TCPField) Frame {
	bits, ok := wire.ParseTCPFlags(flags)
	if !ok {
		panic("datapathtest: TCP flags " + flags)
	}
	v := tcpHeader{window: DefaultWindow}
	for _, set := range fields {
		set(&v)
	}
	for len(v.options)%4 != 0 {
		v.options = append(v.options, byte(wire.OptEnd))
	}
	f = f.proto(wire.ProtoTCP)
	g := f.grow(wire.TCPMinLen + len(v.options))
	h := wire.TCP(g[len(f):])
	h.SetSrcPort(src)
	h.SetDstPort(dst)
	h.SetSeq(v.seq)
	h.SetAck(v.ack)
	h.SetHeaderLen(len(h))
	h.SetFlags(bits)
	h.SetWindow(v.window)
	copy(h[wire.TCPMinLen:], v.options)
	return g.fix()
}
