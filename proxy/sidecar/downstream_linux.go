package sidecar

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// phase is where a downstream connection stands.
type phase uint8

const (
	phaseHead  phase = iota // between requests, or in a head
	phaseBody               // the request's body is coming in
	phaseWait               // the request is complete, its response is not
	phaseOpen               // before the first request, in its TLS handshake
	phaseDrain              // the last response is out; input is thrown away until the client closes
)

// downstream is a client's connection and the request on it. Pipelined requests
// are served one after the other: what follows a request is left in the socket,
// or in in.
type downstream struct {
	sock
	conn
	l       *chain
	phase   phase
	pumping bool
	arrived *listener // where its filter chain is not known yet
	counted bool      // among those with TLS
	spoke   bool      // sent something
	sound   bool      // what came with one read was no protocol error
	rx, tx  uint64    // bytes of its clear text, to and from us

	in    []byte // input not dealt with
	from  int    // where it begins
	fresh bool   // there is something in it that was not looked at
	head  *http1.Head

	// Of the request.
	active    bool
	isHead    bool
	close     bool // close the connection after the response
	asked     bool // because the client asked for it
	responded bool // the response's head is out
	body      http1.Body
	route     *mesh.RouteEntry
	dest      *cluster // where its route sends it, once that was asked
	cluster   *cluster // the same, from the router on
	held      *held    // what has come of it, while a fault holds it back
	up        *upstream
	pool      *pool      // where it waits for a connection
	pend      []byte     // what to send once it has one
	doneAt    int64      // when the request was complete
	headAt    int64      // when its head began
	routeEnd  int64      // when the route's timeout ends, 0 for never
	endpoint  *mesh.Host // that the present try goes to; nil where the client was going
	hash      uint64     // that places it, if hashed
	hashed    bool
	client    mesh.Client
	dst       netip.AddrPort // where the connection was going, if the listener asked
	tries     mesh.Tries
	kept      []byte      // what was sent upstream, while it may have to be sent again
	keptBody  int         // how much of that is body
	tryEnd    int64       // when the present try's timeout ends, 0 for never
	againAt   int64       // when the next try begins, 0 if none is to
	e         *mesh.Entry // what is known of it, if that is of use

	t0   func()
	bury func()
}

// accept takes over fd, a client's connection to l. It returns nil if that is not
// possible.
func (w *worker) accept(fd int, l *chain, dst netip.AddrPort) *downstream {
	var d *downstream
	if n := len(w.downstreams); n > 0 {
		d = w.downstreams[n-1]
		w.downstreams = w.downstreams[:n-1]
	} else {
		d = &downstream{}
		d.t0 = func() { d.expired() }
		d.bury = func() {
			w := d.w
			*d = downstream{t0: d.t0, bury: d.bury} // keeps no configuration that is over
			if len(w.downstreams) < maxPooled {
				w.downstreams = append(w.downstreams, d)
			}
		}
	}
	d.sock = sock{w: w, h: d, fd: fd, t: timer{fire: d.t0}}
	d.l, d.dst, d.since = l, dst, w.now
	if len(l.t.ConnLogs) > 0 {
		d.locate(fd, dst)
	}
	c := l.c
	if w.register(&d.sock, edges) != nil {
		unix.Close(fd)
		c.CxOverflow++
		return nil
	}
	c.CxTotal++
	c.CxActive++
	w.open[d] = struct{}{}
	d.touch()
	return d
}

func (d *downstream) idle() bool { return false }
func (d *downstream) of() *chain { return d.l }

func (d *downstream) ready() {
	if d.blocked() {
		was, gone := d.off, d.flush()
		if d.phase == phaseDrain && (gone || d.off != was) { // it is taking its answer
			d.touch()
		}
		if !gone {
			return
		}
		if d.up != nil {
			d.up.pump()
		}
		if d.fd >= 0 {
			d.flushed()
		}
	}
	switch {
	case d.fd < 0:
	case d.phase == phaseOpen:
		d.open()
	default:
		d.pump()
	}
}

// broken: a write to the client failed.
func (d *downstream) broken() { d.abort(false) }

