package corundum

import "encoding/binary"

// Key is the key of a Toeplitz hash.
type Key [40]byte

// DefaultKey is the key that mqnic_ingress hashes with: Microsoft's of the RSS
// verification suite.
var DefaultKey = Key{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
	0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
	0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

// Toeplitz is the RSS hash of data, of which the first 36 bytes count: as many
// as the key has windows for.
func Toeplitz(key *Key, data []byte) uint32 {
	data = data[:min(len(data), len(key)-4)]
	window, hash := binary.BigEndian.Uint64(key[:]), uint32(0)
	for i, b := range data {
		for bit := 7; bit >= 0; bit-- {
			hash ^= uint32(window>>32) & -uint32(b>>bit&1)
			window <<= 1
		}
		if next := i + 8; next < len(key) {
			window |= uint64(key[next])
		}
	}
	return hash
}

// Kind is what rx_hash makes of a frame. It decides which bytes are hashed, and
// with that the cycle in which the hash is there.
type Kind uint8

// The kinds of frames.
const (
	Ports Kind = iota // TCP or UDP over IPv4 without options: addresses and ports
	Addrs             // other IPv4: addresses
	Other             // neither IPv4 nor IPv6: not hashed
	Late              // IPv6, or over before the bytes to hash: not hashed, and that is known only by the frame's end
)

// Offsets in an Ethernet frame.
const (
	etherType = 12
	ipHeader  = 14
	protocol  = 23
	addresses = 26
	ports     = 34
	portsEnd  = 38
)

// known is the offset of the byte that completes what rx_hash needs.
func (k Kind) known() int32 {
	switch k {
	case Ports:
		return portsEnd - 1
	case Addrs:
		return ports - 1
	case Other:
		return etherType + 1
	}
	return 1<<31 - 1
}

// KindOf is the kind of an Ethernet frame.
func KindOf(frame []byte) Kind {
	if len(frame) < ipHeader {
		return Late
	}
	switch binary.BigEndian.Uint16(frame[etherType:]) {
	case 0x0800:
	case 0x86dd:
		return Late
	default:
		return Other
	}
	if len(frame) < ports {
		return Late
	}
	transport := frame[protocol] == 6 || frame[protocol] == 17
	switch {
	case !transport || frame[ipHeader]&0xf != 5:
		return Addrs
	case len(frame) < portsEnd:
		return Late
	}
	return Ports
}

// Hash is what rx_hash puts out for an Ethernet frame: the hash, 0 if there is
// none, and the kind it is of.
func Hash(key *Key, frame []byte) (hash uint32, kind Kind) {
	switch kind = KindOf(frame); kind {
	case Ports:
		return Toeplitz(key, frame[addresses:portsEnd]), kind
	case Addrs:
		return Toeplitz(key, frame[addresses:ports]), kind
	}
	return 0, kind
}
