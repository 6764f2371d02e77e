package admin

import (
	"fmt"
	"io"
	"regexp"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Cluster is a cluster as /clusters has it.
type Cluster struct {
	Name     string
	Breakers mesh.Breakers
	Hosts    []Host
}

// Host is an endpoint with what happened to it.
type Host struct {
	*mesh.Host
	Counters mesh.HostCounters
}

// writeClusters writes the clusters whose names match as Envoy's /clusters does.
func writeClusters(w io.Writer, all []Cluster, filter *regexp.Regexp) {
	for i := range all {
		cl := &all[i]
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
		for _, x := range cl.Hosts {
			h := &x.Counters
			p := cl.Name + "::" + x.Addr.String() + "::"
			for _, st := range h.Stats() {
				fmt.Fprintf(w, "%s%s::%d\n", p, st.Name, st.Value)
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
func clusterStatuses(all []Cluster, filter *regexp.Regexp) any {
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
	for i := range all {
		cl := &all[i]
		if !filter.MatchString(cl.Name) {
			continue
		}
		b, d := cl.Breakers, mesh.DefaultBreakers
		st := status{Name: cl.Name, Observed: cl.Name, Breakers: breakers{[2]thresholds{
			{b.MaxConnections, b.MaxPending, b.MaxRequests, b.MaxRetries, ""},
			{d.MaxConnections, d.MaxPending, d.MaxRequests, d.MaxRetries, "HIGH"},
		}}}
		for _, x := range cl.Hosts {
			h := &x.Counters
			e := host{Address: addressOf(x.Addr), Health: health{x.Down(), x.Ejected(), "HEALTHY", x.Leaving()}, Weight: x.Weight, Hostname: x.Name}
			for _, gauge := range []bool{false, true} { // Envoy lists the counters first
				for _, n := range h.Stats() {
					v := stat{Name: n.Name}
					if gauge {
						v.Type = "GAUGE"
					}
					if n.Value != 0 {
						v.Value = fmt.Sprint(n.Value)
					}
					if n.Gauge == gauge {
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
