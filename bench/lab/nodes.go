package lab

import (
	"fmt"
	"net/netip"

	"github.com/meshnic/meshnic/hostif/netns"
)

// Machines of a cluster beside its pods.
const (
	NICHost    = "nic"   // where the pods' NIC is, if they have one
	secondNode = "node2" // if there are two
)

// Interfaces of these.
const (
	nicIf     = "nic0"      // of the node, to its NIC
	uplinkIf  = "p-node"    // of the NIC, to its node
	underlay  = HostIf      // of a node, to the other one
	overlayIf = "flannel.1" // of a node, whose packets are the underlay's payload
)

// What flannel has for its VXLAN unless told otherwise, and what VXLAN adds to an
// IP packet: Ethernet, VXLAN, UDP and IPv4 headers (RFC 7348 §5).
const (
	vxlanID   = 1
	vxlanPort = 8472
	vxlanLen  = 14 + 8 + 8 + 20
)

// nodeNet is the network between nodes: the first that Docker makes for kind.
var nodeNet = netip.MustParsePrefix("172.18.0.0/16")

// nodes is how many there are.
func (s Spec) nodes() int { return max(1, s.Nodes) }

// nodeOf is the number of the node that host i is a pod of, from 1.
func (s Spec) nodeOf(i int) int { return max(1, s.Hosts[i].Node) }

// node is the name of a node.
func (s Spec) node(n int) string {
	if n == 1 {
		return SwitchHost
	}
	return secondNode
}

// hasNIC reports whether pods of a cluster are behind a NIC.
func (s Spec) hasNIC() bool {
	for _, h := range s.Hosts {
		if h.NIC {
			return true
		}
	}
	return false
}

// machine reports whether a name is that of a namespace in which programs run,
// though it is no host's.
func (s Spec) machine(name string) bool {
	switch name {
	case SwitchHost:
		return true
	case nodeHost:
		return s.Fabric == Kubernetes
	case secondNode:
		return s.Fabric == Kubernetes && s.nodes() == 2
	case NICHost:
		return s.Fabric == Kubernetes && s.hasNIC()
	}
	return false
}

// portHost is where the far end of host i's interface is.
func (s Spec) portHost(i int) string {
	switch {
	case s.Hosts[i].NIC:
		return NICHost
	case s.Fabric == Kubernetes:
		return s.node(s.nodeOf(i))
	}
	return SwitchHost
}

// gateway is the address of node n towards pods.
func (s Spec) gateway(n int) netip.Addr {
	a := s.net().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// nodeAddr is the address of node n towards the other one; the first is the bridge's.
func nodeAddr(n int) netip.Addr {
	a := nodeNet.Addr().As4()
	a[3] = byte(n + 1)
	return netip.AddrFrom4(a)
}

// podMTU is the longest packet of pods' interfaces.
func (s Spec) podMTU() int {
	if s.nodes() == 2 {
		return s.MTU - vxlanLen
	}
	return s.MTU
}

// hardware makes an address of an IPv4 one: locally administered, the same in
// every run.
func hardware(first byte, ip netip.Addr) string {
	a := ip.As4()
	return fmt.Sprintf("%02x:6e:%02x:%02x:%02x:%02x", first, a[0], a[1], a[2], a[3])
}

// nodeMAC is the hardware address of the node towards pod i: one for each pod, or
// that of its interface to the NIC.
func (s Spec) nodeMAC(i int) string {
	if s.Hosts[i].NIC {
		return hardware(0x06, s.gateway(1))
	}
	return "06" + s.mac(i)[2:]
}

// overlayMAC is the hardware address of node n's end of the overlay.
func (s Spec) overlayMAC(n int) string { return hardware(0x0a, s.gateway(n)) }

// overlay joins two nodes as flannel does with its VXLAN backend: a device that
// learns nothing, but knows the other node by the entries that flannel's daemon
// writes. Where flannel has a route to a node's network, there is one to each pod,
// whose addresses a lab may choose.
func (b *builder) overlay() {
	one, two := b.ns(b.node(1)), b.ns(b.node(2))
	b.veth(netns.End{NS: one, Name: underlay, MAC: hardware(0x06, nodeAddr(1)), Index: hostIndex + 1}, netns.End{NS: two, Name: underlay, MAC: hardware(0x06, nodeAddr(2))}, b.MTU)
	for n := 1; n <= 2; n++ {
		ns, addr := b.ns(b.node(n)), netip.PrefixFrom(nodeAddr(n), nodeNet.Bits())
		b.inner(ns, fmt.Sprintf("ip -n %s addr add %v brd + dev %s", ns, addr, underlay), func() error { return netns.AddAddr(ns, underlay, addr) })
		b.up(ns, underlay)
	}
	for n := 1; n <= 2; n++ {
		ns, other, mac := b.ns(b.node(n)), 3-n, b.overlayMAC(3-n)
		v := netns.VXLAN{Name: overlayIf, MAC: b.overlayMAC(n), ID: vxlanID, Port: vxlanPort, Local: nodeAddr(n), Over: underlay, MTU: b.podMTU()}
		b.inner(ns, fmt.Sprintf("ip -n %s link add %s mtu %d address %s type vxlan id %d local %v dev %s dstport %d nolearning",
			ns, v.Name, v.MTU, v.MAC, v.ID, v.Local, v.Over, v.Port), func() error { return netns.AddVXLAN(ns, v) })
		b.alias(ns, overlayIf, b.gateway(n))
		b.up(ns, overlayIf)
		b.neighbour(ns, overlayIf, b.gateway(other), mac)
		b.inner(ns, fmt.Sprintf("bridge -n %s fdb append %s dev %s dst %v", ns, mac, overlayIf, nodeAddr(other)),
			func() error { return netns.AddRemote(ns, overlayIf, mac, nodeAddr(other)) })
		b.route(ns, overlayIf, netip.PrefixFrom(b.gateway(other), 32), netip.Addr{})
		for i, h := range b.Hosts {
			if b.nodeOf(i) == other {
				b.route(ns, overlayIf, netip.PrefixFrom(netip.MustParseAddr(h.IP), 32), b.gateway(other))
			}
		}
	}
}

// nic puts a NIC's place between the node and its pods. The node has one interface
// to it, with its address; a NIC attached there (SwitchPorts) is all that carries
// what the pods send.
func (b *builder) nic() {
	node, ns := b.ns(SwitchHost), b.ns(NICHost)
	for _, which := range []string{"all", "default"} { // pods may reach each other by way of the node
		b.sysctl(node, "net.ipv4.conf."+which+".send_redirects", "0")
	}
	b.veth(netns.End{NS: node, Name: nicIf, MAC: hardware(0x06, b.gateway(1)), Index: hostIndex}, netns.End{NS: ns, Name: uplinkIf}, b.podMTU())
	b.alias(node, nicIf, b.gateway(1))
	b.up(node, nicIf)
	b.route(node, nicIf, serviceNet, netip.Addr{}) // to a NIC that answers at services' addresses
	b.up(ns, uplinkIf)
}
