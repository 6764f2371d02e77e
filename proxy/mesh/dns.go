package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DNS says that the endpoints of a cluster may be names, each of which is as many
// endpoints as it has addresses: Envoy's STRICT_DNS. Whoever runs the Config asks
// for the addresses, again and again, and puts them in with Config.Resolved.
type DNS struct {
	Refresh time.Duration `json:"dns_refresh_rate,omitempty"`  // from an answer to the next question; 0 means DefaultRefresh
	Family  Family        `json:"dns_lookup_family,omitempty"` // empty means FamilyAuto
}

// DefaultRefresh is Envoy's default for DNS.Refresh.
const DefaultRefresh = 5 * time.Second

// Family is which of a name's addresses are endpoints, in Envoy's words.
type Family string

// The families.
const (
	FamilyAuto   Family = "AUTO" // IPv6, or IPv4 if there is none
	FamilyV4     Family = "V4_ONLY"
	FamilyV6     Family = "V6_ONLY"
	FamilyPrefer Family = "V4_PREFERRED" // IPv4, or IPv6 if there is none
)

// Families lists them.
func Families() []string {
	return []string{string(FamilyAuto), string(FamilyV4), string(FamilyV6), string(FamilyPrefer)}
}

// Choose returns those of addrs that f takes, in order, each once.
func (f Family) Choose(addrs []netip.Addr) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	out := six
	if f == FamilyV4 || f == FamilyPrefer && len(four) > 0 || f != FamilyV6 && len(six) == 0 {
		out = four
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Host splits e's address into a name, or an IP address, and a port; ok is false
// if it is neither ip:port nor name:port.
func (e *Endpoint) Host() (host string, port uint16, ok bool) {
	if a, err := netip.ParseAddrPort(e.Address); err == nil {
		return a.Addr().String(), a.Port(), true
	}
	i := strings.LastIndexByte(e.Address, ':')
	if i < 1 || i > 253 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(e.Address[i+1:], 10, 16)
	if err != nil {
		return "", 0, false
	}
	host = e.Address[:i]
	for _, c := range []byte(host) {
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return "", 0, false
		}
	}
	return host, uint16(n), true
}

// Resolved returns c with an endpoint for each address that answers has for one of
// a cluster's, in the place of that one.
func (c Config) Resolved(answers func(cluster *Cluster, e *Endpoint) []netip.Addr) Config {
	c.Clusters = slices.Clone(c.Clusters)
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		if cl.DNS == nil {
			continue
		}
		var all []Endpoint
		for j := range cl.Endpoints {
			e := &cl.Endpoints[j]
			host, port, _ := e.Host()
			for _, a := range answers(cl, e) {
				all = append(all, Endpoint{Address: netip.AddrPortFrom(a, port).String(), Hostname: cmp.Or(e.Hostname, host), Weight: e.Weight, found: e.Address})
			}
		}
		cl.Endpoints = all
	}
	return c
}

func (v *validator) dns(path string, c *Cluster) {
	d := c.DNS
	switch {
	case d == nil:
		return
	case c.OriginalDst:
		v.fail(path+".dns", "is for endpoints, and the cluster is the original destination")
	case d.Refresh != 0 && d.Refresh <= time.Millisecond:
		v.fail(path+".dns.dns_refresh_rate", "is %v, want 0 (%v) or more than 1ms", d.Refresh, DefaultRefresh)
	case d.Family != "" && !slices.Contains(Families(), string(d.Family)):
		v.fail(path+".dns.dns_lookup_family", "is %q, want one of %s", d.Family, strings.Join(Families(), ", "))
	}
}

// endpoint checks the address of one of c's endpoints.
func (v *validator) endpoint(path string, c *Cluster, e *Endpoint) {
	_, port, ok := e.Host()
	switch {
	case c.DNS == nil && !v.address(path, e.Address):
	case !ok:
		v.fail(path, "%q is neither ip:port nor name:port", e.Address)
	case port == 0:
		v.fail(path, "%s has port 0", e.Address)
	}
}