// drained is called when the upstream has taken what it was given.
func (d *downstream) drained() { d.pump() }

// pump moves the request on, and the next, for as long as there is input and
// room for it.
func (d *downstream) pump() {
	if d.pumping {
		return
	}
	d.pumping = true
	for d.fd >= 0 && d.step() {
	}
	d.pumping = false
}

// step deals with one piece of input. It reports whether to go on.
func (d *downstream) step() bool {
	switch {
	case d.phase == phaseWait:
		// Its next request may wait. A client that has shut its side has left:
		// Envoy has half-close off.
		if d.hup {
			d.abort(false)
		}
		return false
	case d.blocked() && d.phase != phaseDrain:
		return false
	case d.phase == phaseBody && (d.pool != nil || d.up != nil && d.up.blocked()):
		return false
	case d.phase == phaseBody && d.full():
		if d.hup {
			d.abort(false)
		}
		return false
	}
	if d.fresh {
		d.fresh = false
		d.stored()
		return true
	}
	if !d.rd {
		return false
	}
	w := d.w
	if len(d.in) == 0 {
		n, eof := d.read(w.in)
		if n > 0 {
			d.received(n)
			if m := d.consume(w.in[:n]); m < n && d.fd >= 0 {
				d.in, d.from = append(w.buffer(), w.in[m:n]...), 0
				d.fresh = d.head == nil
			}
			d.sound = d.sound || d.flag == 0
			return true
		}
		return d.nothing(eof)
	}
	// The rest of a head.
	if cap(d.in)-len(d.in) < 4<<10 {
		grown := make([]byte, len(d.in), 2*cap(d.in))
		copy(grown, d.in)
		w.recycle(d.in)
		d.in = grown
	}
	n, eof := d.read(d.in[len(d.in):cap(d.in)])
	if n > 0 {
		d.received(n)
		d.in = d.in[:len(d.in)+n]
		d.stored()
		return true
	}
	return d.nothing(eof)
}

// received counts n bytes. To the logs those behind the last response are none.
func (d *downstream) received(n int) {
	d.l.c.CxRxBytes += uint64(n)
	if d.phase != phaseDrain {
		d.rx += uint64(n)
	}
}

// nothing follows a read that brought nothing.
func (d *downstream) nothing(eof bool) bool {
	if eof {
		d.abort(false)
	}
	return false
}

// stored deals with the input in d.in.
func (d *downstream) stored() {
	n := d.consume(d.in[d.from:])
	if d.fd < 0 {
		return
	}
	if d.from += n; d.from == len(d.in) {
		d.w.recycle(d.in)
		d.in, d.from = nil, 0
	} else if n > 0 {
		d.fresh = d.head == nil
	}
}

// consume deals with b, the next bytes from the client, and returns how many of
// them. The rest is offered again, with more behind it if it is part of a head.
func (d *downstream) consume(b []byte) int {
	switch d.phase {
	case phaseHead:
		return d.parse(b)
	case phaseBody:
		return d.forward(b)
	case phaseDrain:
		return len(b)
	}
	return 0
}

func (d *downstream) parse(b []byte) int {
	w := d.w
	h := d.head
	if h == nil {
		h = w.head
		h.Reset(false)
		d.headAt = w.now
	}
	n, err := h.Parse(b)
	if !d.spoke {
		d.spoke = true
		d.l.c.CxHTTP1Total++
	}
	switch {
	case err != nil:
		held := d.head
		d.head = nil
		d.malformed(err, h)
		w.returnHead(held)
		return len(b)
	case n == 0:
		if d.head == nil {
			d.head = w.keepHead()
			d.touch()
		}
		return 0
	}
	held := d.head
	d.head = nil
	n += d.request(h, b[n:])
	w.returnHead(held)
	return n
}

