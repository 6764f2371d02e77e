package offload

import (
	"fmt"
	"net/netip"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Part is a part of a configuration, and where it runs.
type Part struct {
	Kind   string `json:"kind"` // listener, route or cluster
	Name   string `json:"name"`
	Where  string `json:"where"` // nic or fallback
	Reason Reason `json:"reason,omitempty"`
	Why    string `json:"why,omitempty"`
}

// Explain says of each listener, route and cluster of cfg whether the NIC carries it.
func Explain(cfg mesh.Config) ([]Part, error) {
	table, err := mesh.Compile(cfg)
	if err != nil {
		return nil, err
	}
	var parts []Part
	part := func(kind, name string, r Reason, why string) {
		p := Part{Kind: kind, Name: name, Where: "nic", Reason: r, Why: why}
		if r != byNothing {
			p.Where = "fallback"
		}
		parts = append(parts, p)
	}
	clusters := map[string]Reason{}
	for i := range table.Clusters {
		clusters[table.Clusters[i].Name] = ClusterReason(&table.Clusters[i], &cfg.Clusters[i], sourcesOf(table))
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		whole := ListenerReason(table, i)
		part("listener", fmt.Sprintf("%s (%s)", l.Name, l.Address), whole, whole.Why())
		for _, v := range l.VirtualHosts {
			for j := range v.Routes {
				r := &v.Routes[j]
				name := fmt.Sprintf("%s/%s/%s", l.Name, v.Name, routeName(r, j))
				reason, cluster := whole, ""
				for _, to := range append([]mesh.WeightedCluster{{Name: r.Cluster}}, r.Clusters...) {
					if x := clusters[to.Name]; reason == byNothing && x != byNothing {
						reason, cluster = x, to.Name
					}
				}
				switch {
				case cluster != "":
					part("route", name, reason, "requests to cluster "+cluster+", and what follows them on their connections: "+reason.Why())
				case reason != byNothing:
					part("route", name, reason, "its listener does")
				default:
					part("route", name, byNothing, "")
				}
			}
		}
	}
	for i := range cfg.Clusters {
		r := clusters[cfg.Clusters[i].Name]
		part("cluster", cfg.Clusters[i].Name, r, r.Why())
	}
	return parts, nil
}

func routeName(r *mesh.Route, i int) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Path != "":
		return "path " + r.Path
	case r.Separated != "":
		return "path_separated_prefix " + r.Separated
	case r.Regex != "":
		return "safe_regex " + r.Regex
	case r.Prefix != "":
		return "prefix " + r.Prefix
	}
	return fmt.Sprintf("%d", i)
}

// Flow says where the connection of a client is, ok is false if there is none.
func (o *Offload) Flow(client netip.AddrPort) (where string, ok bool) {
	for _, f := range o.all() {
		if addrPort(f.client) != client {
			continue
		}
		at := fmt.Sprintf("connection %v to listener %s (%v)", client, f.l.t.Name, f.l.t.Address)
		switch {
		case f.raw != byNothing:
			return fmt.Sprintf("%s: with the host sidecar at %v, by %s: %s", at, addrPort(o.ends[f.chosen].addr), f.raw, f.raw.Why()), true
		case !f.active:
			return at + ": on the NIC, between two requests", true
		case f.held != nil && f.held.fault != nil:
			return at + ": on the NIC, held back by a fault", true
		case f.inLine:
			return at + ": on the NIC, in line for a connection to " + f.last().cl.t.Name, true
		case f.againAt != 0:
			return fmt.Sprintf("%s: on the NIC, waits for try %d", at, f.last().tries.Attempt()+1), true
		case f.sent && !f.responded:
			return fmt.Sprintf("%s: on the NIC, request with %v of cluster %s", at, addrPort(o.ends[f.chosen].addr), f.last().cl.t.Name), true
		case f.sent:
			return fmt.Sprintf("%s: on the NIC, response of %v of cluster %s under way", at, addrPort(o.ends[f.chosen].addr), f.last().cl.t.Name), true
		}
		return at + ": on the NIC, an answer of its own under way", true
	}
	return "", false
}
