package hostif

import "time"

// FlowTable is what a set of links may have besides: TCP that the host carries
// from port to port by itself, as a card's hardware does with what its software has
// decided about. An entry is as wide as the decision behind it: it holds for all
// flows between two addresses of Ethernet, as a megaflow of Open vSwitch does. Its
// user sees their frames later, as copies.
//
// It is used by the goroutine that uses the links. Ports are places among them.
type FlowTable interface {
	// Learn has the host carry the TCP segments over IPv4 that come in at a port with
	// the Ethernet addresses of frame, which came in there and leaves by out as it
	// came. It may refuse: then all stays as it was.
	Learn(in, out int, frame []byte) bool
	// Forget ends that. Frames on their way may still be carried.
	Forget(in int, frame []byte)
	// Carried visits copies of frames that have been carried, the oldest first, at
	// most limit, and returns how many. A copy's Data holds until visit returns, which
	// must not use the links.
	Carried(limit int, visit func(CarriedFrame)) int
	// Unseen is how many frames have been carried of which there was no room for a
	// copy.
	Unseen() uint64
	// Count adds the table's counters to c, by names such as flow_table.learned.
	Count(c map[string]uint64)
}

// CarriedFrame is the copy of a frame that the host has carried.
type CarriedFrame struct {
	In, Out int
	Age     time.Duration // since it came
	Data    []byte        // as long as the frame; zeros behind its headers
}
