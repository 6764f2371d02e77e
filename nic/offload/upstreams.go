package offload

import (
	"bytes"
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// cluster is a cluster with all that changes. It outlives a reload that does not
// change it.
type cluster struct {
	t        *mesh.CompiledCluster
	from     *mesh.Cluster // what t was made of
	c        *mesh.ClusterCounters
	health   *mesh.Health
	balancer *mesh.Balancer
	ends     []splice.Endpoint // by Host.Place
	reason   Reason            // why requests to it fall back
	retired  bool              // a reload has replaced it: connections close after their request

	sweepAt sim.Cycle // of the outlier detection, 0 without one
	renewAt sim.Cycle // of the view of what is healthy, 0 if nothing is new

	connections, requests, pending, retries int64
	pools                                   int64 // endpoints with connections
}

// end is an endpoint: one place of one cluster.
type end struct {
	cl      *cluster
	host    *mesh.Host
	addr    splice.Addr
	from    [16]byte  // what connections to it come from
	front   *listener // of that address, if there is one
	quiet   bool      // it is not asked for
	known   bool      // next is
	doubted bool      // it is known, and was silent
	asking  bool      // it has not answered yet
	missed  uint8     // how often in a row it did not
	asks    uint8     // how often it was asked for since somebody waited for it
	asked   sim.Cycle // when
	askAt   sim.Cycle // when it is to be asked for, 0 for not at all
	next    splice.Neighbour
	conns   int           // connections
	drained int           // how often: a connection from before closes after its request
	line    []splice.Flow // requests that wait for one; first in line first
	hs      mesh.HostCounters
}

// newCluster makes t's, which was made of from, and numbers its endpoints.
func (o *Offload) newCluster(t *mesh.CompiledCluster, from *mesh.Cluster) *cluster {
	cl := &cluster{t: t, from: from, reason: ClusterReason(t, from, o.sources), c: new(mesh.ClusterCounters), health: mesh.NewHealth(t)}
	cl.balancer = mesh.NewBalancer(cl.health.View(), o.cfg.Seed)
	if every := cl.health.Interval(); every > 0 {
		cl.sweepAt = o.now + o.cycles(every)
	}
	for _, h := range cl.health.Hosts() {
		cl.ends = append(cl.ends, o.newEnd(cl, end{cl: cl, host: h, addr: addrOf(h.Addr), from: o.sources.of(h.Addr.Addr())}, t.ConnectTimeout))
	}
	return cl
}

// newEnd gives e, of cl, a number. A connection to it has so long to get there.
func (o *Offload) newEnd(cl *cluster, e end, timeout time.Duration) splice.Endpoint {
	ep := splice.Endpoint(len(o.ends))
	if n := len(o.spare); n > 0 {
		ep, o.spare = o.spare[n-1], o.spare[:n-1]
	} else {
		o.ends = append(o.ends, end{})
	}
	o.engine.SetEndpoint(ep, e.addr, e.from)
	o.engine.SetConnectTimeout(ep, o.cycles(timeout))
	keep := o.keep
	if d := cl.t.Idle; d != nil {
		keep = o.cycles(*d)
	}
	o.engine.SetIdleTimeout(ep, keep)
	o.ends[ep] = e
	if l := o.byAddr[e.addr]; cl.reason != byNothing || l != nil && l.reason == byNothing && !l.stands {
		o.ends[ep].quiet = true // nobody goes there
		return ep
	}
	o.want(ep)
	for i := range o.ends { // it is known where its host is
		if was := &o.ends[i]; i != int(ep) && was.known && was.addr.IP == e.addr.IP {
			o.place(ep, was.next)
			break
		}
	}
	return ep
}

// TakeRetry and EndRetry make it a mesh.Places.
func (c *cluster) TakeRetry() bool {
	most := int64(c.t.Breakers.MaxRetries)
	if b := c.t.Breakers.Budget; b != nil {
		most = b.Allows(c.requests + c.pending)
	}
	if c.retries >= most {
		return false
	}
	c.retries++
	return true
}

// EndRetry gives back what TakeRetry took.
func (c *cluster) EndRetry() { c.retries-- }

// Upstream counts what becomes of connections to endpoints.
func (o *Offload) Upstream(now sim.Cycle, ep splice.Endpoint, what splice.ConnEvent) {
	o.now = now
	e := &o.ends[ep]
	cl, c := e.cl, e.cl.c
	switch what {
	case splice.Dialed:
		o.want(ep)
		c.CxTotal++
		c.CxActive++
		cl.connections++
		if e.conns++; e.conns == 1 {
			cl.pools++
		}
		e.hs.CxTotal++
		e.hs.CxActive++
	case splice.Gone:
		c.CxActive--
		c.CxDestroy++
		cl.connections--
		if e.conns--; e.conns == 0 {
			cl.pools--
		}
		e.hs.CxActive--
	case splice.GoneIdle:
		c.CxDestroyRemote++
	case splice.IdleOver:
		c.CxIdleTimeout++
		c.CxDestroyLocal++
	case splice.Silent:
		o.doubt(ep)
	case splice.Heard:
		o.trust(ep)
	case splice.Idle:
		if cl.retired {
			o.drain = append(o.drain, ep)
		}
	}
	if len(e.line) > 0 && (what == splice.Idle || what == splice.Gone) {
		o.wake(ep)
	}
}

// Unasked counts what a server said unasked.
func (o *Offload) Unasked(_ sim.Cycle, ep splice.Endpoint, b []byte) {
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 408 ")) { // how some servers take their leave
		o.ends[ep].cl.c.CxProtocolError++
	}
}

// changed acts on a change of health: nothing is sent any more to endpoints that failed.
func (o *Offload) changed(cl *cluster, ch mesh.Change) {
	for _, h := range ch.Failed {
		ep := cl.ends[h.Place]
		o.ends[ep].drained++
		o.drain = append(o.drain, ep)
	}
	if ch.Due > 0 {
		cl.renewAt = o.cycles(ch.Due)
	}
}

// sweep does what is due of clusters: outlier detection's intervals, views.
func (o *Offload) sweep(now sim.Cycle) {
	for _, ep := range o.drain {
		o.engine.DropIdle(ep)
	}
	o.drain = o.drain[:0]
	for _, cl := range o.clusters {
		if cl.renewAt != 0 && now >= cl.renewAt {
			cl.renewAt = 0
			cl.health.Renew(o.elapsed(now))
		}
		if cl.sweepAt != 0 && now >= cl.sweepAt {
			cl.sweepAt = now + o.cycles(cl.health.Interval())
			o.changed(cl, cl.health.Sweep(o.elapsed(now), o.draw))
		}
	}
}

// nextSweep is when sweep has something to do, 0 for never.
func (o *Offload) nextSweep() sim.Cycle {
	if len(o.drain) > 0 {
		return max(o.now, 1)
	}
	var at sim.Cycle
	for _, cl := range o.clusters {
		for _, t := range [...]sim.Cycle{cl.renewAt, cl.sweepAt} {
			if t != 0 && (at == 0 || t < at) {
				at = t
			}
		}
	}
	return at
}

func (o *Offload) elapsed(now sim.Cycle) time.Duration { return o.cfg.Clock.Duration(now) }
