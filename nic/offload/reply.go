package offload

import (
	"time"

	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// reply answers by r, in the stead of the last leg, a request of which size bytes
// have been dealt with.
func (o *Offload) reply(f *flow, r *mesh.Reply, size int) splice.Decision {
	f.tryEnd, f.againAt = 0, 0
	o.giveBack(f) // it may have been in a response's head
	leg := f.last()
	o.leaveEndpoint(leg)
	c := f.l.c
	if !f.complete {
		f.close = true
		c.RqResponseBeforeComplete++
		c.RqRxReset++
	}
	if r.Status == 400 { // of all statuses this one, as with Envoy
		f.close = true
	}
	o.leaving(f)
	f.responded, f.answered = true, true
	leg.l.c.Count(r.Status)
	e := leg.entry
	if e != nil {
		e.Route, e.Flag, e.Details, e.Failure = leg.route, e.Flag.And(r.Flag), r.Details, r.Failure
	}
	o.out, o.back = o.back[:0], o.out
	if f.expect && !f.sent {
		o.out = append(o.out, continued...)
	}
	begin := len(o.out)
	o.out = mesh.AppendReply(o.out, r, leg.route, e, o.today(), f.isHead, f.close && f.n == 1)
	if e != nil {
		e.Status = r.Status
		if !f.isHead {
			e.Sent = uint64(len(r.Body))
		}
		e.KeepResponse(o.out[begin:])
		o.reachLeg(f, leg, mesh.DownstreamBegins)
		o.reachLeg(f, leg, mesh.DownstreamEnds)
	}
	for i := f.n - 2; i >= 0; i-- {
		o.outward(f, i, begin)
	}
	f.heads[splice.Response] = len(o.out)
	return splice.Decision{Do: splice.Reply, Head: size, Out: o.out, Close: f.close}
}

// outward takes the answer that o.out has from begin on, another leg's, through leg i.
func (o *Offload) outward(f *flow, i, begin int) {
	h := o.second(true)
	k, err := h.Parse(o.out[begin:])
	if err != nil || k == 0 {
		panic("offload: a response that was written cannot be read")
	}
	body := o.out[begin+k:]
	o.back = append(o.back[:0], o.out[:begin]...)
	o.back = o.passOn(f, i, h, o.back, false)
	if e := f.legs[i].entry; e != nil {
		e.Sent = uint64(len(body))
		o.reachLeg(f, &f.legs[i], mesh.DownstreamEnds)
	}
	o.back = append(o.back, body...)
	o.out, o.back = o.back, o.out
}

// passOn appends the head of the response h, as leg i passes it on, and counts it.
func (o *Offload) passOn(f *flow, i int, h *http1.Head, dst []byte, chunked bool) []byte {
	leg := &f.legs[i]
	info := mesh.ResponseInfo{Route: leg.route, Entry: leg.entry, Client: &leg.client, Date: o.today(), ServiceTime: -1, Chunked: chunked, Attempt: 1}
	if f.isHead && h.ContentLength < 0 && h.Status != 204 && h.Status != 304 {
		info.Chunked = true
	}
	if f.complete {
		info.ServiceTime = time.Duration(uint64(o.now-f.doneAt)/o.perMS) * time.Millisecond
	}
	if i == f.n-1 {
		info.Attempt = f.tries.Attempt()
	} else if leg.ep >= 0 { // the last one's endpoint was judged by what it said
		o.judge(leg, h.Status)
	}
	info.Close = i == 0 && f.close
	leg.l.c.Count(h.Status)
	leg.cl.c.Count(h.Status)
	if leg.ep >= 0 {
		if hs := &o.ends[leg.ep].hs; h.Status < 500 {
			hs.RqSuccess++
		} else {
			hs.RqError++
		}
	}
	if e := leg.entry; e != nil {
		e.Route, e.Status, e.Details = leg.route, h.Status, "via_upstream"
		if i == f.n-1 {
			e.Flag = e.Flag.And(f.tries.Flag())
		}
		o.reachLeg(f, leg, mesh.ResponseBegins)
		o.reachLeg(f, leg, mesh.DownstreamBegins)
	}
	begin := len(dst)
	dst = mesh.AppendResponse(dst, h, &info)
	if leg.entry != nil {
		leg.entry.KeepResponse(dst[begin:])
	}
	return dst
}
