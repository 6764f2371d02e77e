package sidecar

import (
	"cmp"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// attach gives d, which waited in line, the connection u.
func (d *downstream) attach(u *upstream) {
	pend := d.pend
	d.pend = nil
	d.up = u
	u.begin(d, pend)
	d.w.recycle(pend)
	d.touch()
	d.pump() // the rest of the body
	if u.rd && u.d == d {
		u.pump()
	}
}

// send writes b to the client.
func (d *downstream) send(b []byte) {
	d.l.c.CxTxBytes += uint64(len(b))
	d.tx += uint64(len(b))
	d.write(b)
}

// reply answers the request by r, if its response has not begun.
func (d *downstream) reply(r *mesh.Reply) {
	w := d.w
	d.cancel()
	c := d.l.c
	if d.phase != phaseWait {
		d.close, d.asked = true, false
		c.RqResponseBeforeComplete++
		c.RqRxReset++
	}
	if r.Status == 400 { // of all statuses this one, as with Envoy
		d.close = true
	}
	d.leave()
	d.responded = true
	c.Count(r.Status)
	if e := d.e; e != nil {
		e.Route, e.Flag, e.Details, e.Failure = d.route, e.Flag.And(r.Flag), r.Details, r.Failure
	}
	w.out = mesh.AppendReply(w.out[:0], r, d.route, d.e, w.date, d.isHead, d.close)
	d.noteReply(r, w.out)
	d.send(w.out)
	d.finish()
}

// leave has the response that is about to begin ask for the close, if the
// connection's listener drains: all of them when the proxy is on its way out,
// otherwise Envoy's gradual strategy, a part of them that grows with time.
func (d *downstream) leave() {
	w := d.w
	leaving := w.draining || w.failing
	if from := cmp.Or(d.l.drainFrom, w.drainFrom); from != 0 && !leaving {
		leaving = mesh.DrainCloses(uint64(w.now-from), uint64(w.s.opt.DrainTime), w.draw)
	}
	if leaving && !d.close {
		d.close = true
		d.l.c.CxDrainClose++
	}
}

// upstreamFailed is called when the request's connection is lost, with what to
// say if it is not too late.
func (d *downstream) upstreamFailed(r *mesh.Reply) {
	if d.e != nil && !d.e.Reached(mesh.PoolReady) {
		d.reach(mesh.PoolReady)
	}
	if d.pend != nil {
		d.w.recycle(d.pend)
		d.pend = nil
	}
	if r != &mesh.ReplyOverflow { // which is not the endpoint's doing
		d.judge(r.Status)
	}
	switch {
	case d.responded:
		d.cut(r)
	case !d.lost(r):
		d.answer(r)
	}
}

// answer is reply in the stead of the cluster.
func (d *downstream) answer(r *mesh.Reply) {
	d.cluster.c.Count(r.Status)
	d.replyAfter(r)
}

// replyAfter is reply after tries that did not help.
func (d *downstream) replyAfter(r *mesh.Reply) {
	said := r.After(&d.tries)
	d.reply(&said)
}

// cut ends a response in the middle, because of r: what was sent goes out, and the missing end
// is the client's sign.
func (d *downstream) cut(r *mesh.Reply) {
	if d.e != nil {
		d.e.Flag, d.e.Details, d.e.Failure = d.e.Flag.And(r.Flag), r.Late(), r.Failure
	}
	c := d.l.c
	c.RqTxReset++
	c.RqRxReset++
	d.close, d.asked = true, false
	d.finish()
}

// cancel takes the request off its upstream, or out of the line.
func (d *downstream) cancel() {
	if d.held != nil {
		d.release()
	}
	if d.pool != nil {
		d.pool.c.RqCancelled++
		d.pool.unwait(d)
	}
	if d.pend != nil {
		d.w.recycle(d.pend)
		d.pend = nil
	}
	if d.up != nil {
		d.up.cancel()
	}
	d.againAt, d.tryEnd = 0, 0
}

// finish ends the request: its response is written, or kept to be.
func (d *downstream) finish() {
	w := d.w
	d.l.c.RqActive--
	d.active = false
	d.reach(mesh.DownstreamEnds)
	d.log()
	complete := d.phase == phaseWait
	if d.tries.Kept() {
		d.forget()
	}
	d.route, d.routeEnd, d.tryEnd = nil, 0, 0
	d.close = d.close || w.draining
	if d.close || !complete {
		d.phase, d.asked = phaseDrain, d.asked && complete
	} else {
		d.phase = phaseHead
	}
	d.touch()
	if !d.blocked() {
		d.flushed()
	}
	d.pump()
}

// flushed is called when everything for the client is written. A client that
// asked for the close gets it at once; any other gets Envoy's second to read
// what it was told before its own bytes draw a reset.
func (d *downstream) flushed() {
	if d.phase == phaseDrain && d.asked {
		d.shut(false)
	}
}

// abort ends the connection now: local says that we want it, otherwise the
// client does.
func (d *downstream) abort(local bool) {
	if d.fd < 0 {
		return
	}
	c := d.l.c
	if d.phase == phaseHead && d.head != nil {
		d.start() // half a request is one
	}
	if d.active {
		d.cancel()
		if d.tries.Kept() {
			d.forget()
		}
		c.RqActive--
		if !local {
			c.CxDestroyRemoteActiveRq++
		}
		if local {
			c.RqTxReset++
		} else {
			c.RqRxReset++
		}
		c.CxDestroyActiveRq++
		d.active = false
		if d.e != nil {
			flag, details := mesh.ClientLeft(local)
			d.e.Flag, d.e.Details = d.e.Flag.And(flag), details
		}
		d.log()
	}
	d.shut(!local)
}

// shut closes the connection and gives back what it holds.
func (d *downstream) shut(remote bool) {
	w := d.w
	c := d.l.c
	c.CxActive--
	c.CxDestroy++
	if remote {
		c.CxDestroyRemote++
	} else {
		c.CxDestroyLocal++
	}
	if d.counted {
		c.CxSSLActive--
	}
	delete(w.open, d)
	d.sock.close()
	d.logConn()
	w.returnHead(d.head)
	if d.in != nil {
		w.recycle(d.in)
	}
	d.head, d.in = nil, nil
	w.dead = append(w.dead, d.bury)
}

// drain is called when the server stops.
func (d *downstream) drain() {
	d.close = true
	if d.phase == phaseOpen || d.phase == phaseHead && !d.blocked() && len(d.in) == 0 {
		d.shut(false)
	}
}

// touch sets the timer anew: something has happened.
func (d *downstream) touch() {
	w, o := d.w, &d.w.s.opt
	var end int64
	switch {
	case d.phase == phaseDrain:
		end = w.now + int64(mesh.DelayedClose)
	case d.phase == phaseOpen && d.arrived != nil:
		end = d.headAt + int64(mesh.ListenerFilters)
	case d.phase == phaseOpen && d.l.t.Handshake > 0:
		end = d.headAt + int64(d.l.t.Handshake)
	case d.phase == phaseOpen:
		end = w.now + int64(o.ConnectionIdle)
	case d.phase == phaseHead && d.head == nil:
		end = w.now + int64(o.ConnectionIdle)
	case d.phase == phaseHead:
		end = d.headAt + int64(o.StreamIdle)
		if o.HeadTimeout > 0 {
			end = min(end, d.headAt+int64(o.HeadTimeout))
		}
	default:
		sooner := func(e int64) {
			if e != 0 && (end == 0 || e < end) {
				end = e
			}
		}
		if d.route == nil || d.route.Idle == nil {
			end = w.now + int64(o.StreamIdle)
		} else if *d.route.Idle > 0 {
			end = w.now + int64(*d.route.Idle)
		}
		if d.phase == phaseWait && d.route != nil && d.route.Timeout > 0 && d.active && d.held == nil {
			d.routeEnd = d.doneAt + int64(d.route.Timeout)
			sooner(d.routeEnd)
		}
		if d.held != nil {
			sooner(d.held.until)
		}
		sooner(d.tryEnd)
		sooner(d.againAt)
	}
	w.timers.set(&d.t, end)
}

// expired is the timer's function.
func (d *downstream) expired() {
	w := d.w
	c := d.l.c
	switch {
	case d.phase == phaseDrain:
		c.CxDelayedCloseTimeout++
		d.shut(false)
	case d.phase == phaseOpen && d.arrived != nil:
		c.PreCxTimeout++
		d.shut(false)
	case d.phase == phaseOpen && d.l.t.Handshake > 0:
		c.CxTransportTimeout++
		d.termination = transportTimeout
		d.shut(false)
	case d.phase == phaseOpen:
		c.CxIdleTimeout++
		d.shut(false)
	case d.phase == phaseHead && d.head == nil:
		c.CxIdleTimeout++
		d.shut(false)
	case d.phase == phaseHead:
		r := &mesh.ReplyStreamIdle
		if w.now < d.headAt+int64(w.s.opt.StreamIdle) {
			r = &mesh.ReplyHeadTimeout
			c.RqHeaderTimeout++
		} else {
			c.RqIdleTimeout++
		}
		w.returnHead(d.head)
		d.head = nil
		d.start()
		d.reply(r)
	case d.held != nil && w.now >= d.held.until:
		d.goOn()
	case d.routeEnd != 0 && w.now >= d.routeEnd:
		if d.up == nil && d.pool == nil { // between two tries
			d.replyAfter(&mesh.ReplyTimeout)
			break
		}
		d.cluster.c.RqTimeout++
		if d.up != nil {
			d.up.p.hs.RqTimeout++
			if !d.responded {
				d.judge(mesh.ReplyTimeout.Status)
			}
		}
		r := mesh.ReplyTimeout.After(&d.tries)
		d.late(&r)
	case d.againAt != 0 && w.now >= d.againAt:
		d.again()
	case d.tryEnd != 0 && w.now >= d.tryEnd:
		d.tooLong()
	default:
		c.RqIdleTimeout++
		r := mesh.ReplyStreamIdle
		if d.phase == phaseWait {
			r.Status = 504
		}
		if d.responded {
			d.late(&r)
		} else {
			d.reply(&r) // not in the stead of the cluster, which does not count it
		}
	}
}

// late answers by r, or cuts the response short if it has begun.
func (d *downstream) late(r *mesh.Reply) {
	if d.responded {
		d.cancel()
		d.cut(r)
		return
	}
	if d.cluster != nil {
		d.cluster.c.Count(r.Status)
	}
	d.reply(r)
}
