package sidecar

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// tcpRelay is a connection of a TCP proxy: the client's, and the one to an endpoint
// that everything goes to and comes from. Either side may end its stream and go on
// reading, as in Envoy.
type tcpRelay struct {
	conn
	l        *chain
	cl       *cluster
	p        *pool          // of the endpoint; its connections are not used
	dst      netip.AddrPort // where the client was going, if the listener asked
	down, up half
	attempts int
	counts   bool  // among p's busy
	linked   bool  // the endpoint has accepted
	opening  bool  // the client's TLS handshake is not over
	openBy   int64 // when it has to be, 0 for whenever
	idleAt   int64 // when nothing will have moved for too long, 0 for never
	tried    int64 // when an endpoint was first looked for
	upLast   bool  // of the ends of the two streams so far, the endpoint's came last
	over     bool

	e *mesh.Entry // what is known of it, if that is of use
}

// half is one of a tcpRelay's two connections.
type half struct {
	sock
	r     *tcpRelay
	other *half
	in    *uint64 // bytes that came, counted
	out   *uint64 // bytes that left
	ended bool    // its peer sends no more
	shut  bool    // nor do we
}

// relay passes on fd, a client's connection, of which head was read before and x is
// known. Its TLS waits until there is a connection to pass it on to, as Envoy's does.
func (w *worker) relay(fd int, l *chain, dst netip.AddrPort, head []byte, x conn) {
	c := l.c
	r := &tcpRelay{conn: x, l: l, dst: dst, tried: w.now}
	r.down.sock = sock{w: w, h: &r.down, fd: fd, t: timer{fire: r.late}, head: head, rd: len(head) > 0}
	r.up.sock = sock{w: w, h: &r.up, fd: -1, slot: -1, t: timer{fire: r.slow}}
	r.down.r, r.down.other, r.down.in, r.down.out = r, &r.up, &c.CxRxBytes, &c.CxTxBytes
	r.up.r, r.up.other = r, &r.down
	if w.register(&r.down.sock, edges) != nil {
		unix.Close(fd)
		c.CxOverflow++
		return
	}
	c.CxTotal++
	c.CxActive++
	w.open[r] = struct{}{}
	r.observe()
	if l.tls != nil {
		r.down.tls, r.opening = newSecure(&r.down.sock, l.tls.config, false, l.tc, netip.AddrPort{}), true
		if d := l.t.Handshake; d > 0 {
			r.openBy = w.now + int64(d)
			r.arm()
		}
	}

	r.cl = l.clusters[l.t.TCP.Cluster(w.draw)]
	r.up.in, r.up.out = &r.cl.c.CxRxBytes, &r.cl.c.CxTxBytes
	r.seek()
}

// seek looks for an endpoint, each time anew, and connects to it.
func (r *tcpRelay) seek() {
	w, cc := r.down.w, r.cl.c
	if r.counts {
		r.p.busy--
		r.counts = false
	}
	if r.p = nil; r.cl.t.OriginalDst {
		r.p = r.cl.toward(w, r.dst)
	} else {
		v := r.cl.limits.health.View()
		r.cl.balancer.Use(v)
		if v.Panic {
			cc.Panics++
		}
		if h := r.cl.balancer.Next(0, false); h != nil {
			r.p = r.cl.pool(w, h)
		}
	}
	switch {
	case r.p == nil:
		cc.CxNoneHealthy++
		r.turnedAway(mesh.FlagUH)
		r.end(false, false)
		return
	case r.cl.limits.connections.Load() >= int64(r.cl.limits.max.MaxConnections):
		cc.CxOverflow++
		r.turnedAway(mesh.FlagUO)
		r.end(false, false)
		return
	}
	r.p.busy++
	r.counts = true
	r.connect()
}

// connect makes the connection to the endpoint.
func (r *tcpRelay) connect() {
	w, cc := r.down.w, r.cl.c
	r.attempts++
	r.cl.limits.connections.Add(1)
	r.cl.limits.traffic.Store(true)
	r.cl.limits.carry(r.p.host, 1)
	cc.RqPendingTotal++
	cc.RqPendingActive++
	cc.CxTotal++
	cc.CxTCP++
	cc.CxActive++
	r.p.hs.CxTotal++
	if err := r.p.dial(&r.up.sock); err != nil {
		why := mesh.ReplyUnreachable(err.Error(), true)
		r.refused(&why)
		return
	}
	w.timers.set(&r.up.t, w.now+r.p.timeout)
}

