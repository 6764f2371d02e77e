package offload

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// choose chooses an endpoint for the present try, or returns what to answer.
func (o *Offload) choose(f *flow, leg *leg) *mesh.Reply {
	cl := leg.cl
	if leg.entry != nil {
		leg.entry.Attempts++
	}
	cl.balancer.Use(cl.health.View())
	h := cl.balancer.NextAgain(&leg.tries.Tries, leg.tries.hash, leg.tries.hashed, cl.c)
	if h == nil {
		cl.c.CxNoneHealthy++
		return o.instead(leg, &mesh.ReplyNoHealthy)
	}
	leg.tries.Tried(h)
	f.chosen = cl.ends[h.Place]
	if leg.entry != nil {
		leg.entry.Upstream = h.Addr
	}
	return nil
}

// instead is r in the stead of the leg's cluster, after tries that did not help.
func (o *Offload) instead(leg *leg, r *mesh.Reply) *mesh.Reply {
	leg.cl.c.Count(r.Status)
	o.said = r.After(&leg.tries.Tries)
	return &o.said
}

// pass is what is said where the circuit breaker has no room for a request to another leg.
func (o *Offload) pass(leg *leg) *mesh.Reply {
	if cl := leg.cl; cl.requests >= int64(cl.t.Breakers.MaxRequests) {
		return o.instead(leg, &mesh.ReplyOverflow)
	}
	return nil
}

// enter has the request count as under way to the endpoint that was chosen.
func (o *Offload) enter(f *flow, leg *leg) {
	e := &o.ends[f.chosen]
	leg.ep = f.chosen
	e.cl.requests++
	e.host.Carry(1)
	e.cl.c.RqTotal++
	e.cl.c.RqActive++
	e.hs.RqTotal++
	e.hs.RqActive++
}

// leaveEndpoint takes the request off its endpoint.
func (o *Offload) leaveEndpoint(leg *leg) {
	if leg.ep < 0 {
		return
	}
	e := &o.ends[leg.ep]
	leg.ep = -1
	e.host.Carry(-1)
	e.cl.requests--
	e.cl.c.RqActive--
	e.hs.RqActive--
}

// dispatch sends the request, whose head is in o.out, to the server that was chosen.
func (o *Offload) dispatch(n splice.Flow, f *flow) splice.Decision {
	if f.sent {
		return o.resend(n, f)
	}
	if body := f.bodies[splice.Request]; body.Chunked() { // what is not to be read is not sent
		if _, _, _, err := advance(&body, o.rest); err != nil {
			return o.malformed(n, f, err, nil)
		}
	}
	if o.absent(&o.ends[f.chosen]) {
		return o.refuseAbsent(n, f)
	}
	r, wait := o.room(n, f)
	switch {
	case wait:
		x := o.takeHeld(f)
		x.out = append(x.out[:0], o.out...)
		return o.wait(n, f)
	case r != nil:
		return o.answer(n, f, o.instead(f.last(), r))
	}
	return o.send(n, f)
}

// send is the decision that sends what is in o.out.
func (o *Offload) send(n splice.Flow, f *flow) splice.Decision {
	f.renamed = o.rehost(f) != ""
	d := splice.Decision{Do: splice.Send, To: f.chosen, Head: f.heads[splice.Request], Out: o.out, Keep: f.keeps()}
	if f.expect {
		d.Interim = continued
	}
	if body := &f.bodies[splice.Request]; body.Chunked() {
		d.Framing = splice.Scanned
	} else {
		d.Body, _ = body.Left()
	}
	f.sent = true
	return d
}

// hostname is what the endpoint that was chosen is called, if requests ask for that.
func (o *Offload) hostname(f *flow) string {
	if f.last().route.AutoHost() {
		return o.ends[f.chosen].host.Name
	}
	return ""
}

// rehost has the request in o.out ask for the endpoint that was chosen, and returns its
// name, or nothing.
func (o *Offload) rehost(f *flow) string {
	name := o.hostname(f)
	switch {
	case name == "":
	case f.renamed: // nobody has seen the name that it has
		o.out = mesh.Rename(o.out, name)
	default:
		o.out = f.last().route.Rehost(o.out, name)
	}
	return name
}

