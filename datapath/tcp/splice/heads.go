package splice

import "github.com/meshnic/meshnic/datapath/wire"

// heads lends buffers for heads: small ones that nearly all fit in, and large
// ones that are given back at once when they are no longer needed.
type heads struct {
	small []*buffer
	lent  int
	bytes int // of them
}

// buffer has the bytes of a head, or of part of one. nil has none.
type buffer struct{ b []byte }

func (b *buffer) bytes() []byte {
	if b == nil {
		return nil
	}
	return b.b
}

func (b *buffer) len() int { return len(b.bytes()) }

const (
	smallHead = 2 << 10
	keptHeads = 4096 // small buffers that are not given back
)

func (h *heads) get(n int) *buffer {
	h.lent++
	h.bytes += max(n, smallHead)
	if n > smallHead {
		return &buffer{make([]byte, 0, n)}
	}
	if last := len(h.small) - 1; last >= 0 {
		b := h.small[last]
		h.small = h.small[:last]
		return b
	}
	return &buffer{make([]byte, 0, smallHead)}
}

func (h *heads) put(b *buffer) {
	if b == nil {
		return
	}
	h.lent--
	h.bytes -= cap(b.b)
	if cap(b.b) == smallHead && len(h.small) < keptHeads {
		b.b = b.b[:0]
		h.small = append(h.small, b)
	}
}

// appendTo appends p to b, which is get's or nil.
func (h *heads) appendTo(b *buffer, p []byte) *buffer {
	switch n := b.len() + len(p); {
	case b == nil:
		b = h.get(n)
	case n > cap(b.b):
		grown := h.get(max(n, 2*cap(b.b)))
		grown.b = append(grown.b, b.b...)
		h.put(b)
		b = grown
	}
	b.b = append(b.b, p...)
	return b
}

// gather appends p to *b, of what was gathered. It reports false if all connections
// together have gathered as much as they may: then p is to come again.
func (e *Engine) gather(b **buffer, p []byte) bool {
	if e.heads.bytes >= e.cfg.Gather {
		e.count.Crowded++
		return false
	}
	*b = e.heads.appendTo(*b, p)
	return true
}

// hold keeps b, which goes to c's peer from number at on, until it is acknowledged.
func (e *Engine) hold(c *conn, n int32, at wire.Seq, b []byte) {
	if c.has(flagHolds) && c.heldEnd() != at { // all of it is acknowledged by now
		e.drop(c)
	}
	if !c.has(flagHolds) {
		c.heldAt, c.tries = at, 0
		c.deadline = e.now + e.cfg.Timeouts.Held
		e.arm(n)
	}
	c.keep(e.heads.appendTo(c.held, b))
	c.heldNxt = c.heldEnd()
}

// say sends client n bytes of our own, behind all that it was sent.
func (e *Engine) say(n int32, b []byte) {
	c := e.conn(n)
	unsent := c.unsent()
	e.hold(c, n, c.sndNxt, b)
	c.sndNxt = c.sndNxt.Add(uint32(len(b)))
	c.heldNxt = c.heldEnd().Add(-uint32(unsent + len(b)))
	e.sendHeld(c)
}

// keep has c hold b, which is nil for nothing.
func (c *conn) keep(b *buffer) {
	if c.held = b; b.len() > 0 {
		c.flags |= flagHolds
	} else {
		c.flags &^= flagHolds
	}
}

// drop gives back what c holds.
func (e *Engine) drop(c *conn) {
	if c.has(flagHolds) {
		e.heads.put(c.held)
		c.keep(nil)
	}
}

// heldEnd is behind the last byte that c holds.
func (c *conn) heldEnd() wire.Seq { return c.heldAt.Add(uint32(c.held.len())) }

// unsent is how many bytes of what c holds were not sent yet.
func (c *conn) unsent() int {
	if !c.has(flagHolds) {
		return 0
	}
	return c.heldNxt.Distance(c.heldEnd())
}

// resend sends again what c holds, from what the peer has not acknowledged on: a byte at
// least, which asks for the window.
func (e *Engine) resend(c *conn) {
	if !c.has(flagHolds) {
		return
	}
	e.count.HeldAgain++
	c.heldNxt = c.heldAt.Max(c.sndUna)
	if c.window == 0 { // the byte is not taken
		e.sendRange(c, c.heldNxt, c.heldNxt.Add(1))
		return
	}
	e.sendHeld(c)
}

// resendHead sends the head that goes to c's peer again, up to its end, if the peer has not
// acknowledged it: its sender does so, and who can say why.
func (e *Engine) resendHead(c *conn, end wire.Seq) {
	from := c.heldAt.Max(c.sndUna)
	if !c.has(flagHolds) || from.AtOrAfter(end) || end.After(c.heldNxt) {
		return
	}
	e.count.HeldAgain++
	e.sendRange(c, from, end.Min(c.sndUna.Add(max(c.window, 1))))
}

// sendHeld sends what c holds and was not sent, as far as the peer's window reaches.
func (e *Engine) sendHeld(c *conn) {
	c.heldNxt = c.heldNxt.Max(c.sndUna).Min(c.heldEnd())
	if end := c.heldEnd().Min(c.sndUna.Add(c.window)); end.After(c.heldNxt) {
		e.sendRange(c, c.heldNxt, end)
		c.heldNxt = end
	}
}

// sendRange sends bytes [from,end) of what c holds.
func (e *Engine) sendRange(c *conn, from, end wire.Seq) {
	for b := c.held.b[c.heldAt.Distance(from):c.heldAt.Distance(end)]; len(b) > 0; {
		k := min(len(b), c.room())
		flags := wire.ACK
		if k == len(b) {
			flags |= wire.PSH
		}
		h := e.ownHeader(c, flags, from)
		e.emit(c, &h, b[:k], nil)
		b, from = b[k:], from.Add(uint32(k))
	}
}
