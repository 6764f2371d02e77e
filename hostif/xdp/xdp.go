// Package xdp carries frames over AF_XDP sockets: rings in memory shared with
// the kernel, no copy in user space between ports, no program but what is
// assembled here: five instructions, or with a flow table some hundred.
//
// Open makes a Group: the ports of one NIC, all on one UMEM. A frame that
// arrived on one port leaves by another as a descriptor, without being copied.
// The sockets are in native copy mode (veth has no zero copy), with
// need-wakeup, and with multi-buffer where an MTU needs it.
//
// # Traps on a veth, and what is done about them
//
//   - The sender leaves the L4 checksum to a device, and AF_XDP does not say so.
//     Transmit checksumming (and with it TSO) is turned off on the veth's peer,
//     and back on at Close; where the peer is out of reach, such sums are
//     finished on receive.
//   - A VLAN device leaves its tag to the device below, and AF_XDP does not show that
//     either: tagging is turned off on the peer in the same way. Where the peer is out of
//     reach, such tags are lost.
//   - A native program turns TSO off on the peer by itself, a generic one does
//     not: generic mode is refused while the peer's TSO is on.
//   - A veth has NAPI only with a program or GRO. Our program gives the port
//     NAPI; transmit takes the ordinary path and needs none on the peer.
//   - A socket's memory is released some milliseconds after it is closed, until
//     then the queue is busy: bind is retried for two seconds.
//   - One sendto moves at most 32 frames: it is repeated until the ring is empty.
//   - A veth's peer receives a frame, TCP and all, inside the sendto that sends it.
//     On request (Config.Threaded) it does so in a thread, many frames at a time
//     and merged by GRO: see threaded_linux.go and policy.go.
//   - What a program redirects to a port (Config.FlowTable) goes through its peer's
//     NAPI, which a veth has with GRO: that is turned on, and off again at Close. The
//     peer's queue has 256 places; what finds it full is lost (flow_table.lost).
//   - A frame larger than a chunk comes and goes in several descriptors; the
//     caller sees it in one piece.
//   - A program that somebody else attached is named, never replaced.
package xdp

import (
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

// DefaultFrames is the number of UMEM chunks a port brings with it: half of
// them wait for frames to arrive, the rest is for frames on their way out. A
// burst of 2048 frames is 3 MB, more than a TCP sender's default window.
const DefaultFrames = 4096

// Iface names one interface to attach to.
type Iface struct {
	Name string
	NS   int // descriptor of its network namespace, -1 for the caller's; not kept
}

// Threaded says in whose time a veth's peer receives what a port sends.
type Threaded uint8

// The ways of Threaded.
const (
	ThreadedOff  Threaded = iota // in ours, inside sendto; no setting is changed
	ThreadedAuto                 // in a kernel thread's while frames come many at a time, else in ours; see policy.go
	ThreadedOn                   // in a kernel thread's
)

// Config says which interfaces become the ports of a group, and how.
type Config struct {
	Ifaces []Iface
	// Frames is the number of chunks a port, a power of two from 64 to 65536;
	// 0 is DefaultFrames.
	Frames int
	// RecomputeChecksums leaves the peers' settings alone and finishes sums on
	// receive instead.
	RecomputeChecksums bool
	// Generic allows generic (skb) mode where the driver has no native XDP,
	// provided the peer's TSO is off.
	Generic bool
	// Threaded has the peers receive in threads. At each switch of ThreadedAuto a
	// few frames may overtake others; none is lost.
	Threaded Threaded
	// Later leaves what arrives to the kernel until Link.Divert: attaching changes no
	// frame's way.
	Later bool
	// FlowTable has the host carry the frames it is told of (Group.FlowTable), where it
	// can. Peers do not receive in threads then.
	FlowTable bool
	// Recorder is told of each setting before it is changed; nil records nothing.
	Recorder ethtool.Recorder
	// Log gets a line for each trap that was stepped around.
	Log hostif.Logf
}

func (c *Config) logf(format string, args ...any) {
	if c.Log != nil {
		c.Log(format, args...)
	}
}
