package sidecar

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// pool holds one worker's connections to one endpoint, by Envoy's rules: the
// connection used last is used next; a request that finds none waits in line
// while a new one connects, and takes whichever is free first.
type pool struct {
	w       *worker
	cl      *cluster
	c       *mesh.ClusterCounters
	host    *mesh.Host // the endpoint; nil if it is where a client was going
	to      netip.AddrPort
	family  int
	addr    unix.Sockaddr
	timeout int64 // to connect, ns
	keep    int64 // a connection without a request, ns; 0 for ever
	limits  *limits
	hs      mesh.HostCounters // its gauges are counted when asked for

	free       []*upstream   // idle; the one used last is at the end
	waiting    []*downstream // first in line first
	connecting []*upstream
	busy       int  // connections with a request
	open       int  // all, those that are not ready too
	drained    int  // how often: a connection from before closes after its request
	wanted     bool // since the last time: see cluster.toward
	retired    bool // its host is gone: connections close after their request
}

// newPool makes the pool of an address, an endpoint's or, if that is nil, one that a
// client was going to.
func newPool(w *worker, cl *cluster, addr netip.AddrPort, endpoint *mesh.Host) *pool {
	p := &pool{w: w, cl: cl, c: cl.c, host: endpoint, to: addr, timeout: int64(cl.t.ConnectTimeout), keep: cl.keep(w), limits: cl.limits}
	p.family, p.addr = sockaddr(addr)
	return p
}

// keep is how long a connection to cl may be without a request, ns; 0 for ever.
func (cl *cluster) keep(w *worker) int64 {
	if d := cl.t.Idle; d != nil {
		return int64(*d)
	}
	return int64(w.s.opt.ConnectionIdle)
}

// pool returns the pool of h.
func (cl *cluster) pool(w *worker, h *mesh.Host) *pool {
	p := cl.pools[h]
	if p == nil {
		p = newPool(w, cl, h.Addr, h)
		cl.pools[h] = p
	}
	return p
}

// inUse reports whether requests are under way, or about to be.
func (p *pool) inUse() bool { return p.busy+len(p.waiting)+len(p.connecting) > 0 }

// take returns an idle connection, nil if there is none.
func (p *pool) take() *upstream {
	n := len(p.free)
	if n == 0 {
		return nil
	}
	u := p.free[n-1]
	p.free[n-1] = nil
	p.free = p.free[:n-1]
	u.pooled = false
	return u
}

// give is take for a request: ok is false if the circuit breaker has none.
func (p *pool) give() (u *upstream, ok bool) {
	if len(p.free) == 0 {
		return nil, true
	}
	if !p.limits.takeRequest() {
		return nil, false
	}
	return p.take(), true
}

// put makes u available: to the first in line, or to the pool.
func (p *pool) put(u *upstream) {
	for len(p.waiting) > 0 {
		d := p.waiting[0]
		p.unwait(d)
		if p.limits.takeRequest() {
			d.attach(u)
			return
		}
		d.upstreamFailed(&mesh.ReplyOverflow)
	}
	if p.cl.retired || p.retired {
		p.c.CxDestroyLocal++
		u.shut()
		return
	}
	u.pooled = true
	p.free = append(p.free, u)
	if p.keep > 0 {
		p.w.timers.set(&u.t, p.w.now+p.keep)
	}
}

// wait puts d in line and sees to it that a connection is on its way. It reports
// whether there was room.
func (p *pool) wait(d *downstream) bool {
	c := p.c
	if !p.limits.takePending() {
		c.RqPendingOverflow++
		return false
	}
	c.RqPendingTotal++
	c.RqPendingActive++
	p.waiting = append(p.waiting, d)
	d.pool = p
	if len(p.connecting) < len(p.waiting) {
		p.connect()
	}
	return true
}

// unwait takes d out of the line.
func (p *pool) unwait(d *downstream) {
	for i, e := range p.waiting {
		if e == d {
			copy(p.waiting[i:], p.waiting[i+1:])
			p.waiting[len(p.waiting)-1] = nil
			p.waiting = p.waiting[:len(p.waiting)-1]
			break
		}
	}
	d.pool = nil
	p.limits.pending.Add(-1)
	p.c.RqPendingActive--
}

