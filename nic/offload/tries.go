package offload

import (
	"bytes"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// tries are those of a leg's part of a request. Each leg has its own, by its own route's
// policy, as proxies one behind the other have: what the leg behind it answers, a
// server's response or words of its own, is to it a response like any other. A leg that
// tries again forgets the legs behind it: its next endpoint may have others.
type tries struct {
	mesh.Tries
	begun  sim.Cycle // when the leg got the request
	routed sim.Cycle // when its router did
	end    sim.Cycle // when the timeout of the present try ends, 0 for never
	taken  bool      // whoever is behind the leg has the present try
	hashed bool
	hash   uint64
	kept   []byte // the request's head as the leg sends it on, where the splice does not keep it
}

// takeTries returns some for a leg that begins.
func (o *Offload) takeTries() *tries {
	if n := len(o.idleTries); n > 0 {
		t := o.idleTries[n-1]
		o.idleTries = o.idleTries[:n-1]
		return t
	}
	return &tries{}
}

// mostKept is how large a buffer for a head stays with tries that nobody has: nearly all fit in.
const mostKept = 4 << 10

// giveTries gives back those of a leg that is over.
func (o *Offload) giveTries(leg *leg) {
	t := leg.tries
	if cap(t.kept) > mostKept {
		t.kept = nil
	}
	*t = tries{Tries: t.Tries, kept: t.kept[:0]}
	o.idleTries = append(o.idleTries, t)
	leg.tries = nil
}

// since is when a leg's router had all of the request.
func (f *flow) since(leg *leg) sim.Cycle { return max(f.doneAt, leg.tries.routed) }

// took notes that whoever is behind a leg has its request.
func (o *Offload) took(f *flow, leg *leg) {
	if leg.tries.taken {
		return
	}
	leg.tries.taken = true
	leg.tries.Sent()
	o.limitTry(f, leg)
}

// limitTry begins the timeout of the leg's present try, if whoever is behind it has all of
// the request.
func (o *Offload) limitTry(f *flow, leg *leg) {
	if t := leg.tries; f.complete && t.taken && t.end == 0 && !f.responded && leg.route.PerTry > 0 {
		t.end = o.now + o.cycles(leg.route.PerTry)
	}
}

// tryDue is the first leg whose try has had its time, -1 if there is none.
func (o *Offload) tryDue(f *flow) int {
	for i := range f.n {
		if end := f.legs[i].tries.end; end != 0 && o.now >= end {
			return i
		}
	}
	return -1
}

// keeps reports whether a leg may have the request sent again.
func (f *flow) keeps() bool {
	for i := range f.n {
		if f.legs[i].tries.Kept() {
			return true
		}
	}
	return false
}

// keepable has the present tries be the last, if the request cannot be sent again: it is
// not kept as a whole here, and its client has been told that it arrived.
func (o *Offload) keepable(n splice.Flow, f *flow) {
	if !f.sent || !f.keeps() || o.engine.Resendable(n) {
		return
	}
	for i := range f.n {
		if leg := &f.legs[i]; leg.tries.Kept() {
			leg.cl.c.RetryAbandoned++
			leg.tries.End(leg.cl)
		}
	}
}

// wants reports whether leg i, to which a response with head h comes, would rather try
// again than pass it on.
func (o *Offload) wants(f *flow, i int, h *http1.Head) bool {
	leg := &f.legs[i]
	o.took(f, leg)
	o.judge(leg, h.Status)
	if !leg.tries.Answered(h, leg.cl, leg.cl.c) {
		return false
	}
	o.ends[leg.ep].hs.RqError++
	if body := h.Body(f.isHead); !body.Done() || !f.complete {
		o.closedHere(leg)
	}
	return true
}

// retry has leg i try again. What the legs behind it had to do is done.
func (o *Offload) retry(n splice.Flow, f *flow, i int) splice.Decision {
	for f.n > i+1 {
		o.pop(n, f)
	}
	return o.park(n, f)
}

// pop ends the last leg, of several.
func (o *Offload) pop(n splice.Flow, f *flow) {
	leg := f.last()
	if leg.entry != nil && f.sent {
		leg.entry.Received = o.came(n, f)[splice.Request]
	}
	o.endLeg(leg)
	f.n--
	f.chosen, f.renamed = f.last().ep, false
}

// abandon has the legs behind leg i see their client leave.
func (o *Offload) abandon(n splice.Flow, f *flow, i int) {
	for f.n > i+1 {
		leg := f.last()
		o.cancel(f)
		leg.l.c.RqRxReset++
		leg.l.c.CxDestroyRemoteActiveRq++
		leg.l.c.CxDestroyActiveRq++
		if flag, details := mesh.ClientLeft(false); leg.entry != nil {
			leg.entry.Flag, leg.entry.Details = leg.entry.Flag.And(flag), details
		}
		o.pop(n, f)
	}
}

// park has the request wait for the next try of its last leg. What no server has got yet
// stays where it is gathered.
func (o *Offload) park(n splice.Flow, f *flow) splice.Decision {
	leg := f.last()
	o.leaveEndpoint(leg)
	leg.tries.taken, leg.tries.end = false, 0
	f.againAt = o.now + o.cycles(leg.tries.Wait(o.draw()))
	if !f.sent {
		if f.held == nil {
			o.takeHeld(f)
		}
		return splice.Decision{}
	}
	o.release(f)
	o.deadline(n)
	return splice.Decision{Do: splice.Park}
}

// tryAgain begins the next try of the last leg.
func (o *Offload) tryAgain(n splice.Flow, f *flow) splice.Decision {
	f.againAt, f.touched = 0, o.now
	leg := f.last()
	leg.tries.Again(leg.cl.c)
	if r := o.choose(f, leg); r != nil {
		return o.answer(n, f, r)
	}
	head := leg.tries.kept
	if len(head) == 0 {
		head, _ = o.kept(n)
	}
	elapsed := o.since(f.since(leg), o.now)
	if !f.complete {
		elapsed = 0
	}
	o.out = mesh.AppendAgain(o.out[:0], head, leg.route, &leg.tries.Tries, elapsed)
	h, d := o.hop(n, f)
	if h == nil {
		return d
	}
	return o.onward(n, f, h, 0)
}

var endOfHead = []byte("\r\n\r\n")

// kept is the request that the splice keeps: its head, and as much of its body as came
// with it.
func (o *Offload) kept(n splice.Flow) (head, body []byte) {
	b := o.engine.Kept(n)
	if i := bytes.Index(b, endOfHead); i >= 0 {
		return b[:i+len(endOfHead)], b[i+len(endOfHead):]
	}
	return nil, nil
}

// resend sends a request that is parked, whose head is in o.out.
func (o *Offload) resend(n splice.Flow, f *flow) splice.Decision {
	if o.absent(&o.ends[f.chosen]) {
		return o.refuseAbsent(n, f)
	}
	f.turn = false
	leg := f.last()
	r, wait := o.room(n, f)
	switch {
	case wait:
		leg.tries.kept = append(leg.tries.kept[:0], o.out...)
		return splice.Decision{Do: splice.Nothing}
	case r != nil:
		return o.lost(n, f, r)
	}
	f.renamed = o.rehost(f) != "" || f.renamed
	_, body := o.kept(n)
	o.out = append(o.out, body...)
	leg.tries.kept = leg.tries.kept[:0]
	return splice.Decision{Do: splice.Send, To: f.chosen, Out: o.out}
}
