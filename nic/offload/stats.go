package offload

import (
	"maps"
	"slices"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Counters are those of the splice and, under Envoy's stat names, of the proxy.
func (o *Offload) Counters() map[string]uint64 {
	all := map[string]uint64{"splice.conns": uint64(o.engine.Conns()), "splice.held": uint64(o.engine.Held()), "neighbours.gone": o.gone}
	c := o.engine.Counters()
	c.Each(func(name string, v uint64) { all["splice."+name] = v })
	for _, s := range o.Stats() { // listeners may share a prefix
		all[s.Name] += s.Value
	}
	return all
}

// Stats lists the counters of listeners, clusters and access logs, as the sidecar
// does.
func (o *Offload) Stats() (out []mesh.Stat) {
	o.prune()
	for _, all := range [][]*listener{o.listeners, o.retired} {
		for _, l := range all {
			out = l.c.Stats(out, l.t, l.name)
		}
	}
	for _, cl := range o.clusters {
		out = cl.c.Stats(out, cl.t.Name)
		out = cl.health.Stats(out)
		out = cl.t.Breakers.Stats(out, cl.t.Name, cl.use())
	}
	for _, cl := range o.replaced {
		shared := false
		for _, x := range o.clusters {
			shared = shared || x.c == cl.c
		}
		if !shared {
			out = cl.c.Stats(out, cl.t.Name)
		}
	}
	for _, r := range slices.Sorted(maps.Keys(o.fallbacks)) {
		out = append(out, mesh.Stat{Name: fallbackName(r), Value: o.fallbacks[r]})
	}
	return append(out, o.logs.Stats()...)
}

// use is what is in use of cl's circuit breakers.
func (c *cluster) use() mesh.BreakerUse {
	return mesh.BreakerUse{
		Connections: c.connections, Pools: c.pools, Pending: c.pending, Requests: c.requests, Retries: c.retries,
		Connected: c.c.CxTotal > 0, Retried: c.retries > 0 || c.c.RqRetry > 0, Wanted: c.c.RqRetryOverflow > 0,
	}
}