// connect opens a connection. At the circuit breaker's limit it opens none,
// unless this endpoint has none at all, which would leave its line waiting for
// ever.
func (p *pool) connect() {
	c := p.c
	limited := !p.limits.takeConnection()
	if limited {
		c.CxOverflow++
		if p.busy+len(p.free)+len(p.connecting) > 0 {
			return
		}
		p.limits.connections.Add(1)
	}
	p.limits.traffic.Store(true)
	if p.open++; p.open == 1 {
		p.limits.pools.Add(1)
	}
	c.CxTotal++
	c.CxActive++
	p.hs.CxTotal++
	u := p.w.newUpstream(p)
	err := p.dial(&u.sock)
	p.connecting = append(p.connecting, u)
	if err != nil {
		// Not at once: the caller is not done with the request.
		p.w.timers.set(&u.t, p.w.now)
		u.unreachable = err
		return
	}
	p.w.timers.set(&u.t, p.w.now+p.timeout)
}

// dial has s, which is closed, begin to connect to p's address. If that fails at
// once s is closed as before.
func (p *pool) dial(s *sock) error {
	fd, err := unix.Socket(p.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err = unix.Connect(fd, p.addr); err == unix.EINPROGRESS {
		err = nil
	}
	if s.fd = fd; err == nil {
		err = p.w.register(s, edges)
	}
	if err != nil {
		unix.Close(fd)
		s.fd = -1
	}
	return err
}

// connected is called when u's handshake is over.
func (p *pool) connected(u *upstream) {
	p.forget(u)
	u.drained = p.drained
	p.w.timers.set(&u.t, 0)
	p.put(u)
}

func (p *pool) forget(u *upstream) {
	for i, e := range p.connecting {
		if e == u {
			p.connecting = append(p.connecting[:i], p.connecting[i+1:]...)
			return
		}
	}
}

// connectFailed fails everybody in line, as Envoy does, so that none of them
// waits for an endpoint that does not answer.
func (p *pool) connectFailed(u *upstream, r *mesh.Reply) {
	c := p.c
	p.forget(u)
	c.CxConnectFail++
	p.hs.CxConnectFail++
	if r == &mesh.ReplyConnectTimeout {
		c.CxConnectTimeout++
		if u.tls != nil { // there was a connection to close
			c.CxDestroyLocal++
		}
	} else {
		c.CxDestroyRemote++
	}
	for n := len(p.waiting); n > 0 && len(p.waiting) > 0; n-- {
		d := p.waiting[0]
		p.unwait(d)
		c.RqPendingFailureEject++
		p.hs.RqError++
		d.upstreamFailed(r)
	}
	u.shut()
}

// gone is called when u is closed: somebody may be waiting for its place.
func (p *pool) gone(u *upstream) {
	if u.pooled {
		for i, e := range p.free {
			if e == u {
				p.free = append(p.free[:i], p.free[i+1:]...)
				break
			}
		}
		u.pooled = false
	}
	p.limits.connections.Add(-1)
	if p.open--; p.open == 0 {
		p.limits.pools.Add(-1)
	}
	c := p.c
	c.CxActive--
	c.CxDestroy++
	if len(p.waiting) > len(p.connecting) && !p.w.stop {
		p.connect()
	}
}

func (p *pool) closeIdle() {
	for len(p.free) > 0 {
		p.c.CxDestroyLocal++
		p.free[len(p.free)-1].shut()
	}
}

// drain closes all connections, those that have a request after it.
func (p *pool) drain() {
	p.drained++
	p.closeIdle()
}

// retire is drain for good.
func (p *pool) retire() {
	p.retired = true
	p.drain()
}

func (p *pool) closeAll() {
	p.closeIdle()
	for len(p.connecting) > 0 {
		u := p.connecting[0]
		p.forget(u)
		p.c.CxDestroyLocal++
		u.shut()
	}
}

// newUpstream returns a connection that is about to be made.
func (w *worker) newUpstream(p *pool) *upstream {
	var u *upstream
	if n := len(w.upstreams); n > 0 {
		u = w.upstreams[n-1]
		w.upstreams = w.upstreams[:n-1]
	} else {
		u = &upstream{}
		u.t0 = func() { u.expired() }
		u.bury = func() {
			w := u.w
			*u = upstream{t0: u.t0, bury: u.bury} // keeps no configuration that is over
			if len(w.upstreams) < maxPooled {
				w.upstreams = append(w.upstreams, u)
			}
		}
	}
	u.sock = sock{w: w, h: u, fd: -1, slot: -1, t: timer{fire: u.t0}}
	u.p, u.connecting = p, true
	return u
}

// since returns the time from a to now on the worker's clock.
func (w *worker) since(a int64) time.Duration { return time.Duration(w.now - a) }
