package offload

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/admin"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Admin is what others than the NIC's thread do with an Offload: the admin listener
// of its bootstrap file, and reloads. It is an admin.Proxy.
type Admin struct {
	o       *Offload
	do      func(f func()) error // on the NIC's thread
	started time.Time
	state   atomic.Uint32
	reloads sync.Mutex // one at a time

	mu    sync.Mutex // of the rest
	cfg   mesh.Config
	since time.Time
	srv   *admin.Server // nil for none
}

// NewAdmin listens at the admin address of o's configuration, if that has one. do has
// the thread that o is on call a function, and waits for it. Errors go to log. A port
// that is taken is a failure.Conflict. Nothing is answered before Start.
func NewAdmin(o *Offload, do func(f func()) error, log io.Writer) (*Admin, error) {
	now := time.Now()
	a := &Admin{o: o, do: do, started: now, cfg: o.cfg.Mesh, since: now}
	if a.cfg.Admin == "" {
		return a, nil
	}
	ln, err := net.Listen("tcp", a.cfg.Admin)
	if err != nil {
		return nil, failure.Wrap(failure.Conflict, err, "offload: listen on "+a.cfg.Admin+" for admin", "choose another admin address; it is one of this host's, not of the NIC's")
	}
	a.srv = admin.New(a, ln, log)
	return a, nil
}

// Addr is where the admin listener is, nil if there is none.
func (a *Admin) Addr() net.Addr {
	if a.srv == nil {
		return nil
	}
	return a.srv.Addr()
}

// Start begins to answer. The NIC has to run.
func (a *Admin) Start() {
	if a.srv != nil {
		a.srv.Start()
	}
}

// Close ends the admin listener. The NIC has to run still, for those who wait for an answer.
func (a *Admin) Close() {
	if a.srv != nil {
		a.srv.Close()
	}
}

// Reload puts cfg in force instead of the configuration so far, without dropping a
// request: requests under way end by the routes that they began with, the next ones,
// on the same connections too, go by the new. The admin address stays.
func (a *Admin) Reload(cfg mesh.Config) error {
	a.reloads.Lock()
	defer a.reloads.Unlock()
	p, err := a.o.prepare(cfg)
	if err != nil {
		return err
	}
	if err := a.do(func() { a.o.adopt(p) }); err != nil {
		p.files.Close(a.o.files)
		return fmt.Errorf("offload: reload: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cfg, a.since = cfg, time.Now()
	return nil
}

// State is what /ready says.
func (a *Admin) State() admin.State { return admin.State(a.state.Load()) }

// FailHealthcheck makes /ready say that no requests should come any more, and
// responses ask for the close of their connection; or takes that back.
func (a *Admin) FailHealthcheck(fail bool) {
	state := admin.Live
	if fail {
		state = admin.Draining
	}
	a.state.Store(uint32(state))
	a.do(func() { a.o.failing = fail })
}

// DrainListeners has responses ask for the close of their connection, more and more of
// them as Config.DrainTime passes, and takes no new connections: at once, or if graceful
// at the end of that time.
func (a *Admin) DrainListeners(graceful bool) {
	a.do(func() {
		o := a.o
		if o.drainFrom == 0 {
			o.drainFrom = max(o.now, 1)
		}
		o.closeAt = max(o.now, 1)
		if graceful {
			o.closeAt = o.drainFrom + o.cycles(o.cfg.DrainTime)
		}
	})
}

// Stats lists all counters, in the order of their names.
func (a *Admin) Stats() (out []mesh.Stat) {
	a.do(func() { out = a.o.Stats() })
	out = append(out, admin.ServerStats(a)...)
	slices.SortStableFunc(out, func(x, y mesh.Stat) int { return cmp.Compare(x.Name, y.Name) })
	n := 0
	for _, s := range out { // listeners may share a prefix
		if n > 0 && out[n-1].Name == s.Name {
			out[n-1].Value += s.Value
			continue
		}
		out[n] = s
		n++
	}
	return out[:n]
}

// Clusters are the clusters in force.
func (a *Admin) Clusters() (all []admin.Cluster) {
	a.do(func() {
		for _, cl := range a.o.clusters {
			c := admin.Cluster{Name: cl.t.Name, Breakers: cl.t.Breakers}
			for _, h := range cl.health.Hosts() {
				c.Hosts = append(c.Hosts, admin.Host{Host: h, Counters: a.o.ends[cl.ends[h.Place]].hs})
			}
			all = append(all, c)
		}
	})
	return all
}

// Listeners are the listeners in force, those that fall back too.
func (a *Admin) Listeners() (all []admin.Listener) {
	a.do(func() {
		for _, l := range a.o.listeners {
			all = append(all, admin.Listener{Name: l.t.Name, Addr: l.t.Address})
		}
	})
	return all
}

// Config is the configuration in force, and since when it is.
func (a *Admin) Config() (mesh.Config, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg, a.since
}

// Info is what /server_info says: there is one thread.
func (a *Admin) Info() admin.Info {
	cfg, _ := a.Config()
	return admin.Info{Node: cfg.Node, Started: a.started, Concurrency: 1, DrainTime: a.o.cfg.DrainTime}
}
