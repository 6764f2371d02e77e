package offload

import (
	"fmt"
	"net/netip"

	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Reason is why a part of a configuration is not carried on the NIC. Where there is
// a host sidecar to fall back to, it carries that.
type Reason string

// The reasons, as in the counters fallback.<reason>.
const (
	ByTLS          Reason = "tls"           // needs payload, which the NIC does not keep
	ByTCPProxy     Reason = "tcp_proxy"     // is nothing that is decided by a head
	ByChains       Reason = "filter_chains" // which one it is, is told by more than a head
	ByInterception Reason = "interception"  // takes connections for other addresses than its own
	ByUpstreamTLS  Reason = "upstream_tls"  // the same as ByTLS, to endpoints
	ByOriginalDst  Reason = "original_dst"  // has no endpoints but where connections were going
	ByNames        Reason = "names"         // somebody has to ask a name server
	ByHealthCheck  Reason = "health_check"  // somebody has to ask the endpoints, with a TCP stack
	ByListenerLog  Reason = "listener_log"  // the NIC keeps no account of a connection, only of requests
	ByFamily       Reason = "family"        // has endpoints of an IP of which the NIC has no address
	byNothing      Reason = ""              // it is carried
)

// why says more of each.
var why = map[Reason]string{
	ByTLS: mesh.NoTLS, ByTCPProxy: mesh.NoTCPProxy, ByUpstreamTLS: mesh.NoUpstreamTLS, ByHealthCheck: mesh.NoHealthCheck, ByListenerLog: mesh.NoConnectionLog,
	ByChains:       "which of several filter chains it is, is told by TLS or the original destination",
	ByInterception: "it takes connections for addresses that are not its own",
	ByOriginalDst:  "its endpoints are where connections were going",
	ByNames:        "its endpoints are names, and the NIC asks no name server",
	ByFamily:       "it has endpoints of an IP, v4 or v6, of which no listener's address is the NIC's own, to ask them from",
}

// Why is r in a sentence without a full stop.
func (r Reason) Why() string { return why[r] }

// ListenerReason is why the NIC does not carry listener i of table, empty if it does.
func ListenerReason(table *mesh.Table, i int) Reason {
	t := &table.Listeners[i]
	for j := range table.Listeners {
		if j != i && table.Listeners[j].Address == t.Address {
			return ByChains
		}
	}
	switch in := t.Intercept; {
	case t.TLS != nil:
		return ByTLS
	case t.TCP != nil:
		return ByTCPProxy
	case in != (mesh.Interception{}) && !stands(t):
		return ByInterception
	case len(t.ConnLogs) > 0:
		return ByListenerLog
	}
	return byNothing
}

// stands reports whether t stands before the host that has its address, which is behind
// the NIC: its connections are the proxy's, and everything else is the host's.
func stands(t *mesh.CompiledListener) bool {
	return t.Intercept == mesh.Interception{Transparent: true} && !t.Address.Addr().IsUnspecified()
}

// ClusterReason is why the NIC does not carry requests to t, which was made of from,
// empty if it does: from addresses of its own.
func ClusterReason(t *mesh.CompiledCluster, from *mesh.Cluster, own sources) Reason {
	switch {
	case t.TLS != nil:
		return ByUpstreamTLS
	case t.OriginalDst:
		return ByOriginalDst
	case from.DNS != nil:
		return ByNames
	case t.Check != nil:
		return ByHealthCheck
	}
	for _, a := range t.Endpoints {
		if own.of(a.Addr()) == [16]byte{} {
			return ByFamily
		}
	}
	return byNothing
}

// ownAddress is what to do where the NIC has no address of an IP.
const ownAddress = "add a listener that is not transparent, at an address of that IP that no host has"

// refuse is the error about what is not carried where nobody else does.
func refuse(what string, r Reason) error {
	if r == ByFamily {
		return failure.New(failure.BadFile, "offload: "+what, r.Why(), ownAddress)
	}
	return failure.New(failure.BadFile, "offload: "+what, "is not carried on the NIC: "+r.Why(), "name the host sidecar that carries it with --fallback ADDR")
}

// instead returns where the host sidecar has listener address a.
func (f *Fallback) instead(a netip.AddrPort) netip.AddrPort {
	if to, ok := f.Ports[a.Port()]; ok {
		return to
	}
	return netip.AddrPortFrom(f.Addr, a.Port())
}

// Fallback is the host sidecar that carries what the NIC does not.
type Fallback struct {
	Addr  netip.Addr                // its address; the zero one is none at all
	Ports map[uint16]netip.AddrPort // where it has listeners that have other ports
}

// fallsBack makes the endpoint that connections of l fall back to.
func (o *Offload) fallsBack(l *listener) {
	a := o.cfg.Fallback.instead(l.t.Address)
	for i := range o.ends {
		if e := &o.ends[i]; e.cl == o.sidecar && e.addr == addrOf(a) {
			l.sidecar = splice.Endpoint(i)
			return
		}
	}
	l.sidecar = o.newEnd(o.sidecar, end{cl: o.sidecar, addr: addrOf(a), from: o.sources.before(l.t, a.Addr())}, mesh.DefaultConnectTimeout)
}

// fallBack hands the connection of n, from the request that begins on, to the host
// sidecar.
func (o *Offload) fallBack(f *flow, r Reason) splice.Decision {
	o.fallbacks[r]++
	f.raw = r
	f.chosen = f.l.sidecar
	return splice.Decision{Do: splice.Raw, To: f.chosen}
}

// undo takes back what was counted of f's request, which the host sidecar counts.
func (o *Offload) undo(f *flow) {
	c := f.l.c
	c.RqTotal--
	c.RqActive--
	if e := f.legs[0].entry; e != nil {
		o.entries = append(o.entries, e)
		f.legs[0].entry = nil
	}
	o.giveTries(&f.legs[0])
	f.active, f.n = false, 0
}

// Fallbacks counts what fell back, by reason: connections of listeners that do, and
// requests from which on a connection does.
func (o *Offload) Fallbacks() map[Reason]uint64 { return o.fallbacks }

func fallbackName(r Reason) string { return fmt.Sprintf("fallback.%s", r) }
