package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// refused is what the client is told of an endpoint whose host said no, and noHost of one
// whose host is not there.
var (
	refused = mesh.ReplyUnreachable("connection refused", false)
	noHost  = mesh.ReplyUnreachable("no route to host", false)
)

// Failed decides what becomes of a request that has no server, or no longer.
func (o *Offload) Failed(now sim.Cycle, n splice.Flow, why splice.Failure) splice.Decision {
	o.now = now
	f := o.flow(n)
	if f.raw != byNothing { // there is nobody who could say more
		return splice.Decision{Do: splice.Abort}
	}
	o.giveBackHalf(f, why)
	d := o.failure(n, f, why)
	o.touch(n)
	return d
}

// giveBackHalf takes the parser of half a response off f, which then has a server
// that is at fault.
func (o *Offload) giveBackHalf(f *flow, why splice.Failure) {
	if half := f.parser != nil; half {
		o.giveBack(f)
		if why == splice.ServerReset || why == splice.ServerClosed {
			f.last().cl.c.CxProtocolError++
			f.cause = &mesh.ReplyProtocolError
			return
		}
	}
	f.cause = nil
}

func (o *Offload) failure(n splice.Flow, f *flow, why splice.Failure) splice.Decision {
	leg := f.last()
	c := leg.cl.c
	switch why {
	case splice.Unreachable:
		if !o.ends[f.chosen].known {
			return o.withoutHost(n, f)
		}
		c.CxConnectTimeout++
		return o.unconnected(n, f, &mesh.ReplyConnectTimeout)
	case splice.Refused:
		c.CxDestroyRemote++
		return o.unconnected(n, f, &refused)
	case splice.TableFull:
		o.release(f)
		return o.lost(n, f, &mesh.ReplyOverflow)
	case splice.Denied:
		return o.lost(n, f, &mesh.ReplyOverflow)
	case splice.BadMessage: // of the request's body
		o.closedHere(leg)
		o.leaveEndpoint(leg)
		return o.malformed(n, f, http1.ErrChunk, nil)
	}
	c.CxDestroyRemote++
	c.CxDestroyRemoteActiveRq++
	c.CxDestroyActiveRq++
	if f.cause != nil {
		return o.failed(n, f, f.cause)
	}
	return o.failed(n, f, &mesh.ReplyTerminated)
}

// unconnected ends a try that got no connection.
func (o *Offload) unconnected(n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	e := &o.ends[f.chosen]
	c := e.cl.c
	c.CxConnectFail++
	e.hs.CxConnectFail++
	if f.pending {
		o.unpend(f)
		c.RqPendingFailureEject++
		e.hs.RqError++
	}
	return o.lost(n, f, r)
}

// failed ends a try whose connection is lost.
func (o *Offload) failed(n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	o.ends[f.chosen].hs.RqError++
	o.leaveEndpoint(f.last())
	return o.lost(n, f, r)
}

// lost decides about a request whose try ended in what r would say.
func (o *Offload) lost(n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	leg := f.last()
	if leg.entry != nil && !leg.entry.Reached(mesh.PoolReady) {
		o.reach(f, mesh.PoolReady)
	}
	leg.tries.end = 0
	if r != &mesh.ReplyOverflow { // which is not the endpoint's doing
		o.judgeEnd(f.chosen, r.Status)
	}
	o.keepable(n, f)
	if leg.tries.Lost(r, leg.cl, leg.cl.c) {
		return o.park(n, f)
	}
	return o.answer(n, f, o.instead(leg, r))
}

// Aborted ends a request before its response was complete.
func (o *Offload) Aborted(now sim.Cycle, n splice.Flow, why splice.Failure) {
	o.now = now
	f := o.flow(n)
	defer o.deadline(n)
	if !f.active {
		if f.parser == nil {
			return
		}
		o.giveBack(f)
		o.begin(f) // half a request is one
	}
	o.giveBack(f)
	c := f.l.c
	switch {
	case f.answered: // it is only not known whether the client has all of it
		o.end(n, f)
		return
	case f.cause != nil: // see late
		c.RqTxReset++
		c.RqRxReset++
		o.mark(f, f.cause.Flag, f.cause.Late(), f.cause.Failure)
	case why == splice.ServerReset, why == splice.ServerClosed, why == splice.BadMessage && f.faulty == splice.Response, why == splice.Unanswered && f.responded:
		o.cut(f, why)
	default:
		if why == splice.BadMessage {
			c.RqTxReset++
		} else {
			c.RqRxReset++
			c.CxDestroyRemoteActiveRq++
		}
		c.CxDestroyActiveRq++
		o.cancel(f)
		flag, details := mesh.ClientLeft(why == splice.BadMessage)
		o.mark(f, flag, details, "")
	}
	o.end(n, f)
}

// cut counts a response that ends before its end, by its server's doing.
func (o *Offload) cut(f *flow, why splice.Failure) {
	leg := f.last()
	c, r := leg.cl.c, &mesh.ReplyTerminated
	if why == splice.BadMessage {
		o.closedHere(leg)
	} else {
		c.CxDestroyRemote++
		c.CxDestroyRemoteActiveRq++
		c.CxDestroyActiveRq++
	}
	if why != splice.Unanswered { // half a response
		c.CxProtocolError++
		r = &mesh.ReplyProtocolError
	}
	o.ends[f.chosen].hs.RqError++
	o.judge(leg, r.Status)
	for i := range f.n {
		f.legs[i].l.c.RqTxReset++
		f.legs[i].l.c.RqRxReset++
	}
	f.close = true
	o.mark(f, r.Flag, r.Late(), r.Failure)
}

// cancel counts what becomes of the server's side of a request that is not wanted
// any more.
func (o *Offload) cancel(f *flow) {
	leg := f.last()
	if f.pending {
		leg.cl.c.RqCancelled++
	}
	if leg.ep >= 0 {
		o.closedHere(leg)
	}
	o.loosen(f)
	f.againAt, leg.tries.end = 0, 0
}

// mark notes what is out of the ordinary with a request.
func (o *Offload) mark(f *flow, flag mesh.Flags, details, failure string) {
	for i := range f.n {
		if e := f.legs[i].entry; e != nil {
			e.Flag, e.Details, e.Failure = e.Flag.And(flag), details, failure
		}
	}
}
