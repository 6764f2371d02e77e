package sidecar

import "github.com/meshnic/meshnic/proxy/http1"

// filtered has the request with head h go through the filters. It reports whether
// one of them has answered.
func (d *downstream) filtered(h *http1.Head) bool {
	w := d.w
	for i := range d.l.t.Filters {
		if f := &d.l.t.Filters[i]; f.Limit != nil {
			if r := f.Limit.Allow(d.l.bucket, w.now, w.draw, &d.l.c.Limit); r != nil {
				if h.Method == http1.MethodConnect {
					d.phase = phaseBody // what follows has no end
				}
				d.note(h)
				if d.e != nil && d.route != nil && d.route.Forwards() {
					d.e.Cluster = d.l.clusters[d.route.Cluster(w.draw)].t.Name
				}
				d.reply(r)
				return true
			}
		}
	}
	return false
}
