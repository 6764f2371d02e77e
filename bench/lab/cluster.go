package lab

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// Service is a service of a cluster: an address and a name for pods.
type Service struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"` // empty: default
	// IP is the cluster address, in 10.96.0.0/12. Empty: chosen, from 10.96.0.11 up.
	IP    string        `json:"ip,omitempty"`
	Ports []ServicePort `json:"ports"`
	Pods  []string      `json:"pods,omitempty"` // by name; none: connections are refused
}

// ServicePort is a port of a service.
type ServicePort struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol,omitempty"` // TCP or UDP; empty: TCP
	Port     int    `json:"port"`
	Target   int    `json:"target,omitempty"` // of the pods; 0: the same
}

// What a cluster has that nobody asked for.
const (
	defaultNamespace = "default"
	dnsService       = "10.96.0.10" // kubeadm's choice, the tenth of the services' addresses
	dnsPort          = 53
)

// serviceNet is kubeadm's default.
var serviceNet = netip.MustParsePrefix("10.96.0.0/12")

// dnsLabel is RFC 1123's, as Kubernetes has it for names.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// completeCluster checks and completes what a cluster has besides hosts.
func (s Spec) completeCluster() (Spec, error) {
	what := "lab " + s.Name
	bad := func(path, format string, args ...any) (Spec, error) {
		return s, &fieldError{path, failure.New(failure.Usage, what, fmt.Sprintf(format, args...), "")}
	}
	if s.Fabric != Kubernetes {
		if len(s.Services) > 0 {
			return bad("services", "fabric %s has no services, %s has", s.Fabric, Kubernetes)
		}
		if s.Nodes != 0 {
			return bad("nodes", "fabric %s has no nodes, %s has", s.Fabric, Kubernetes)
		}
		for i, h := range s.Hosts {
			if h.Sidecar || h.NIC || h.Node != 0 || h.Namespace != "" {
				return bad(fmt.Sprintf("hosts[%d]", i), "host %s has what only pods of fabric %s have", h.Name, Kubernetes)
			}
		}
		return s, nil
	}
	switch {
	case s.Nodes < 0 || s.Nodes > 2:
		return bad("nodes", "it has %d nodes, want 1 or 2", s.Nodes)
	case s.Nodes == 2 && s.MTU < 68+vxlanLen:
		return bad("mtu", "MTU is %d, want %d or more: of two nodes VXLAN takes %d", s.MTU, 68+vxlanLen, vxlanLen)
	case s.Nodes == 2 && s.net().Overlaps(nodeNet):
		return bad("hosts[0].ip", "address %s is in %v, the network of the nodes", s.Hosts[0].IP, nodeNet)
	}
	for i := range s.Hosts {
		h, at := &s.Hosts[i], fmt.Sprintf("hosts[%d]", i)
		if h.Node == 0 && s.Nodes == 2 {
			if h.Node = i%2 + 1; h.NIC {
				h.Node = 1
			}
		}
		if h.Namespace == "" {
			h.Namespace = defaultNamespace
		}
		switch {
		case !dnsLabel.MatchString(h.Namespace):
			return bad(at+".namespace", "namespace %q of %s is no DNS label", h.Namespace, h.Name)
		case h.Node < 0 || h.Node > s.nodes():
			return bad(at+".node", "pod %s is on node %d, want 1 to %d", h.Name, h.Node, s.nodes())
		case h.NIC && s.nodeOf(i) != 1:
			return bad(at+".nic", "pod %s is behind a NIC on node %d, want node 1, which has one", h.Name, h.Node)
		case s.machine(h.Name):
			return bad(at+".name", "host name %q is taken", h.Name)
		case h.IP == s.gateway(1).String() || s.nodes() == 2 && h.IP == s.gateway(2).String():
			return bad(at+".ip", "address %s of pod %s is the node's", h.IP, h.Name)
		case len(h.Balance) > 0:
			return bad(at+".balance", "pod %s balances by itself: that is what services are for", h.Name)
		}
	}
	s.Services = slices.Clone(s.Services)
	names, ips := map[string]bool{"kube-dns.kube-system": true}, map[string]string{dnsService: "kube-dns"}
	for i := range s.Services {
		v, at := &s.Services[i], fmt.Sprintf("services[%d]", i)
		if v.Namespace == "" {
			v.Namespace = defaultNamespace
		}
		if !dnsLabel.MatchString(v.Name) || !dnsLabel.MatchString(v.Namespace) {
			return bad(at+".name", "service %q in namespace %q: want DNS labels", v.Name, v.Namespace)
		}
		if full := v.Name + "." + v.Namespace; names[full] {
			return bad(at+".name", "service %s is there twice", full)
		} else {
			names[full] = true
		}
		if v.IP == "" {
			a := serviceNet.Addr().As4()
			a[2], a[3] = byte((11+i)>>8), byte(11+i)
			v.IP = netip.AddrFrom4(a).String()
		}
		if a, err := netip.ParseAddr(v.IP); err != nil || !serviceNet.Contains(a) {
			return bad(at+".ip", "address %q of service %s is not in %v", v.IP, v.Name, serviceNet)
		}
		if other := ips[v.IP]; other != "" {
			return bad(at+".ip", "services %s and %s have the same address %s", other, v.Name, v.IP)
		}
		ips[v.IP] = v.Name
		var err error
		if v.Ports, err = v.completePorts(at); err != nil {
			return s, err
		}
		for j, p := range v.Pods {
			if _, err := s.index(p); err != nil {
				return s, &fieldError{fmt.Sprintf("%s.pods[%d]", at, j), err}
			}
		}
	}
	return s, nil
}

