package envoyconf

import (
	"fmt"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// dns reads how the names of a cluster are resolved, nil if it has none.
func (r *reader) dns(path string, c *clusterv3.Cluster) *mesh.DNS {
	if c.GetType() != clusterv3.Cluster_STRICT_DNS {
		//lint:ignore SA1019 what files have; its successor is for clusters of cluster_type
		if c.GetDnsRefreshRate() != nil {
			r.fail(path+".dns_refresh_rate", "is for STRICT_DNS, and type is not")
		}
		if c.GetDnsLookupFamily() != clusterv3.Cluster_AUTO {
			r.fail(path+".dns_lookup_family", "is for STRICT_DNS, and type is not")
		}
		return nil
	}
	out := &mesh.DNS{}
	//lint:ignore SA1019 what files have; its successor is for clusters of cluster_type
	if d := c.GetDnsRefreshRate(); d != nil {
		if out.Refresh = r.duration(path+".dns_refresh_rate", d); out.Refresh <= time.Millisecond {
			r.fail(path+".dns_refresh_rate", "is %v, want more than 1ms", out.Refresh)
		}
	}
	if f := c.GetDnsLookupFamily(); f != clusterv3.Cluster_AUTO {
		out.Family = mesh.Family(f.String())
	}
	return out
}

// host reads an address that may be a name.
func (r *reader) host(path string, a *corev3.Address) string {
	s := a.GetSocketAddress()
	if _, err := netip.ParseAddr(s.GetAddress()); err == nil {
		return r.address(path, a)
	}
	if s.GetPortValue() > 65535 {
		r.fail(path+".socket_address.port_value", "%d is above 65535", s.GetPortValue())
		return ""
	}
	e := mesh.Endpoint{Address: fmt.Sprintf("%s:%d", s.GetAddress(), s.GetPortValue())}
	if _, _, ok := e.Host(); !ok {
		r.fail(path+".socket_address.address", "%q is neither an IP address nor a host name", s.GetAddress())
	}
	return e.Address
}

// hostAddress is address, for what may be a name.
func hostAddress(e *mesh.Endpoint) *corev3.Address {
	host, port, _ := e.Host()
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func writeDNS(out *clusterv3.Cluster, d *mesh.DNS) {
	if d == nil {
		return
	}
	out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
	//lint:ignore SA1019 what files have; its successor is for clusters of cluster_type
	out.DnsRefreshRate = duration(d.Refresh)
	out.DnsLookupFamily = clusterv3.Cluster_DnsLookupFamily(clusterv3.Cluster_DnsLookupFamily_value[string(d.Family)]) // AUTO is 0
}
