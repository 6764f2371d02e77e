package netns

import "net/netip"

// Interception is how a pod's connections come to its sidecar, as Istio's init
// container arranges it.
type Interception struct {
	User              uint32 // and group of the proxy: what it sends goes its own way
	Outbound, Inbound uint16 // the proxy's ports for what the pod sends, and for what it gets
	Tunnel            uint16 // inbound port that the proxy listens on itself
}

// Istio returns Istio's defaults: user 1337, ports 15001, 15006 and 15008.
func Istio() Interception {
	return Interception{User: 1337, Outbound: 15001, Inbound: 15006, Tunnel: 15008}
}

// Rules returns the rules that Istio's init container makes in its native
// nftables mode (istio/istio at 0d2a99f1, tools/istio-nftables) for all ports in and out. The
// table is of family ip here, not inet: a lab has no IPv6.
func (i Interception) Rules() Rules {
	tcp, lo := term{op: opProto, name: "tcp"}, term{op: opOif, name: "lo"}
	jump := func(to string) term { return term{op: opJump, name: to} }
	notHome := term{op: opDaddr, not: true, prefix: loopback}
	notTunnel := term{op: opDport, name: "tcp", not: true, port: i.Tunnel}
	out := chain{name: "istio-output", rules: []rule{
		{lo, {op: opSaddr, prefix: passthrough}, {op: opReturn}},
		{lo, notHome, notTunnel, {op: opUID, n: i.User}, jump("istio-in-redirect")},
		{lo, {op: opUID, not: true, n: i.User}, {op: opReturn}},
		{{op: opUID, n: i.User}, {op: opReturn}},
		{lo, notHome, notTunnel, {op: opGID, n: i.User}, jump("istio-in-redirect")},
		{lo, {op: opGID, not: true, n: i.User}, {op: opReturn}},
		{{op: opGID, n: i.User}, {op: opReturn}},
		{{op: opDaddr, prefix: loopback}, {op: opReturn}},
		{jump("istio-redirect")},
	}}
	return Rules{table: "istio-proxy-nat", chains: []chain{
		{name: "prerouting", kind: "nat", hook: "prerouting", priority: -100, rules: []rule{{tcp, jump("istio-inbound")}}},
		{name: "output", kind: "nat", hook: "output", priority: -100, rules: []rule{{jump("istio-output")}}},
		{name: "istio-inbound", rules: []rule{
			{{op: opDport, name: "tcp", port: i.Tunnel}, {op: opReturn}},
			{tcp, jump("istio-in-redirect")},
		}},
		out,
		{name: "istio-redirect", rules: []rule{{tcp, {op: opRedirect, port: i.Outbound}}}},
		{name: "istio-in-redirect", rules: []rule{{tcp, {op: opRedirect, port: i.Inbound}}}},
	}}
}

// Addresses of the pod's own: what its programs call themselves by, and what
// Istio's proxy binds to when it hands on what it has no cluster for.
var (
	loopback    = is(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	passthrough = is(netip.AddrFrom4([4]byte{127, 0, 0, 6}))
)