// answered is called when the endpoint's answer is there, or something of its TLS
// handshake.
func (r *tcpRelay) answered() {
	u := &r.up
	if u.tls == nil {
		if !u.wr {
			return
		}
		if e, err := unix.GetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
			why := mesh.ReplyUnreachable(unix.Errno(e).Error(), false)
			r.refused(&why)
			return
		}
		if ctx := r.cl.tls; ctx != nil {
			u.tls = newSecure(&u.sock, ctx.other, true, r.cl.tc, r.p.to)
		}
	}
	if u.tls != nil {
		switch over, err := u.shake(r.cl.tc); {
		case err != nil:
			r.refused(&mesh.ReplyConnectFailed)
			return
		case !over:
			return
		}
	}
	r.connected()
}

// shake goes on with h's TLS handshake.
func (h *half) shake(c *mesh.TLSCounters) (over bool, err error) {
	if h.blocked() && !h.flush() || !h.tls.handshake() {
		return false, nil
	}
	if err := h.tls.err; err != nil {
		tallyFailure(c, err)
		return true, err
	}
	state := h.tls.conn.ConnectionState()
	tally(c, &state)
	return true, nil
}

// open goes on with the client's TLS handshake. It reports whether that has succeeded.
func (r *tcpRelay) open() bool {
	over, err := r.down.shake(r.l.tc)
	switch {
	case err != nil:
		r.end(false, false)
		return false
	case !over:
		return false
	}
	r.opening, r.openBy = false, 0
	r.arm()
	return true
}

// connected is called when there is a connection to the endpoint.
func (r *tcpRelay) connected() {
	w, cc := r.down.w, r.cl.c
	r.linked = true
	r.reached()
	if r.e != nil {
		r.e.Linked = true
		r.e.UpstreamLocal, _ = boundTo(r.up.fd)
	}
	r.judge(200)
	w.timers.set(&r.up.t, 0)
	cc.RqPendingActive--
	cc.RqTotal++
	cc.RqActive++
	r.p.hs.RqTotal++
	r.touch()
	r.pump()
}

// slow is called when the endpoint has not answered in time.
func (r *tcpRelay) slow() { r.refused(&mesh.ReplyConnectTimeout) }

// refused tries once more, or gives up. why is what a request would be answered by.
func (r *tcpRelay) refused(why *mesh.Reply) {
	cc := r.cl.c
	cc.CxConnectFail++
	r.p.hs.CxConnectFail++
	r.flag = r.flag.And(why.Flag)
	if r.reached(); r.e != nil {
		r.e.Failure = why.Failure
	}
	if why == &mesh.ReplyConnectTimeout {
		cc.CxConnectTimeout++
		cc.CxDestroyLocal++
		r.judge(504)
	} else {
		cc.CxDestroyRemote++
		r.judge(503)
	}
	cc.RqPendingActive--
	cc.RqPendingFailureEject++
	r.unlink()
	if r.attempts < r.l.t.TCP.Attempts {
		r.seek()
		return
	}
	cc.CxAttemptsExceeded++
	r.flag = r.flag.And(mesh.FlagURX)
	r.end(false, false)
}

// judge tells the outlier detection what came of a connection, by the status that
// stands for it.
func (r *tcpRelay) judge(status int) {
	if r.p.host == nil {
		return
	}
	w, l := r.down.w, r.cl.limits
	w.s.changed(l, l.health.Answered(r.p.host, status, time.Duration(w.now), w.draw))
}

// unlink closes the connection to the endpoint.
func (r *tcpRelay) unlink() {
	cc := r.cl.c
	if r.up.fd >= 0 {
		r.up.close()
	}
	r.up.hup, r.up.cut, r.up.tls = false, false, nil
	r.cl.limits.connections.Add(-1)
	r.cl.limits.carry(r.p.host, -1)
	cc.CxActive--
	cc.CxDestroy++
}

