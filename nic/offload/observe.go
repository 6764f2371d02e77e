package offload

import (
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// observe begins an entry for a leg of f's request, if its listener has a use for
// one.
func (o *Offload) observe(f *flow, leg *leg) {
	if !leg.l.t.Observed {
		return
	}
	var e *mesh.Entry
	if n := len(o.entries); n > 0 {
		e, o.entries = o.entries[n-1], o.entries[:n-1]
	} else {
		e = &mesh.Entry{}
	}
	leg.entry = e
	e.Remote, e.Local, e.Connection, e.Hostname = addrPort(f.client), addrPort(f.local), f.number, o.cfg.Hostname
	if f.n > 1 { // a proxy before it is the client
		up := &o.ends[f.chosen]
		e.Remote, e.Local = addrPort(splice.Addr{IP: up.from}), addrPort(up.addr)
	}
	e.Direct = e.Local
	e.Begin(o.wallAt(leg.tries.begun))
}

// reach notes that f's request has got to p.
func (o *Offload) reach(f *flow, p mesh.Point) {
	for i := range f.n {
		o.reachLeg(&f.legs[i], p)
	}
}

func (o *Offload) reachLeg(leg *leg, p mesh.Point) {
	if leg.entry != nil {
		leg.entry.Reach(p, int64(o.since(leg.tries.begun, o.now)))
	}
}

// measure counts the bytes of f's exchange, which is over.
func (o *Offload) measure(n splice.Flow, f *flow) {
	came := o.wire(n, f)
	c := f.l.c
	c.CxRxBytes += uint64(f.heads[splice.Request]) + came[splice.Request]
	c.CxTxBytes += uint64(f.heads[splice.Response]) + came[splice.Response]
	if cl := f.last().cl; cl != nil && f.sent {
		cl.c.CxTxBytes += uint64(f.heads[splice.Request]) + came[splice.Request]
		cl.c.CxRxBytes += uint64(f.heads[splice.Response]) + came[splice.Response]
	}
	came = o.came(n, f)
	for i := range f.n {
		e := f.legs[i].entry
		if e == nil || !f.sent {
			continue
		}
		e.Received = came[splice.Request]
		if e.Sent == 0 {
			e.Sent = came[splice.Response]
		}
	}
}

// wire is how many bytes have come of the bodies of f's exchange.
func (o *Offload) wire(n splice.Flow, f *flow) (came [2]uint64) {
	req, resp := o.engine.Progress(n)
	for d, b := range [2]uint32{req, resp} {
		came[d] = uint64(b)
		if length, ok := f.bodies[d].Left(); ok && length>>32 > 0 { // b has its lower half
			came[d] |= length &^ (1<<32 - 1)
		}
	}
	return came
}

// came is wire without the framing of chunks.
func (o *Offload) came(n splice.Flow, f *flow) [2]uint64 {
	came := o.wire(n, f)
	for d := range came {
		if f.scanned[d] == 0 {
			continue
		}
		missing := uint64(max(int32(f.scanned[d]-uint32(came[d])), 0)) // passed over, and not come
		came[d] = f.sizes[d] - min(missing, f.sizes[d])
	}
	return came
}

// log writes the lines of a leg that is over.
func (o *Offload) log(leg *leg) {
	e := leg.entry
	if e == nil {
		return
	}
	o.reachLeg(leg, mesh.RequestOver)
	e.Now = o.wallAt(o.now)
	e.Route = leg.route
	o.sinks.Append(leg.l.sinks, leg.l.t.Logs, e, o.draw)
	leg.entry = nil
	o.entries = append(o.entries, e)
}
