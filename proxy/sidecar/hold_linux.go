package sidecar

import (
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// held is a request that a fault holds back: what has come of it, and where it goes
// on. Until then it has no cluster but the one it is going to.
type held struct {
	filtering
	at    int // the filter, in list
	fault *mesh.CompiledFault
	until int64

	head *http1.Head
	raw  []byte // its bytes
	body []byte // what has come of the body, as it goes upstream
	size int    // how much of that is body
}

// hold keeps the request with head h, which filter i of f delays.
func (d *downstream) hold(h *http1.Head, f filtering, i int, fault *mesh.CompiledFault, delay time.Duration) {
	w := d.w
	x := &held{filtering: f, at: i, fault: fault, until: w.now + int64(delay), head: w.takeHead(), body: w.buffer()}
	x.raw = h.Copy(x.head, w.buffer())
	d.held = x
	if d.route != nil && d.route.Forwards() {
		d.destination().held++ // it goes there, whatever a reload has in its place by then
	}
	d.noteUnrouted(h)
	if d.e != nil {
		d.e.Flag = d.e.Flag.And(mesh.FlagDI)
	}
	d.touch()
}

// full reports whether a held request takes no more of its body for now.
func (d *downstream) full() bool { return d.held != nil && len(d.held.body) >= mesh.BufferLimit }

// holdBody keeps what b holds of a held request's body, and returns how much of b
// that is.
func (d *downstream) holdBody(b []byte) int {
	w, x := d.w, d.held
	w.out = w.out[:0]
	n, err := d.takeBody(b)
	if err != nil {
		d.malformed(err, nil)
		return len(b)
	}
	x.body, x.size = append(x.body, w.out...), x.size+n
	d.touch()
	return n
}

// goOn has a held request, whose time has come, go on behind the filter that held
// it.
func (d *downstream) goOn() {
	w, c := d.w, d.l.c
	x := d.let()
	if d.phase == phaseWait {
		d.doneAt = w.now // to the router
	}
	if r := x.fault.Go(x.head, x.faults, w.draw, &c.Fault); r != nil {
		x.fault.End(x.faults, &c.Fault)
		d.turnAway(x.head, r)
	} else if d.filter(x.head, x.filtering, x.at+1) {
		d.router(x.head, nil, x)
	}
	x.drop(w)
	if d.fd >= 0 {
		d.pump()
	}
}

// let takes the request off the filter that holds it.
func (d *downstream) let() *held {
	x := d.held
	d.held = nil
	if d.dest != nil {
		d.dest.held--
	}
	return x
}

// release ends the delay of a request that is not to go on.
func (d *downstream) release() {
	x := d.let()
	x.fault.End(x.faults, &d.l.c.Fault)
	x.drop(d.w)
}

// drop gives back what x is kept in.
func (x *held) drop(w *worker) {
	w.returnHead(x.head)
	w.recycle(x.raw)
	w.recycle(x.body)
}
