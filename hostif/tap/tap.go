// Package tap is a hostif.Link over a TAP interface: what the host sends into
// the interface arrives at Recv, what is given to Send the host receives. With
// virtio_net_hdr a frame is up to 64 KiB with its checksum and segmentation
// left to do, which makes bulk TCP several times cheaper than MTU-size frames.
package tap

import "github.com/meshnic/meshnic/hostif"

// Config says which interface to make.
type Config struct {
	// Name of the interface, at most 15 bytes. Empty or with %d: the kernel
	// chooses. An existing TAP interface that nobody holds is attached to.
	Name string
	// NS is a descriptor of the network namespace that the interface lives in;
	// 0 or negative is the caller's own. The link works from any other.
	NS int
	// MTU in bytes; 0 keeps the kernel's 1500.
	MTU int
	// NoOffload takes and delivers finished frames of at most the MTU.
	NoOffload bool
	// Down leaves the interface as it is; otherwise it is brought up.
	Down bool
	// TxQueueLen is how many frames the host holds for Recv before it drops
	// (RxDropFull); 0 is 4096. The kernel's own 1000 loses bursts.
	TxQueueLen int
	// Logf hears of what is not as asked for. Nil is silent.
	Logf hostif.Logf
}

const (
	ethHeaderLen = 14
	vlanLen      = 4
	maxFrame     = 1<<16 + ethHeaderLen + vlanLen // GSO frames: 64 KiB of L3
	batch        = 64                             // most frames a Recv
)
