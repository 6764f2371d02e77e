package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// pass is what goes on of a segment.
type pass struct {
	to    *conn
	head  []byte // goes before the payload
	from  int    // bytes of the segment's payload that go on
	until int
	header
}

// onward numbers what goes on of s, from c, as m's receiver has it, and returns where its
// bytes, a FIN included, end; ok is false where it has none.
func (g *pass) onward(s *segment, c *conn, m *message) (end wire.Seq, ok bool) {
	switch fin := g.flags.Has(wire.FIN); {
	case g.from < g.until || fin:
		g.seq = m.forward(s.seq.Add(uint32(g.from)))
		end = g.seq.Add(uint32(g.until - g.from))
		if fin {
			end++
		}
		g.to.sndNxt = g.to.sndNxt.Max(end)
		return end, true
	case s.asks(c):
		g.seq = g.to.sndUna - 1
	default:
		g.seq = g.to.bare()
	}
	return 0, false
}

// maxPacket is the longest IP packet, as a superframe too.
const maxPacket = 65535

// send rewrites the packet of s in place to be what g says, and has it leave. The
// receiver's MSS may be too small for it, or the packet's memory: then it is sent as
// copies. A superframe stays one, of segments that its receiver takes.
func (e *Engine) send(s *segment, g *pass) datapath.Verdict {
	p, c := s.p, g.to
	rest := s.payload[g.from:g.until]
	g.payload = len(g.head) + len(rest)
	if g.payload > 0 && (p.GSOSize > 0 || g.payload+optSACKLen(len(g.sacks)) > c.room()) {
		g.sacks = nil // there is no room; the next acknowledgement says it again
	}
	n := g.headerLen(c)
	switch room := c.room(); {
	case g.payload <= room:
		p.GSOSize = 0
	case p.GSOSize == 0, n-wire.EthernetLen+g.payload > maxPacket:
		return e.split(c, &g.header, g.head, rest)
	default:
		p.GSOSize = min(p.GSOSize, uint16(room))
	}
	off := int(p.PHV.PayloadOff) + g.from
	switch start := off - n - len(g.head); {
	case start >= 0: // the headers fit in before the payload, where it lies
		p.Data = p.Data[start : off+len(rest)]
	case n+g.payload <= cap(p.Data): // it moves
		p.Data = p.Data[:n+g.payload]
		copy(p.Data[n+len(g.head):], rest)
	default:
		return e.split(c, &g.header, g.head, rest)
	}
	whole := g.from == 0 && g.until == len(s.payload) && len(g.head) == 0
	var body uint16 // the payload's sum
	if whole && !p.CsumPartial {
		body = payloadSum(s) // of headers that are about to be overwritten
	}
	tcp, sum := g.put(p.Data, c, n)
	copy(p.Data[n:], g.head)
	t := wire.TCP(p.Data[tcp:])
	switch {
	case p.CsumPartial:
		t.SetChecksum(pseudo(c, len(t)))
	case whole:
		t.SetChecksum(^wire.Fold(sum + uint64(body)))
	default:
		t.SetChecksum(^wire.Sum(p.Data[n:], wire.Fold(sum)))
	}
	p.Egress = datapath.PortSet(0).Add(c.next.Port)
	return datapath.Forward
}

// onlyAck passes on what s, from connection from, acknowledges, if that is new: its
// payload stays here.
func (e *Engine) onlyAck(from, to int32, s *segment) datapath.Verdict {
	if !s.advanced || to == none || e.conn(to).state < established || e.conn(to).peer != from {
		return datapath.Consume
	}
	c, t := e.conn(from), e.conn(to)
	var m *message
	if c.has(flagServer) {
		m = &e.exchange(to).req
	} else {
		m = &e.exchange(from).resp
	}
	g := pass{to: t}
	g.flags, g.seq = wire.ACK, t.bare()
	e.translate(s, c, t, m, &g.header)
	return e.send(s, &g)
}

// payloadSum is the sum of the payload of s: with the headers, checksum included,
// it makes all ones.
func payloadSum(s *segment) uint16 {
	h := &s.p.PHV
	t := s.frame[h.L4Off:h.PayloadOff]
	n := len(t) + len(s.payload)
	var sum uint16
	if h.Has(datapath.HdrIPv6) {
		sum = wire.PseudoIPv6(h.IPSrc, h.IPDst, wire.ProtoTCP, n)
	} else {
		sum = wire.PseudoIPv4([4]byte(h.IPSrc[12:]), [4]byte(h.IPDst[12:]), wire.ProtoTCP, n)
	}
	return ^wire.Sum(t, sum)
}

// split sends head and rest as segments that their receiver takes.
func (e *Engine) split(c *conn, h *header, head, rest []byte) datapath.Verdict {
	e.count.Split++
	one := *h
	flags, room := h.flags, c.room()
	for len(head)+len(rest) > 0 {
		n := min(room, len(head)+len(rest))
		one.flags = flags
		if n < len(head)+len(rest) {
			one.flags &^= wire.FIN | wire.PSH
		}
		k := min(n, len(head))
		e.emit(c, &one, head[:k], rest[:n-k])
		one.seq = one.seq.Add(uint32(n))
		head, rest = head[k:], rest[n-k:]
	}
	return datapath.Consume
}
