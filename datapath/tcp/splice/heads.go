package splice

import "github.com/meshnic/meshnic/datapath/wire"

// heads lends buffers for heads: small ones that nearly all fit in, and large
// ones that are given back at once when they are no longer needed.
type heads struct {
	small [][]byte
	lent  int
}

const (
	smallHead = 2 << 10
	keptHeads = 4096 // small buffers that are not given back
)

func (h *heads) get(n int) []byte {
	h.lent++
	if n > smallHead {
		return make([]byte, 0, n)
	}
	if last := len(h.small) - 1; last >= 0 {
		b := h.small[last]
		h.small = h.small[:last]
		return b
	}
	return make([]byte, 0, smallHead)
}

func (h *heads) put(b []byte) {
	if b == nil {
		return
	}
	h.lent--
	if cap(b) == smallHead && len(h.small) < keptHeads {
		h.small = append(h.small, b[:0])
	}
}

// appendTo appends p to b, which is get's or nil.
func (h *heads) appendTo(b, p []byte) []byte {
	n := len(b) + len(p)
	if n <= cap(b) {
		return append(b, p...)
	}
	grown := append(h.get(max(n, 2*cap(b))), b...)
	h.put(b)
	return append(grown, p...)
}

// hold keeps b, which goes to c's peer from number at on, until it is acknowledged.
func (e *Engine) hold(c *conn, n int32, at wire.Seq, b []byte) {
	if len(c.held) > 0 && c.heldEnd() != at { // all of it is acknowledged by now
		e.drop(c)
	}
	if len(c.held) == 0 {
		c.heldAt, c.tries = at, 0
		c.deadline = e.now + e.cfg.Timeouts.Held
		e.arm(n)
	}
	c.held = e.heads.appendTo(c.held, b)
}

// say sends client n bytes of our own, behind all that it was sent.
func (e *Engine) say(n int32, b []byte) {
	c := &e.t.conns[n]
	e.hold(c, n, c.sndNxt, b)
	c.sndNxt = c.sndNxt.Add(uint32(len(b)))
	e.sendHeld(c, len(c.held)-len(b))
}

// drop gives back what c holds.
func (e *Engine) drop(c *conn) {
	if c.held != nil {
		e.heads.put(c.held)
		c.held = nil
	}
}

// heldEnd is behind the last byte that c holds.
func (c *conn) heldEnd() wire.Seq { return c.heldAt.Add(uint32(len(c.held))) }

// resend sends again what c holds, from what the peer has not acknowledged on.
func (e *Engine) resend(c *conn) {
	if len(c.held) == 0 {
		return
	}
	e.count.HeldAgain++
	from := 0
	if d := c.heldAt.Distance(c.sndUna); d > 0 {
		from = min(d, len(c.held))
	}
	e.sendHeld(c, from)
}

// sendHeld sends what c holds, without its first bytes.
func (e *Engine) sendHeld(c *conn, from int) {
	for b := c.held[from:]; len(b) > 0; {
		k := min(len(b), c.room())
		flags := wire.ACK
		if k == len(b) {
			flags |= wire.PSH
		}
		h := e.ownHeader(c, flags, c.heldEnd().Add(-uint32(len(b))))
		e.emit(c, &h, b[:k], nil)
		b = b[k:]
	}
}
