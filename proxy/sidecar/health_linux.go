package sidecar

import (
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// judge tells the outlier detection what came of a try.
func (d *downstream) judge(status int) {
	if d.endpoint == nil { // it was going there: there is no other
		return
	}
	l, w := d.cluster.limits, d.w
	w.s.changed(l, l.health.Answered(d.endpoint, status, time.Duration(w.now), w.draw))
}

// changed has all workers act upon a change of the health of l's cluster.
func (s *Server) changed(l *limits, c mesh.Change) {
	if c.Any() {
		s.spread(l, c)
	}
}

func (s *Server) spread(l *limits, c mesh.Change) {
	for _, w := range s.workers {
		w.post(func() {
			for _, cl := range w.clusters {
				if cl.limits == l {
					w.heed(cl, c)
				}
			}
		})
	}
}

// heed drains the connections to endpoints that have failed; the first worker sees
// to it that the others are told of the rest when that is due.
func (w *worker) heed(cl *cluster, c mesh.Change) {
	for _, h := range c.Failed {
		if p := cl.pools[h]; p != nil {
			p.drain()
		}
	}
	if c.Due == 0 || w.id != 0 {
		return
	}
	cl.renew.fire = func() { cl.limits.health.Renew(time.Duration(w.now)) }
	w.timers.set(&cl.renew, int64(c.Due))
}
