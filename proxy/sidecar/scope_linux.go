package sidecar

import (
	"net/netip"
	"reflect"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// cluster is one worker's share of a cluster: its connections, whose turn it is,
// its counters. It outlives a reload that does not change it.
type cluster struct {
	t        *mesh.CompiledCluster
	limits   *limits
	balancer *mesh.Balancer
	pools    map[*mesh.Host]*pool     // of those that got requests
	leaving  []*pool                  // of those that are gone, with requests
	led      map[netip.AddrPort]*pool // of the original destination: by that
	forgets  timer
	c        *mesh.ClusterCounters
	tls      *tlsContext // nil for clear text
	tc       *mesh.TLSCounters
	sweep    timer // of the outlier detection, of the first worker alone
	probes   map[*mesh.Host]*probe
	renew    timer // of the view of what is healthy, of the first worker alone
	held     int   // requests that are on their way to it in a filter
	retired  bool  // a reload has replaced or removed it: connections close after their request
}

// chain is one worker's share of a Listener's filters: what its connections refer
// to. A reload puts other routes under those it leaves in place; one that it takes
// away keeps its own until the last of its connections is gone.
type chain struct {
	name      string // the listener's address as it stands in stat names
	t         *mesh.CompiledListener
	clusters  []*cluster // by the index that t's routes know
	c         *mesh.ListenerCounters
	tls       *tlsContext
	tc        *mesh.TLSCounters
	bucket    *mesh.Bucket       // of t's rate limit
	faults    *mesh.ActiveFaults // of all workers
	sinks     []*accesslog.Sink  // by t's access logs
	connSinks []*accesslog.Sink  // by those of its listener
	drainFrom int64              // when it was taken away, 0 if it was not
}

// stands reports whether connections of l can go on under t and its TLS.
func (l *chain) stands(t *mesh.CompiledListener, ctx *tlsContext) bool {
	return l.t.StatPrefix == t.StatPrefix && (l.t.TCP == nil) == (t.TCP == nil) && l.tls.same(ctx) && reflect.DeepEqual(l.t.Match, t.Match)
}

// adopt puts next in force: the requests that begin from now on go by it. fds are
// w's sockets for those of next's listeners that had none.
func (w *worker) adopt(next *config, fds map[int]int) error {
	var clusters []*cluster
	for i := range next.table.Clusters {
		clusters = append(clusters, w.cluster(&next.table.Clusters[i], next.limits[i], next.up[i]))
	}
	for _, cl := range w.clusters {
		if !holds(clusters, cl) {
			cl.retire()
			w.timers.remove(&cl.sweep)
			w.timers.remove(&cl.renew)
			cl.stopProbes()
			w.replaced = append(w.replaced, cl)
		}
	}
	w.clusters = clusters

	had := map[netip.AddrPort]*listener{}
	for _, l := range w.listeners {
		had[l.addr] = l
	}
	w.listeners = nil
	var failed error
	var before []*chain // of listeners that stay
	for i := range next.table.Listeners {
		t := &next.table.Listeners[i]
		addr := next.addrs[i]
		var l *listener
		if next.joins(i) {
			l = w.listeners[len(w.listeners)-1]
		} else {
			if l = had[addr]; l == nil {
				l = &listener{addr: addr, undecided: newChain(addr, t, nil)}
				l.sock = sock{w: w, h: l, fd: -1}
			}
			switch {
			case t.Intercept.Unbound:
				l.shut()
			case l.fd < 0:
				if err := l.open(w, fds[i]); err != nil {
					failed = err
				}
			}
			delete(had, addr)
			w.listeners = append(w.listeners, l)
			before = append(before, l.chains...)
			l.chains, l.inspect = nil, false
			l.undecided.t, l.undecided.connSinks = t, w.sinks.Of(t.ConnLogs, next.logs)
		}
		var c *chain
		for j, b := range before {
			if b.name == addrOf(addr) && b.stands(t, next.down[i]) {
				c = b
				before = append(before[:j], before[j+1:]...)
				break
			}
		}
		if c == nil {
			c = newChain(addr, t, next.down[i])
		}
		if !c.t.LimitedAs(t) {
			c.c.Limit = mesh.LimitCounters{} // they had another name
		}
		c.t, c.clusters, c.bucket, c.faults = t, clusters, next.buckets[i], next.faults[i]
		c.sinks, c.connSinks = w.sinks.Of(t.Logs, next.logs), w.sinks.Of(t.ConnLogs, next.logs)
		l.chains = append(l.chains, c)
		l.inspect = l.inspect || len(t.Match.ServerNames) > 0 || t.Match.Transport != ""
	}
	for _, c := range before {
		w.retire(c)
	}
	for _, l := range had {
		l.accept(backlog) // what has connected is not sent away
		l.shut()
		for _, c := range l.chains {
			w.retire(c)
		}
		w.retire(l.undecided)
	}
	w.prune()
	w.pruneSinks()
	return failed
}

// rotate puts TLS contexts in the place of others, for connections to come.
func (w *worker) rotate(fresh map[*tlsContext]*tlsContext) {
	for _, cl := range w.clusters {
		if t := fresh[cl.tls]; t != nil {
			cl.tls = t
		}
	}
	for _, l := range w.listeners {
		for _, c := range l.chains {
			if t := fresh[c.tls]; t != nil {
				c.tls = t
			}
		}
	}
}

// cluster returns w's share of t: the one it has, if its limits say that t is the
// same as before but for its endpoints, or one that takes over the counters.
func (w *worker) cluster(t *mesh.CompiledCluster, lim *limits, ctx *tlsContext) *cluster {
	cl := &cluster{t: t, limits: lim, pools: map[*mesh.Host]*pool{}, probes: map[*mesh.Host]*probe{}, c: new(mesh.ClusterCounters), tls: ctx, tc: new(mesh.TLSCounters)}
	for _, old := range w.clusters {
		if old.limits == lim {
			old.t = t
			old.follow(w)
			return old
		}
		if old.t.Name == t.Name {
			cl.c, cl.tc = old.c, old.tc
		}
	}
	for _, old := range w.replaced {
		if old.t.Name == t.Name {
			cl.c, cl.tc = old.c, old.tc
		}
	}
	cl.balancer = mesh.NewBalancer(lim.health.View(), w.seed)
	if every := int64(lim.health.Interval()); every > 0 && w.id == 0 {
		cl.sweep.fire = func() {
			w.s.changed(lim, lim.health.Sweep(time.Duration(w.now), w.draw))
			w.timers.set(&cl.sweep, w.now+every)
		}
		w.timers.set(&cl.sweep, w.now+every)
	}
	cl.follow(w)
	return cl
}

// follow lets go of endpoints that are gone, and has the first worker check those
// that are new.
func (cl *cluster) follow(w *worker) {
	stay := map[*mesh.Host]bool{}
	for _, h := range cl.limits.health.Hosts() {
		stay[h] = true
		if cl.t.Check != nil && w.id == 0 && cl.probes[h] == nil {
			cl.probe(w, h)
		}
	}
	for h, p := range cl.probes {
		if !stay[h] {
			p.stop()
			delete(cl.probes, h)
		}
	}
	for h, p := range cl.pools {
		if !stay[h] {
			delete(cl.pools, h)
			if p.retire(); p.inUse() {
				cl.leaving = append(cl.leaving, p)
			}
		}
	}
}

func holds(all []*cluster, cl *cluster) bool {
	for _, c := range all {
		if c == cl {
			return true
		}
	}
	return false
}

// retire closes the connections that have no request; the others follow.
func (cl *cluster) retire() {
	cl.retired = true
	cl.each((*pool).closeIdle)
}

// busy reports whether requests are under way in cl.
func (cl *cluster) busy() (busy bool) {
	busy = cl.held > 0
	cl.each(func(p *pool) { busy = busy || p.inUse() })
	return busy
}

// retire lets the connections of l finish: their responses ask for the close, more
// and more of them as the drain time passes, and what is left then is cut off.
func (w *worker) retire(l *chain) {
	l.drainFrom = w.now
	if l.c.CxActive == 0 {
		return
	}
	w.retired = append(w.retired, l)
	t := &timer{fire: func() {
		for d := range w.open {
			if d.of() == l {
				d.abort(true)
			}
		}
	}}
	w.timers.set(t, w.now+int64(w.s.opt.DrainTime))
}

// prune forgets what nobody uses any more.
func (w *worker) prune() {
	w.retired = keep(w.retired, func(l *chain) bool { return l.c.CxActive > 0 })
	w.replaced = keep(w.replaced, (*cluster).busy)
	for _, cl := range w.clusters {
		cl.leaving = keep(cl.leaving, (*pool).inUse)
	}
}

func keep[T any](all []T, wanted func(T) bool) []T {
	left := all[:0]
	for _, e := range all {
		if wanted(e) {
			left = append(left, e)
		}
	}
	clear(all[len(left):])
	return left
}

// stats lists w's counters.
func (w *worker) stats() (out []mesh.Stat) {
	w.prune()
	for _, l := range w.listeners {
		for _, c := range l.chains {
			out = c.stats(out)
		}
		out = l.undecided.c.UndecidedStats(out, l.undecided.name)
	}
	for _, c := range w.retired {
		out = c.stats(out)
	}
	for _, cl := range w.clusters {
		out = cl.c.Stats(out, cl.t.Name)
		if w.id == 0 {
			out = cl.limits.health.Stats(out)
		}
		if cl.tls != nil {
			out = cl.tc.Stats(out, "cluster."+cl.t.Name+".")
		}
	}
	for _, cl := range w.replaced {
		if !w.counts(cl.c) {
			out = cl.c.Stats(out, cl.t.Name)
		}
	}
	return out
}

func newChain(addr netip.AddrPort, t *mesh.CompiledListener, ctx *tlsContext) *chain {
	return &chain{name: addrOf(addr), t: t, c: new(mesh.ListenerCounters), tls: ctx, tc: new(mesh.TLSCounters)}
}

func (l *chain) stats(out []mesh.Stat) []mesh.Stat {
	out = l.c.Stats(out, l.t, l.name)
	if l.tls != nil {
		out = l.tc.Stats(out, "listener."+l.name+".")
	}
	return out
}

// counts reports whether c are the counters of a cluster in force.
func (w *worker) counts(c *mesh.ClusterCounters) bool {
	for _, cl := range w.clusters {
		if cl.c == c {
			return true
		}
	}
	return false
}

// hosts lists what w has counted of each endpoint.
func (w *worker) hosts() map[*mesh.Host]mesh.HostCounters {
	all := map[*mesh.Host]mesh.HostCounters{}
	for _, cl := range w.clusters {
		for x, p := range cl.pools {
			h := p.hs
			h.RqPendingActive = uint64(len(p.waiting))
			h.RqActive = uint64(p.busy)
			h.CxActive = uint64(p.busy + len(p.free) + len(p.connecting))
			all[x] = h
		}
	}
	return all
}

// closeAll closes sockets that were opened in vain.
func closeAll(fds []map[int]int) {
	for _, m := range fds {
		for _, fd := range m {
			unix.Close(fd)
		}
	}
}

func (w *worker) fail(fail bool) { w.failing = fail }

// drainListeners is Server.DrainListeners. A reload afterwards does not bring back
// a socket that is closed: its listener's address has not changed.
func (w *worker) drainListeners(graceful bool) {
	if w.drainFrom == 0 {
		w.drainFrom = w.now
	}
	stop := func() {
		for _, l := range w.listeners {
			if l.fd >= 0 {
				l.accept(backlog)
				l.shut()
			}
		}
	}
	if !graceful {
		stop()
		return
	}
	w.timers.set(&timer{fire: stop}, w.drainFrom+int64(w.s.opt.DrainTime))
}
