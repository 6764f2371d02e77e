package wire

// NDPLen is the length of a neighbour solicitation or advertisement without options
// (RFC 4861 §4.3, §4.4).
const NDPLen = 24

// NDPHopLimit is the hop limit that these have: they come from no farther than the link.
const NDPHopLimit = 255

// Types of ICMPv6 that resolve addresses.
const (
	NeighbourSolicitation  uint8 = 135
	NeighbourAdvertisement uint8 = 136
)

// Flags of an advertisement.
const (
	NDPSolicited uint8 = 0x40
	NDPOverride  uint8 = 0x20
)

// NDPOption is a kind of option that holds a link address.
type NDPOption uint8

// The options.
const (
	NDPSourceLink NDPOption = 1
	NDPTargetLink NDPOption = 2
)

// NDP is a neighbour solicitation or advertisement, with the head of ICMP.
type NDP []byte

// Valid reports whether h is one, with options that lie inside the slice.
func (h NDP) Valid() bool {
	if len(h) < NDPLen || h[0] != NeighbourSolicitation && h[0] != NeighbourAdvertisement || h[1] != 0 || h[8] == 0xff {
		return false
	}
	for o := h[NDPLen:]; len(o) > 0; {
		if len(o) < 8 || o[1] == 0 || len(o) < 8*int(o[1]) {
			return false
		}
		o = o[8*int(o[1]):]
	}
	return true
}

// Target returns the address that is resolved.
func (h NDP) Target() [16]byte { return [16]byte(h[8:24]) }

// Link returns the link address in an option of that kind.
func (h NDP) Link(kind NDPOption) (m MAC, ok bool) {
	for o := h[NDPLen:]; len(o) >= 8; o = o[8*int(o[1]):] {
		if NDPOption(o[0]) == kind && o[1] == 1 {
			return MAC(o[2:8]), true
		}
	}
	return m, false
}

// AppendNDP appends a message of a type, with a link address, to b. Its checksum is 0.
func AppendNDP(b []byte, typ, flags uint8, target [16]byte, kind NDPOption, m MAC) []byte {
	b = append(b, typ, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, target[:]...)
	b = append(b, byte(kind), 1)
	return append(b, m[:]...)
}

// SolicitedNode returns the multicast address, and its link address, at which a host
// listens for solicitations of ip (RFC 4291 §2.7.1, RFC 2464 §7).
func SolicitedNode(ip [16]byte) ([16]byte, MAC) {
	a := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: ip[13], 14: ip[14], 15: ip[15]}
	return a, MAC{0x33, 0x33, 0xff, ip[13], ip[14], ip[15]}
}
