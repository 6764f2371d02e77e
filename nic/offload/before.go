package offload

import (
	"net/netip"
	"slices"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Before is cfg for a NIC in front of host: the file that its sidecar would read. A
// listener at an unspecified address is at the host's, and one that is there stands before it
// (transparent); an endpoint on loopback, which is that sidecar's application, is the host.
func Before(cfg mesh.Config, host netip.Addr) mesh.Config {
	cfg.Listeners = slices.Clone(cfg.Listeners)
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		a, err := netip.ParseAddrPort(l.Address)
		if err != nil || a.Addr() != host && !a.Addr().IsUnspecified() {
			continue
		}
		l.Address = netip.AddrPortFrom(host, a.Port()).String()
		l.Intercept.Transparent = true
	}
	cfg.Clusters = slices.Clone(cfg.Clusters)
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		c.Endpoints = slices.Clone(c.Endpoints)
		for k := range c.Endpoints {
			if a, err := netip.ParseAddrPort(c.Endpoints[k].Address); err == nil && a.Addr().IsLoopback() {
				c.Endpoints[k].Address = netip.AddrPortFrom(host, a.Port()).String()
			}
		}
	}
	return cfg
}
