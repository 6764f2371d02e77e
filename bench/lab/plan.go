package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meshnic/meshnic/hostif/netns"
)

// step is one thing to make: what the journal says, what a person would type,
// and the doing.
type step struct {
	entry netns.Entry
	do    func() error
}

// Plan returns what Up would make, as the commands of iproute2 and nftables
// that make the same by hand.
func Plan(spec Spec) (string, error) {
	spec, err := spec.complete()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, st := range spec.steps("") {
		if st.entry.Text != "" {
			b.WriteString(st.entry.Text + "\n")
		}
	}
	return b.String(), nil
}

// builder collects steps.
type builder struct {
	Spec
	steps []step
}

func (b *builder) add(e netns.Entry, do func() error) { b.steps = append(b.steps, step{e, do}) }

// inner adds a step inside one of the lab's namespaces.
func (b *builder) inner(ns, text string, do func() error) {
	b.add(netns.Entry{Kind: netns.KindInner, NS: ns, Text: text}, do)
}

// steps compiles a complete Spec. dir is the lab's directory.
func (s Spec) steps(dir string) []step {
	b := &builder{Spec: s}
	change, _ := json.Marshal(s) // a Spec holds nothing that JSON cannot
	b.add(netns.Entry{Kind: netns.KindSpec, Change: change}, func() error { return nil })
	if s.Fabric != Direct { // with Taps it holds no interface, but the NIC runs in it
		b.namespace(SwitchHost)
	}
	for _, m := range []string{secondNode, NICHost} {
		if s.machine(m) {
			b.namespace(m)
		}
	}
	for _, h := range s.Hosts {
		b.namespace(h.Name)
	}
	if s.Fabric == Bridge {
		b.bridge()
	}
	switch s.Fabric {
	case Direct:
		b.veth(netns.End{NS: s.ns(s.Hosts[0].Name), Name: HostIf, MAC: s.mac(0), Index: hostIndex},
			netns.End{NS: s.ns(s.Hosts[1].Name), Name: HostIf, MAC: s.mac(1)}, s.MTU)
	case Bridge, Ports:
		for i := range s.Hosts {
			b.port(i)
		}
	case Kubernetes:
		for n := 1; n <= s.nodes(); n++ {
			b.routes(n)
		}
		if s.nodes() == 2 {
			b.overlay()
		}
		if s.hasNIC() {
			b.nic()
		}
		for i := range s.Hosts {
			b.pod(i)
		}
		b.services()
		b.names(dir)
	}
	for i := range s.Hosts {
		if s.Fabric != Taps && s.Fabric != Kubernetes {
			b.address(i)
		}
		b.balance(i)
		b.file(filepath.Join(dir, hostsPrefix+s.Hosts[i].Name), func() ([]byte, error) { return []byte(s.hostsFile(i)), nil })
	}
	b.settle()
	return b.steps
}

// hostIndex is the number of each host's interface, one that no port of the
// switch has: see netns.End.
const hostIndex = 1000

// settleTime bounds how long a lab may take to carry packets once it is made.
const settleTime = 3 * time.Second

// settle waits until packets pass.
func (b *builder) settle() {
	wait := func(host, name string) {
		ns := b.ns(host)
		b.inner(ns, "", func() error { return netns.WaitUp(ns, name, settleTime) })
	}
	if b.Fabric == Taps {
		return
	}
	for i, h := range b.Hosts {
		wait(h.Name, HostIf)
		if b.Fabric != Direct {
			wait(b.portHost(i), b.Spec.port(i))
		}
	}
	if b.Fabric == Kubernetes && b.hasNIC() {
		wait(SwitchHost, nicIf)
	}
	for n := 1; n <= b.nodes() && b.nodes() == 2; n++ {
		wait(b.node(n), underlay)
	}
	if b.Fabric == Bridge {
		wait(SwitchHost, bridgeIf)
	}
}

// namespace makes one with loopback up and without IPv6 on any interface but
// that: neighbour discovery and multicast reports would run through the links
// under measurement.
func (b *builder) namespace(host string) {
	ns := b.ns(host)
	b.add(netns.Entry{Kind: netns.KindNetns, Name: ns, Text: "ip netns add " + ns}, func() error { return netns.New(ns) })
	b.inner(ns, "ip -n "+ns+" link set lo up", func() error { return netns.SetUp(ns, "lo") })
	b.sysctl(ns, "net.ipv6.conf.default.disable_ipv6", "1")
}

