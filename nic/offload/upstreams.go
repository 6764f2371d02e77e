package offload

import (
	"time"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// cluster is a cluster with all that changes.
type cluster struct {
	t        *mesh.CompiledCluster
	c        mesh.ClusterCounters
	health   *mesh.Health
	balancer *mesh.Balancer
	ends     map[*mesh.Host]splice.Endpoint

	sweepAt sim.Cycle // of the outlier detection

	connections, requests, pending, retries int64
}

// end is an endpoint: one place of one cluster.
type end struct {
	cl    *cluster
	host  *mesh.Host
	addr  splice.Addr
	from  [16]byte  // what connections to it come from
	front *listener // of that address, if there is one
	known bool      // next is
	next  splice.Neighbour
}

// upstreams numbers the endpoints of all clusters. Connections to them come from
// the first listener's address of the same family.
func (o *Offload) upstreams() {
	for i := range o.table.Clusters {
		t := &o.table.Clusters[i]
		cl := &cluster{t: t, health: mesh.NewHealth(t), ends: map[*mesh.Host]splice.Endpoint{}}
		cl.balancer = mesh.NewBalancer(cl.health.View(), o.cfg.Seed)
		o.clusters = append(o.clusters, cl)
		for _, h := range cl.health.Hosts() {
			a := h.Addr
			e := end{cl: cl, host: h, addr: addrOf(a)}
			cl.ends[h] = splice.Endpoint(len(o.ends))
			for _, l := range o.listeners {
				if l.t.Address.Addr().Is4() == a.Addr().Is4() {
					e.from = l.t.Address.Addr().As16()
					break
				}
			}
			e.front = o.byAddr[e.addr]
			o.engine.SetEndpoint(splice.Endpoint(len(o.ends)), e.addr, e.from)
			o.ends = append(o.ends, e)
			o.neighbours.open++
		}
	}
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
	c := &o.ends[ep].cl.c
	cl := o.ends[ep].cl
	switch what {
	case splice.Dialed:
		c.CxTotal++
		c.CxActive++
		cl.connections++
	case splice.Gone:
		c.CxActive--
		c.CxDestroy++
		cl.connections--
	case splice.GoneIdle:
		c.CxDestroyRemote++
	}
}

// changed acts on a change of health: nothing is sent any more to endpoints that failed.
func (o *Offload) changed(cl *cluster, ch mesh.Change) {
	for _, h := range ch.Failed {
		o.drain = append(o.drain, cl.ends[h])
	}
	if ch.Due > 0 {
		at := o.now + o.cycles(ch.Due)
		if o.renewAt == 0 || at < o.renewAt {
			o.renewAt = at
		}
	}
}

// sweep does what is due of clusters: outlier detection's intervals, views.
func (o *Offload) sweep(now sim.Cycle) {
	for _, ep := range o.drain {
		o.engine.DropIdle(ep)
	}
	o.drain = o.drain[:0]
	if o.renewAt != 0 && now >= o.renewAt {
		o.renewAt = 0
		for _, cl := range o.clusters {
			cl.health.Renew(o.elapsed(now))
		}
	}
	for _, cl := range o.clusters {
		every := cl.health.Interval()
		if every <= 0 {
			continue
		}
		if cl.sweepAt == 0 {
			cl.sweepAt = now + o.cycles(every)
		} else if now >= cl.sweepAt {
			cl.sweepAt = now + o.cycles(every)
			o.changed(cl, cl.health.Sweep(o.elapsed(now), o.draw))
		}
	}
}

func (o *Offload) elapsed(now sim.Cycle) time.Duration { return o.cfg.Clock.Duration(now) }
