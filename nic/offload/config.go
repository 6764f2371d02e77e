package offload

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// listener is a listener with its counters.
type listener struct {
	t         *mesh.CompiledListener
	from      *mesh.Listener // what t was made of
	name      string         // its address as it stands in stat names
	c         *mesh.ListenerCounters
	clusters  []*cluster // by the index that t's routes know
	bucket    *mesh.Bucket
	faults    *mesh.ActiveFaults
	sinks     []*accesslog.Sink // by t's access logs
	drainFrom sim.Cycle         // when it was taken away, 0 if it was not
	outdated  bool              // a reload has come since: there may be another of its address

	stands  bool   // before the host that has its address
	reason  Reason // why its connections fall back
	sidecar splice.Endpoint
}

// prepared is a configuration that can be put in force.
type prepared struct {
	cfg   mesh.Config
	table *mesh.Table
	files accesslog.Files
	sources
}

// prepare makes cfg ready to be adopted. It touches nothing that the NIC's thread
// does, and may be called beside it.
func (o *Offload) prepare(cfg mesh.Config) (*prepared, error) {
	table, err := mesh.Compile(cfg)
	if err != nil {
		return nil, err
	}
	p := &prepared{cfg: cfg, table: table, sources: sourcesOf(table, o.cfg.Source)}
	if len(table.Listeners) == 0 {
		return nil, errors.New("offload: no listener: there is no address to answer for")
	}
	if !o.cfg.Fallback.Addr.IsValid() {
		for i := range table.Listeners {
			if r := ListenerReason(table, i); r != byNothing {
				return nil, refuse("listener "+table.Listeners[i].Name, r)
			}
		}
		for i := range table.Clusters {
			if r := ClusterReason(&table.Clusters[i], &cfg.Clusters[i], p.sources); r != byNothing {
				return nil, refuse("cluster "+table.Clusters[i].Name, r)
			}
		}
	}
	for i := range table.Listeners {
		t := &table.Listeners[i]
		if to := o.cfg.Fallback.instead(t.Address); to.IsValid() && p.sources.before(t, to.Addr()) == [16]byte{} {
			return nil, failure.New(failure.BadFile, "offload: listener "+t.Name, fmt.Sprintf("no address is the NIC's own, from which it could connect to the host sidecar at %v", to), ownAddress)
		}
	}
	p.files, err = accesslog.OpenAll(&cfg, o.files, o.cfg.LogFlush, &o.logs)
	return p, err
}

// adopt puts p in force: the requests that begin from now on go by it. Connections
// stay, and so do clusters that are the same with all that is known of them.
func (o *Offload) adopt(p *prepared) {
	before := o.listeners
	o.listeners, o.byAddr, o.owned, o.sources = nil, map[splice.Addr]*listener{}, map[[16]byte]bool{}, p.sources
	for i := range p.table.Listeners {
		t := &p.table.Listeners[i]
		a := addrOf(t.Address)
		l := &listener{t: t, from: &p.cfg.Listeners[i], name: strings.ReplaceAll(t.Address.String(), ":", "_"), c: new(mesh.ListenerCounters)}
		l.reason, l.stands = ListenerReason(p.table, i), stands(t)
		l.sinks = o.sinks.Of(t.Logs, p.files)
		o.inherit(l, before)
		o.listeners = append(o.listeners, l)
		o.byAddr[a] = l
		if !l.stands {
			o.owned[a.IP] = true
		}
	}
	for _, a := range p.sources {
		if a != [16]byte{} {
			o.owned[a] = true
		}
	}
	var clusters []*cluster
	for i := range p.table.Clusters {
		clusters = append(clusters, o.cluster(&p.table.Clusters[i], &p.cfg.Clusters[i]))
	}
	for _, cl := range o.clusters {
		if !contains(clusters, cl) {
			cl.retired = true
			o.replaced = append(o.replaced, cl)
			o.drain = append(o.drain, cl.ends...)
		}
	}
	o.clusters = clusters

	for _, l := range o.listeners {
		l.clusters = clusters
	}
	for _, was := range before {
		was.outdated = true
		if o.byAddr[addrOf(was.t.Address)] == nil {
			was.drainFrom = max(o.now, 1)
			o.retired = append(o.retired, was)
			if a := addrOf(was.t.Address); !was.stands {
				o.owned[a.IP] = true // for the connections that are there
			}
		}
	}
	for _, l := range o.listeners {
		if o.cfg.Fallback.Addr.IsValid() {
			o.fallsBack(l)
		}
	}
	for i := range o.ends {
		e := &o.ends[i]
		l := o.byAddr[e.addr]
		switch e.front = nil; {
		case l == nil:
		case l.reason == byNothing:
			e.front = l
		case e.cl != o.sidecar: // that one's proxy is the host sidecar
			e.addr = o.ends[l.sidecar].addr
			o.engine.SetEndpoint(splice.Endpoint(i), e.addr, e.from)
			e.known = false
			o.want(splice.Endpoint(i))
		}
	}
	o.prune()
	old := o.files
	o.files = p.files
	old.Close(p.files)
}

