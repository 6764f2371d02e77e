package offload

import (
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// held is a request that a fault holds back, or that waits for a connection: the
// splice has what has come of it, and Request is asked again.
type held struct {
	size    int // bytes of its head
	scanned int // bytes of the body that were looked at
	body    http1.Body
	reply   *mesh.Reply // what to answer

	// By a fault.
	fault  *mesh.CompiledFault
	faults *mesh.ActiveFaults
	c      *mesh.FaultCounters
	at     int // the filter
	until  sim.Cycle
	head   *http1.Head
	raw    []byte // its bytes

	out []byte // in line: the head as it goes upstream
}

// takeHeld returns one for f's request.
func (o *Offload) takeHeld(f *flow) *held {
	var x *held
	if n := len(o.helds); n > 0 {
		x, o.helds = o.helds[n-1], o.helds[:n-1]
	} else {
		x = &held{}
	}
	x.size, x.body, x.head = f.heads[splice.Request], f.bodies[splice.Request], o.takeHead()
	if was := o.letGo; was != nil { // it was held before
		x.body, x.scanned = was.body, was.scanned
	}
	f.held = x
	return x
}

// drop gives back what x is kept in.
func (o *Offload) drop(x *held) {
	o.heads = append(o.heads, x.head)
	*x = held{raw: x.raw[:0], out: x.out[:0]}
	o.helds = append(o.helds, x)
}

// hold keeps the request with head h, which filter i delays.
func (o *Offload) hold(f *flow, leg *leg, h *http1.Head, i int, fault *mesh.CompiledFault, delay time.Duration) {
	x := o.takeHeld(f)
	x.fault, x.faults, x.c, x.at, x.until = fault, leg.l.faults, &leg.l.c.Fault, i, o.now+o.cycles(delay)
	x.raw = h.Copy(x.head, x.raw[:0])
	o.noteUnrouted(leg, h)
	if leg.entry != nil {
		leg.entry.Flag = leg.entry.Flag.And(mesh.FlagDI)
	}
}

// release ends what holds the request of f, if anything does.
func (o *Offload) release(f *flow) {
	if f.inLine {
		o.leaveLine(f)
	}
	if f.pending {
		o.unpend(f)
	}
	x := f.held
	if x == nil {
		return
	}
	if f.held = nil; x.fault != nil {
		x.fault.End(x.faults, x.c)
	}
	o.drop(x)
}

// more looks at a request that is held, of whose body b has come since the last time.
func (o *Offload) more(n splice.Flow, f *flow, b []byte) splice.Decision {
	x := f.held
	if !f.complete {
		k, size, done, err := advance(&x.body, b)
		x.scanned += k
		if err != nil {
			o.release(f)
			return o.malformed(f, err, nil)
		}
		if e := f.last().entry; e != nil {
			e.Received += uint64(size)
		}
		if done {
			o.completed(f)
		}
	}
	switch {
	case x.reply != nil:
		return o.replyHeld(f, x.reply)
	case x.fault != nil && o.now >= x.until:
		return o.goOn(n, f)
	case f.inLine && f.turn:
		return o.fromLine(n, f)
	}
	return splice.Decision{}
}

// replyHeld answers a request that is held.
func (o *Offload) replyHeld(f *flow, r *mesh.Reply) splice.Decision {
	whole := f.held.size + f.held.scanned
	if x := f.held; x.fault != nil {
		x.fault = nil // its end was counted
	}
	o.release(f)
	d := o.reply(f, r, whole)
	return d
}

// goOn has a held request, whose time has come, go on behind the filter that held it.
func (o *Offload) goOn(n splice.Flow, f *flow) splice.Decision {
	x, leg := f.held, f.last()
	if f.complete {
		f.doneAt = o.now // to the router
	}
	if r := x.fault.Go(x.head, x.faults, o.draw, x.c); r != nil {
		x.fault.End(x.faults, x.c)
		o.turnAway(f, leg, x.head)
		return o.replyHeld(f, r)
	}
	f.held, o.letGo = nil, x
	o.rest = nil // it was looked at
	d := o.onward(n, f, x.head, x.at+1)
	o.letGo = nil
	if f.held == nil && d.Do == splice.Reply {
		d.Head = x.size + x.scanned
	}
	o.drop(x)
	return d
}
