package offload

import (
	"cmp"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// deadline sets when Due is called for flow n.
func (o *Offload) deadline(n splice.Flow) {
	f := o.flow(n)
	var at sim.Cycle
	switch {
	case f.raw != byNothing: // what it waits for is the sidecar's business
	case !f.active && f.parser != nil:
		at = f.headAt + o.idle
	case !f.active:
		at = o.now + o.keep
	case f.turn:
		at = max(o.now, 1)
	default:
		at = o.idleEnd(n, f)
		end, _ := f.timeout(o)
		until := sim.Cycle(0)
		if f.held != nil && f.held.fault != nil {
			until = f.held.until
		}
		for _, t := range [...]sim.Cycle{end, until, f.tryEnd, f.againAt} {
			if t != 0 && (at == 0 || t < at) {
				at = t
			}
		}
	}
	o.engine.SetDeadline(n, at)
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
	if !f.complete || f.held != nil && f.held.fault != nil {
		return 0, 0
	}
	for i := range f.n {
		if r := f.legs[i].route; r != nil && f.legs[i].cl != nil && r.Timeout > 0 {
			if end := f.doneAt + o.cycles(r.Timeout); at == 0 || end < at {
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
		return splice.Decision{Do: splice.Nothing}
	case f.l.reason != byNothing:
		return o.fallBack(f, f.l.reason)
	case !f.active && f.parser != nil:
		o.giveBack(f)
		o.begin(f)
		c.RqIdleTimeout++
		return o.reply(f, &mesh.ReplyStreamIdle, 0)
	case !f.active && f.leaves:
		f.close, f.ended = true, true
		c.CxDrainClose++
		return splice.Decision{Do: splice.Finish}
	case !f.active:
		c.CxIdleTimeout++
		return splice.Decision{Do: splice.Finish}
	case f.held != nil && f.held.fault != nil && o.now >= f.held.until:
		return splice.Decision{Do: splice.Ask}
	}
	if at, leg := f.timeout(o); at != 0 && o.now >= at && !f.answered {
		return o.timedOut(f, leg)
	}
	switch {
	case f.answered: // the client is slow to say that it has it
		return splice.Decision{Do: splice.Nothing}
	case f.againAt != 0 && o.now >= f.againAt:
		return o.tryAgain(n, f)
	case f.tryEnd != 0 && o.now >= f.tryEnd:
		return o.tooLong(n, f)
	case f.turn && f.held != nil:
		return splice.Decision{Do: splice.Ask}
	case f.turn:
		return o.resend(n, f)
	}
	if at := o.idleEnd(n, f); at == 0 || o.now < at { // it does not idle
		return splice.Decision{Do: splice.Nothing}
	}
	c.RqIdleTimeout++
	r := mesh.ReplyStreamIdle
	if f.complete {
		r.Status = 504
	}
	switch {
	case f.responded:
		return o.late(f, &r)
	case f.held != nil:
		return o.answerHeld(f, &r)
	}
	o.cancel(f)
	return o.reply(f, &r, f.heads[splice.Request]) // not in the stead of the cluster, which does not count it
}

// timedOut ends a request whose time by the route of a leg is over.
func (o *Offload) timedOut(f *flow, i int) splice.Decision {
	for f.n > i+1 { // the legs behind it see their client leave
		leg := f.last()
		o.cancel(f)
		leg.l.c.RqRxReset++
		leg.l.c.CxDestroyRemoteActiveRq++
		leg.l.c.CxDestroyActiveRq++
		if flag, details := mesh.ClientLeft(false); leg.entry != nil {
			leg.entry.Flag, leg.entry.Details = leg.entry.Flag.And(flag), details
		}
		o.endLeg(f, f.n-1)
		f.n--
	}
	leg := f.last()
	if leg.ep < 0 && !f.pending { // between two tries
		r := mesh.ReplyTimeout.After(&f.tries)
		return o.reply(f, &r, f.heads[splice.Request])
	}
	leg.cl.c.RqTimeout++
	if leg.ep >= 0 {
		o.ends[leg.ep].hs.RqTimeout++
		if !f.responded {
			o.judge(leg, mesh.ReplyTimeout.Status)
		}
	}
	r := mesh.ReplyTimeout.After(&f.tries)
	return o.late(f, &r)
}

// tooLong ends a try that has had its time.
func (o *Offload) tooLong(n splice.Flow, f *flow) splice.Decision {
	leg := f.last()
	leg.cl.c.RqPerTryTimeout++
	o.ends[f.chosen].hs.RqTimeout++
	o.closedHere(f)
	o.leaveEndpoint(leg)
	return o.lost(n, f, &mesh.ReplyPerTryTimeout)
}

// late answers by r, or cuts the response short if it has begun.
func (o *Offload) late(f *flow, r *mesh.Reply) splice.Decision {
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
	if f.held != nil {
		return o.answerHeld(f, r)
	}
	o.cancel(f)
	return o.reply(f, r, f.heads[splice.Request])
}

// answerHeld answers a request that is held by r, as soon as it is asked.
func (o *Offload) answerHeld(f *flow, r *mesh.Reply) splice.Decision {
	o.said = *r
	f.held.reply = &o.said
	return splice.Decision{Do: splice.Ask}
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
