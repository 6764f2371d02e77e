package offload

import (
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Response decides about a response.
func (o *Offload) Response(now sim.Cycle, n splice.Flow, b []byte) splice.Decision {
	o.now = now
	f := &o.flows[n]
	h := f.parser
	if h == nil {
		h = o.head
		h.Reset(true)
	}
	size, err := h.Parse(b)
	switch {
	case err != nil:
		o.giveBack(f)
		return o.malformed(now, n, f)
	case size == 0:
		o.lend(f)
		return splice.Decision{}
	}
	o.giveBack(f)
	if h.Status/100 == 1 {
		if h.Status == 101 { // nobody asked to switch
			return o.malformed(now, n, f)
		}
		if !f.interim {
			f.interim = true
			f.last().cl.c.Count(h.Status)
			f.tries.End(f.last().cl)
		}
		return splice.Decision{Do: splice.Skip, Head: size}
	}
	cl := f.last().cl
	o.judge(f, h.Status)
	if f.tries.Answered(h, cl, &cl.c) {
		return o.park(now, n, f)
	}
	return o.respond(now, n, f, h, size)
}

// respond takes the response with head h back through the listeners.
func (o *Offload) respond(now sim.Cycle, n splice.Flow, f *flow, h *http1.Head, size int) splice.Decision {
	body := h.Body(f.isHead)
	f.bodies[splice.Response] = body
	d := splice.Decision{Do: splice.Send, Head: size, Bad: h.Close}
	switch {
	case body.Chunked():
		d.Framing = splice.Scanned
	case body.EndsWithStream():
		d.Framing = splice.ToTheEnd
		f.close = true
	default:
		d.Body, _ = body.Left()
	}
	info := mesh.ResponseInfo{Date: o.today(), ServiceTime: -1, Chunked: body.Chunked()}
	if f.isHead && h.ContentLength < 0 && h.Status != 204 && h.Status != 304 {
		info.Chunked = true
	}
	if f.complete {
		info.ServiceTime = o.since(f.headAt, now).Truncate(time.Millisecond)
	}
	f.responded, f.tryEnd = true, 0
	for i := f.n - 1; i >= 0; i-- {
		leg := &f.legs[i]
		leg.l.c.Count(h.Status)
		leg.cl.c.Count(h.Status)
		info.Route, info.Client = leg.route, &leg.client
		info.Attempt = 0
		if i == f.n-1 {
			info.Attempt = f.tries.Attempt()
		}
		info.Close = i == 0 && f.close
		o.out, o.back = o.back, o.out
		o.out = mesh.AppendResponse(o.out[:0], h, &info)
		if i > 0 {
			h = o.second()
			h.Reset(true)
			if k, err := h.Parse(o.out); err != nil || k != len(o.out) {
				panic("offload: a response that was written cannot be read")
			}
		}
	}
	d.Out, d.Close = o.out, f.close
	o.deadline(now, n)
	return d
}

// judge tells the endpoint's health of an answer of its, or of the lack of one.
func (o *Offload) judge(f *flow, status int) {
	if f.ep < 0 {
		return
	}
	e := &o.ends[f.ep]
	if ch := e.cl.health.Answered(e.host, status, o.elapsed(o.now), o.draw); ch.Any() {
		o.changed(e.cl, ch)
	}
}

// malformed answers where the server's words cannot be read.
func (o *Offload) malformed(now sim.Cycle, n splice.Flow, f *flow) splice.Decision {
	f.last().cl.c.CxProtocolError++
	return o.lost(now, n, f, &mesh.ReplyProtocolError)
}
