package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Failed decides what becomes of a request that has no server, or no longer.
func (o *Offload) Failed(now sim.Cycle, n splice.Flow, why splice.Failure) splice.Decision {
	o.now = now
	f := &o.flows[n]
	if f.n == 0 || f.last().cl == nil {
		r := mesh.ReplyMalformed(http1.ErrChunk)
		return o.reply(f, &r, 0)
	}
	c := &f.last().cl.c
	switch why {
	case splice.Unreachable:
		c.CxConnectFail++
		c.CxConnectTimeout++
		return o.lost(now, n, f, &mesh.ReplyConnectTimeout)
	case splice.Refused:
		c.CxConnectFail++
		r := mesh.ReplyUnreachable("connection refused", false)
		return o.lost(now, n, f, &r)
	case splice.TableFull:
		c.CxOverflow++
		return o.lost(now, n, f, &mesh.ReplyOverflow)
	case splice.BadMessage:
		r := mesh.ReplyMalformed(http1.ErrChunk)
		f.complete = false
		return o.reply(f, &r, 0)
	}
	c.CxDestroyRemote++
	c.CxDestroyRemoteActiveRq++
	c.CxDestroyActiveRq++
	return o.lost(now, n, f, &mesh.ReplyTerminated)
}

// lost decides about a request whose try ended in what r would say.
func (o *Offload) lost(now sim.Cycle, n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	cl := f.last().cl
	o.giveBack(f)
	if r != &mesh.ReplyOverflow {
		o.judge(f, r.Status)
	}
	if f.tries.Lost(r, cl, &cl.c) {
		return o.park(now, n, f)
	}
	cl.c.Count(r.Status)
	said := r.After(&f.tries)
	return o.reply(f, &said, 0)
}

// park has the request wait for its next try.
func (o *Offload) park(now sim.Cycle, n splice.Flow, f *flow) splice.Decision {
	o.leaveEndpoint(f)
	f.tryEnd = 0
	f.againAt = now + o.cycles(f.tries.Wait(o.draw()))
	o.deadline(now, n)
	return splice.Decision{Do: splice.Park}
}

// Due does what the time has come for.
func (o *Offload) Due(now sim.Cycle, n splice.Flow) splice.Decision {
	o.now = now
	f := &o.flows[n]
	c := &f.l.c
	if active := o.engine.Active(n); f.idles(now) && now < active+o.cycles(mesh.StreamIdleTimeout) {
		o.deadline(active, n)
		return splice.Decision{Do: splice.Nothing} // it does not idle
	}
	defer o.deadline(now, n)
	switch {
	case !f.active && f.parser != nil:
		o.giveBack(f)
		o.begin(f, now)
		c.RqIdleTimeout++
		f.complete = false
		return o.reply(f, &mesh.ReplyStreamIdle, 0)
	case !f.active:
		c.CxIdleTimeout++
		return splice.Decision{Do: splice.Finish}
	case f.responded && (f.routeEnd == 0 || now < f.routeEnd):
		c.RqIdleTimeout++
		return splice.Decision{Do: splice.Abort}
	case f.routeEnd != 0 && now >= f.routeEnd:
		f.routeEnd = 0
		f.last().cl.c.RqTimeout++
		if f.responded {
			return splice.Decision{Do: splice.Abort}
		}
		o.judge(f, mesh.ReplyTimeout.Status)
		f.last().cl.c.Count(mesh.ReplyTimeout.Status)
		r := mesh.ReplyTimeout.After(&f.tries)
		return o.reply(f, &r, 0)
	case f.againAt != 0 && now >= f.againAt:
		return o.tryAgain(now, n, f)
	}
	c.RqIdleTimeout++
	r := mesh.ReplyStreamIdle
	if f.complete {
		r.Status = 504
	}
	return o.reply(f, &r, 0)
}

// idles reports whether a request is under way that nothing is due of at now but
// the end of its silence.
func (f *flow) idles(now sim.Cycle) bool {
	for _, t := range [...]sim.Cycle{f.routeEnd, f.tryEnd, f.againAt} {
		if t != 0 && now >= t {
			return false
		}
	}
	return f.active
}

// tryAgain sends a request that is parked to another endpoint.
func (o *Offload) tryAgain(now sim.Cycle, n splice.Flow, f *flow) splice.Decision {
	f.againAt = 0
	cl := f.last().cl
	f.tries.Again(&cl.c)
	h := o.balance(f, cl)
	if h == nil {
		cl.c.CxNoneHealthy++
		cl.c.Count(mesh.ReplyNoHealthy.Status)
		return o.reply(f, &mesh.ReplyNoHealthy, 0)
	}
	f.chosen = cl.ends[h]
	if r := o.toEndpoint(f); r != nil {
		return o.lost(now, n, f, r)
	}
	return splice.Decision{Do: splice.Send, To: f.ep, Kept: true, Keep: f.tries.Kept()}
}
