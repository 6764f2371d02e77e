package offload

import (
	"cmp"
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// deadline sets when Due is called for flow n.
func (o *Offload) deadline(n splice.Flow) {
	f := o.flow(n)
	var at sim.Cycle
	switch {
	case f.raw != byNothing: // what it waits for is the sidecar's business, as long as both are there
		at = max(o.now, o.engine.Active(n)) + o.keep
	case !f.active && f.parser != nil:
		at = f.headAt + o.idle
	case !f.active:
		at = o.now + o.keep
	default:
		at = o.nextEnd(n, f)
	}
	o.engine.SetDeadline(n, at)
}

// leftAfter is for how long a client may take to say that it has more of a response that
// has come as a whole: longer than those who send it try to, 100 s at least (RFC 9293 §3.8.3).
const leftAfter = 5 * time.Minute

// leftEnd is when a client whose request is answered, by its server or here, has left
// without a word.
func (o *Offload) leftEnd(n splice.Flow, f *flow) sim.Cycle {
	return max(f.touched, o.engine.Active(n)) + o.cycles(leftAfter)
}

// nextEnd is when something is due of the request of f, 0 for never.
func (o *Offload) nextEnd(n splice.Flow, f *flow) sim.Cycle {
	switch {
	case f.answered:
		return o.leftEnd(n, f)
	case f.turn:
		return max(o.now, 1)
	}
	at := o.idleEnd(n, f)
	sooner := func(t sim.Cycle) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	end, _ := f.timeout(o)
	sooner(end)
	sooner(f.againAt)
	if f.held != nil && f.held.fault != nil {
		sooner(f.held.until)
	}
	for i := range f.n {
		sooner(f.legs[i].tries.end)
	}
	return at
}

// touch is deadline where something has happened.
func (o *Offload) touch(n splice.Flow) {
	o.flow(n).touched = o.now
	o.deadline(n)
}

// idleEnd is when a request that nothing happens to any more is ended, 0 for never.
func (o *Offload) idleEnd(n splice.Flow, f *flow) sim.Cycle {
	var idle sim.Cycle
	for i := range f.n {
		d := o.idle
		if r := f.legs[i].route; r != nil && r.Idle != nil {
			d = o.cycles(*r.Idle)
		}
		if d != 0 && (idle == 0 || d < idle) {
			idle = d
		}
	}
	if idle == 0 {
		return 0
	}
	return max(f.touched, o.engine.Active(n)) + idle
}

// timeout is when the timeout of a route ends, 0 for never, and which leg's.
func (f *flow) timeout(o *Offload) (at sim.Cycle, leg int) {
	if !f.complete {
		return 0, 0
	}
	for i := range f.n {
		if r := f.legs[i].route; r != nil && f.legs[i].cl != nil && r.Timeout > 0 { // it is with the router
			if end := f.since(&f.legs[i]) + o.cycles(r.Timeout); at == 0 || end < at {
				at, leg = end, i
			}
		}
	}
	return at, leg
}

// Due does what the time has come for.
func (o *Offload) Due(now sim.Cycle, n splice.Flow) splice.Decision {
	o.now = now
	f := o.flow(n)
	d := o.due(n, f)
	o.deadline(n)
	return d
}

func (o *Offload) due(n splice.Flow, f *flow) splice.Decision {
	c := f.l.c
	switch {
	case f.raw != byNothing:
		if o.engine.Owes(n) && o.now >= o.engine.Active(n)+o.keep { // one of the two is not
			return splice.Decision{Do: splice.Abort}
		}
		return splice.Decision{Do: splice.Nothing}
	case f.l.reason != byNothing:
		return o.fallBack(f, f.l.reason)
	case !f.active && f.parser != nil:
		o.giveBack(f)
		o.begin(f)
		c.RqIdleTimeout++
		return o.reply(f, &mesh.ReplyStreamIdle)
	case !f.active && f.leaves:
		f.close, f.ended = true, true
		c.CxDrainClose++
		return splice.Decision{Do: splice.Finish}
	case !f.active:
		c.CxIdleTimeout++
		return splice.Decision{Do: splice.Finish}
	case f.held == nil || f.sent:
		return o.expired(n, f)
	}
	if at := o.nextEnd(n, f); at != 0 && o.now >= at { // it is answered, or sent, from where it is gathered
		return splice.Decision{Do: splice.Ask}
	}
	return splice.Decision{Do: splice.Nothing}
}

// expired does what is due of a request.
func (o *Offload) expired(n splice.Flow, f *flow) splice.Decision {
	if f.held != nil && f.held.fault != nil && o.now >= f.held.until {
		return o.goOn(n, f)
	}
	if f.answered { // the client is slow to say that it has it
		if o.now < o.leftEnd(n, f) {
			return splice.Decision{Do: splice.Nothing}
		}
		return splice.Decision{Do: splice.Abort}
	}
	if at, leg := f.timeout(o); at != 0 && o.now >= at {
		return o.timedOut(n, f, leg)
	}
	switch i := o.tryDue(f); {
	case f.againAt != 0 && o.now >= f.againAt && f.held != nil:
		return o.onceMore(n, f)
	case f.againAt != 0 && o.now >= f.againAt:
		return o.tryAgain(n, f)
	case i >= 0:
		return o.tooLong(n, f, i)
	case f.turn && f.held != nil:
		return o.fromLine(n, f)
	case f.turn:
		o.out = append(o.out[:0], f.last().tries.kept...)
		return o.resend(n, f)
	}
	if at := o.idleEnd(n, f); at == 0 || o.now < at { // it does not idle
		return splice.Decision{Do: splice.Nothing}
	}
	f.l.c.RqIdleTimeout++
	r := mesh.ReplyStreamIdle
	if f.complete {
		r.Status = 504
	}
	if f.responded {
		return o.late(n, f, &r)
	}
	o.cancel(f)
	return o.reply(f, &r) // not in the stead of the cluster, which does not count it
}

// timedOut ends a request whose time by the route of a leg is over.
func (o *Offload) timedOut(n splice.Flow, f *flow, i int) splice.Decision {
	o.abandon(n, f, i)
	leg := f.last()
	r := mesh.ReplyTimeout.After(&leg.tries.Tries)
	if leg.ep < 0 && !f.pending { // between two tries
		return o.answer(n, f, &r)
	}
	leg.cl.c.RqTimeout++
	if leg.ep >= 0 {
		o.ends[leg.ep].hs.RqTimeout++
		if !f.responded {
			o.judge(leg, mesh.ReplyTimeout.Status)
		}
	}
	return o.late(n, f, &r)
}

// tooLong ends a try of leg i that has had its time.
func (o *Offload) tooLong(n splice.Flow, f *flow, i int) splice.Decision {
	o.abandon(n, f, i)
	leg := f.last()
	leg.cl.c.RqPerTryTimeout++
	o.ends[f.chosen].hs.RqTimeout++
	o.closedHere(leg)
	o.leaveEndpoint(leg)
	return o.lost(n, f, &mesh.ReplyPerTryTimeout)
}

// late answers by r, or cuts the response short if it has begun.
func (o *Offload) late(n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	if f.responded {
		o.said = *r
		f.cause = &o.said
		o.cancel(f)
		f.close = true
		return splice.Decision{Do: splice.Cut}
	}
	if cl := f.last().cl; cl != nil {
		cl.c.Count(r.Status)
	}
	o.cancel(f)
	return o.answer(n, f, r)
}

// leaving has the response that is about to begin ask for the close, if the
// connection's listener drains: all of them when the proxy is on its way out,
// otherwise Envoy's gradual strategy, a part of them that grows with time.
func (o *Offload) leaving(f *flow) {
	leaving := o.failing
	if from := cmp.Or(f.l.drainFrom, o.drainFrom); from != 0 && !leaving {
		leaving = mesh.DrainCloses(uint64(o.now-from), uint64(o.cycles(o.cfg.DrainTime)), o.draw)
	}
	if leaving && !f.close {
		f.close = true
		f.l.c.CxDrainClose++
	}
}
