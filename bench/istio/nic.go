package istio

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// NIC is a node's NIC as the proxy of the pods behind it. To its configuration it
// brings what their sidecars would have: of the Sidecar its callers' namespace, log,
// services and domain, and files if some pods are elsewhere.
type NIC struct {
	Sidecar
	Behind []netip.Addr // pods
}

// Config describes the sidecars of all pods behind the NIC as one proxy: a listener at
// each service's address, for callers, and one before each pod's, for callees. Between
// two pods behind it nothing leaves the NIC but into the pods, so there is no TLS; a
// service with a pod elsewhere has it, which the NIC leaves to a host sidecar: see
// Beside. An authority that no service has is passed on to the service that was asked.
func (n NIC) Config() mesh.Config {
	cfg := mesh.Config{Node: "nic." + n.Namespace, Admin: Admin}
	for _, v := range n.Services {
		l := mesh.Listener{Name: fmt.Sprintf("%s_%d", v.IP, v.Port), Address: fmt.Sprintf("%s:%d", v.IP, v.Port),
			StatPrefix: fmt.Sprintf("outbound_%s_%d", v.IP, v.Port), Logs: n.logs(), VirtualHosts: n.hosts(v.Port)}
		l.VirtualHosts = append(l.VirtualHosts, allowAny(n.clusterName(v)))
		cfg.Listeners, cfg.Clusters = append(cfg.Listeners, l), append(cfg.Clusters, n.cluster(v))
	}
	for _, v := range n.Services {
		for _, pod := range v.Pods {
			if !slices.Contains(n.Behind, pod) {
				continue
			}
			at := netip.AddrPortFrom(pod, v.Target).String()
			if slices.ContainsFunc(cfg.Listeners, func(l mesh.Listener) bool { return l.Address == at }) {
				continue // of another service, too
			}
			side := n.Sidecar
			side.Target = v.Target
			in := side.application()
			in.Name, in.Address, in.StatPrefix = "virtualInbound_"+pod.String(), at, fmt.Sprintf("inbound_%v_%d", pod, v.Target)
			in.Intercept = mesh.Interception{Transparent: true}
			cluster := side.inboundName() + pod.String()
			in.VirtualHosts[0].Routes[0].Cluster = cluster
			cfg.Listeners = append(cfg.Listeners, in)
			cfg.Clusters = append(cfg.Clusters, mesh.Cluster{Name: cluster, ConnectTimeout: connectTimeout, Breakers: unlimited(), Endpoints: []mesh.Endpoint{{Address: at}}})
		}
	}
	return cfg
}

// Beside describes the host sidecar beside the NIC, which has what falls back: callers'
// requests to services with pods elsewhere, with TLS. It has a listener for each port
// of those.
func (n NIC) Beside() mesh.Config {
	cfg := mesh.Config{Node: "beside." + n.Namespace, Admin: Admin}
	var ports []uint16
	for _, v := range n.Services {
		if !n.within(v) && !slices.Contains(ports, v.Port) {
			ports = append(ports, v.Port)
		}
		cfg.Clusters = append(cfg.Clusters, n.cluster(v))
	}
	slices.Sort(ports)
	for _, p := range ports {
		l := n.outbound(p)
		l.Intercept = mesh.Interception{}
		l.VirtualHosts = l.VirtualHosts[:len(l.VirtualHosts)-1] // nobody's: it was led here by an authority
		cfg.Listeners = append(cfg.Listeners, l)
	}
	return cfg
}

// within reports whether all pods of a service are behind the NIC.
func (n NIC) within(v Service) bool {
	return !slices.ContainsFunc(v.Pods, func(p netip.Addr) bool { return !slices.Contains(n.Behind, p) })
}

// cluster is a service as pods behind the NIC reach it.
func (n NIC) cluster(v Service) mesh.Cluster {
	c := n.Sidecar.cluster(v)
	if n.within(v) {
		c.TLS = nil
	}
	return c
}