// malformed answers a request that cannot be read; h is its head, if that is where
// it is wrong. The connection closes: where
// the next request would begin is anybody's guess.
func (d *downstream) malformed(err error, h *http1.Head) {
	c := d.l.c
	if !d.active {
		d.start()
	}
	switch err {
	case http1.ErrNoHost, http1.ErrFragment: // to Envoy these two are well-formed, but not wanted
		if err == http1.ErrFragment {
			c.RqFailedPath++
		}
		if d.e != nil {
			d.e.KeepLine(h)
		}
		d.completed()
	default:
		c.CxProtocolError++
		d.flag = mesh.FlagDPE
	}
	r := mesh.ReplyMalformed(err)
	d.close, d.asked = true, false
	d.reply(&r)
}

// start begins a request.
func (d *downstream) start() {
	c := d.l.c
	c.RqTotal++
	c.RqActive++
	d.active, d.responded, d.isHead = true, false, false
	d.close, d.asked = false, false
	d.phase, d.routeEnd = phaseBody, 0
	d.dest, d.cluster = nil, nil
	d.observe()
}

// request begins the request with head h. b is what follows the head; it returns
// how much of b belongs to the request.
func (d *downstream) request(h *http1.Head, b []byte) int {
	c := d.l.c
	d.start()
	if d.e != nil && !h.Asterisk {
		d.e.Forwarded(h)
	}
	d.isHead = h.Method == http1.MethodHead
	d.close, d.asked = d.close || h.Close, h.Close
	d.body = h.Body(false)
	if d.body.Done() {
		d.completed()
	}
	if h.Expect {
		d.send(continued)
		c.Count(100)
	}
	if h.ConnUpgrade && h.HasUpgrade {
		c.RqWS++
		d.phase = phaseBody // what follows is not for us: no end of it will be seen
		if d.note(h); d.e != nil {
			if d.route = d.l.t.Route(h); d.route != nil { // not what it is refused by, but what it is logged with
				d.e.Cluster = d.destination().t.Name
			}
		}
		d.reply(&mesh.ReplyForbidden)
		return 0
	}
	if h.Asterisk { // does not get as far as the router
		c.RqNonRelativePath++
		d.note(h)
		d.reply(&mesh.ReplyNotRelative)
		return 0
	}
	if d.route = d.l.t.Route(h); d.route != nil && d.route.Differs() {
		d.destination() // whose headers the answers of filters have too
	}
	if l := d.l; l.t.Filters != nil && !d.filter(h, filtering{l.t.Filters, l.bucket, l.faults}, 0) {
		if d.held != nil {
			return d.holdBody(b)
		}
		return 0
	}
	return d.router(h, b, nil)
}

// router has the request with head h, which the filters have let pass, go by its
// route. b is what follows the head, or x has it. It returns how much of b belongs
// to the request.
func (d *downstream) router(h *http1.Head, b []byte, x *held) int {
	w := d.w
	c := d.l.c
	c.RouterTotal++
	if d.route == nil {
		c.NoRoute++
		if h.Method == http1.MethodConnect {
			d.phase = phaseBody
		}
		d.note(h)
		d.reply(&mesh.ReplyNotFound)
		return 0
	}
	if r, ok := d.route.Direct(h, d.tls != nil); ok {
		c.RqDirect++
		d.noteBy(h, d.route.Answered())
		d.reply(&r)
		return 0
	}
	d.cluster = d.destination()
	if d.e != nil {
		d.e.Route, d.e.Cluster = d.route, d.cluster.t.Name
	}
	d.place(h)
	d.tries.Begin(d.route.Retry)
	w.out = mesh.AppendRequest(w.out[:0], h, d.route, w.ids, d.e)
	if d.e != nil {
		d.e.Keep(w.out)
	}
	p := d.choose()
	if p == nil {
		return 0
	}
	head := len(w.out)
	n := 0
	if x != nil {
		w.out, n = append(w.out, x.body...), x.size
	} else {
		var err error
		if n, err = d.takeBody(b); err != nil {
			d.malformed(err, nil)
			return len(b)
		}
	}
	if d.tries.Kept() {
		d.kept, d.keptBody = append(w.buffer(), w.out[:head]...), 0
		d.keep(w.out[head:], n)
	}
	d.dispatch(p)
	return n
}

