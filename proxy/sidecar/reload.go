package sidecar

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// config is one version of the configuration: what all workers share of it.
type config struct {
	cfg     mesh.Config
	found   mesh.Config // cfg with addresses in the place of names
	table   *mesh.Table
	limits  []*limits            // by cluster; the very same as before if the cluster is
	addrs   []netip.AddrPort     // by listener, with the ports the system chose
	down    []*tlsContext        // by listener
	up      []*tlsContext        // by cluster
	buckets []*mesh.Bucket       // by listener, nil where no rate is limited
	faults  []*mesh.ActiveFaults // by listener; the same where the counters have the same name
	logs    accesslog.Files      // by path
	since   time.Time
}

// bound returns the address of the sockets that l can take over from c.
func (c *config) bound(l *mesh.CompiledListener) (netip.AddrPort, bool) {
	if c == nil {
		return l.Address, false
	}
	for i, addr := range c.addrs {
		was := &c.table.Listeners[i]
		if was.Intercept.Unbound != l.Intercept.Unbound || was.Intercept.Transparent != l.Intercept.Transparent {
			continue
		}
		if addr == l.Address || was.Address == l.Address && was.Name == l.Name {
			return addr, true
		}
	}
	return l.Address, false
}

// joins reports whether listener i is another filter chain of the one before it.
func (c *config) joins(i int) bool {
	all := c.table.Listeners
	return i > 0 && all[i].Name == all[i-1].Name && all[i].Address == all[i-1].Address
}

// compile prepares cfg, with the addresses that names knows, to follow old, which is
// nil at first.
func compile(cfg mesh.Config, names *names, old *config) (*config, error) {
	err := cfg.Validate()
	var table *mesh.Table
	var found mesh.Config
	if err == nil {
		names.begin(&cfg)
		found = names.resolve(cfg)
		table, err = mesh.Compile(found)
	}
	if err != nil {
		return nil, failure.Wrap(failure.BadFile, err, "sidecar: configuration", "correct the named fields")
	}
	c := &config{cfg: cfg, found: found, table: table, since: time.Now()}
	for i := range table.Listeners {
		t, err := serverContext(fmt.Sprintf("listeners[%d].tls", i), table.Listeners[i].TLS)
		if err != nil {
			return nil, err
		}
		c.down = append(c.down, t)
		c.buckets = append(c.buckets, bucketOf(&cfg.Listeners[i], old))
		c.faults = append(c.faults, c.faultsOf(table.Listeners[i].StatPrefix, old))
	}
	for i := range table.Clusters {
		t, err := clientContext(fmt.Sprintf("clusters[%d].tls", i), table.Clusters[i].TLS, len(table.Clusters[i].Endpoints))
		if err != nil {
			return nil, err
		}
		c.up = append(c.up, t)
		l := newLimits(&table.Clusters[i])
		if old != nil {
			for j := range old.cfg.Clusters {
				if reflect.DeepEqual(old.cfg.Clusters[j], cfg.Clusters[i]) && t.same(old.up[j]) {
					l, c.up[i] = old.limits[j], old.up[j]
				}
			}
		}
		c.limits = append(c.limits, l)
	}
	return c, nil
}

// bucketOf is the bucket of l's rate limit, nil if it has none. It is the one of
// before if nothing of l has changed.
func bucketOf(l *mesh.Listener, old *config) *mesh.Bucket {
	for _, f := range l.Filters {
		if f.RateLimit == nil {
			continue
		}
		if old != nil {
			for i := range old.cfg.Listeners {
				if reflect.DeepEqual(&old.cfg.Listeners[i], l) {
					return old.buckets[i]
				}
			}
		}
		return mesh.NewBucket(f.RateLimit)
	}
	return nil
}

// faultsOf are the active faults of listeners with the prefix, of which c has some
// so far. They outlive a reload.
func (c *config) faultsOf(prefix string, old *config) *mesh.ActiveFaults {
	for _, c := range []*config{c, old} {
		if c == nil {
			continue
		}
		for i, f := range c.faults {
			if c.table.Listeners[i].StatPrefix == prefix {
				return f
			}
		}
	}
	return new(mesh.ActiveFaults)
}

