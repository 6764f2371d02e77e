package offload

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Response decides about a response.
func (o *Offload) Response(now sim.Cycle, n splice.Flow, b []byte) splice.Decision {
	o.now = now
	f := o.flow(n)
	h := f.parser
	if h == nil {
		h = o.head
		h.Reset(true)
	}
	size, err := h.Parse(b)
	if err == nil && size == 0 {
		o.lend(f)
		return splice.Decision{}
	}
	o.giveBack(f)
	leg := f.last()
	cl := leg.cl
	if err != nil || h.Status == 101 { // nobody asked to switch
		return o.unreadable(n, f)
	}
	if h.Status/100 == 1 {
		// RFC 9110 §15.2; Envoy answers Expect itself and passes none on. It counts
		// the first, and does not try again after it.
		if !f.interim {
			f.interim = true
			cl.c.Count(h.Status)
			f.tries.End(cl)
		}
		return splice.Decision{Do: splice.Skip, Head: size}
	}
	o.judge(leg, h.Status)
	o.keepable(n, f)
	if f.tries.Answered(h, cl, cl.c) {
		o.ends[leg.ep].hs.RqError++
		body := h.Body(f.isHead)
		left, _ := body.Left()
		if !body.Done() || !f.complete {
			o.closedHere(f)
		}
		d := o.park(n, f)
		if d.Head, d.Body, d.Bad = size, left, h.Close || f.drained != o.ends[f.chosen].drained; body.Chunked() || body.EndsWithStream() {
			d.Framing = splice.Scanned
		}
		return d
	}
	return o.respond(n, f, h, size)
}

// keepable has the present try be the last, if the request cannot be sent again: it
// is not kept as a whole here, and its client has been told that it arrived.
func (o *Offload) keepable(n splice.Flow, f *flow) {
	if f.tries.Kept() && !o.engine.Resendable(n) {
		cl := f.last().cl
		cl.c.RetryAbandoned++
		f.tries.End(cl)
	}
}

// respond takes the response with head h back through the listeners.
func (o *Offload) respond(n splice.Flow, f *flow, h *http1.Head, size int) splice.Decision {
	body := h.Body(f.isHead)
	f.bodies[splice.Response] = body
	d := splice.Decision{Do: splice.Send, Head: size, Bad: h.Close || f.last().cl.retired || f.drained != o.ends[f.chosen].drained}
	switch {
	case body.Chunked():
		d.Framing = splice.Scanned
	case body.EndsWithStream():
		d.Framing = splice.ToTheEnd
		f.close = true
	default:
		d.Body, _ = body.Left()
	}
	if !f.complete { // the rest of it passes, and may be wanted
		f.l.c.RqResponseBeforeComplete++
	}
	o.leaving(f)
	f.responded, f.tryEnd = true, 0
	for i := f.n - 1; i >= 0; i-- {
		o.out, o.back = o.back, o.out
		o.out = o.passOn(f, i, h, o.out[:0], body.Chunked())
		if i > 0 {
			h = o.second(true)
			if k, err := h.Parse(o.out); err != nil || k != len(o.out) {
				panic("offload: a response that was written cannot be read")
			}
		}
	}
	f.heads[splice.Response] = len(o.out)
	d.Out, d.Close = o.out, f.close
	o.touch(n)
	return d
}

// judge tells the health of the leg's endpoint of an answer of its, or of the lack
// of one.
func (o *Offload) judge(leg *leg, status int) {
	if leg.ep < 0 {
		return
	}
	o.judgeEnd(leg.ep, status)
}

func (o *Offload) judgeEnd(ep splice.Endpoint, status int) {
	e := &o.ends[ep]
	if !e.cl.health.Judges() {
		return
	}
	if ch := e.cl.health.Answered(e.host, status, o.elapsed(o.now), o.draw); ch.Any() {
		o.changed(e.cl, ch)
	}
}

// unreadable ends a try whose server's words cannot be read.
func (o *Offload) unreadable(n splice.Flow, f *flow) splice.Decision {
	o.closedHere(f)
	f.last().cl.c.CxProtocolError++
	return o.failed(n, f, &mesh.ReplyProtocolError)
}

// closedHere counts a server's connection that is closed in the middle of an
// exchange, for reasons of our own.
func (o *Offload) closedHere(f *flow) {
	c := f.last().cl.c
	c.CxDestroyLocal++
	c.CxDestroyLocalActiveRq++
	c.CxDestroyActiveRq++
}