// touch sets the timer anew: something has moved.
func (r *tcpRelay) touch() {
	if d := r.l.t.TCP.Idle; d > 0 {
		r.idleAt = r.down.w.now + int64(d)
		r.arm()
	}
}

func (r *tcpRelay) arm() {
	end := r.idleAt
	if r.openBy != 0 && (end == 0 || r.openBy < end) {
		end = r.openBy
	}
	r.down.w.timers.set(&r.down.t, end)
}

// late is called when nothing has moved, or the client's TLS handshake has gone on,
// for too long.
func (r *tcpRelay) late() {
	if r.openBy != 0 && r.down.w.now >= r.openBy {
		r.l.c.CxTransportTimeout++
		r.termination = transportTimeout
	} else {
		r.l.c.CxIdleTimeout++
	}
	r.end(false, false)
}

func (h *half) idle() bool { return false }

func (h *half) ready() {
	r := h.r
	switch {
	case r.over:
	case r.linked:
		r.pump()
	case h == &r.up:
		r.answered()
	}
}

// broken: a write failed, so the peer has reset the connection.
func (h *half) broken() {
	if !h.r.over {
		h.r.end(h == &h.r.up, true)
	}
}

// pump moves what there is both ways.
func (r *tcpRelay) pump() {
	if r.opening && !r.open() {
		return
	}
	for _, h := range [...]*half{&r.down, &r.up} {
		if !r.over {
			h.pump()
		}
	}
	if !r.over && r.down.shut && r.up.shut && !r.down.blocked() && !r.up.blocked() {
		r.end(r.upLast, false)
	}
}

// pump moves what has come on h to the other side.
func (h *half) pump() {
	o, r := h.other, h.r
	if o.blocked() && !o.flush() {
		return
	}
	for h.rd && !h.ended && !o.blocked() && !o.bad {
		n, eof := h.read(h.w.in)
		if eof && (h.cut || h.tls != nil && h.tls.failed()) {
			r.end(h == &r.up, h.cut)
			return
		}
		if eof {
			h.ended, r.upLast = true, h == &r.up
		}
		if n == 0 {
			break
		}
		*h.in += uint64(n)
		*o.out += uint64(n)
		r.carried(h, n)
		o.write(h.w.in[:n])
		r.touch()
	}
	if h.ended && !o.shut && !o.blocked() && !o.bad {
		o.finish()
	}
}

// finish tells h's peer that no more comes.
func (h *half) finish() {
	if h.shut = true; h.tls != nil {
		h.tls.conn.CloseWrite() // a close_notify; the connection stays open, as with Envoy
		return
	}
	unix.Shutdown(h.fd, unix.SHUT_WR)
}

// end closes both sides. remote says that the endpoint began it, reset that one of
// them was cut off, which the other is told in kind.
func (r *tcpRelay) end(remote, reset bool) {
	w, c := r.down.w, r.l.c
	r.over = true
	if remote && reset {
		r.flag = r.flag.And(mesh.FlagUR)
	}
	if r.counts {
		r.p.busy--
	}
	if r.up.fd >= 0 {
		cc := r.cl.c
		if !r.linked {
			cc.RqPendingActive--
			cc.RqCancelled++
		} else {
			cc.RqActive--
			cc.CxDestroyActiveRq++
		}
		switch {
		case remote:
			cc.CxDestroyRemote++
			cc.CxDestroyRemoteActiveRq++
		default:
			cc.CxDestroyLocal++
			if r.linked {
				cc.CxDestroyLocalActiveRq++
			}
		}
		if reset {
			r.up.reset()
		}
		r.unlink()
	} else {
		w.timers.remove(&r.up.t)
	}
	if reset {
		r.down.reset()
	}
	r.down.close()
	c.CxActive--
	c.CxDestroy++
	delete(w.open, r)
	r.log()
}

// reset has a close send a reset, and nothing before it.
func (h *half) reset() {
	if h.tls != nil {
		h.tls.mute = true
	}
	unix.SetsockoptLinger(h.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// drain, abort and of make a tcpRelay a session. Only its peers know when it is
// over, so it is left alone until the time is up.
func (r *tcpRelay) drain()     {}
func (r *tcpRelay) abort(bool) { r.end(false, false) }
func (r *tcpRelay) of() *chain { return r.l }
