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
	for i := range f.n - 1 {
		o.took(f, &f.legs[i])
	}
	o.noteUnrouted(leg, h)
	if leg.entry != nil {
		leg.entry.Flag = leg.entry.Flag.And(mesh.FlagDI)
	}
}

// loosen ends what holds the request of f, if anything does. What has come of it, if no
// server has got it yet, goes on being followed.
func (o *Offload) loosen(f *flow) {
	if f.inLine {
		o.leaveLine(f)
	}
	if f.pending {
		o.unpend(f)
	}
	if x := f.held; x != nil && x.fault != nil {
		x.fault.End(x.faults, x.c)
		x.fault = nil
	}
}

// release is loosen for a request that is answered, or sent.
func (o *Offload) release(f *flow) {
	o.loosen(f)
	if f.held != nil {
		o.drop(f.held)
		f.held = nil
	}
}

// dealtWith is how many bytes of the request were looked at; x is what held it until now.
func (f *flow) dealtWith(x *held) int {
	if f.held != nil {
		x = f.held
	}
	if x == nil || f.sent {
		return f.heads[splice.Request]
	}
	return x.size + x.scanned
}

// wait leaves a request that is held where it is.
func (o *Offload) wait(n splice.Flow, f *flow) splice.Decision {
	if f.sent {
		return splice.Decision{Do: splice.Nothing}
	}
	return o.more(n, f, o.rest)
}

// more looks at a request that is held, of whose body b has come since the last time.
func (o *Offload) more(n splice.Flow, f *flow, b []byte) splice.Decision {
	x := f.held
	if !f.complete {
		k, size, done, err := advance(&x.body, b)
		x.scanned += k
		if err != nil {
			o.release(f)
			return o.malformed(n, f, err, nil)
		}
		for i := range f.n {
			if e := f.legs[i].entry; e != nil {
				e.Received += uint64(size)
			}
		}
		if done {
			o.completed(f)
		}
	}
	d := o.expired(n, f)
	if d.Do == splice.Nothing {
		return splice.Decision{}
	}
	return d
}

// goOn has a held request, whose time has come, go on behind the filter that held it.
func (o *Offload) goOn(n splice.Flow, f *flow) splice.Decision {
	x, leg := f.held, f.last()
	if r := x.fault.Go(x.head, x.faults, o.draw, x.c); r != nil {
		o.loosen(f)
		o.turnAway(f, leg, x.head)
		return o.answer(n, f, r)
	}
	return o.letGoOf(f, func() splice.Decision { return o.onward(n, f, x.head, x.at+1) })
}

// onceMore has a request of which no server has got anything be tried again.
func (o *Offload) onceMore(n splice.Flow, f *flow) splice.Decision {
	return o.letGoOf(f, func() splice.Decision { return o.tryAgain(n, f) })
}

// letGoOf has the request of f, which may be held again by it, go on by next: what has come
// of its body was looked at.
func (o *Offload) letGoOf(f *flow, next func() splice.Decision) splice.Decision {
	f.held, o.letGo, o.rest = nil, f.held, nil
	d := next()
	o.drop(o.letGo)
	o.letGo = nil
	return d
}