// room sees to it that the circuit breakers have room for a request to the endpoint
// that was chosen. If not it is answered by r, or has to wait in line.
func (o *Offload) room(n splice.Flow, f *flow) (r *mesh.Reply, wait bool) {
	e := &o.ends[f.chosen]
	cl, b := e.cl, &e.cl.t.Breakers
	if o.engine.Idle(f.chosen) > len(e.line) || f.inLine && o.engine.Idle(f.chosen) > 0 {
		if cl.requests >= int64(b.MaxRequests) {
			return &mesh.ReplyOverflow, false
		}
		if f.inLine {
			o.leaveLine(f)
		}
		return nil, false
	}
	if !f.pending {
		if cl.pending >= int64(b.MaxPending) {
			cl.c.RqPendingOverflow++
			return &mesh.ReplyOverflow, false
		}
		f.pending = true
		cl.pending++
		cl.c.RqPendingTotal++
		cl.c.RqPendingActive++
		e.hs.RqPendingActive++
	}
	if cl.connections >= int64(b.MaxConnections) {
		if !f.inLine {
			cl.c.CxOverflow++
		}
		if e.conns > 0 {
			if !f.inLine {
				f.inLine = true
				e.line = append(e.line, n)
			}
			return nil, true
		}
	}
	if f.inLine {
		o.leaveLine(f)
	}
	return nil, false
}

// leaveLine takes f out of the line for a connection.
func (o *Offload) leaveLine(f *flow) {
	e := &o.ends[f.chosen]
	f.inLine, f.turn = false, false
	e.line = slices.DeleteFunc(e.line, func(n splice.Flow) bool { return o.flow(n) == f })
}

// unpend notes that f does not wait for a connection any more.
func (o *Offload) unpend(f *flow) {
	e := &o.ends[f.chosen]
	f.pending = false
	e.cl.pending--
	e.cl.c.RqPendingActive--
	e.hs.RqPendingActive--
}

// fromLine sends a request that has waited in line, if there is a connection now.
func (o *Offload) fromLine(n splice.Flow, f *flow) splice.Decision {
	f.turn = false
	o.out = append(o.out[:0], f.held.out...)
	if o.absent(&o.ends[f.chosen]) {
		return o.refuseAbsent(n, f)
	}
	r, wait := o.room(n, f)
	if wait {
		return splice.Decision{}
	}
	if r != nil {
		return o.answer(n, f, o.instead(f.last(), r))
	}
	o.drop(f.held)
	f.held = nil
	return o.send(n, f)
}

// wake has the first in line to ep who does not know it yet look again.
func (o *Offload) wake(ep splice.Endpoint) {
	for _, n := range o.ends[ep].line {
		if f := o.flow(n); !f.turn {
			f.turn = true
			o.engine.SetDeadline(n, max(o.now, 1))
			return
		}
	}
}

// Joined says that the request of n has a connection. It reports whether the circuit
// breaker has room for it.
func (o *Offload) Joined(now sim.Cycle, n splice.Flow) bool {
	o.now = now
	f := o.flow(n)
	if f.raw != byNothing {
		return true
	}
	if f.pending {
		o.unpend(f)
	}
	leg := f.last()
	if leg.cl.requests >= int64(leg.cl.t.Breakers.MaxRequests) {
		return false
	}
	o.enter(f, leg)
	f.drained = o.ends[f.chosen].drained
	for i := range f.n {
		o.took(f, &f.legs[i])
	}
	if f.renamed = false; leg.entry != nil {
		if name := o.hostname(f); name != "" {
			leg.entry.Rehost(leg.route, name)
		}
	}
	o.reach(f, mesh.PoolReady)
	o.reach(f, mesh.UpstreamBegins)
	if f.complete {
		o.reach(f, mesh.UpstreamEnds)
	}
	if leg.l.t.UpstreamLocal {
		leg.entry.UpstreamLocal = addrPort(o.engine.Local(n))
	}
	o.touch(n)
	return true
}
