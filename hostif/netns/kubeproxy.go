package netns

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
)

// ServicePort is one port of a service of a cluster: an address that
// connections from anywhere are led to one of Endpoints from.
type ServicePort struct {
	Namespace, Service, Name string // of the service and the port; the last may be empty
	Protocol                 string // "tcp" or "udp"
	Addr                     netip.AddrPort
	Endpoints                []netip.AddrPort // none: connections are refused
}

// Cluster is what kube-proxy knows: whose connections need no masquerade, what
// addresses services have, and the services.
type Cluster struct {
	Pods, Services netip.Prefix
	Ports          []ServicePort
}

// masqueradeMark is on packets whose source is to be changed: iptables' bit 14,
// kube-proxy's default.
const masqueradeMark = 1 << 14

// kubeProxy is the name of kube-proxy's table.
const kubeProxy = "kube-proxy"

// KubeProxy returns the rules that kube-proxy makes of c in its nftables mode
// (kubernetes/kubernetes at 030880a5, pkg/proxy/nftables), in the same table and chains:
// a map from address, protocol and port to a chain of the service, there a
// random number to a chain of the endpoint, there the change of destination,
// and a mark on what would come back to its sender. Comments, and what only
// services with node ports, external addresses or session affinity fill, are
// left out; the empty maps that they fill are looked up here too.
func KubeProxy(c Cluster) Rules {
	service := []string{keyAddr, keyProto, keyPort}
	clusterIPs := set{name: "cluster-ips", key: []string{keyAddr}}
	ips := set{name: "service-ips", key: service, verdicts: true}
	none := set{name: "no-endpoint-services", key: service, verdicts: true}
	var chains []chain
	seen := map[netip.Addr]bool{}
	for _, p := range c.Ports {
		if a := p.Addr.Addr(); !seen[a] {
			seen[a] = true
			clusterIPs.elements = append(clusterIPs.elements, element{addr: a})
		}
		e := element{addr: p.Addr.Addr(), proto: p.Protocol, port: p.Addr.Port(), to: "reject-chain"}
		if len(p.Endpoints) == 0 {
			none.elements = append(none.elements, e)
			continue
		}
		var of []chain
		e.to, of = p.chains(c.Pods)
		ips.elements = append(ips.elements, e)
		chains = append(chains, of...)
	}
	r := Rules{table: kubeProxy, sets: []set{
		clusterIPs,
		{name: "nodeport-ips", key: []string{keyAddr}},
		{name: "firewall-ips", key: service, verdicts: true},
		{name: "no-endpoint-nodeports", key: []string{keyProto, keyPort}, verdicts: true},
		none, ips,
		{name: "service-nodeports", key: []string{keyProto, keyPort}, verdicts: true},
	}}
	r.chains = append(append(baseChains(c.Services), chains...),
		chain{name: "mark-for-masquerade", rules: []rule{{{op: opMarkOr, n: masqueradeMark}}}})
	return r
}

// baseChains are those that do not depend on what services there are.
func baseChains(services netip.Prefix) []chain {
	onNew := func(to string) rule { return rule{{op: opNew}, {op: opJump, name: to}} }
	jump := func(to string) []rule { return []rule{{{op: opJump, name: to}}} }
	return []chain{
		{name: "filter-prerouting-pre-dnat", kind: "filter", hook: "prerouting", priority: -110, rules: []rule{onNew("firewall-check")}},
		{name: "filter-output-pre-dnat", kind: "filter", hook: "output", priority: -110, rules: []rule{onNew("firewall-check")}},
		{name: "filter-forward", kind: "filter", hook: "forward", rules: []rule{onNew("service-endpoints-check"), onNew("cluster-ips-check")}},
		{name: "filter-input", kind: "filter", hook: "input", rules: []rule{onNew("nodeport-endpoints-check"), onNew("service-endpoints-check")}},
		{name: "filter-output", kind: "filter", hook: "output", rules: []rule{onNew("service-endpoints-check"), onNew("cluster-ips-check")}},
		{name: "nat-output", kind: "nat", hook: "output", priority: -100, rules: jump("services")},
		{name: "nat-postrouting", kind: "nat", hook: "postrouting", priority: 100, rules: jump("masquerading")},
		{name: "nat-prerouting", kind: "nat", hook: "prerouting", priority: -100, rules: jump("services")},
		{name: "cluster-ips-check", rules: []rule{
			{{op: opDaddrIn, name: "cluster-ips"}, {op: opReject}},
			{{op: opDaddr, prefix: services}, {op: opDrop}},
		}},
		{name: "nodeport-endpoints-check", rules: []rule{{{op: opDaddrIn, name: "nodeport-ips"}, {op: opNodePort, name: "no-endpoint-nodeports"}}}},
		{name: "service-endpoints-check", rules: []rule{{{op: opService, name: "no-endpoint-services"}}}},
		{name: "firewall-check", rules: []rule{{{op: opService, name: "firewall-ips"}}}},
		{name: "masquerading", rules: []rule{
			{{op: opUnmarked, n: masqueradeMark}, {op: opReturn}},
			{{op: opMarkXor, n: masqueradeMark}},
			{{op: opMasquerade}},
		}},
		{name: "services", rules: []rule{
			{{op: opService, name: "service-ips"}},
			{{op: opDaddrIn, name: "nodeport-ips"}, {op: opNodePort, name: "service-nodeports"}},
		}},
		{name: "reject-chain", rules: []rule{{{op: opReject}}}},
	}
}

// chains are those of one port, the service's first, with its name.
func (p ServicePort) chains(pods netip.Prefix) (name string, all []chain) {
	base := fmt.Sprintf("%s/%s/%s/%s", p.Namespace, p.Service, p.Protocol, p.Name)
	name = "service-" + hashed(base)
	pick := term{op: opOneOf}
	for _, e := range p.Endpoints {
		c := "endpoint-" + hashed(fmt.Sprintf("%s__%v/%d", base, e.Addr(), e.Port()))
		pick.chains = append(pick.chains, c)
		all = append(all, chain{name: c, rules: []rule{
			// A pod that reaches itself would get packets from its own address.
			{{op: opSaddr, prefix: is(e.Addr())}, {op: opJump, name: "mark-for-masquerade"}},
			{{op: opProto, name: p.Protocol}, {op: opDNAT, prefix: is(e.Addr()), port: e.Port()}},
		}})
	}
	return name, append([]chain{{name: name, rules: []rule{
		{{op: opDaddr, prefix: is(p.Addr.Addr())}, {op: opSaddr, not: true, prefix: pods}, {op: opJump, name: "mark-for-masquerade"}},
		{pick},
	}}}, all...)
}

// hashed puts the first characters of a name's hash in front of it, as
// kube-proxy does lest names that had to be cut were the same.
func hashed(name string) string {
	h := sha256.Sum256([]byte(name))
	return base32.StdEncoding.EncodeToString(h[:])[:8] + "-" + strings.ReplaceAll(name, ":", ".")
}
