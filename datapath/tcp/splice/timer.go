package splice

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// wheelSlots is how many slots of a millisecond the wheel has; what is due
// later lies in the slot of its last round but one and is looked at in between.
const wheelSlots = 1024

// wheel has the connections that something is due of, by millisecond. A
// connection that gets more time stays where it is until its slot's turn: most
// deadlines are put off or gone before that, which then costs nothing.
type wheel struct {
	heads [wheelSlots]int32
	at    uint64 // milliseconds up to which all slots are done
	count int
}

func newWheel() *wheel {
	w := &wheel{}
	for i := range w.heads {
		w.heads[i] = none
	}
	return w
}

// due is when c wants to be looked at, 0 for never.
func (c *conn) due() sim.Cycle {
	if c.deadline == 0 || c.app != 0 && c.app < c.deadline {
		return c.app
	}
	return c.deadline
}

// arm has connection n looked at when it is due.
func (e *Engine) arm(n int32) {
	c := e.conn(n)
	d := c.due()
	if d == 0 {
		return
	}
	if c.timer.slot != none && uint64(d) >= (e.wheel.at+wheelSlots-1)*e.perMS {
		return // every slot comes before that
	}
	slot := e.slotOf(d)
	if s := c.timer.slot; s != none {
		// It is looked at in s, which is soon enough unless slot comes before.
		now := int64(e.wheel.at)
		if (int64(s)-now)&(wheelSlots-1) <= (int64(slot)-now)&(wheelSlots-1) {
			return
		}
		e.disarm(n)
	}
	c.timer.slot = slot
	c.timer.prev, c.timer.next = none, e.wheel.heads[slot]
	if c.timer.next != none {
		e.conn(c.timer.next).timer.prev = n
	}
	e.wheel.heads[slot] = n
	e.wheel.count++
}

// slotOf is the slot whose turn comes when d is due, or the last one that comes before.
func (e *Engine) slotOf(d sim.Cycle) int32 {
	ms := e.ms(d) + 1 // not before it is due
	ms = max(ms, e.wheel.at+1)
	ms = min(ms, e.wheel.at+wheelSlots-1)
	return int32(ms % wheelSlots)
}

func (e *Engine) disarm(n int32) {
	c := e.conn(n)
	if c.timer.slot == none {
		return
	}
	if c.timer.prev != none {
		e.conn(c.timer.prev).timer.next = c.timer.next
	} else {
		e.wheel.heads[c.timer.slot] = c.timer.next
	}
	if c.timer.next != none {
		e.conn(c.timer.next).timer.prev = c.timer.prev
	}
	c.timer.slot = none
	e.wheel.count--
}

// Advance does what is due at now. What it sends is in Out.
func (e *Engine) Advance(now sim.Cycle) {
	e.at(now)
	ms := e.msNow
	if e.wheel.count == 0 {
		e.wheel.at = max(e.wheel.at, ms)
		return
	}
	for n := 0; e.wheel.at < ms && n < wheelSlots; n++ {
		e.wheel.at++
		e.turn(int32(e.wheel.at % wheelSlots))
	}
	e.wheel.at = max(e.wheel.at, ms)
}

// turn looks at the connections of a slot.
func (e *Engine) turn(slot int32) {
	for n := e.wheel.heads[slot]; n != none; n = e.wheel.heads[slot] {
		e.disarm(n)
		c := e.conn(n)
		switch d := c.due(); {
		case d == 0:
		case d > e.now:
			e.arm(n)
		default:
			e.expired(n)
			if c.state != closed {
				e.arm(n)
			}
		}
	}
}

// Next is when Advance has something to do, at the earliest; ok is false if
// nothing is due at any time.
func (e *Engine) Next() (at sim.Cycle, ok bool) {
	if e.wheel.count == 0 {
		return 0, false
	}
	for i := uint64(1); i < wheelSlots; i++ {
		if e.wheel.heads[(e.wheel.at+i)%wheelSlots] != none {
			return sim.Cycle((e.wheel.at + i) * e.perMS), true
		}
	}
	return 0, false
}

// ms converts cycles to whole milliseconds.
func (e *Engine) ms(c sim.Cycle) uint64 { return uint64(c) / e.perMS }

// expired does what is due of connection n.
func (e *Engine) expired(n int32) {
	c := e.conn(n)
	if c.app != 0 && c.app <= e.now {
		c.app = 0
		d := e.app.Due(e.now, Flow(n))
		e.act(n, &d)
		if c.state == closed {
			return
		}
	}
	if c.deadline == 0 || c.deadline > e.now {
		return
	}
	c.deadline = 0
	switch {
	case c.state == synReceived && e.now-c.since < e.cfg.Timeouts.Handshake:
		c.tries++
		e.synAck(n)
	case c.state == synReceived, c.state == timeWait:
		e.gone(n)
	case c.state == synSent:
		e.syn(n)
	case c.has(flagIdle):
		e.unpool(n)
		e.app.Upstream(e.now, c.ep, IdleOver)
		e.close(n)
	case c.state >= finWait && e.carries(n):
		e.finAgain(n)
	case c.tries >= maxTries, c.state >= finWait && e.now-c.since > e.cfg.Timeouts.Close:
		e.unanswered(n)
	case c.has(flagHolds) && c.sndUna.Before(c.heldEnd()):
		c.tries++
		if c.has(flagServer) {
			e.locate(c)
		}
		e.resend(c)
		c.deadline = e.now + e.cfg.Timeouts.Held<<c.tries
		if c.has(flagServer) {
			e.silent(n)
		}
	case c.state >= finWait && c.sndUna != c.sndNxt:
		e.finAgain(n)
	case c.state == finWait: // the peer has our FIN and keeps its own
		c.deadline = c.since + e.cfg.Timeouts.Close + 1
	}
}

// carries reports whether n is a client whose exchange is under way.
func (e *Engine) carries(n int32) bool {
	return !e.conn(n).has(flagServer) && e.exchange(n).phase == busy
}

// finAgain sends a FIN of our own again to n. What is missing before it, and a
// server's FIN, the server sends again, for as long as it likes.
func (e *Engine) finAgain(n int32) {
	c := e.conn(n)
	c.tries = min(c.tries+1, maxTries)
	c.deadline = e.now + e.cfg.Timeouts.Held<<c.tries
	if e.carries(n) && (e.exchange(n).resp.fin || c.sndUna != c.sndNxt-1) {
		return
	}
	e.own(c, wire.FIN|wire.ACK, c.sndNxt-1, nil)
}
