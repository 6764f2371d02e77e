package nic

import (
	"unsafe"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// maxBehind is how many segments may wait for the model. It bounds the memory
// that waiting takes, some 80 MiB, and how long the model is busy after the
// traffic: a second or two.
const maxBehind = 1 << 20

// arrival is a frame that the program has had and the model has not. It holds no
// pointers: hundreds of thousands of them may wait.
type arrival struct {
	at       sim.Cycle
	to       datapath.PortSet
	size     uint32
	flow     uint32 // the tracker's place, or behind these the proxy's
	segments uint32 // on a line, with the frames of the proxy's own
	segment  uint16 // bytes behind the headers in each of these; 0: it is one
	headers  uint16
	in       uint8
	side     int8  // of the flow that sent it; -1: it is on none
	drop     uint8 // place of the stage that dropped it among model.stages, from 1; 0: none
	flags    wire.TCPFlags
	payload  bool // it carries some
	answers  bool // with it, bytes of the answer go to the client
	told     bool // reads, lookups, head and written are
	reads    uint8
	lookups  uint8
	head     uint16
	written  uint16
	owns     uint16 // arrivals that follow, of frames of the proxy's own because of this one
	grow     int32
	gap      bool // frames before it were left out
}

// segments is how many frames on a line a frame of size bytes stands for, when
// each carries up to segment bytes behind headers of so many.
func segments(size, segment, headers int) int {
	if payload := size - headers; segment > 0 && payload > segment {
		return (payload + segment - 1) / segment
	}
	return 1
}

// backlog is the arrivals that wait, in their order. It grows to what it has to
// hold. When too many wait, whole stretches of traffic are left out rather than a
// frame here and there.
type backlog struct {
	ring    []arrival
	first   uint64 // number of the oldest
	next    uint64 // of the next to come
	waiting int    // segments
	skips   bool   // frames are left out until half the room is free again
	gap     bool   // some were, since the last that was kept
	untimed uint64 // segments left out
}

// push keeps a and what follows of the proxy's own, or leaves them out.
func (b *backlog) push(a *arrival, own []splice.Frame) {
	a.owns = uint16(len(own))
	a.segments += uint32(len(own))
	n := int(a.segments)
	if b.skips = b.waiting+n > maxBehind || b.skips && b.waiting > maxBehind/2; b.skips {
		b.gap = true
		b.untimed += uint64(n)
		return
	}
	a.gap, b.gap = b.gap, false
	b.put(a)
	for _, f := range own {
		b.put(&arrival{size: uint32(len(f.Data)), to: datapath.PortSet(0).Add(f.Port)})
	}
	b.waiting += n
}

// miss counts segments that came and will never be known.
func (b *backlog) miss(n uint64) {
	b.gap = true
	b.untimed += n
}

func (b *backlog) put(a *arrival) {
	if b.next-b.first == uint64(len(b.ring)) {
		b.grow()
	}
	b.ring[b.next&uint64(len(b.ring)-1)] = *a
	b.next++
}

func (b *backlog) grow() {
	ring := make([]arrival, max(1024, 2*len(b.ring)))
	for i := b.first; i != b.next; i++ {
		ring[i&uint64(len(ring)-1)] = b.ring[i&uint64(len(b.ring)-1)]
	}
	b.ring = ring
}

// oldest is when the first of those that wait came, if there is one.
func (b *backlog) oldest() sim.Cycle { return b.ring[b.first&uint64(len(b.ring)-1)].at }

// size is how many bytes those that wait may take.
func (b *backlog) size() uint64 { return uint64(len(b.ring)) * uint64(unsafe.Sizeof(arrival{})) }

// pop takes the oldest of those that wait. It is good until the next push.
func (b *backlog) pop() *arrival {
	a := &b.ring[b.first&uint64(len(b.ring)-1)]
	b.first++
	b.waiting -= int(a.segments)
	return a
}
