package sidecar

import (
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// filtering is what the filters of a request work with: those of the configuration
// that it began with, whatever is in force when one of them lets it go on.
type filtering struct {
	list   []mesh.CompiledFilter
	bucket *mesh.Bucket
	faults *mesh.ActiveFaults
}

// filter has the request with head h go through the filters from one of them on. It
// reports whether they let it pass: if not, one of them has answered, or holds it.
func (d *downstream) filter(h *http1.Head, f filtering, from int) bool {
	w, c := d.w, d.l.c
	for i := from; i < len(f.list); i++ {
		switch x := &f.list[i]; {
		case x.Limit != nil:
			if r := x.Limit.Allow(f.bucket, w.now, w.draw, &c.Limit); r != nil {
				d.turnAway(h, r)
				return false
			}
		case x.Fault != nil:
			fault := x.Fault.For(d.route)
			cluster := ""
			if fault.Cluster != "" && d.route != nil && d.route.Forwards() {
				cluster = d.destination().t.Name
			}
			delay, r := fault.Begin(h, cluster, f.faults, w.draw, &c.Fault)
			if r != nil {
				fault.End(f.faults, &c.Fault) // before the answer: behind it the next request may begin
				d.turnAway(h, r)
				return false
			}
			if delay > 0 {
				d.hold(h, f, i, fault, delay)
				return false
			}
		}
	}
	return true
}

// turnAway answers the request with head h in the stead of its route.
func (d *downstream) turnAway(h *http1.Head, r *mesh.Reply) {
	if h.Method == http1.MethodConnect {
		d.phase = phaseBody // what follows has no end
	}
	d.noteUnrouted(h)
	d.reply(r)
}

// noteUnrouted notes the head of a request that is not with the router, and where
// that would send it.
func (d *downstream) noteUnrouted(h *http1.Head) {
	d.note(h)
	if d.e != nil && d.route != nil && d.route.Forwards() {
		d.e.Cluster = d.destination().t.Name
	}
}

// destination is the cluster that the request's route sends it to. It is chosen
// once.
func (d *downstream) destination() *cluster {
	if d.dest == nil {
		n, as := d.route.Toward(d.w.draw)
		d.dest, d.route = d.l.clusters[n], as
	}
	return d.dest
}
