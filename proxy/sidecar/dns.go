package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	lookupTimeout = 5 * time.Second // of one question
	firstAnswers  = 5 * time.Second // how long names that are new hold up what they are for
)

// lookup is an endpoint of a cluster whose address is asked for.
type lookup struct {
	cluster, address string
	dns              mesh.DNS
}

// name is what is known of a lookup.
type name struct {
	stop  context.CancelFunc
	first chan struct{} // closed once there was an answer, or none could be had
	addrs []netip.Addr
}

// updates count what came of a cluster's lookups, by Envoy's names.
type updates struct{ attempt, success, failure, same, changed atomic.Uint64 }

// names resolves the names of the clusters, each in a goroutine of its own.
type names struct {
	s      *Server
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	patience time.Duration // with first answers

	mu     sync.Mutex
	of     map[lookup]*name
	counts map[string]*updates // by cluster
}

func newNames(s *Server) *names {
	n := &names{s: s, patience: firstAnswers, of: map[lookup]*name{}, counts: map[string]*updates{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// lookups lists those of cfg.
func lookups(cfg *mesh.Config) map[lookup]bool {
	all := map[lookup]bool{}
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		for j := range c.Endpoints {
			if c.DNS != nil {
				all[lookup{c.Name, c.Endpoints[j].Address, *c.DNS}] = true
			}
		}
	}
	return all
}

// begin starts the lookups of cfg, which is valid, that do not run yet, and waits
// for their first answers.
func (n *names) begin(cfg *mesh.Config) {
	var wait []*name
	n.mu.Lock()
	for k := range lookups(cfg) {
		if n.of[k] != nil {
			continue
		}
		if n.counts[k.cluster] == nil {
			n.counts[k.cluster] = &updates{}
		}
		ctx, stop := context.WithCancel(n.ctx)
		a := &name{stop: stop, first: make(chan struct{})}
		n.of[k] = a
		wait = append(wait, a)
		n.wg.Add(1)
		go n.run(ctx, k, a, n.counts[k.cluster])
	}
	n.mu.Unlock()
	late := time.NewTimer(n.patience)
	defer late.Stop()
	for _, a := range wait {
		select {
		case <-a.first:
		case <-late.C:
			return
		}
	}
}

// only ends the lookups that are not of cfg.
func (n *names) only(cfg *mesh.Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	stay, clusters := lookups(cfg), map[string]bool{}
	for k := range stay {
		clusters[k.cluster] = true
	}
	for k, a := range n.of {
		if !stay[k] {
			a.stop()
			delete(n.of, k)
		}
	}
	for c := range n.counts {
		if !clusters[c] {
			delete(n.counts, c)
		}
	}
}

// resolve is cfg with the addresses known so far.
func (n *names) resolve(cfg mesh.Config) mesh.Config {
	n.mu.Lock()
	defer n.mu.Unlock()
	return cfg.Resolved(func(c *mesh.Cluster, e *mesh.Endpoint) []netip.Addr {
		if a := n.of[lookup{c.Name, e.Address, *c.DNS}]; a != nil {
			return a.addrs
		}
		return nil
	})
}

// run asks for k's addresses until ctx ends.
func (n *names) run(ctx context.Context, k lookup, a *name, c *updates) {
	defer n.wg.Done()
	e := mesh.Endpoint{Address: k.address}
	host, _, _ := e.Host()
	next := time.NewTimer(0)
	defer next.Stop()
	answered, failing := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		c.attempt.Add(1)
		addrs, err := n.ask(ctx, host, k.dns.Family)
		if ctx.Err() != nil {
			return
		}
		changed := false
		if err != nil {
			c.failure.Add(1) // what was known stays
		} else {
			if stay := n.s.staying(k, addrs); stay != nil {
				addrs = append(addrs, stay...)
				slices.SortFunc(addrs, netip.Addr.Compare)
				addrs = slices.Compact(addrs)
			}
			n.mu.Lock()
			c.success.Add(1)
			if changed = !slices.Equal(a.addrs, addrs); changed {
				a.addrs = addrs
				c.changed.Add(1)
			} else {
				c.same.Add(1)
			}
			n.mu.Unlock()
		}
		if !answered {
			answered = true
			close(a.first)
		}
		if err != nil && !failing {
			n.s.log("sidecar: cluster %s: resolve %s: %v; asked again every %v\n", k.cluster, host, err, cmp.Or(k.dns.Refresh, mesh.DefaultRefresh))
		}
		if failing = err != nil; changed {
			n.s.renew()
		}
		next.Reset(cmp.Or(k.dns.Refresh, mesh.DefaultRefresh))
	}
}

// ask asks once. That there is no such name, or no address of it, is no error.
func (n *names) ask(ctx context.Context, host string, f mesh.Family) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	network := "ip"
	switch f {
	case mesh.FamilyV4:
		network = "ip4"
	case mesh.FamilyV6:
		network = "ip6"
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := n.s.opt.Resolve(ctx, network, host)
	var d *net.DNSError
	if errors.As(err, &d) && d.IsNotFound {
		return nil, nil
	}
	return f.Choose(addrs), err
}

// stats lists the counters.
func (n *names) stats() (out []mesh.Stat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, u := range n.counts {
		p := "cluster." + c + "."
		out = append(out,
			mesh.Stat{Name: p + "update_attempt", Value: u.attempt.Load()},
			mesh.Stat{Name: p + "update_success", Value: u.success.Load()},
			mesh.Stat{Name: p + "update_failure", Value: u.failure.Load()},
			mesh.Stat{Name: p + "update_empty"}, // Envoy counts an empty answer as a success
			mesh.Stat{Name: p + "update_no_rebuild", Value: u.same.Load()},
			mesh.Stat{Name: p + "membership_change", Value: u.changed.Load()},
		)
	}
	return out
}

// staying returns those of k's endpoints that stay though they are not in addrs, the
// present answer.
func (s *Server) staying(k lookup, addrs []netip.Addr) []netip.Addr {
	c := s.force.Load()
	if c == nil {
		return nil
	}
	for i := range c.table.Clusters {
		if c.table.Clusters[i].Name == k.cluster {
			return c.limits[i].health.Stay(k.address, addrs)
		}
	}
	return nil
}

func (s *Server) log(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.opt.Log, format, args...)
}

// renew puts the addresses known now in force, by way of a reload that leaves all
// else as it is: certificates are not read again.
func (s *Server) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.force.Load()
	if s.ending || old == nil {
		return
	}
	next, changed, err := old.renewed(s.names.resolve(old.cfg))
	if err == nil && len(changed) > 0 {
		err = s.install(next, old)
	}
	if err != nil {
		fmt.Fprintf(s.opt.Log, "sidecar: new addresses: %v\n", err)
		return
	}
	for _, i := range changed {
		fmt.Fprintf(s.opt.Log, "sidecar: cluster %s has %d endpoints now\n", next.table.Clusters[i].Name, len(next.table.Clusters[i].Endpoints))
	}
}
