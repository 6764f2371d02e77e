// Package hostif carries Ethernet frames between the host and the NIC. A Link
// is one port's connection to the host: batches of frames in, batches of
// frames out, one goroutine. The packages beside it implement Link over AF_XDP
// (xdp), TAP (tap), AF_PACKET (packet), capture files (pcap) and memory (mem);
// netns builds the namespaces and veth pairs that links attach to.
package hostif

import (
	"errors"
	"io"
)

// Frame is one Ethernet frame, without FCS, in memory that a Link owns.
//
// Ownership: a frame that Recv returned is the caller's to read and write until
// the next Recv on the same link, which takes back whatever has not been sent.
// A frame given to Send is consumed: the caller must not touch Data again. A
// link moves a frame that lies in memory it shares (same Mem) and copies any
// other. To send one frame to several links, Clone it for all but one.
type Frame struct {
	Data    []byte  // destination MAC first; contiguous, also for jumbo frames
	Offload Offload // what the sender left for a device to do

	// Mem and Addr say where Data lies. They belong to the link that made the
	// frame; nil Mem is ordinary Go memory.
	Mem   any
	Addr  uint64
	Taken bool // a Send has taken the memory over: the receiving link forgets it
}

// Clone returns a copy of f in ordinary memory.
func (f *Frame) Clone() *Frame {
	return &Frame{Data: append([]byte(nil), f.Data...), Offload: f.Offload}
}

// Offload describes unfinished work on a frame, in the terms of virtio_net_hdr
// (linux/virtio_net.h). The zero value is a finished frame.
type Offload struct {
	CsumPartial bool    // L4 checksum field holds the pseudo-header sum only
	CsumStart   uint16  // bytes from Data[0] to where summing starts
	CsumOffset  uint16  // bytes from CsumStart to the checksum field
	GSO         GSOType // segment type; GSONone if the frame is one packet
	GSOSize     uint16  // payload bytes a segment
	HdrLen      uint16  // bytes of headers that each segment repeats
}

// GSOType is the segmentation a frame still needs.
type GSOType uint8

// The segmentation types of virtio_net_hdr that this project carries.
const (
	GSONone  GSOType = 0
	GSOTCPv4 GSOType = 1
	GSOUDP   GSOType = 3
	GSOTCPv6 GSOType = 4
	GSOUDPL4 GSOType = 5
	GSOECN   GSOType = 0x80 // flag
)

// Link is one port's connection to the host. It is used by one goroutine,
// except Close, which may come from any.
type Link interface {
	// Name is the host's name of the interface, or a description.
	Name() string
	// Recv fills frames from the front with frames that have arrived and
	// returns how many. It never blocks: 0, nil means nothing has arrived.
	// io.EOF means that nothing will arrive any more; net.ErrClosed that the
	// link was closed.
	Recv(frames []*Frame) (int, error)
	// Send queues frames in order and consumes all of them. It returns how many
	// the host took; the others are lost and counted in Stats.
	Send(frames []*Frame) (int, error)
	// Fd is a descriptor that polls readable when Recv may have something.
	Fd() int
	// Offloads reports whether frames may carry unfinished work (Frame.Offload)
	// in both directions. A link without it delivers and takes finished frames.
	Offloads() bool
	// MTU is the largest L3 packet the interface carries.
	MTU() int
	// Stats returns the counters so far.
	Stats() Stats
	io.Closer
}

// Stats are a link's counters. Each is monotonic.
type Stats struct {
	RxFrames uint64 `json:"rx_frames"`
	RxBytes  uint64 `json:"rx_bytes"`
	TxFrames uint64 `json:"tx_frames"`
	TxBytes  uint64 `json:"tx_bytes"`

	TxDropFull  uint64 `json:"tx_drop_full"`  // no room in the transmit ring or queue after kicking
	TxDropSize  uint64 `json:"tx_drop_size"`  // frame larger than the link carries
	TxDropError uint64 `json:"tx_drop_error"` // the host refused the frame
	RxDropFull  uint64 `json:"rx_drop_full"`  // the host had no free buffer of ours (rx_dropped, fill_ring_empty)
	RxDropBad   uint64 `json:"rx_drop_bad"`   // truncated or malformed on the host side

	Kicks   uint64 `json:"kicks"`   // system calls that asked the host to transmit
	Wakeups uint64 `json:"wakeups"` // times a wait on this link ended with something to read
}

// Counted is a Link that counts more than Stats: what it makes the host do.
type Counted interface {
	// Count adds its counters to c, by names such as xdp.threaded.switches.
	Count(c map[string]uint64)
}

// Errors that callers tell apart. Implementations wrap them.
var (
	ErrNotSupported = errors.New("not supported by this kernel or interface")
	ErrPrivilege    = errors.New("missing privilege")
	ErrBusy         = errors.New("in use")
	ErrNoInterface  = errors.New("no such interface")
)

// OpError says what hostif was doing to which interface when it failed.
type OpError struct {
	Op, Iface string
	Err       error
}

func (e *OpError) Error() string { return "hostif: " + e.Op + " " + e.Iface + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Logf receives one line for each trap a link steps around (an offload turned
// off, a rebind retried), so that the user sees what was changed. Nil is silent.
type Logf func(format string, args ...any)
