package hostif

import "time"

// FlowTable is what a set of links may have besides: flows that the host carries
// from port to port by itself, as a card's hardware does with flows that its
// software has decided about. Its user sees their frames later, as copies.
//
// It is used by the goroutine that uses the links. Ports are places among them.
type FlowTable interface {
	// Learn has the host carry what comes in at a port and has the addresses and
	// ports of frame, which came in there and leaves by out as it came. It may
	// refuse: then all stays as it was.
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
