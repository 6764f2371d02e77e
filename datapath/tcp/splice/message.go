package splice

import "github.com/meshnic/meshnic/datapath/wire"

// message is half of an exchange. The sender's sequence numbers differ from the
// receiver's: in and out are where the message begins in either.
type message struct {
	in, out         wire.Seq
	headIn, headOut uint32   // lengths of the head
	with            uint32   // bytes of the body that are held with it
	next            wire.Seq // the sender's: the first byte of framing that was not seen; of a whole one, behind its last byte
	left            uint64   // bytes of the body behind next that need not be looked at: numbers reach half of 4 GiB
	counted         bool     // it ends behind them
	begun           bool     // what becomes of it is known
	told            bool     // the App knows that all of it has come
	whole           bool     // its end is known
	stream          bool     // it ends with the stream
	fin             bool     // and the end came
}

// body is where the body begins, in the sender's numbers.
func (m *message) body() wire.Seq { return m.in.Add(m.headIn) }

// withIt is where what is held with the head ends, in the sender's numbers.
func (m *message) withIt() wire.Seq { return m.body().Add(m.with) }

// forward translates a sender's number at or behind body to the receiver's.
func (m *message) forward(s wire.Seq) wire.Seq { return m.out + wire.Seq(m.headOut) + (s - m.body()) }

// back translates a receiver's number to the sender's. Before the body it is the
// message's first: a head is acknowledged whole.
func (m *message) back(a wire.Seq) wire.Seq {
	if h := m.out.Add(m.headOut); a.Before(h) {
		return m.in
	} else {
		return m.body() + (a - h)
	}
}

// sent is back, up to what the sender has sent: a FIN of our own is nothing of its.
func (m *message) sent(a wire.Seq) wire.Seq {
	b := m.back(a)
	if !m.whole {
		return b
	}
	end := m.next
	if m.fin {
		end++
	}
	return b.Min(end)
}

// reach is how far ahead of what came next may be.
const reach = 1 << 29

// extend moves next on by k bytes of the body, as far as numbers go.
func (m *message) extend(k uint64) {
	m.left += k
	step := min(m.left, reach)
	m.next = m.next.Add(uint32(step))
	m.left -= step
	m.whole = m.counted && m.left == 0
}

// approach moves next on when what came, up to end, comes near it.
func (m *message) approach(end wire.Seq) {
	for m.left > 0 && end.Distance(m.next) < reach {
		m.extend(0)
	}
}

// slide moves the message's beginning on, in both numbers, once its receiver has
// acknowledged so much of it that comparisons with it would soon mean nothing.
func (m *message) slide(acked wire.Seq) {
	if m.begun && m.out.Add(m.headOut).Distance(acked) > 2*reach {
		m.in, m.out = m.in.Add(reach), m.out.Add(reach)
	}
}

// end is behind the last byte of a whole message, FIN included, in the receiver's numbers.
func (m *message) end() wire.Seq {
	e := m.forward(m.next)
	if m.fin {
		e++
	}
	return e
}

// came is how much of the body has come from a sender that has sent up to seen.
func (m *message) came(seen wire.Seq) uint32 {
	body := m.body()
	if !m.begun || seen.Before(body) {
		return 0
	}
	if m.whole && seen.After(m.next) {
		seen = m.next
	}
	return uint32(seen - body)
}

// frame takes from d where the body ends, as far as d knows.
func (m *message) frame(d *Decision) {
	m.next = m.body()
	if m.counted = d.Framing == Length; m.counted {
		m.extend(d.Body)
	}
	m.stream = d.Framing == ToTheEnd
}

// part is which bytes [from,until) of s's payload are of the body, as far as is known
// where that ends.
func (m *message) part(s *segment) (from, until int) {
	until = len(s.payload)
	from = min(max(s.seq.Distance(m.body()), 0), until)
	if m.whole {
		until = max(from, min(until, s.seq.Distance(m.next)))
	}
	return from, until
}

// follow is part, once the body was followed through s. It reports false if s may not
// go on: see scan.
func (e *Engine) follow(n int32, d Direction, m *message, s *segment) (from, until int, ok bool) {
	from, until = m.part(s)
	if m.whole || m.stream || from == until {
		return from, until, true
	}
	if !e.scan(n, d, m, s.seq.Add(uint32(from)), s.payload[from:]) {
		return 0, 0, false
	}
	from, until = m.part(s)
	return from, until, true
}

// scan follows the body of a message through b, its bytes from at on, to where
// it ends. It reports whether b may go on: if a byte that says where the body
// ends is missing before it, it may not.
func (e *Engine) scan(n int32, d Direction, m *message, at wire.Seq, b []byte) bool {
	if m.left > 0 {
		if m.approach(at.Add(uint32(len(b)))); m.left > 0 || m.whole {
			return true
		}
	}
	off := at.Distance(m.next)
	switch {
	case off < 0:
		e.count.Beyond++
		return false
	case off >= len(b):
		return true
	}
	k, skip, done, err := e.app.Body(Flow(n), d, b[off:])
	if err != nil {
		e.malformed(n, d)
		return false
	}
	m.next = m.next.Add(uint32(k))
	m.extend(skip)
	m.whole = done
	return true
}
