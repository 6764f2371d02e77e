package offload

import "github.com/meshnic/meshnic/datapath/tcp/splice"

// A host that is not there (neighbours.go) is not to be connected to: "no route to host", as
// an Envoy on another host has it from its system. Where a listener stands before the host,
// that host's proxy is not there either: what fails is the connection of the leg before,
// which tries again after connect-failure, and the leg of the listener has never been. A
// host that answers, if only by a reset, is there, and with it its proxy, which says 503.
//
// A request that such a host has acknowledged nothing of has not come to it, on a connection
// from before neither, and counts as one without a connection.

// refuseAbsent ends a try to a host that is known not to be there, which is asked for once
// more. The request's head is in o.out.
func (o *Offload) refuseAbsent(n splice.Flow, f *flow) splice.Decision {
	leg, ep := f.last(), f.chosen
	if leg.tries.Kept() {
		leg.tries.kept = append(leg.tries.kept[:0], o.out...)
	}
	f.turn = false
	o.loosen(f)
	o.want(ep)
	return o.notThere(n, f)
}

// withoutHost ends a try whose connection was given up because its host is not there.
func (o *Offload) withoutHost(n splice.Flow, f *flow) splice.Decision {
	leg, e := f.last(), &o.ends[f.chosen]
	c := e.cl.c
	if f.pending {
		o.unpend(f)
		c.RqPendingFailureEject++
		c.CxConnectFail++
		e.hs.CxConnectFail++
	} else {
		c.CxDestroyRemote++
		c.CxDestroyRemoteActiveRq++
		c.CxDestroyActiveRq++
	}
	e.hs.RqError++
	o.leaveEndpoint(leg)
	if o.standsBefore(f) {
		return o.notThere(n, f)
	}
	return o.lost(n, f, &noHost)
}

// notThere ends the last leg's try, which is counted as one that got no connection.
func (o *Offload) notThere(n splice.Flow, f *flow) splice.Decision {
	if o.standsBefore(f) {
		o.unsay(f)
	}
	leg, e := f.last(), &o.ends[f.chosen]
	c := leg.cl.c
	if leg.ep >= 0 { // it was passed on
		c.RqTotal--
		e.hs.RqTotal--
		o.leaveEndpoint(leg)
	}
	c.CxTotal++
	c.CxDestroy++
	c.CxConnectFail++
	c.RqPendingTotal++
	c.RqPendingFailureEject++
	e.hs.CxTotal++
	e.hs.CxConnectFail++
	e.hs.RqError++
	return o.lost(n, f, &noHost)
}

// standsBefore reports whether the last leg's listener stands before the host that the request
// was for, and another leg is before it.
func (o *Offload) standsBefore(f *flow) bool {
	leg := f.last()
	return f.n > 1 && leg.l.stands && o.ends[f.chosen].addr.IP == leg.l.t.Address.Addr().As16()
}

// unsay takes the last leg back, whose proxy is not there.
func (o *Offload) unsay(f *flow) {
	leg := f.last()
	c := leg.l.c
	c.RqTotal--
	c.RqActive--
	c.RouterTotal--
	if leg.entry != nil {
		o.entries = append(o.entries, leg.entry)
		leg.entry = nil
	}
	leg.tries.End(leg.cl)
	o.giveTries(leg)
	f.n--
	f.chosen, f.renamed = f.last().ep, false
}
