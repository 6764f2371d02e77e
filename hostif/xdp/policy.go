package xdp

import "time"

// When a far end is worth receiving by a thread. What decides is how many frames
// a Send carries: the thread is woken once for all of them and merges them (GRO),
// where otherwise each goes through the receiver's TCP by itself; a lone frame
// pays for a wake-up and gains nothing.
//
// Measured on one core with HTTP through the NIC: a Send carries about as many
// frames as there are busy connections (1 at 1, 3.4 at 4, 7.2 at 8, 14 at 16, 25 at 32,
// 50 at 64), and bulk TCP brings whole batches of 64. p50 without a thread and with
// one: 241 and 244 us at 16 connections, 1.04 and 0.95 ms at 64.
//
// With several cores the thread has one to itself, and lets whoever receives send on
// there, which otherwise happens in our time: a host that sends bulk does it for every
// acknowledgement that we hand it. But waking the thread on a core that sleeps is dear,
// and HTTP's small frames, 2 or 3 a Send at 64 connections on two cores, gain nothing.
// So there only full frames speak for a thread, those that a host sends for one at its
// own end as well. Measured on two cores, one response of 4 MiB after the other through
// the NIC's proxy, four windows of 1.5 s each: 2.6 to 3.3 Gbit/s without threads, 3.8 to 5.3 with.
const (
	policyWindow = 2 * time.Millisecond  // what is averaged over
	policyHigh   = 20                    // frames a Send, above which a window speaks for a thread
	policyLow    = 8                     // below which it speaks against it
	policyFrames = 24                    // fewer in such a time are no load, however they come
	policyRow    = 3                     // windows in a row that speak for it, before it is switched on
	policyRest   = 50 * time.Millisecond // it stays off for, at least
	policyStay   = 20 * time.Millisecond // it stays on for, at least, while there are frames
	policyIdle   = 15 * time.Millisecond // without a frame, after which it is switched off
	policyStep   = 5 * time.Millisecond  // of that, at most, between two looks: we may have been off the processor
)

// policy decides from the Sends of a link whether its far end should receive in
// a thread. The zero value has it off. Time is since any moment before the first
// call.
type policy struct {
	several bool // cores
	full    int  // bytes from which on a frame is full

	on      bool
	changed time.Duration // when it was switched last; 0: never
	start   time.Duration // of the window
	last    time.Duration // the last Send or idle
	idled   time.Duration // since the last Send
	sends   int           // in the window
	frames  int           // sent in it; with several cores: full ones, sent and received
	came    bool          // some were received
	row     int           // windows in a row that spoke for a thread
}

// few tells of a Send of so many frames, if it is one that will not have it
// switched on: the time of it need not be known, which costs 0.1 us a lone frame.
// It reports false of others, which sent is to be told of.
func (p *policy) few(frames, bytes int) bool {
	if p.on || p.came || frames >= policyLow {
		return false
	}
	p.send(frames, bytes)
	return true
}

// sent tells of a Send of so many frames and reports whether to switch.
func (p *policy) sent(now time.Duration, frames, bytes int) (switched bool) {
	if now-p.start >= policyWindow {
		switched = p.judge(now)
		p.start, p.sends, p.frames, p.came = now, 0, 0, false
	}
	p.last, p.idled = now, 0
	p.send(frames, bytes)
	return switched
}

func (p *policy) send(frames, bytes int) {
	p.sends++
	if !p.several || bytes >= p.full*frames {
		p.frames += frames
	}
}

// received tells of frames that came from the far end.
func (p *policy) received(frames, bytes int) {
	if p.several && frames >= policyLow && bytes >= p.full*frames {
		p.frames, p.came = p.frames+frames, true
	}
}

// idle tells that there is nothing to send and reports whether to switch.
func (p *policy) idle(now time.Duration) bool {
	p.idled += min(now-p.last, policyStep)
	p.last = now
	return p.on && p.idled >= policyIdle && p.set(now, false)
}

// judge looks back on a window, which a pause makes longer: a pause alone does
// not speak against a thread, it may have been ours.
func (p *policy) judge(now time.Duration) bool {
	busy := time.Duration(p.frames)*policyWindow >= policyFrames*(now-p.start)
	switch {
	case p.on:
		return p.frames < policyLow*p.sends && now-p.changed >= policyStay && p.set(now, false)
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
