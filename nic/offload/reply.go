package offload

import (
	"time"

	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// answer answers the request by r in the stead of its last leg, unless a leg before that
// would rather try again.
func (o *Offload) answer(n splice.Flow, f *flow, r *mesh.Reply) splice.Decision {
	return o.say(n, f, r, true)
}

// reply is answer without a try more.
func (o *Offload) reply(f *flow, r *mesh.Reply) splice.Decision { return o.say(0, f, r, false) }

func (o *Offload) say(n splice.Flow, f *flow, r *mesh.Reply, ask bool) splice.Decision {
	o.giveBack(f) // it may have been in a response's head
	leg := f.last()
	o.leaveEndpoint(leg)
	f.againAt, leg.tries.end = 0, 0
	if f.n == 1 {
		f.close = f.close || r.Status == 400 // of all statuses this one, as with Envoy
		o.begunHere(f)
	}
	o.sayOf(f, leg, r)
	for i := f.n - 2; i >= 0; i-- {
		if o.outward(f, i, ask) {
			return o.retry(n, f, i)
		}
	}
	if f.expect && !f.sent {
		o.back = append(append(o.back[:0], continued...), o.out...)
		o.out, o.back = o.back, o.out
	}
	whole := f.dealtWith(o.letGo)
	o.release(f)
	f.heads[splice.Response] = len(o.out)
	return splice.Decision{Do: splice.Reply, Head: whole, Out: o.out, Close: f.close}
}

// begunHere notes that a response of our own begins, and ends.
func (o *Offload) begunHere(f *flow) {
	if !f.complete {
		f.close = true
		f.l.c.RqResponseBeforeComplete++
		f.l.c.RqRxReset++
	}
	o.leaving(f)
	f.responded = true
	f.answered, f.touched = true, o.now
	f.legs[0].tries.end = 0
}

// sayOf has o.out be r, said by the last leg.
func (o *Offload) sayOf(f *flow, leg *leg, r *mesh.Reply) {
	leg.l.c.Count(r.Status)
	e := leg.entry
	if e != nil {
		e.Route, e.Flag, e.Details, e.Failure = leg.route, e.Flag.And(r.Flag), r.Details, r.Failure
	}
	o.out = mesh.AppendReply(o.out[:0], r, leg.route, e, o.today(), f.isHead, f.close && leg == &f.legs[0])
	if e == nil {
		return
	}
	e.Status = r.Status
	if !f.isHead {
		e.Sent = uint64(len(r.Body))
	}
	e.KeepResponse(o.out)
	o.reachLeg(leg, mesh.DownstreamBegins)
	o.reachLeg(leg, mesh.DownstreamEnds)
}

// outward takes the answer in o.out, of the leg behind it, through leg i. If ask, it
// reports whether the leg would rather try again.
func (o *Offload) outward(f *flow, i int, ask bool) bool {
	leg := &f.legs[i]
	h := o.second(true)
	k, err := h.Parse(o.out)
	if err != nil {
		return o.misreadOwn(f, i, ask)
	}
	if !ask {
		o.judge(leg, h.Status)
	} else if o.wants(f, i, h) {
		return true
	}
	if i == 0 {
		o.begunHere(f)
	}
	body := o.out[k:]
	o.back = o.passOn(f, i, h, o.back[:0], false)
	if e := leg.entry; e != nil {
		e.Sent = uint64(len(body))
		o.reachLeg(leg, mesh.DownstreamEnds)
	}
	o.back = append(o.back, body...)
	o.out, o.back = o.back, o.out
	return false
}

// misreadOwn is outward for an answer that leg i cannot read.
func (o *Offload) misreadOwn(f *flow, i int, ask bool) bool {
	leg, r := &f.legs[i], &mesh.ReplyProtocolError
	o.closedHere(leg)
	leg.cl.c.CxProtocolError++
	o.ends[leg.ep].hs.RqError++
	o.judge(leg, r.Status)
	if ask && leg.tries.Lost(r, leg.cl, leg.cl.c) {
		return true
	}
	o.leaveEndpoint(leg)
	if i == 0 {
		o.begunHere(f)
	}
	o.sayOf(f, leg, o.instead(leg, r))
	return false
}

// passOn appends the head of the response h, as leg i passes it on, and counts it.
func (o *Offload) passOn(f *flow, i int, h *http1.Head, dst []byte, chunked bool) []byte {
	leg := &f.legs[i]
	info := mesh.ResponseInfo{Route: leg.route, Entry: leg.entry, Client: &leg.client, Date: o.today(), ServiceTime: -1, Chunked: chunked, Attempt: leg.tries.Attempt()}
	if f.isHead && h.ContentLength < 0 && h.Status != 204 && h.Status != 304 {
		info.Chunked = true
	}
	if f.complete {
		info.ServiceTime = time.Duration(uint64(o.now-f.since(leg))/o.perMS) * time.Millisecond
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
		e.Route, e.Status, e.Flag, e.Details = leg.route, h.Status, e.Flag.And(leg.tries.Flag()), "via_upstream"
		o.reachLeg(leg, mesh.ResponseBegins)
		o.reachLeg(leg, mesh.DownstreamBegins)
	}
	begin := len(dst)
	dst = mesh.AppendResponse(dst, h, &info)
	if leg.entry != nil {
		leg.entry.KeepResponse(dst[begin:])
	}
	return dst
}
