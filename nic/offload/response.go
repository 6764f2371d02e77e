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
			leg.tries.End(cl)
		}
		return splice.Decision{Do: splice.Skip, Head: size}
	}
	o.keepable(n, f)
	return o.respond(n, f, h, b[:size], b[size:])
}

// respond takes the response with head h back through the listeners, unless a leg would
// rather try again. head are its bytes, and rest those that came behind it.
func (o *Offload) respond(n splice.Flow, f *flow, h *http1.Head, head, rest []byte) splice.Decision {
	body := h.Body(f.isHead)
	d := splice.Decision{Do: splice.Send, Head: len(head), Bad: h.Close || f.last().cl.retired || f.drained != o.ends[f.chosen].drained}
	switch {
	case body.Chunked():
		d.Framing = splice.Scanned
	case body.EndsWithStream():
		d.Framing = splice.ToTheEnd
	default:
		d.Body, _ = body.Left()
	}
	for i := f.n - 1; i >= 0; i-- {
		if o.wants(f, i, h) {
			return o.refuse(n, f, i, &d, body, rest)
		}
		if i == 0 {
			o.begins(f, body)
		}
		o.out, o.back = o.back, o.out
		o.out = o.passOn(f, i, h, o.out[:0], body.Chunked())
		if i > 0 {
			h = o.second(true)
			if _, err := h.Parse(o.out); err != nil {
				return o.misread(n, f, i-1, body, rest)
			}
		}
	}
	f.heads[splice.Response] = len(o.out)
	d.Out, d.Close = o.out, f.close
	o.touch(n)
	return d
}

// begins notes that a response of a server begins.
func (o *Offload) begins(f *flow, body http1.Body) {
	f.bodies[splice.Response] = body
	f.close = f.close || body.EndsWithStream()
	if !f.complete { // the rest of it passes, and may be wanted
		f.l.c.RqResponseBeforeComplete++
	}
	o.leaving(f)
	f.responded = true
	for i := range f.n {
		f.legs[i].tries.end = 0
	}
}

// refuse has leg i try again after a response that would be sent by d, of whose body rest
// has come. The legs behind it have passed it on, and have done so to its end if it is
// there: otherwise they see their client leave. d then says what the splice is to do.
func (o *Offload) refuse(n splice.Flow, f *flow, i int, d *splice.Decision, body http1.Body, rest []byte) splice.Decision {
	parked := *d
	parked.Do = splice.Park
	if i < f.n-1 {
		if k, done := o.finish(n, f, i, body, rest); done {
			parked.Head, parked.Body, parked.Framing = d.Head+k, 0, splice.Length
		}
	}
	if parked.Framing == splice.ToTheEnd {
		parked.Framing = splice.Scanned
	}
	o.retry(n, f, i)
	return parked
}

// finish has the legs behind leg i, which take the response's body no further, pass on
// rest of it, if that is its end: k bytes belong to it. Otherwise they see their client
// leave.
func (o *Offload) finish(n splice.Flow, f *flow, i int, body http1.Body, rest []byte) (k int, whole bool) {
	k, size, done, err := advance(&body, rest)
	for j := i + 1; j < f.n; j++ {
		leg := &f.legs[j]
		if leg.entry == nil {
			continue
		}
		leg.entry.Sent = uint64(size)
		if done {
			o.reachLeg(leg, mesh.ResponseEnds)
			o.reachLeg(leg, mesh.DownstreamEnds)
		}
	}
	whole = (done || body.Done()) && f.complete && err == nil
	if !whole {
		o.abandon(n, f, i)
	}
	return k, whole
}

// misread ends the try of leg i, which cannot read what the leg behind it has made of a
// response: it has too many fields now, say. Of that response's body rest has come.
func (o *Offload) misread(n splice.Flow, f *flow, i int, body http1.Body, rest []byte) splice.Decision {
	o.finish(n, f, i, body, rest)
	for f.n > i+1 {
		o.pop(n, f)
	}
	return o.unreadable(n, f)
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
	o.closedHere(f.last())
	f.last().cl.c.CxProtocolError++
	return o.failed(n, f, &mesh.ReplyProtocolError)
}

// closedHere counts a connection of a leg's, to a server or to another leg, that is closed
// in the middle of an exchange, for reasons of our own.
func (o *Offload) closedHere(leg *leg) {
	c := leg.cl.c
	c.CxDestroyLocal++
	c.CxDestroyLocalActiveRq++
	c.CxDestroyActiveRq++
}
