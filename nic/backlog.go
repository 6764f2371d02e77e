package nic

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// maxBehind is how many segments may wait for the model. It bounds the memory
// that waiting takes, some 50 MiB, and how long the model is busy after the
// traffic: a second or two.
const maxBehind = 1 << 20

// arrival is a frame that the program has had and the model has not. It holds no
// pointers: hundreds of thousands of them may wait.
type arrival struct {
	at       sim.Cycle
	to       datapath.PortSet
	size     uint32
	flow     uint32 // the tracker's place
	segments uint32 // on a line
	segment  uint16 // bytes behind the headers in each of these; 0: it is one
	headers  uint16
	in       uint8
	side     int8  // of the flow that sent it; -1: it is on none
	drop     uint8 // place of the stage that dropped it among model.stages, from 1; 0: none
	flags    wire.TCPFlags
	payload  bool // it carries some
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

// push keeps a, or leaves it out.
func (b *backlog) push(a *arrival) {
	n := int(a.segments)
	if b.skips = b.waiting+n > maxBehind || b.skips && b.waiting > maxBehind/2; b.skips {
		b.gap = true
		b.untimed += uint64(n)
		return
	}
	if b.next-b.first == uint64(len(b.ring)) {
		b.grow()
	}
	p := &b.ring[b.next&uint64(len(b.ring)-1)]
	*p = *a
	p.gap, b.gap = b.gap, false
	b.next++
	b.waiting += n
}

func (b *backlog) grow() {
	ring := make([]arrival, max(1024, 2*len(b.ring)))
	for i := b.first; i != b.next; i++ {
		ring[i&uint64(len(ring)-1)] = b.ring[i&uint64(len(b.ring)-1)]
	}
	b.ring = ring
}

// pop takes the oldest of those that wait. It is good until the next push.
func (b *backlog) pop() *arrival {
	a := &b.ring[b.first&uint64(len(b.ring)-1)]
	b.first++
	b.waiting -= int(a.segments)
	return a
}