// renewed is c with the addresses of found, and which clusters differ.
func (c *config) renewed(found mesh.Config) (next *config, changed []int, err error) {
	table, err := mesh.Compile(found)
	if err != nil {
		return nil, nil, err
	}
	next = &config{cfg: c.cfg, found: found, table: table, limits: c.limits, down: c.down, up: c.up, buckets: c.buckets, faults: c.faults, logs: c.logs, since: c.since}
	for i := range table.Clusters {
		if !reflect.DeepEqual(c.found.Clusters[i], found.Clusters[i]) {
			changed = append(changed, i)
		}
	}
	return next, changed, nil
}

// Reload puts cfg in force instead of the configuration so far, without dropping
// a request. Requests under way end by the routes they began with; the next ones,
// on new connections and on old ones, go by the new. Listeners whose address is
// the same keep their sockets, clusters that are the same their connections; a
// listener that is gone drains for Options.DrainTime. Addresses of names that stay
// are those known so far; for names that are new it waits, for at most 5 s. Each worker changes over
// between two of its rounds. If cfg is wrong or an address cannot be had, the
// error says so and nothing has changed.
func (s *Server) Reload(cfg mesh.Config) error {
	s.rotate() // so that new secrets end no listener; what is wrong with them is said below
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return errors.New("sidecar: reload: is ending")
	}
	old := s.force.Load()
	defer func() { // if it fails, those that cfg alone has are ended
		c := s.force.Load().cfg
		s.names.only(&c)
	}()
	next, err := compile(cfg, s.names, old)
	if err != nil {
		return err
	}
	a := s.admin.Load()
	if old.cfg.Admin != cfg.Admin {
		if a = nil; cfg.Admin != "" {
			if a, err = newAdmin(s, cfg.Admin); err != nil {
				return err
			}
		}
	}
	if next.logs, err = accesslog.OpenAll(&cfg, old.logs, s.opt.LogFlush, &s.logCounters); err != nil {
		if a != nil && a != s.admin.Load() {
			a.Close()
		}
		return err
	}
	if err := s.install(next, old); err != nil {
		next.logs.Close(old.logs)
		if a != nil && a != s.admin.Load() {
			a.Close()
		}
		return err
	}
	if was := s.admin.Swap(a); was != a {
		if a != nil && s.running {
			a.Start()
		}
		if was != nil {
			was.Close()
		}
	}
	old.logs.Close(next.logs)
	s.reloads.Add(1)
	return nil
}

// install opens the sockets that next needs and old had not, and has every worker
// adopt next.
func (s *Server) install(next, old *config) error {
	fds := make([]map[int]int, len(s.workers))
	for i := range fds {
		fds[i] = map[int]int{}
	}
	for i := range next.table.Listeners {
		l := &next.table.Listeners[i]
		addr, kept := old.bound(l)
		if next.joins(i) {
			addr = next.addrs[i-1]
		} else if !kept && !l.Intercept.Unbound {
			for j := range s.workers {
				fd, bound, err := listen(addr, l, len(s.workers) > 1, j == 0)
				if err != nil {
					closeAll(fds)
					return err
				}
				addr, fds[j][i] = bound, fd
			}
		}
		next.addrs = append(next.addrs, addr)
	}
	for i, l := range next.limits {
		l.health.Follow(&next.table.Clusters[i], time.Since(s.started))
	}
	var failed error
	s.each(func(i int, w *worker) error { return w.adopt(next, fds[i]) }, &failed)
	s.force.Store(next)
	for i, addr := range next.addrs {
		if _, kept := old.bound(&next.table.Listeners[i]); !kept && !next.joins(i) && !next.table.Listeners[i].Intercept.Unbound {
			fmt.Fprintf(s.opt.Log, "sidecar: %s listens on %v\n", next.table.Listeners[i].Name, addr)
		}
	}
	return failed
}

// each runs f for every worker, on the worker's thread, and waits.
func (s *Server) each(f func(i int, w *worker) error, failed *error) {
	done := make(chan error, len(s.workers))
	for i, w := range s.workers {
		w.post(func() { done <- f(i, w) })
	}
	for range s.workers {
		if err := <-done; err != nil && failed != nil {
			*failed = errors.Join(*failed, err)
		}
	}
}
