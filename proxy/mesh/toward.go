package mesh

import "fmt"

// Toward is the index into Table.Clusters of the cluster that a request goes to, and
// the route as it is for requests to that one; draw gives a number by chance.
func (r *RouteEntry) Toward(draw func() uint64) (cluster int, as *RouteEntry) {
	i := r.pick(draw)
	switch {
	case i < 0:
		return r.cluster, r
	case r.toward == nil:
		return r.clusters[i].cluster, r
	}
	return r.clusters[i].cluster, &r.toward[i]
}

// Differs reports whether Toward returns other routes than r.
func (r *RouteEntry) Differs() bool { return r.toward != nil }

// compileToward makes a route of r, which is otherwise complete, for each of c's
// weighted clusters, if one of them has something of its own.
func (r *RouteEntry) compileToward(c *Route, v *VirtualHost, l *Listener) {
	own := false
	for i := range c.Clusters {
		own = own || c.Clusters[i].differs()
	}
	if !own {
		return
	}
	all := make([]RouteEntry, len(c.Clusters))
	for i := range c.Clusters {
		w, x := &c.Clusters[i], &all[i]
		*x = *r
		x.request = compileMutations(&w.Mutate.Request, &c.Mutate.Request, &v.Mutate.Request, &l.Mutate.Request)
		x.response = compileMutations(&w.Mutate.Response, &c.Mutate.Response, &v.Mutate.Response, &l.Mutate.Response)
		x.Formats = formatted(x.request) || formatted(x.response)
		if w.Host != "" {
			x.host, x.silent = []byte(w.Host), true
		}
	}
	r.toward = all
}

func (w *WeightedCluster) differs() bool {
	m := &w.Mutate
	return w.Host != "" || len(m.Request.Add)+len(m.Request.Remove)+len(m.Response.Add)+len(m.Response.Remove) > 0
}

func (v *validator) toward(path string, r *Route) {
	for i := range r.Clusters {
		w := &r.Clusters[i]
		p := fmt.Sprintf("%s.weighted_clusters[%d]", path, i)
		v.mutations(p+".mutate_headers", &w.Mutate)
		v.rewrite(p, &Rewrite{Host: w.Host})
		if w.Host != "" && r.Rewrite.changesHost() {
			v.fail(p+".host_rewrite_literal", "is given, and a rewrite of the route's host as well, want one of them")
		}
	}
}
