package splice

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

const (
	optTimestampsLen = 12 // NOP, NOP, timestamps (RFC 7323 appendix A)
	ttl              = 64
)

// A Frame is one that the Engine made.
type Frame struct {
	Port datapath.Port
	Data []byte
}

// Out returns the frames that were made since the last Flushed: they leave before
// the packet that Process was given. They hold until Flushed.
func (e *Engine) Out() []Frame { return e.out }

// Flushed says that the frames of Out have left.
func (e *Engine) Flushed() {
	e.out = e.out[:0]
	e.arena = e.arena[:0]
}

// alloc returns n bytes that hold until Flushed.
func (e *Engine) alloc(n int) []byte {
	if cap(e.arena)-len(e.arena) < n {
		e.arena = make([]byte, 0, max(2*cap(e.arena), n)) // the frames there keep the old one
	}
	at := len(e.arena)
	e.arena = e.arena[:at+n]
	return e.arena[at : at+n : at+n]
}

// header is what a segment to a peer says.
type header struct {
	seq, ack     wire.Seq
	flags        wire.TCPFlags
	window       uint16 // as on the wire
	tsVal, tsEcr uint32
	sacks        []wire.SACKBlock
	syn          bool // carries the options of a SYN
	mss          uint16
	payload      int // bytes that follow
}

// headerLen is the length of h's headers on c, Ethernet included.
func (h *header) headerLen(c *conn) int {
	n := wire.EthernetLen + wire.IPv4MinLen + wire.TCPMinLen
	if c.v6() {
		n += wire.IPv6Len - wire.IPv4MinLen
	}
	switch {
	case h.syn:
		n += 4
		if c.has(flagTimestamps) {
			n += optTimestampsLen
		} else if c.has(flagSACK) {
			n += 4
		}
		if c.rcvScale > 0 {
			n += 4
		}
		return n
	case c.has(flagTimestamps):
		n += optTimestampsLen
	}
	return n + optSACKLen(len(h.sacks))
}

// optSACKLen is the length of the option of so many blocks.
func optSACKLen(blocks int) int {
	if blocks == 0 {
		return 0
	}
	return 4 + 8*blocks
}

// put writes h's headers, checksums apart from TCP's included, to the front of b,
// and returns where TCP begins in it.
func (h *header) put(b []byte, c *conn) (tcp int) {
	size := h.headerLen(c)
	eth := wire.Ethernet(b)
	eth.SetDst(c.next.MAC)
	eth.SetSrc(c.next.Own)
	tcp = wire.EthernetLen
	if c.v6() {
		eth.SetType(wire.TypeIPv6)
		ip := b[tcp:]
		binary.BigEndian.PutUint32(ip[0:4], 6<<28)
		binary.BigEndian.PutUint16(ip[4:6], uint16(size-tcp-wire.IPv6Len+h.payload))
		ip[6], ip[7] = wire.ProtoTCP, ttl
		copy(ip[8:24], c.local.IP[:])
		copy(ip[24:40], c.remote.IP[:])
		tcp += wire.IPv6Len
	} else {
		eth.SetType(wire.TypeIPv4)
		ip := wire.IPv4(b[tcp:])
		ip.SetVersionIHL(wire.IPv4MinLen)
		ip.SetTOS(0)
		ip.SetTotalLen(size - tcp + h.payload)
		ip.SetID(0) // atomic datagrams (RFC 6864 §4.1)
		ip.SetFlagsOffset(wire.IPv4DontFragment)
		ip.SetTTL(ttl)
		ip.SetProto(wire.ProtoTCP)
		ip.SetSrc([4]byte(c.local.IP[12:]))
		ip.SetDst([4]byte(c.remote.IP[12:]))
		tcp += wire.IPv4MinLen
		ip.FillChecksum()
	}
	t := wire.TCP(b[tcp:])
	t.SetSrcPort(c.local.Port)
	t.SetDstPort(c.remote.Port)
	t.SetSeq(h.seq)
	t.SetAck(h.ack)
	t[12] = 0
	t.SetHeaderLen(size - tcp)
	t.SetFlags(h.flags)
	t.SetWindow(h.window)
	t.SetChecksum(0)
	t.SetUrgent(0)
	h.options(t[wire.TCPMinLen:size-tcp], c)
	return tcp
}

