// Package packet is a hostif.Link over AF_PACKET on an existing interface, such
// as the host's end of a veth. It needs CAP_NET_RAW in the interface's network
// namespace only, so it runs unprivileged inside a user namespace.
//
// The kernel gives the socket a copy of what arrives and then handles the frame
// itself: it would answer what is addressed to the interface and, if forwarding
// is on, pass it along a second time. Give the interface no address, and leave
// Config.Shared off: Open then puts a filter behind the socket that drops
// everything before the stack sees it, and that goes away with the link.
package packet

import "github.com/meshnic/meshnic/hostif"

// Config says which interface to open and how.
type Config struct {
	// Name of the interface.
	Name string
	// NS is a descriptor of the network namespace the interface is in; 0 or
	// negative is the caller's own. The link works from any other.
	NS int
	// NoOffload delivers and takes finished frames of at most the MTU. Sums and
	// segments that the peer left to the device are finished in software.
	NoOffload bool
	// Shared leaves arriving frames to the host's stack as well.
	Shared bool
	// RecvBuffer is how many bytes the kernel holds for Recv, its own overhead
	// included; 0 is 32 MiB, or what the kernel allows without privilege.
	RecvBuffer int
	// Logf hears of what is not as asked for. Nil is silent.
	Logf hostif.Logf
}

const (
	ethHeaderLen  = 14
	vlanLen       = 4
	maxFrame      = 1<<16 + ethHeaderLen + vlanLen // GSO frames: 64 KiB of L3
	batch         = 64                             // most frames a Recv and a sendmmsg
	defaultBuffer = 32 << 20
)
