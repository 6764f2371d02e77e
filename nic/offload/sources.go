package offload

import (
	"net/netip"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// sources are the addresses that connections to endpoints come from, of IPv4 and of IPv6:
// the first of each that is the NIC's own. The zero address is none.
type sources [2][16]byte

// sourcesOf takes those of table's listeners, and more where there are none.
func sourcesOf(table *mesh.Table, more ...netip.Addr) (s sources) {
	for i := range table.Listeners {
		if t := &table.Listeners[i]; !stands(t) {
			if at := s.at(t.Address.Addr()); *at == [16]byte{} {
				*at = t.Address.Addr().As16()
			}
		}
	}
	for _, a := range more {
		if at := s.at(a); a.IsValid() && *at == [16]byte{} {
			*at = a.As16()
		}
	}
	return s
}

func (s *sources) at(ip netip.Addr) *[16]byte {
	if ip.Is4() {
		return &s[0]
	}
	return &s[1]
}

// of is where connections to ip come from.
func (s sources) of(ip netip.Addr) [16]byte { return *s.at(ip) }

// before is where connections to ip come from that listener t has accepted: from its own
// address, if it can be.
func (s sources) before(t *mesh.CompiledListener, ip netip.Addr) [16]byte {
	if a := t.Address.Addr(); !stands(t) && a.Is4() == ip.Is4() {
		return a.As16()
	}
	return s.of(ip)
}
