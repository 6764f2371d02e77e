package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// segment is a frame that came in, and what is known of it.
type segment struct {
	p        *datapath.Packet
	seq, ack wire.Seq
	flags    wire.TCPFlags
	window   uint32 // in bytes
	payload  []byte
	frame    []byte // as it came

	ts           bool
	tsVal, tsEcr uint32
	sacks        [wire.MaxSACKBlocks]wire.SACKBlock
	nsacks       int
	advanced     bool // it acknowledges something new
}

// read takes apart the segment in p that came from c's peer.
func (s *segment) read(p *datapath.Packet, c *conn) {
	h := &p.PHV
	t := wire.TCP(p.Data[h.L4Off:])
	s.frame = p.Data
	s.p, s.seq, s.ack, s.flags = p, h.TCPSeq, h.TCPAck, h.TCPFlags
	s.payload = p.Data[h.PayloadOff : uint32(h.PayloadOff)+h.PayloadLen]
	s.window = uint32(h.TCPWindow)
	s.ts, s.nsacks = false, 0
	if c == nil {
		return
	}
	s.window <<= c.sndScale
	opts := t.Options()
	if len(opts) == 0 {
		return
	}
	if len(opts) == optTimestampsLen {
		if s.tsVal, s.tsEcr, s.ts = t.Timestamps(); s.ts {
			return
		}
	}
	it := wire.TCPOptions(opts)
	for o := (wire.TCPOption{}); it.Next(&o); {
		if v, r, ok := o.Timestamps(); ok {
			s.tsVal, s.tsEcr, s.ts = v, r, true
		}
		if b, n := o.SACKBlocks(); n > 0 {
			s.sacks, s.nsacks = b, n
		}
	}
}

// end is behind the segment's last byte, FIN not counted.
func (s *segment) end() wire.Seq { return s.seq.Add(uint32(len(s.payload))) }

// asks reports whether s, of c's peer, wants to be answered: a keep-alive (RFC 1122
// §4.2.3.6) or zero-window probe repeats what is acknowledged. It is for the other
// end to answer, whose window may have changed.
func (s *segment) asks(c *conn) bool {
	return s.seq == c.acked-1 && len(s.payload) == 0 || len(s.payload) > 0 && s.end().AtOrBefore(c.acked)
}

// valid reports whether s may be of the connection by its numbers (RFC 9293
// §3.10.7.4, RFC 5961), and says so to the peer if not.
func (e *Engine) valid(c *conn, s *segment) bool {
	switch {
	case s.flags.Has(wire.RST):
		if seen := c.seen.Max(c.acked); s.seq == c.acked || s.seq == seen || s.seq == seen+1 { // a FIN may be the last that was seen
			return true
		}
		e.count.Refused++
		if c.acked.Distance(s.seq) > 0 && c.acked.Distance(s.seq) < int(c.told)<<c.rcvScale {
			e.ack(c)
		}
		return false
	case s.flags.Has(wire.SYN):
		e.count.Refused++
		e.ack(c)
		return false
	case !s.flags.Has(wire.ACK):
		e.count.Refused++
		return false
	case s.ack.After(c.sndNxt), s.seq.After(c.acked.Add(1 << 30)), s.ack.Before(c.sndUna - 1<<30):
		e.count.Refused++
		e.ack(c)
		return false
	}
	return true
}

// note takes what s says of the connection itself. It reports whether it
// acknowledges something.
func (e *Engine) note(c *conn, s *segment) (advanced bool) {
	if s.ts && int32(s.tsVal-c.tsRecent) > 0 {
		c.tsRecent = s.tsVal
	}
	if end := s.end(); end.After(c.seen) {
		c.seen = end
		if c.state == established {
			c.since = e.now
		}
	}
	if s.ack.Before(c.sndUna) {
		return false
	}
	c.window = s.window
	if s.ack == c.sndUna {
		if s.window == 0 { // it is there: RFC 9293 §3.8.6.1
			c.tries = min(c.tries, maxTries-1)
		}
		return false
	}
	c.sndUna = s.ack
	c.tries = 0
	c.since = e.now
	return true
}
