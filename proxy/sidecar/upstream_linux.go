package sidecar

import (
	"bytes"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// upstream is a connection to an endpoint: connecting, idle in its pool, or
// busy with d's request.
type upstream struct {
	sock
	p           *pool
	d           *downstream
	connecting  bool
	unreachable error // why the connection failed before it was under way
	pooled      bool
	last        bool // closes after this response
	drained     int  // of its pool, when it was connected

	head    *http1.Head // of a response head that is not complete
	in      []byte      // what has come of it
	interim bool        // an interim response came before it
	inBody  bool
	body    http1.Body
	chunks  bool // the response goes out chunked

	t0   func() // the timer's function, made once
	bury func() // puts the struct back, made once
}

func (u *upstream) idle() bool { return u.pooled }

func (u *upstream) ready() {
	switch {
	case u.fd < 0:
	case u.connecting:
		u.finishConnect()
	case u.d == nil:
		// Nothing is due: it is the end, or bytes nobody asked for.
		u.closedByPeer()
	default:
		if u.blocked() && u.flush() {
			u.d.drained()
		}
		u.pump()
	}
}

func (u *upstream) finishConnect() {
	if u.tls == nil {
		if !u.wr {
			return
		}
		e, err := unix.GetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err != nil || e != 0 {
			r := mesh.ReplyUnreachable(unix.Errno(e).Error(), false)
			u.p.connectFailed(u, &r)
			return
		}
		if ctx := u.p.cl.tls; ctx != nil {
			u.tls = newSecure(&u.sock, ctx.config, true, u.p.cl.tc, u.p.to)
		} else if !u.hup {
			u.rd = false
		}
	}
	if u.tls != nil && !u.secured() {
		return
	}
	u.connecting = false
	u.p.connected(u)
}

// secured goes on with the TLS handshake. It reports whether that has succeeded.
func (u *upstream) secured() bool {
	if u.blocked() && !u.flush() || !u.tls.handshake() {
		return false
	}
	if err := u.tls.err; err != nil {
		tallyFailure(u.p.cl.tc, err)
		u.p.connectFailed(u, &mesh.ReplyConnectFailed)
		return false
	}
	state := u.tls.conn.ConnectionState()
	tally(u.p.cl.tc, &state)
	return true
}

func (u *upstream) expired() {
	c := u.p.c
	switch {
	case u.unreachable != nil:
		r := mesh.ReplyUnreachable(u.unreachable.Error(), true)
		u.p.connectFailed(u, &r)
	case u.connecting:
		u.p.connectFailed(u, &mesh.ReplyConnectTimeout)
	case u.pooled:
		c.CxIdleTimeout++
		c.CxDestroyLocal++
		u.shut()
	}
}

func (u *upstream) closedByPeer() {
	if !u.rd {
		return // it was writability
	}
	n, eof := u.read(u.w.in)
	if n == 0 && !eof {
		return
	}
	c := u.p.c
	if n > 0 {
		if !bytes.HasPrefix(u.w.in[:n], []byte("HTTP/1.1 408 ")) { // how some servers take their leave
			c.CxProtocolError++
		}
		c.CxDestroyLocal++
	} else {
		c.CxDestroyRemote++
	}
	u.shut()
}

// broken: a write failed. What the peer said before it went is still there to be
// read, and decides what the client is told.
func (u *upstream) broken() {
	u.rd, u.hup = true, true
	if u.out != nil {
		u.w.recycle(u.out)
		u.out, u.off = nil, 0
	}
	if u.d != nil {
		u.pump()
	} else {
		u.closedByPeer()
	}
}

// begin makes u d's and sends the request, or as much of it as there is.
func (u *upstream) begin(d *downstream, request []byte) {
	u.d = d
	u.p.busy++
	u.p.limits.carry(u.p.host, 1)
	u.inBody, u.interim = false, false
	if e := d.e; e != nil {
		d.reach(mesh.PoolReady)
		d.reach(mesh.UpstreamBegins)
		if d.phase == phaseWait {
			d.reach(mesh.UpstreamEnds)
		}
		if d.l.t.UpstreamLocal {
			e.UpstreamLocal, _ = boundTo(u.fd)
		}
	}
	if h := u.p.host; d.route.AutoHost() && h != nil && h.Name != "" {
		request = d.rehost(request, h.Name)
	}
	c := u.p.c
	c.RqTotal++
	c.RqActive++
	u.p.hs.RqTotal++
	u.w.timers.set(&u.t, 0)
	c.CxTxBytes += uint64(len(request))
	d.tries.Sent()
	d.limitTry()
	u.write(request)
}

// pump moves the response on, for as long as there is some of it and the client
// takes it.
func (u *upstream) pump() {
	for u.fd >= 0 && u.d != nil && u.rd && !u.d.blocked() {
		n, eof := u.read(u.w.in)
		switch {
		case n > 0:
			u.p.c.CxRxBytes += uint64(n)
			u.consume(u.w.in[:n])
		case eof:
			u.eof()
			return
		default:
			return
		}
	}
}

// consume takes b, the next bytes of the response.
func (u *upstream) consume(b []byte) {
	w := u.w
	if u.inBody {
		u.forward(b, w.out[:0])
		return
	}
	h := u.head
	if h == nil {
		h = w.head
		h.Reset(true)
	} else {
		u.in = append(u.in, b...)
		b = u.in
	}
	for {
		n, err := h.Parse(b)
		if err != nil {
			u.malformed()
			return
		}
		if n == 0 {
			if u.head == nil {
				u.head = w.keepHead()
				u.in = append(w.buffer(), b...)
			} else if len(b) < len(u.in) { // 1xx heads went before
				u.in = append(u.in[:0], b...)
			}
			return
		}
		if h.Status/100 != 1 {
			u.d.judge(h.Status)
			if u.d.answered(h) {
				u.refused(h, len(b) > n)
				return
			}
			b = u.respond(h, b[n:])
			break
		}
		if h.Status == 101 { // nobody asked to switch
			u.malformed()
			return
		}
		// RFC 9110 §15.2; Envoy answers Expect itself and passes none on. It counts
		// the first, and does not try again after it.
		if !u.interim {
			u.interim = true
			u.p.c.Count(h.Status)
			u.d.forget()
		}
		b = b[n:]
		h.Reset(true)
	}
	in := u.in
	if u.head != nil {
		w.returnHead(u.head)
		u.head, u.in = nil, nil
	}
	u.forward(b, w.out)
	if in != nil {
		w.recycle(in)
	}
}

// refused ends a try whose response, with head h, the client is not told of; extra
// says that something followed the head.
func (u *upstream) refused(h *http1.Head, extra bool) {
	d := u.d
	u.p.hs.RqError++
	u.body = h.Body(d.isHead)
	if u.body.Done() && d.phase == phaseWait {
		u.last = h.Close
		if u.head != nil { // it came in pieces
			u.w.returnHead(u.head)
			u.w.recycle(u.in)
			u.head, u.in = nil, nil
		}
		u.release(extra)
	} else {
		u.cancel()
	}
	d.retry()
}

// respond leaves the head of the response that goes downstream in w.out and
// returns rest.
func (u *upstream) respond(h *http1.Head, rest []byte) []byte {
	w, d := u.w, u.d
	u.body = h.Body(d.isHead)
	u.inBody = true
	u.last = h.Close || u.body.EndsWithStream()
	u.chunks = u.body.Chunked() || u.body.EndsWithStream()
	info := mesh.ResponseInfo{Route: d.route, Entry: d.e, Client: &d.client, Date: w.date, ServiceTime: -1, Chunked: u.chunks}
	if d.isHead && h.ContentLength < 0 && h.Status != 204 && h.Status != 304 {
		info.Chunked = true
	}
	if d.phase == phaseWait {
		info.ServiceTime = w.since(d.doneAt)
	} else {
		// The request is still coming in and nobody will read the rest of it.
		d.close = true
		d.l.c.RqResponseBeforeComplete++
	}
	d.leave()
	info.Close = d.close
	info.Attempt = d.tries.Attempt()
	d.responded, d.tryEnd = true, 0
	d.l.c.Count(h.Status)
	u.p.c.Count(h.Status)
	if h.Status < 500 {
		u.p.hs.RqSuccess++
	} else {
		u.p.hs.RqError++
	}
	if e := d.e; e != nil {
		e.Route, e.Status, e.Flag, e.Details = d.route, h.Status, e.Flag.And(d.tries.Flag()), "via_upstream"
		d.reach(mesh.ResponseBegins)
		d.reach(mesh.DownstreamBegins)
	}
	w.out = mesh.AppendResponse(w.out[:0], h, &info)
	if d.e != nil {
		d.e.KeepResponse(w.out)
	}
	return rest
}

// forward sends out, and after it what b holds of the response's body. It ends
// the response if the body does.
func (u *upstream) forward(b, out []byte) {
	d := u.d
	n, size := 0, -1
	var err error
	switch {
	case u.body.Done():
	case u.body.Chunked():
		out, n, size, err = appendChunks(out, &u.body, b)
	case u.chunks: // up to the end of the stream
		if n = len(b); n > 0 {
			out = http1.AppendChunkSize(out, n)
			out = append(append(out, b...), "\r\n"...)
		}
	case len(out) == 0:
		n, _, err = u.body.Advance(b)
		d.send(b[:n])
	default:
		n, _, err = u.body.Advance(b)
		out = append(out, b[:n]...)
	}
	if d.e != nil {
		if size < 0 { // not in chunks
			size = n
		}
		d.e.Sent += uint64(size)
	}
	if cap(out) > cap(u.w.out) {
		u.w.out = out
	}
	if len(out) > 0 {
		d.send(out)
	}
	switch {
	case err != nil:
		u.malformed()
	case u.body.Done():
		u.done(n < len(b))
	default:
		d.touch()
	}
}

// done ends the response. extra says that the server sent more than that.
func (u *upstream) done(extra bool) {
	d := u.d
	u.release(extra)
	d.finish()
}

// release takes the request, which is over, off u and puts u back in its pool, if
// it is of further use.
func (u *upstream) release(extra bool) {
	d := u.d
	c := u.p.c
	complete := d.phase == phaseWait
	d.reach(mesh.ResponseEnds)
	if u.rd { // the last read was full: is that really all?
		n, eof := u.read(u.w.in[:1])
		extra, u.hup = extra || n > 0, u.hup || eof
	}
	u.leave()
	d.up = nil
	switch {
	case extra:
		c.CxProtocolError++
		fallthrough
	case u.last, u.drained != u.p.drained, u.blocked(), u.bad, !complete:
		c.CxDestroyLocal++
		if !complete {
			c.CxDestroyLocalActiveRq++
			c.CxDestroyActiveRq++
			d.l.c.RqRxReset++
		}
		u.shut()
	case u.hup:
		c.CxDestroyRemote++
		u.shut()
	default:
		u.p.put(u)
	}
}

// leave takes the request off u.
func (u *upstream) leave() {
	u.d = nil
	u.p.busy--
	u.p.limits.carry(u.p.host, -1)
	u.p.limits.endRequest()
	u.p.c.RqActive--
}

func (u *upstream) eof() {
	c := u.p.c
	if u.inBody && u.body.EndsWithStream() {
		if d := u.d; u.chunks {
			d.send(lastChunk)
		}
		u.body = http1.Body{}
		u.done(false)
		return
	}
	r := &mesh.ReplyTerminated
	if len(u.in) > 0 || u.inBody { // half a response
		r = &mesh.ReplyProtocolError
		c.CxProtocolError++
	}
	c.CxDestroyRemote++
	c.CxDestroyRemoteActiveRq++
	c.CxDestroyActiveRq++
	u.failed(r)
}

func (u *upstream) malformed() {
	c := u.p.c
	c.CxProtocolError++
	c.CxDestroyLocal++
	c.CxDestroyLocalActiveRq++
	c.CxDestroyActiveRq++
	u.failed(&mesh.ReplyProtocolError)
}

// failed closes u and tells its request.
func (u *upstream) failed(r *mesh.Reply) {
	d := u.d
	u.p.hs.RqError++
	u.leave()
	d.up = nil
	u.shut()
	d.upstreamFailed(r)
}

// cancel closes u because its request is no longer wanted.
func (u *upstream) cancel() {
	c := u.p.c
	c.CxDestroyLocal++
	c.CxDestroyLocalActiveRq++
	c.CxDestroyActiveRq++
	u.d.up = nil
	u.leave()
	u.shut()
}

// shut closes u and gives back what it holds.
func (u *upstream) shut() {
	w := u.w
	if u.fd >= 0 {
		u.close()
	} else {
		w.timers.remove(&u.t)
	}
	w.returnHead(u.head)
	if u.in != nil {
		w.recycle(u.in)
	}
	u.head, u.in = nil, nil
	u.p.gone(u)
	w.dead = append(w.dead, u.bury)
}

var lastChunk = []byte(http1.LastChunk)
