package mesh

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Host is an endpoint for as long as its cluster has it, and what is known of it.
// All who send requests to it share one.
type Host struct {
	Addr   netip.AddrPort
	Name   string // Endpoint.Hostname
	Weight uint32
	Place  int // among the endpoints of the cluster that it was first of

	found   string // Endpoint.found
	active  atomic.Int64
	down    atomic.Bool // the health checks say so
	leaving atomic.Bool // its name does not stand for it any more
	gone    bool        // the cluster has it no more
	suspect suspect
	checked checked
}

// Ejected reports whether the outlier detection has taken h out.
func (h *Host) Ejected() bool { return h.suspect.ejected.Load() }

// Down reports whether the health checks say that h is.
func (h *Host) Down() bool { return h.down.Load() }

// Leaving reports whether h's name does not stand for it any more: see Health.Stay.
func (h *Host) Leaving() bool { return h.leaving.Load() }

func (h *Host) healthy() bool { return !h.Ejected() && !h.Down() }

// Carry counts n requests more that are under way to h, which is what LeastRequest
// goes by.
func (h *Host) Carry(n int64) { h.active.Add(n) }

// newHosts returns the Hosts of c's endpoints, of which nothing is known.
func newHosts(c *CompiledCluster) []*Host {
	all := make([]*Host, len(c.Endpoints))
	for i := range all {
		all[i] = &Host{Addr: c.Endpoints[i], Weight: c.Weights[i], Place: i}
		if c.Hostnames != nil {
			all[i].Name, all[i].found = c.Hostnames[i], c.found[i]
		}
		all[i].down.Store(c.Check != nil)
		all[i].checked.failed = c.Check != nil
	}
	return all
}

// is reports whether h and x are the same endpoint.
func (h *Host) is(x *Host) bool {
	return h.Addr == x.Addr && h.Name == x.Name && h.found == x.found && h.Weight == x.Weight
}

// Follow puts c in the place of h's cluster, which differs in its endpoints alone.
// Those that both have stay the Hosts that they are, with all that is known of them.
// Which of them are healthy is seen at once, whatever the merge window.
func (h *Health) Follow(c *CompiledCluster, now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hosts, left := newHosts(c), slices.Clone(h.hosts)
	joined := false
	for i, x := range hosts {
		if at := slices.IndexFunc(left, x.is); at >= 0 {
			hosts[i] = left[at]
			left = slices.Delete(left, at, at+1)
		} else {
			joined = true
		}
	}
	if !joined && len(left) == 0 {
		return
	}
	for _, x := range left {
		x.gone = true
		if x.Ejected() {
			h.detector.counters.Active--
		}
	}
	h.c = c
	h.have(hosts)
	h.renew(now)
}

// Stay returns those of the addresses that were found by an Endpoint's Address that
// stay although they are not among addrs, the present answer. As in Envoy it is those
// that health checks find well, for as long as they do.
func (h *Health) Stay(address string, addrs []netip.Addr) (stay []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.hosts {
		if x.found != address || h.checker == nil {
			continue
		}
		listed := slices.Contains(addrs, x.Addr.Addr())
		x.leaving.Store(!listed && !x.Down())
		if x.Leaving() {
			stay = append(stay, x.Addr.Addr())
		}
	}
	return stay
}
