package wire

import "encoding/binary"

// Lengths of an ARP packet in bytes (RFC 826).
const (
	ARPFixedLen = 8  // types, lengths, operation
	ARPLen      = 28 // for IPv4 over Ethernet
)

// ARP operations.
const (
	ARPRequest uint16 = 1
	ARPReply   uint16 = 2
)

// ARP is an ARP packet. Sender and target accessors hold for IPv4 over
// Ethernet only, which IsIPv4 tells.
type ARP []byte

// Valid reports whether the fixed part and the addresses of the lengths it
// states lie inside the slice and, for IPv4 over Ethernet, whether the lengths
// are 6 and 4.
func (h ARP) Valid() bool {
	if len(h) < ARPFixedLen || len(h) < ARPFixedLen+2*int(h[4])+2*int(h[5]) {
		return false
	}
	return !h.isIPv4OverEthernet() || h[4] == 6 && h[5] == 4
}

func (h ARP) isIPv4OverEthernet() bool { return h.HardwareType() == 1 && h.ProtocolType() == TypeIPv4 }

// IsIPv4 reports whether a valid h resolves IPv4 over Ethernet.
func (h ARP) IsIPv4() bool { return h.isIPv4OverEthernet() }

// HardwareType returns the link's type; 1 is Ethernet.
func (h ARP) HardwareType() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// ProtocolType returns the EtherType of the addresses that are resolved.
func (h ARP) ProtocolType() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Op returns the operation.
func (h ARP) Op() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// SenderMAC returns the sender's link address.
func (h ARP) SenderMAC() MAC { return MAC(h[8:14]) }

// SenderIP returns the sender's IPv4 address.
func (h ARP) SenderIP() [4]byte { return [4]byte(h[14:18]) }

// TargetMAC returns the target's link address.
func (h ARP) TargetMAC() MAC { return MAC(h[18:24]) }

// TargetIP returns the target's IPv4 address.
func (h ARP) TargetIP() [4]byte { return [4]byte(h[24:28]) }

// SetOp writes the operation.
func (h ARP) SetOp(op uint16) { binary.BigEndian.PutUint16(h[6:8], op) }

// SetSender writes the sender's addresses.
func (h ARP) SetSender(m MAC, ip [4]byte) { copy(h[8:14], m[:]); copy(h[14:18], ip[:]) }

// SetTarget writes the target's addresses.
func (h ARP) SetTarget(m MAC, ip [4]byte) { copy(h[18:24], m[:]); copy(h[24:28], ip[:]) }

// Init writes the fixed part for IPv4 over Ethernet; h must have ARPLen bytes.
func (h ARP) Init(op uint16) {
	copy(h, []byte{0, 1, 8, 0, 6, 4})
	h.SetOp(op)
}
