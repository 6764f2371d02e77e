package xdp

import "time"

// When a far end is worth receiving by a thread. What decides is how many frames
// a Send carries: the thread is woken once for all of them and merges them (GRO),
// where otherwise each goes through the receiver's TCP by itself; a lone frame
// pays for a wake-up and gains nothing.
//
// Measured on one core with HTTP through the NIC: a Send carries as many frames
// as there are busy connections up to about 4 (3.4 at 4), 7.2 at 8, 13.7 at 16 and
// 25 or more from 32 on; bulk TCP brings whole batches of 64.
const (
	policyWindow = 2 * time.Millisecond  // what is averaged over
	policyHigh   = 11                    // frames a Send, above which a window speaks for a thread
	policyLow    = 5                     // below which it speaks against it
	policyFrames = 24                    // fewer in such a time are no load, however they come
	policyRow    = 3                     // windows in a row that speak for it, before it is switched on
	policyRest   = 50 * time.Millisecond // it stays off for, at least
	policyStay   = 20 * time.Millisecond // it stays on for, at least, while there are frames
	policyIdle   = 10 * time.Millisecond // without a frame, after which it is switched off
)

// policy decides from the Sends of a link whether its far end should receive in
// a thread. The zero value has it off. Time is since any moment before the first
// call.
type policy struct {
	on      bool
	changed time.Duration // when it was switched last; 0: never
	start   time.Duration // of the window
	last    time.Duration // the last Send
	sends   int           // in the window
	frames  int
	row     int // windows in a row that spoke for a thread
}

// sent tells of a Send of so many frames and reports whether to switch.
func (p *policy) sent(now time.Duration, frames int) (switched bool) {
	if now-p.start >= policyWindow {
		switched = p.judge(now)
		p.start, p.sends, p.frames = now, 0, 0
	}
	p.last = now
	p.sends++
	p.frames += frames
	return switched
}

// idle tells that there is nothing to send and reports whether to switch.
func (p *policy) idle(now time.Duration) bool {
	return p.on && now-p.last >= policyIdle && p.set(now, false)
}

// judge looks back on a window, which a pause makes longer.
func (p *policy) judge(now time.Duration) bool {
	busy := time.Duration(p.frames)*policyWindow >= policyFrames*(now-p.start)
	switch {
	case p.on:
		against := !busy || p.frames < policyLow*p.sends
		return against && now-p.changed >= policyStay && p.set(now, false)
	case busy && p.frames >= policyHigh*p.sends:
		p.row++
		rested := p.changed == 0 || now-p.changed >= policyRest
		return p.row >= policyRow && rested && p.set(now, true)
	}
	p.row = 0
	return false
}

func (p *policy) set(now time.Duration, on bool) bool {
	p.on, p.changed, p.row = on, now, 0
	return true
}
