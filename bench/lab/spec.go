// Package lab builds a small network for an experiment and takes it down
// again: one network namespace per host and one for the switch between them,
// programs in the hosts, and nothing in the namespace the caller lives in.
// Programs that use it call spawn.Dispatch (internal/spawn) first in main and
// TestMain.
package lab

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"strings"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// Fabric is what lies between the hosts.
type Fabric string

// The fabrics.
const (
	Direct Fabric = "direct" // two hosts, one veth pair from one to the other
	Bridge Fabric = "bridge" // a veth pair per host to a Linux bridge in the switch namespace
	Ports  Fabric = "ports"  // a veth pair per host to the switch namespace, where a NIC takes the ends (SwitchPorts)
	Taps   Fabric = "taps"   // a NIC makes each host's interface as a TAP device (SwitchPorts, ConfigureTap)
	// Kubernetes is a node with a veth pair to each pod, which it routes, and the
	// addresses and names of Services. The hosts are the pods.
	Kubernetes Fabric = "kubernetes"
)

// Names inside a lab.
const (
	SwitchHost = "switch" // namespace of the switch, or of the first node; no host can have the name
	nodeHost   = "node"   // what that of the node is called
	HostIf     = "eth0"   // interface of each host
	bridgeIf   = "br0"
)

// Spec describes a lab.
type Spec struct {
	Name   string `json:"name"` // a-z, 0-9, _
	Hosts  []Host `json:"hosts"`
	Fabric Fabric `json:"fabric"`
	MTU    int    `json:"mtu,omitempty"` // bytes of an IP packet; 0 is 1500
	// StaticNeighbours tells every host the hardware address of every other, so
	// that no ARP disturbs a measurement.
	StaticNeighbours bool `json:"static_neighbours,omitempty"`
	// Nodes of a cluster, 1 or 2; 0 is 1. Two are joined by VXLAN, which takes 50
	// bytes of pods' MTU.
	Nodes int `json:"nodes,omitempty"`
	// Services are those of a cluster: fabric Kubernetes alone.
	Services []Service `json:"services,omitempty"`
}

// Host is one machine of a lab.
type Host struct {
	Name string `json:"name"` // a-z, 0-9, -
	// IP is the host's IPv4 address in the lab's /24. Empty: chosen, from
	// 10.77.N.10 up, with N made from the lab's name.
	IP string `json:"ip,omitempty"`
	// Hosts are names and addresses for /etc/hosts of its programs, besides
	// those of all hosts of the lab.
	Hosts map[string]string `json:"hosts,omitempty"`
	// Balance are addresses whose connections from this host are spread.
	Balance []VIP `json:"balance,omitempty"`
	// Namespace is a pod's, by which it looks for the names of services. Empty:
	// default.
	Namespace string `json:"namespace,omitempty"`
	// Sidecar leads the pod's connections to a proxy beside it: see Sidecar.
	Sidecar bool `json:"sidecar,omitempty"`
	// NIC has the pod's packets go to the node through a NIC, to be attached at
	// SwitchPorts.
	NIC bool `json:"nic,omitempty"`
	// Node is the number of a pod's node. 0: chosen, in turns; 1 with a NIC.
	Node int `json:"node,omitempty"`
}

// VIP is an address whose connections go to one of several backends, at random
// for each connection.
type VIP = netns.VIP

// PortRef is a place for a port of the NIC.
type PortRef struct {
	Host string `json:"host"`
	// IfName is the interface to attach to (Ports) or to make (Taps), NSPath
	// the file of the namespace it is in.
	IfName string `json:"interface"`
	NSPath string `json:"namespace"`
	// PeerIf and PeerNSPath are the host's end of a veth; the same as above
	// for a TAP.
	PeerIf     string `json:"peer_interface"`
	PeerNSPath string `json:"peer_namespace"`
	PeerMAC    string `json:"peer_mac"`
}

// Subnet returns the /24 a lab of this name chooses addresses from.
func Subnet(name string) netip.Prefix {
	h := fnv.New32a()
	h.Write([]byte(name))
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(h.Sum32()%254) + 1, 0}), 24)
}

