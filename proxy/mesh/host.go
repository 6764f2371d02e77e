package mesh

import (
	"net/netip"
	"sync/atomic"
)

// Host is an endpoint for as long as its cluster has it, and what is known of it.
// All who send requests to it share one.
type Host struct {
	Addr   netip.AddrPort
	Name   string // what it was found by, or is called in the file
	Weight uint32

	active  atomic.Int64
	down    atomic.Bool // the health checks say so
	gone    bool        // the cluster has it no more
	suspect suspect
	checked checked
}

// Ejected reports whether the outlier detection has taken h out.
func (h *Host) Ejected() bool { return h.suspect.ejected.Load() }

// Down reports whether the health checks say that h is.
func (h *Host) Down() bool { return h.down.Load() }

func (h *Host) healthy() bool { return !h.Ejected() && !h.Down() }

// Carry counts n requests more that are under way to h, which is what LeastRequest
// goes by.
func (h *Host) Carry(n int64) { h.active.Add(n) }

// newHosts returns the Hosts of c's endpoints, of which nothing is known.
func newHosts(c *CompiledCluster) []*Host {
	all := make([]*Host, len(c.Endpoints))
	for i := range all {
		all[i] = &Host{Addr: c.Endpoints[i], Weight: c.Weights[i]}
		all[i].down.Store(c.Check != nil)
		all[i].checked.failed = c.Check != nil
	}
	return all
}