// options writes the options, in the layout that all common stacks use.
func (h *header) options(o []byte, c *conn) {
	const nop = uint32(wire.OptNOP)
	word := func(a, b, c, d uint32) {
		binary.BigEndian.PutUint32(o, a<<24|b<<16|c<<8|d)
		o = o[4:]
	}
	if h.syn {
		word(uint32(wire.OptMSS), 4, uint32(h.mss>>8), uint32(h.mss&0xff))
	}
	if c.has(flagTimestamps) {
		if h.syn && c.has(flagSACK) {
			word(uint32(wire.OptSACKPermitted), 2, uint32(wire.OptTimestamps), 10)
		} else {
			word(nop, nop, uint32(wire.OptTimestamps), 10)
		}
		binary.BigEndian.PutUint32(o, h.tsVal)
		binary.BigEndian.PutUint32(o[4:], h.tsEcr)
		o = o[8:]
	} else if h.syn && c.has(flagSACK) {
		word(nop, nop, uint32(wire.OptSACKPermitted), 2)
	}
	if h.syn && c.rcvScale > 0 {
		word(nop, uint32(wire.OptWindowScale), 3, uint32(c.rcvScale))
	}
	if n := len(h.sacks); n > 0 && !h.syn {
		word(nop, nop, uint32(wire.OptSACK), uint32(2+8*n))
		for _, b := range h.sacks {
			binary.BigEndian.PutUint32(o, uint32(b.Left))
			binary.BigEndian.PutUint32(o[4:], uint32(b.Right))
			o = o[8:]
		}
	}
}

// pseudo is the sum of the pseudo-header of n bytes of TCP to c.
func pseudo(c *conn, n int) uint16 {
	if c.v6() {
		return wire.PseudoIPv6(c.local.IP, c.remote.IP, wire.ProtoTCP, n)
	}
	return wire.PseudoIPv4([4]byte(c.local.IP[12:]), [4]byte(c.remote.IP[12:]), wire.ProtoTCP, n)
}

// emit makes one segment whose payload is head and rest.
func (e *Engine) emit(c *conn, h *header, head, rest []byte) {
	h.payload = len(head) + len(rest)
	n := h.headerLen(c)
	b := e.alloc(n + h.payload)
	tcp := h.put(b, c)
	copy(b[n+copy(b[n:], head):], rest)
	t := wire.TCP(b[tcp:])
	t.SetChecksum(^wire.Sum(t, pseudo(c, len(t))))
	e.out = append(e.out, Frame{c.next.Port, b})
}

// own sends a segment of our own making to the peer of c.
func (e *Engine) own(c *conn, flags wire.TCPFlags, seq wire.Seq, payload []byte) {
	e.count.Forged++
	h := e.ownHeader(c, flags, seq)
	e.emit(c, &h, payload, nil)
}

func (e *Engine) ownHeader(c *conn, flags wire.TCPFlags, seq wire.Seq) header {
	h := header{seq: seq, flags: flags, window: c.told}
	if flags.Has(wire.ACK) {
		h.ack = c.acked
	}
	e.stamp(c, &h)
	return h
}

// stamp gives h timestamps of our own.
func (e *Engine) stamp(c *conn, h *header) {
	if !c.has(flagTimestamps) {
		return
	}
	c.tsSent = e.clockFor(c)
	h.tsVal, h.tsEcr = c.tsSent, c.tsRecent
}

// clockFor is our timestamp clock, in milliseconds, or what the peer has been
// sent if that is ahead: to the peer it never goes back (RFC 7323 §5.4). While
// the peer gets another's timestamps it stands still: that one's may run slower.
func (e *Engine) clockFor(c *conn) uint32 {
	now := uint32(e.ms(e.now)) + uint32(e.secret)
	switch {
	case c.state == synReceived || c.state == synSent:
		return now
	case int32(now-c.tsSent) < 0, c.peer != none && e.conn(c.peer).has(flagMapped):
		return c.tsSent
	}
	return now
}

// ack acknowledges to the peer what it was acknowledged before.
func (e *Engine) ack(c *conn) { e.own(c, wire.ACK, c.sndNxt, nil) }

// reset ends the peer's end at once.
func (e *Engine) reset(c *conn) { e.own(c, wire.RST|wire.ACK, c.sndNxt, nil) }

// refuse answers a segment that belongs to no connection (RFC 9293 §3.10.7.1).
func (e *Engine) refuse(s *segment) {
	if s.flags.Has(wire.RST) {
		return
	}
	h := &s.p.PHV
	eth := wire.Ethernet(s.p.Data)
	c := conn{
		remote: Addr{h.IPSrc, h.SrcPort}, local: Addr{h.IPDst, h.DstPort},
		next: Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In},
	}
	e.count.Forged++
	r := header{flags: wire.RST | wire.ACK}
	if s.flags.Has(wire.ACK) {
		r.seq, r.flags = s.ack, wire.RST
	} else {
		r.ack = s.end()
		if s.flags.Has(wire.SYN) {
			r.ack++
		}
	}
	e.emit(&c, &r, nil, nil)
}