// complete checks s and returns it with everything chosen that was left open.
func (s Spec) complete() (Spec, error) {
	if err := netns.CheckLab(s.Name); err != nil {
		return s, &fieldError{"name", err}
	}
	what := "lab " + s.Name
	bad := func(path, format string, args ...any) (Spec, error) {
		return s, &fieldError{path, failure.New(failure.Usage, what, fmt.Sprintf(format, args...), "")}
	}
	if s.MTU == 0 {
		s.MTU = 1500
	}
	if s.MTU < 68 || s.MTU > 65535 {
		return bad("mtu", "MTU is %d, want 68 to 65535", s.MTU)
	}
	switch s.Fabric {
	case Direct:
		if len(s.Hosts) != 2 {
			return bad("hosts", "a direct fabric joins two hosts, not %d", len(s.Hosts))
		}
	case Bridge, Ports, Taps, Kubernetes:
		if len(s.Hosts) == 0 {
			return bad("hosts", "it has no hosts")
		}
	default:
		return bad("fabric", "fabric is %q, want %s, %s, %s, %s or %s", s.Fabric, Direct, Bridge, Ports, Taps, Kubernetes)
	}
	if len(s.Hosts) > 200 {
		return bad("hosts", "it has %d hosts, want at most 200", len(s.Hosts))
	}
	names, ips := map[string]bool{SwitchHost: true}, map[string]string{}
	s.Hosts = append([]Host(nil), s.Hosts...)
	for i := range s.Hosts {
		h, at := &s.Hosts[i], fmt.Sprintf("hosts[%d]", i)
		if err := netns.CheckHost(h.Name); err != nil {
			return s, &fieldError{at + ".name", err}
		}
		if names[h.Name] {
			return bad(at+".name", "host name %q is taken", h.Name)
		}
		names[h.Name] = true
		if h.IP == "" {
			a := Subnet(s.Name).Addr().As4()
			a[3] = byte(10 + i)
			h.IP = netip.AddrFrom4(a).String()
		}
		ip, err := netip.ParseAddr(h.IP)
		if err != nil || !ip.Is4() {
			return bad(at+".ip", "address %q of host %s is not IPv4", h.IP, h.Name)
		}
		if other := ips[h.IP]; other != "" {
			return bad(at+".ip", "hosts %s and %s have the same address %s", other, h.Name, h.IP)
		}
		ips[h.IP] = h.Name
		if !s.net().Contains(ip) {
			return bad(at+".ip", "address %s of host %s is not in %v, the network of %s", h.IP, h.Name, s.net(), s.Hosts[0].Name)
		}
		for name, ip := range h.Hosts {
			if _, err := netip.ParseAddr(ip); err != nil || name == "" || strings.ContainsAny(name, " \t\n#") {
				return bad(at+".hosts."+name, "host %s: names: %q is %q, want a name and an address", h.Name, name, ip)
			}
		}
		for j, v := range h.Balance {
			if err := netns.CheckVIP(v); err != nil {
				return s, &fieldError{fmt.Sprintf("%s.balance[%d]", at, j), err}
			}
		}
	}
	return s.completeCluster()
}

// fieldError is what is wrong with a field of a Spec, by its path in a file.
type fieldError struct {
	path string
	err  error
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// net is the /24 of the first host.
func (s Spec) net() netip.Prefix {
	ip, err := netip.ParseAddr(s.Hosts[0].IP)
	if err != nil {
		return netip.Prefix{}
	}
	p, _ := ip.Prefix(24)
	return p
}

func (s Spec) ns(host string) string {
	if host == SwitchHost && s.Fabric == Kubernetes {
		host = nodeHost
	}
	return netns.Name(s.Name, host)
}

// mac returns the hardware address of host i: locally administered, the same
// in every run.
func (s Spec) mac(i int) string {
	return hardware(0x02, netip.MustParseAddr(s.Hosts[i].IP))
}

// port is the name of the switch's interface to host i.
func (s Spec) port(i int) string {
	const maxIfName = 15
	if name := "p-" + s.Hosts[i].Name; len(name) <= maxIfName {
		return name
	}
	return fmt.Sprintf("p%d", i)
}

func (s Spec) index(host string) (int, error) {
	var names []string
	for i, h := range s.Hosts {
		if h.Name == host {
			return i, nil
		}
		names = append(names, h.Name)
	}
	return 0, failure.New(failure.Usage, fmt.Sprintf("lab %s: host %q", s.Name, host),
		"there is no such host", "choose one of "+strings.Join(names, ", "))
}

// hostsFile is /etc/hosts for the programs of host i.
func (s Spec) hostsFile(i int) string {
	names := map[string]string{}
	for k, h := range s.Hosts {
		if k == i || s.Fabric != Kubernetes { // a pod knows but its own name
			names[h.Name] = h.IP
		}
	}
	maps.Copy(names, s.Hosts[i].Hosts)
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, name := range sortedKeys(names) {
		fmt.Fprintf(&b, "%s %s\n", names[name], name)
	}
	return b.String()
}