func (b *builder) sysctl(ns, key, value string) {
	b.inner(ns, fmt.Sprintf("ip netns exec %s sysctl -qw %s=%s", ns, key, value), func() error { return netns.Sysctl(ns, key, value) })
}

func (b *builder) bridge() {
	ns := b.ns(SwitchHost)
	b.inner(ns, fmt.Sprintf("ip -n %s link add %s mtu %d type bridge mcast_snooping 0", ns, bridgeIf, b.MTU),
		func() error { return netns.Bridge(ns, bridgeIf, b.MTU) })
	b.up(ns, bridgeIf)
}

func (b *builder) up(ns, name string) {
	b.inner(ns, "ip -n "+ns+" link set "+name+" up", func() error { return netns.SetUp(ns, name) })
}

func (b *builder) veth(x, y netns.End, mtu int) {
	end := func(e netns.End) string {
		s := fmt.Sprintf("%s netns %s mtu %d", e.Name, e.NS, mtu)
		if e.Index != 0 {
			s += fmt.Sprintf(" index %d", e.Index)
		}
		if e.MAC != "" {
			s += " address " + e.MAC
		}
		return s
	}
	b.inner(x.NS, fmt.Sprintf("ip -n %s link add %s type veth peer name %s", x.NS, end(x), end(y)),
		func() error { return netns.Veth(x, y, mtu) })
}

// port joins host i to the switch.
func (b *builder) port(i int) {
	sw, name := b.ns(SwitchHost), b.Spec.port(i)
	b.veth(netns.End{NS: b.ns(b.Hosts[i].Name), Name: HostIf, MAC: b.mac(i), Index: hostIndex}, netns.End{NS: sw, Name: name}, b.MTU)
	if b.Fabric == Bridge {
		b.inner(sw, "ip -n "+sw+" link set "+name+" master "+bridgeIf, func() error { return netns.Enslave(sw, name, bridgeIf) })
	}
	b.up(sw, name)
}

// address gives host i its address, and what needs the interface to be up.
func (b *builder) address(i int) {
	ns, h := b.ns(b.Hosts[i].Name), b.Hosts[i]
	addr := netip.PrefixFrom(netip.MustParseAddr(h.IP), 24)
	b.inner(ns, fmt.Sprintf("ip -n %s addr add %v brd + dev %s", ns, addr, HostIf), func() error { return netns.AddAddr(ns, HostIf, addr) })
	b.up(ns, HostIf)
	if b.StaticNeighbours {
		for k, o := range b.Hosts {
			if k == i {
				continue
			}
			b.neighbour(ns, HostIf, netip.MustParseAddr(o.IP), b.mac(k))
		}
	}
	// A balanced address outside the network needs a route for the connection to
	// get as far as the rule that changes its destination.
	routed := map[netip.Addr]bool{}
	for _, v := range h.Balance {
		ip := netip.MustParseAddrPort(v.Addr).Addr()
		if b.net().Contains(ip) || routed[ip] {
			continue
		}
		routed[ip] = true
		b.route(ns, HostIf, netip.PrefixFrom(ip, 32), netip.Addr{})
	}
}

// balance adds the NAT rules of host i.
func (b *builder) balance(i int) {
	ns, h := b.ns(b.Hosts[i].Name), b.Hosts[i]
	if len(h.Balance) == 0 {
		return
	}
	nft := "ip netns exec " + ns + " nft "
	text := []string{
		fmt.Sprintf("%sadd table ip %s", nft, netns.BalanceTable),
		fmt.Sprintf("%sadd chain ip %s %s '{ type nat hook output priority -100; }'", nft, netns.BalanceTable, netns.BalanceChain),
	}
	for _, v := range h.Balance {
		to := netip.MustParseAddrPort(v.Addr)
		for k, backend := range v.Backends {
			chance := ""
			if n := len(v.Backends) - k; n > 1 {
				chance = fmt.Sprintf(" numgen random mod %d 0", n)
			}
			text = append(text, fmt.Sprintf("%sadd rule ip %s %s ip daddr %v tcp dport %d%s dnat to %s",
				nft, netns.BalanceTable, netns.BalanceChain, to.Addr(), to.Port(), chance, backend))
		}
	}
	b.inner(ns, strings.Join(text, "\n"), func() error { return netns.Balance(ns, h.Balance) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
