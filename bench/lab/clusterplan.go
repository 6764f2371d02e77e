package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/hostif/netns"
)

// routes makes a namespace node n: it forwards, and services' addresses have a way
// through it, or nothing that is for one without endpoints would get as far as the
// rule that refuses it.
func (b *builder) routes(n int) {
	ns := b.ns(b.node(n))
	b.sysctl(ns, "net.ipv4.ip_forward", "1")
	if n > 1 || !b.hasNIC() {
		b.route(ns, "lo", serviceNet, netip.Addr{})
	}
}

func (b *builder) route(ns, dev string, dst netip.Prefix, via netip.Addr) {
	through := ""
	if via.IsValid() {
		through = fmt.Sprintf("via %v ", via)
	}
	b.inner(ns, fmt.Sprintf("ip -n %s route add %v %sdev %s", ns, dst, through, dev), func() error { return netns.AddRoute(ns, dev, dst, via) })
}

// pod joins host i to its node as the CNI plugin ptp does, which kind's network
// uses: the node has its one address on every veth, and a route to the pod; the
// pod has nothing but a way to the node. So both directions of a connection pass
// the node's rules, also between pods, without bridge-nf-call-iptables. Of a pod
// behind the NIC that one has the veth's end, and the node the way through it.
func (b *builder) pod(i int) {
	h, node := b.Hosts[i], b.ns(b.node(b.nodeOf(i)))
	ns, end, name := b.ns(h.Name), b.ns(b.portHost(i)), b.Spec.port(i)
	ip, gateway := netip.MustParseAddr(h.IP), b.gateway(b.nodeOf(i))
	if h.NIC {
		b.veth(netns.End{NS: ns, Name: HostIf, MAC: b.mac(i), Index: hostIndex}, netns.End{NS: end, Name: name}, b.podMTU())
		b.up(end, name)
		name = nicIf
	} else {
		b.veth(netns.End{NS: ns, Name: HostIf, MAC: b.mac(i), Index: hostIndex}, netns.End{NS: end, Name: name, MAC: b.nodeMAC(i)}, b.podMTU())
		b.alias(node, name, gateway)
		b.up(node, name)
	}
	b.route(node, name, netip.PrefixFrom(ip, 32), netip.Addr{})
	b.alias(ns, HostIf, ip)
	b.up(ns, HostIf)
	b.route(ns, HostIf, netip.PrefixFrom(gateway, 32), netip.Addr{})
	b.route(ns, HostIf, netip.PrefixFrom(netip.IPv4Unspecified(), 0), gateway)
	if b.StaticNeighbours {
		b.neighbour(node, name, ip, b.mac(i))
		b.neighbour(ns, HostIf, gateway, b.nodeMAC(i))
	}
	if h.Sidecar {
		b.rules(ns, Sidecar.Rules())
	}
}

// alias gives an interface an address without a network around it.
func (b *builder) alias(ns, dev string, ip netip.Addr) {
	addr := netip.PrefixFrom(ip, 32)
	b.inner(ns, fmt.Sprintf("ip -n %s addr add %v dev %s", ns, addr, dev), func() error { return netns.AddAddr(ns, dev, addr) })
}

func (b *builder) neighbour(ns, dev string, ip netip.Addr, mac string) {
	b.inner(ns, fmt.Sprintf("ip -n %s neigh add %v lladdr %s dev %s", ns, ip, mac, dev), func() error { return netns.AddNeigh(ns, dev, ip, mac) })
}

func (b *builder) rules(ns string, r netns.Rules) {
	text := fmt.Sprintf("ip netns exec %s nft -f - <<'END'\n%sEND", ns, r.Text())
	b.inner(ns, text, func() error { return netns.SetRules(ns, r) })
}

// services gives every node the same rules.
func (b *builder) services() {
	for n := 1; n <= b.nodes(); n++ {
		b.rules(b.ns(b.node(n)), netns.KubeProxy(b.cluster()))
	}
}

// names writes what the name server is told, and each pod's resolv.conf.
func (b *builder) names(dir string) {
	b.file(filepath.Join(dir, zoneFile), func() ([]byte, error) { return json.MarshalIndent(b.zone(), "", "  ") })
	for _, h := range b.Hosts {
		b.file(filepath.Join(dir, resolvPrefix+h.Name), func() ([]byte, error) {
			return []byte(clusterdns.Resolv(netip.MustParseAddr(dnsService), h.Namespace, clusterdns.Domain)), nil
		})
	}
}

// Files in a lab's directory.
const (
	hostsPrefix  = "hosts-" // and the host's name
	resolvPrefix = "resolv-"
	zoneFile     = "zone.json"
)

func (b *builder) file(path string, content func() ([]byte, error)) {
	b.add(netns.Entry{Kind: netns.KindFile, Path: path}, func() error {
		text, err := content()
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	})
}

// Sidecar is how connections of a pod that has a sidecar come to it.
var Sidecar = netns.Istio()