// inherit gives l what the listener before it at its address leaves to it.
func (o *Offload) inherit(l *listener, before []*listener) {
	for _, f := range l.t.Filters {
		if f.Limit != nil {
			l.bucket = mesh.NewBucket(f.Limit.RateLimit)
		}
	}
	l.faults = new(mesh.ActiveFaults)
	for _, was := range before {
		if was.t.StatPrefix == l.t.StatPrefix {
			l.faults = was.faults
		}
		if was.t.Address != l.t.Address {
			continue
		}
		if was.t.StatPrefix == l.t.StatPrefix {
			l.c = was.c
		}
		if !was.t.LimitedAs(l.t) {
			l.c.Limit = mesh.LimitCounters{} // they had another name
		}
		if reflect.DeepEqual(was.from, l.from) && was.bucket != nil {
			l.bucket = was.bucket
		}
	}
}

// cluster returns what there is of t, which was made of from: the one of before, if
// nothing of it has changed, or one that takes over its counters.
func (o *Offload) cluster(t *mesh.CompiledCluster, from *mesh.Cluster) *cluster {
	for _, old := range o.clusters {
		if reflect.DeepEqual(old.from, from) {
			return old
		}
	}
	cl := o.newCluster(t, from)
	for _, was := range [][]*cluster{o.replaced, o.clusters} {
		for _, old := range was {
			if old.t.Name == t.Name {
				cl.c = old.c
			}
		}
	}
	return cl
}

func contains(all []*cluster, cl *cluster) bool {
	for _, c := range all {
		if c == cl {
			return true
		}
	}
	return false
}

// prune forgets what nobody uses any more.
func (o *Offload) prune() {
	var inUse [][]*accesslog.Sink
	left := o.retired[:0]
	for _, l := range o.retired {
		if l.c.CxActive > 0 {
			left = append(left, l)
			inUse = append(inUse, l.sinks)
		}
	}
	o.retired = left
	for _, l := range o.listeners {
		inUse = append(inUse, l.sinks)
	}
	o.sinks.Keep(inUse...)
	busy := o.replaced[:0]
	for _, cl := range o.replaced {
		if cl.requests+cl.pending+cl.connections > 0 || o.refers(cl) {
			busy = append(busy, cl)
			continue
		}
		for _, ep := range cl.ends {
			o.ends[ep] = end{quiet: true}
			o.spare = append(o.spare, ep)
		}
	}
	o.replaced = busy
}

// refers reports whether a request may go to cl yet.
func (o *Offload) refers(cl *cluster) bool {
	for _, f := range o.all() {
		if !f.active {
			continue
		}
		for i := range f.n {
			if leg := &f.legs[i]; leg.cl == cl || leg.dest == cl {
				return true
			}
		}
	}
	return false
}