// choose returns the pool of the endpoint that the present try goes to. If there
// is none the request is answered.
func (d *downstream) choose() *pool {
	cl := d.cluster
	if d.e != nil {
		d.e.Attempts++
	}
	if cl.t.OriginalDst {
		d.endpoint = nil
		p := cl.toward(d.w, d.dst)
		if p == nil {
			cl.c.CxNoneHealthy++
			d.answer(&mesh.ReplyNoHealthy)
		}
		if p != nil && d.e != nil {
			d.e.Upstream = d.dst
		}
		return p
	}
	cl.balancer.Use(cl.limits.health.View())
	h := cl.balancer.NextAgain(&d.tries, d.hash, d.hashed, cl.c)
	if h == nil {
		cl.c.CxNoneHealthy++
		d.answer(&mesh.ReplyNoHealthy)
		return nil
	}
	d.endpoint = h
	d.tries.Tried(h)
	if d.e != nil {
		d.e.Upstream = h.Addr
	}
	return cl.pool(d.w, h)
}

// dispatch sends w.out, which is as much of the request as there is, over a
// connection of p, or as soon as there is one.
func (d *downstream) dispatch(p *pool) {
	w := d.w
	u, ok := p.give()
	switch {
	case u != nil:
		d.up = u
		u.begin(d, w.out)
		d.touch()
	case ok && p.wait(d):
		d.pend = append(w.buffer(), w.out...)
		d.touch()
	default:
		d.upstreamFailed(&mesh.ReplyOverflow)
	}
}

// note notes the head of a request that goes no further.
func (d *downstream) note(h *http1.Head) { d.noteBy(h, nil) }

// noteBy is note for a route that changes the head.
func (d *downstream) noteBy(h *http1.Head, r *mesh.RouteEntry) {
	if d.e != nil {
		d.w.out = mesh.AppendRequest(d.w.out[:0], h, r, d.w.ids, nil)
		d.e.Keep(d.w.out)
	}
}

var continued = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// completed is called when the last byte of the request is in.
func (d *downstream) completed() {
	d.phase, d.doneAt = phaseWait, d.w.now
	d.reach(mesh.RequestEnds)
	if d.up != nil {
		d.limitTry()
	}
}

// takeBody appends to w.out what b holds of the request's body, as it goes
// upstream, and returns how much of b that is.
func (d *downstream) takeBody(b []byte) (n int, err error) {
	w := d.w
	if d.body.Done() {
		return 0, nil
	}
	size := 0
	if d.body.Chunked() {
		w.out, n, size, err = appendChunks(w.out, &d.body, b)
	} else {
		n, _, err = d.body.Advance(b)
		w.out, size = append(w.out, b[:n]...), n
	}
	if d.e != nil {
		d.e.Received += uint64(size)
	}
	if d.body.Done() {
		d.completed()
	}
	return n, err
}

// forward sends upstream what b holds of the request's body, or keeps it for the
// next try.
func (d *downstream) forward(b []byte) int {
	w := d.w
	switch {
	case d.held != nil:
		return d.holdBody(b)
	case d.up == nil && d.againAt == 0:
		return len(b)
	}
	if !d.body.Chunked() && !d.tries.Kept() { // as it came
		n, done, _ := d.body.Advance(b)
		d.up.p.c.CxTxBytes += uint64(n)
		if d.e != nil {
			d.e.Received += uint64(n)
		}
		d.up.write(b[:n])
		if done {
			d.completed()
			d.reach(mesh.UpstreamEnds)
		}
		d.touch()
		return n
	}
	w.out = w.out[:0]
	n, err := d.takeBody(b)
	if err != nil {
		d.cancel()
		if d.responded {
			d.abort(true)
		} else {
			d.malformed(err, nil)
		}
		return len(b)
	}
	out := w.out
	if d.tries.Kept() && !d.keep(out, n) {
		return len(b)
	}
	if d.up != nil {
		d.up.p.c.CxTxBytes += uint64(len(out))
		d.up.write(out)
		if d.phase == phaseWait {
			d.reach(mesh.UpstreamEnds)
		}
	}
	d.touch()
	return n
}
