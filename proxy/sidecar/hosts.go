package sidecar

import (
	"fmt"
	"io"
	"regexp"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// hostStats count what happens to one endpoint, in one worker or in all. The
// names are those of Envoy's /clusters.
type hostStats struct {
	cxActive, cxConnectFail, cxTotal                                  uint64
	rqActive, rqError, rqPendingActive, rqSuccess, rqTimeout, rqTotal uint64
}

func (h *hostStats) add(o *hostStats) {
	a, b := h.all(), o.all()
	for i := range a {
		*a[i].n += *b[i].n
	}
}

type hostStat struct {
	name  string
	n     *uint64
	gauge bool
}

// all lists them in the order of Envoy's text.
func (h *hostStats) all() [9]hostStat {
	return [9]hostStat{
		{"cx_active", &h.cxActive, true}, {"cx_connect_fail", &h.cxConnectFail, false}, {"cx_total", &h.cxTotal, false},
		{"rq_active", &h.rqActive, true}, {"rq_error", &h.rqError, false}, {"rq_pending_active", &h.rqPendingActive, true},
		{"rq_success", &h.rqSuccess, false}, {"rq_timeout", &h.rqTimeout, false}, {"rq_total", &h.rqTotal, false},
	}
}

// hosts adds up what the workers have counted.
func (s *Server) hosts() map[*mesh.Host]*hostStats {
	all := map[*mesh.Host]*hostStats{}
	counts := make([]map[*mesh.Host]hostStats, len(s.workers))
	s.each(func(i int, w *worker) error { counts[i] = w.hosts(); return nil }, nil)
	for _, m := range counts {
		for k, h := range m {
			if all[k] == nil {
				all[k] = &hostStats{}
			}
			all[k].add(&h)
		}
	}
	return all
}

// writeClusters writes the clusters whose names match as Envoy's /clusters does.
func (s *Server) writeClusters(w io.Writer, filter *regexp.Regexp) {
	hosts := s.hosts()
	c := s.force.Load()
	for i := range c.table.Clusters {
		cl := &c.table.Clusters[i]
		if !filter.MatchString(cl.Name) {
			continue
		}
		fmt.Fprintf(w, "%s::observability_name::%s\n", cl.Name, cl.Name)
		b := cl.Breakers
		for _, priority := range []string{"default", "high"} {
			for _, l := range []struct {
				name string
				n    uint32
			}{{"max_connections", b.MaxConnections}, {"max_pending_requests", b.MaxPending}, {"max_requests", b.MaxRequests}, {"max_retries", b.MaxRetries}} {
				fmt.Fprintf(w, "%s::%s_priority::%s::%d\n", cl.Name, priority, l.name, l.n)
			}
			b = mesh.DefaultBreakers // the thresholds of a file are those of the default priority
		}
		fmt.Fprintf(w, "%s::added_via_api::false\n", cl.Name)
		for _, x := range c.limits[i].health.Hosts() {
			h := hosts[x]
			if h == nil {
				h = &hostStats{}
			}
			p := cl.Name + "::" + x.Addr.String() + "::"
			for _, st := range h.all() {
				fmt.Fprintf(w, "%s%s::%d\n", p, st.name, *st.n)
			}
			flags := ""
			if x.Down() {
				flags = "/failed_active_hc"
			}
			if x.Ejected() {
				flags += "/failed_outlier_check"
			}
			if x.Leaving() {
				flags += "/pending_dynamic_removal"
			}
			if flags == "" {
				flags = "healthy"
			}
			fmt.Fprintf(w, "%[1]shostname::%[4]s\n%[1]shealth_flags::%[3]s\n%[1]sweight::%[2]d\n%[1]sregion::\n%[1]szone::\n%[1]ssub_zone::\n"+
				"%[1]scanary::false\n%[1]spriority::0\n%[1]ssuccess_rate::-1\n%[1]slocal_origin_success_rate::-1\n", p, x.Weight, flags, x.Name)
		}
	}
}

// clusterStatuses is writeClusters as Envoy's JSON has it: counters are strings,
// and those that are 0 are left out.
func (s *Server) clusterStatuses(filter *regexp.Regexp) any {
	type stat struct {
		Type  string `json:"type,omitempty"`
		Value string `json:"value,omitempty"`
		Name  string `json:"name"`
	}
	type health struct {
		Down    bool   `json:"failed_active_health_check,omitempty"`
		Outlier bool   `json:"failed_outlier_check,omitempty"`
		EDS     string `json:"eds_health_status"`
		Leaving bool   `json:"pending_dynamic_removal,omitempty"`
	}
	type host struct {
		Address  envoyAddress `json:"address"`
		Stats    []stat       `json:"stats"`
		Health   health       `json:"health_status"`
		Weight   uint32       `json:"weight"`
		Hostname string       `json:"hostname,omitempty"`
		Locality struct{}     `json:"locality"`
	}
	type thresholds struct {
		Connections uint32 `json:"max_connections"`
		Pending     uint32 `json:"max_pending_requests"`
		Requests    uint32 `json:"max_requests"`
		Retries     uint32 `json:"max_retries"`
		Priority    string `json:"priority,omitempty"`
	}
	type breakers struct {
		Thresholds [2]thresholds `json:"thresholds"`
	}
	type status struct {
		Name     string   `json:"name"`
		Observed string   `json:"observability_name"`
		Breakers breakers `json:"circuit_breakers"`
		Hosts    []host   `json:"host_statuses,omitempty"`
	}
	var out struct {
		All []status `json:"cluster_statuses"`
	}
	hosts := s.hosts()
	c := s.force.Load()
	for i := range c.table.Clusters {
		cl := &c.table.Clusters[i]
		if !filter.MatchString(cl.Name) {
			continue
		}
		b, d := cl.Breakers, mesh.DefaultBreakers
		st := status{Name: cl.Name, Observed: cl.Name, Breakers: breakers{[2]thresholds{
			{b.MaxConnections, b.MaxPending, b.MaxRequests, b.MaxRetries, ""},
			{d.MaxConnections, d.MaxPending, d.MaxRequests, d.MaxRetries, "HIGH"},
		}}}
		for _, x := range c.limits[i].health.Hosts() {
			h := hosts[x]
			if h == nil {
				h = &hostStats{}
			}
			e := host{Address: addressOf(x.Addr), Health: health{x.Down(), x.Ejected(), "HEALTHY", x.Leaving()}, Weight: x.Weight, Hostname: x.Name}
			for _, gauge := range []bool{false, true} { // Envoy lists the counters first
				for _, n := range h.all() {
					v := stat{Name: n.name}
					if gauge {
						v.Type = "GAUGE"
					}
					if *n.n != 0 {
						v.Value = fmt.Sprint(*n.n)
					}
					if n.gauge == gauge {
						e.Stats = append(e.Stats, v)
					}
				}
			}
			st.Hosts = append(st.Hosts, e)
		}
		out.All = append(out.All, st)
	}
	return out
}
