package sidecar

import (
	"slices"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// keep keeps out, which holds size bytes of the request's body as they go upstream,
// for another try. What is too large to be kept is not sent again; it reports false
// if that is the end of the request, because no try is under way.
func (d *downstream) keep(out []byte, size int) bool {
	if d.keptBody += size; d.keptBody <= mesh.BufferLimit {
		d.kept = append(d.kept, out...)
		return true
	}
	d.cluster.c.RetryAbandoned++
	d.forget()
	if d.againAt == 0 {
		return true
	}
	d.againAt = 0
	d.replyAfter(&mesh.ReplyTooLarge)
	return false
}

// forget has the present try be the request's last.
func (d *downstream) forget() {
	d.tries.End(d.cluster.limits)
	if d.kept != nil {
		d.w.recycle(d.kept)
		d.kept = nil
	}
}

// limitTry begins the present try's timeout: it has a connection, and all of the
// request.
func (d *downstream) limitTry() {
	if d.phase == phaseWait && d.route.PerTry > 0 && !d.responded {
		d.tryEnd = d.w.now + int64(d.route.PerTry)
	}
}

// retry has the request sent again after a wait.
func (d *downstream) retry() {
	d.tryEnd = 0
	d.againAt = d.w.now + int64(d.tries.Wait(d.w.draw()))
	d.touch()
}

// again begins the next try.
func (d *downstream) again() {
	w := d.w
	d.againAt = 0
	d.tries.Again(d.cluster.c)
	p := d.choose()
	if p == nil {
		return
	}
	var elapsed time.Duration
	if d.phase == phaseWait {
		elapsed = w.since(d.doneAt)
	}
	w.out = mesh.AppendAgain(w.out[:0], d.kept, d.route, &d.tries, elapsed)
	d.dispatch(p)
	if d.fd >= 0 {
		d.pump() // the rest of the body
	}
}

// lost reports whether the request, whose try ended in what r would say, is tried
// again.
func (d *downstream) lost(r *mesh.Reply) bool {
	if d.responded || !d.tries.Lost(r, d.cluster.limits, d.cluster.c) {
		return false
	}
	d.retry()
	return true
}

// answered reports whether the request, whose try ended in a response with head h,
// is tried again.
func (d *downstream) answered(h *http1.Head) bool {
	return d.tries.Answered(h, d.cluster.limits, d.cluster.c)
}

// tooLong ends a try that has had its time.
func (d *downstream) tooLong() {
	d.tryEnd = 0
	d.cluster.c.RqPerTryTimeout++
	d.up.p.hs.RqTimeout++
	d.up.cancel()
	r := &mesh.ReplyPerTryTimeout
	d.judge(r.Status)
	if !d.lost(r) {
		d.answer(r)
	}
}

// rehost has the request, of which there is so much, ask for a host of that name, and
// so the tries that come after it, as with Envoy.
func (d *downstream) rehost(request []byte, name string) []byte {
	request = d.route.Rehost(slices.Clone(request), name)
	if d.kept != nil {
		d.kept = d.route.Rehost(d.kept, name)
	}
	if d.e != nil {
		d.e.Rehost(d.route, name)
	}
	return request
}
