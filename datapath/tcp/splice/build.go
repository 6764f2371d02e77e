package splice

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

const (
	optTimestampsLen = 12 // NOP, NOP, timestamps (RFC 7323 appendix A)
	ttl              = 64
	proto            = uint64(wire.ProtoTCP)
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
	if c.has(flagV6) {
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

// put writes h's headers, TCP's checksum apart, to the first size bytes of b. It returns
// where TCP begins in it, and the sum of its header and of the pseudo-header.
//
// What was written is not read again: loads of what stores of another width have just
// left wait for them.
func (h *header) put(b []byte, c *conn, size int) (tcp int, sum uint64) {
	eth := wire.Ethernet(b)
	eth.SetDst(c.next.MAC)
	eth.SetSrc(c.next.Own)
	tcp = wire.EthernetLen
	ip := b[tcp:size]
	if c.has(flagV6) {
		eth.SetType(wire.TypeIPv6)
		tcp += wire.IPv6Len
		n := size - tcp + h.payload
		binary.BigEndian.PutUint64(ip, 6<<60|uint64(n)<<16|proto<<8|ttl)
		copy(ip[8:24], c.local.IP[:])
		copy(ip[24:40], c.remote.IP[:])
		sum = uint64(wire.PseudoIPv6(c.local.IP, c.remote.IP, wire.ProtoTCP, n))
	} else {
		eth.SetType(wire.TypeIPv4)
		const word0, dontFragment, word4 = 0x4500, 0x4000, ttl<<8 | proto // atomic datagrams have no ID (RFC 6864 §4.1)
		n := uint64(size - tcp + h.payload)
		src, dst := binary.BigEndian.Uint32(c.local.IP[12:]), binary.BigEndian.Uint32(c.remote.IP[12:])
		addrs := uint64(src) + uint64(dst)
		check := ^wire.Fold(addrs + n + word0 + dontFragment + word4)
		binary.BigEndian.PutUint64(ip, word0<<48|n<<32|dontFragment)
		binary.BigEndian.PutUint64(ip[8:], word4<<48|uint64(check)<<32|uint64(src))
		binary.BigEndian.PutUint32(ip[16:], dst)
		tcp += wire.IPv4MinLen
		sum = addrs + proto + n - wire.IPv4MinLen
	}
	t := b[tcp:size]
	ports := uint64(c.local.Port)<<16 | uint64(c.remote.Port)
	state := uint64(size-tcp)/4<<28 | uint64(h.flags)<<16 | uint64(h.window)
	binary.BigEndian.PutUint64(t, ports<<32|uint64(h.seq))
	binary.BigEndian.PutUint64(t[8:], uint64(h.ack)<<32|state)
	binary.BigEndian.PutUint32(t[16:], 0)
	sum += ports + uint64(h.seq) + uint64(h.ack) + state
	if len(t) > wire.TCPMinLen {
		sum += h.options(t[wire.TCPMinLen:], c)
	}
	return tcp, sum
}

// options writes the options, in the layout that all common stacks use, and returns their
// sum.
func (h *header) options(o []byte, c *conn) (sum uint64) {
	const nop = uint32(wire.OptNOP)
	word := func(w uint32) {
		binary.BigEndian.PutUint32(o, w)
		o = o[4:]
		sum += uint64(w)
	}
	option := func(a, b, c, d uint32) { word(a<<24 | b<<16 | c<<8 | d) }
	if h.syn {
		option(uint32(wire.OptMSS), 4, uint32(h.mss>>8), uint32(h.mss&0xff))
	}
	if c.has(flagTimestamps) {
		if h.syn && c.has(flagSACK) {
			option(uint32(wire.OptSACKPermitted), 2, uint32(wire.OptTimestamps), 10)
		} else {
			option(nop, nop, uint32(wire.OptTimestamps), 10)
		}
		word(h.tsVal)
		word(h.tsEcr)
	} else if h.syn && c.has(flagSACK) {
		option(nop, nop, uint32(wire.OptSACKPermitted), 2)
	}
	if h.syn && c.rcvScale > 0 {
		option(nop, uint32(wire.OptWindowScale), 3, uint32(c.rcvScale))
	}
	if n := len(h.sacks); n > 0 && !h.syn {
		option(nop, nop, uint32(wire.OptSACK), uint32(2+8*n))
		for _, b := range h.sacks {
			word(uint32(b.Left))
			word(uint32(b.Right))
		}
	}
	return sum
}

// pseudo is the sum of the pseudo-header of n bytes of TCP to c.
func pseudo(c *conn, n int) uint16 {
	if c.has(flagV6) {
		return wire.PseudoIPv6(c.local.IP, c.remote.IP, wire.ProtoTCP, n)
	}
	return wire.PseudoIPv4([4]byte(c.local.IP[12:]), [4]byte(c.remote.IP[12:]), wire.ProtoTCP, n)
}

// emit makes one segment whose payload is head and rest.
func (e *Engine) emit(c *conn, h *header, head, rest []byte) {
	h.payload = len(head) + len(rest)
	n := h.headerLen(c)
	b := e.alloc(n + h.payload)
	tcp, sum := h.put(b, c, n)
	copy(b[n+copy(b[n:], head):], rest)
	wire.TCP(b[tcp:]).SetChecksum(^wire.Sum(b[n:], wire.Fold(sum)))
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
	now := uint32(e.msNow) + uint32(e.secret)
	switch {
	case c.state == synReceived || c.state == synSent:
		return now
	case int32(now-c.tsSent) < 0, c.peer != none && e.conn(c.peer).has(flagMapped):
		return c.tsSent
	}
	return now
}

// ack acknowledges to the peer what it was acknowledged before.
func (e *Engine) ack(c *conn) { e.own(c, wire.ACK, c.bare(), nil) }

// reset ends the peer's end at once.
func (e *Engine) reset(c *conn) { e.own(c, wire.RST|wire.ACK, c.bare(), nil) }

// refuse answers a segment that belongs to no connection (RFC 9293 §3.10.7.1).
func (e *Engine) refuse(s *segment) {
	if s.flags.Has(wire.RST) {
		return
	}
	h := &s.p.PHV
	eth := wire.Ethernet(s.p.Data)
	c := newConn(Addr{h.IPSrc, h.SrcPort}, Addr{h.IPDst, h.DstPort})
	c.next = Neighbour{MAC: eth.Src(), Own: eth.Dst(), Port: s.p.In}
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