func (v *Service) completePorts(at string) ([]ServicePort, error) {
	bad := func(format string, args ...any) error {
		return &fieldError{at + ".ports", failure.New(failure.Usage, "service "+v.Name, fmt.Sprintf(format, args...), "")}
	}
	if len(v.Ports) == 0 {
		return nil, bad("it has no ports")
	}
	ports, seen := slices.Clone(v.Ports), map[string]bool{}
	for i := range ports {
		p := &ports[i]
		if p.Protocol == "" {
			p.Protocol = "TCP"
		}
		if p.Target == 0 {
			p.Target = p.Port
		}
		key := fmt.Sprintf("%s %d", p.Protocol, p.Port)
		switch {
		case p.Protocol != "TCP" && p.Protocol != "UDP":
			return nil, bad("protocol is %q, want TCP or UDP", p.Protocol)
		case p.Port < 1 || p.Port > 65535 || p.Target < 1 || p.Target > 65535:
			return nil, bad("port is %d and target %d, want 1 to 65535", p.Port, p.Target)
		case p.Name != "" && !dnsLabel.MatchString(p.Name):
			return nil, bad("port %d has the name %q, want a DNS label", p.Port, p.Name)
		case p.Name == "" && len(ports) > 1:
			return nil, bad("port %d has no name, and there are several", p.Port)
		case seen[key] || seen[p.Name]:
			return nil, bad("port %s is there twice", key)
		}
		seen[key], seen[p.Name] = true, true
	}
	return ports, nil
}

// cluster is what kube-proxy is told: the services, the name server among them.
func (s Spec) cluster() netns.Cluster {
	c := netns.Cluster{Pods: s.net(), Services: serviceNet}
	dns := netip.AddrPortFrom(s.gateway(1), dnsPort)
	for _, protocol := range []string{"udp", "tcp"} {
		name := "dns"
		if protocol == "tcp" {
			name = "dns-tcp"
		}
		c.Ports = append(c.Ports, netns.ServicePort{Namespace: "kube-system", Service: "kube-dns", Name: name, Protocol: protocol,
			Addr: netip.AddrPortFrom(netip.MustParseAddr(dnsService), dnsPort), Endpoints: []netip.AddrPort{dns}})
	}
	for _, v := range s.Services {
		for _, p := range v.Ports {
			port := netns.ServicePort{Namespace: v.Namespace, Service: v.Name, Name: p.Name, Protocol: "tcp",
				Addr: netip.AddrPortFrom(netip.MustParseAddr(v.IP), uint16(p.Port))}
			if p.Protocol == "UDP" {
				port.Protocol = "udp"
			}
			for _, pod := range v.Pods {
				i, _ := s.index(pod) // complete has looked
				port.Endpoints = append(port.Endpoints, netip.AddrPortFrom(netip.MustParseAddr(s.Hosts[i].IP), uint16(p.Target)))
			}
			c.Ports = append(c.Ports, port)
		}
	}
	return c
}

// zone is what the cluster's name server is told.
func (s Spec) zone() clusterdns.Zone {
	z := clusterdns.Zone{Domain: clusterdns.Domain, Services: []clusterdns.Service{{Name: "kube-dns", Namespace: "kube-system", IP: dnsService}}}
	for _, v := range s.Services {
		z.Services = append(z.Services, clusterdns.Service{Name: v.Name, Namespace: v.Namespace, IP: v.IP})
	}
	return z
}
