package sidecar

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sort"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/admin"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// newAdmin makes the admin listener. A port that is taken is a failure.Conflict.
func newAdmin(s *Server, address string) (*admin.Server, error) {
	ln, err := net.Listen("tcp", address)
	what := fmt.Sprintf("sidecar: listen on %s for admin", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		why, next := "the address is in use", "stop its owner or choose another admin port"
		if pid, name := portOwner(netip.MustParseAddrPort(address)); pid != 0 {
			why = fmt.Sprintf("the address is in use by %s (pid %d)", name, pid)
			next = fmt.Sprintf("stop process %d or choose another admin port", pid)
		}
		return nil, &failure.Error{Kind: failure.Conflict, What: what, Why: why, Next: next, Err: err}
	}
	if err != nil {
		return nil, failure.Wrap(failure.Unexpected, err, what, "")
	}
	return admin.New(s, ln, s.opt.Log, admin.Page{Path: "/certs", Help: "print certs on machine", Serve: s.certs}), nil
}

// Config is the configuration in force, and since when it is.
func (s *Server) Config() (mesh.Config, time.Time) {
	c := s.force.Load()
	return c.cfg, c.since
}

// Info is what /server_info says.
func (s *Server) Info() admin.Info {
	return admin.Info{Node: s.force.Load().cfg.Node, Started: s.started, Concurrency: s.opt.Concurrency, DrainTime: s.opt.DrainTime}
}

// Listeners are the listeners in force.
func (s *Server) Listeners() (all []admin.Listener) {
	c := s.force.Load()
	for i, addr := range c.addrs {
		if !c.joins(i) {
			all = append(all, admin.Listener{Name: c.table.Listeners[i].Name, Addr: addr})
		}
	}
	return all
}

// Clusters are the clusters in force, with what the workers have counted of their
// endpoints.
func (s *Server) Clusters() (all []admin.Cluster) {
	hosts := map[*mesh.Host]*mesh.HostCounters{}
	counts := make([]map[*mesh.Host]mesh.HostCounters, len(s.workers))
	s.each(func(i int, w *worker) error { counts[i] = w.hosts(); return nil }, nil)
	for _, m := range counts {
		for k, h := range m {
			if hosts[k] == nil {
				hosts[k] = &mesh.HostCounters{}
			}
			hosts[k].Add(&h)
		}
	}
	c := s.force.Load()
	for i := range c.table.Clusters {
		cl := admin.Cluster{Name: c.table.Clusters[i].Name, Breakers: c.table.Clusters[i].Breakers}
		for _, x := range c.limits[i].health.Hosts() {
			h := admin.Host{Host: x}
			if n := hosts[x]; n != nil {
				h.Counters = *n
			}
			cl.Hosts = append(cl.Hosts, h)
		}
		all = append(all, cl)
	}
	return all
}

// Stats returns the counters of all workers added up, in the order of their
// names. Each worker's are from one moment between two of its rounds.
func (s *Server) Stats() []mesh.Stat {
	sum := map[string]*mesh.Stat{}
	add := func(stats []mesh.Stat) {
		for _, st := range stats {
			if t := sum[st.Name]; t != nil {
				t.Value += st.Value
			} else {
				sum[st.Name] = &st
			}
		}
	}
	for _, w := range s.workers {
		done := make(chan []mesh.Stat, 1)
		w.post(func() { done <- w.stats() })
		add(<-done)
	}
	force := s.force.Load()
	for i := range force.limits {
		cluster := force.table.Clusters[i].Name
		add(force.limits[i].stats(nil, cluster, func(name string) uint64 {
			if st := sum["cluster."+cluster+"."+name]; st != nil {
				return st.Value
			}
			return 0
		}))
	}
	add(s.logCounters.Stats())
	add(s.names.stats())
	add(admin.ServerStats(s))
	out := make([]mesh.Stat, 0, len(sum))
	for _, st := range sum {
		out = append(out, *st)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
