package sim

// Beat is one transfer on a Wire: up to a bus word of one frame.
type Beat struct {
	Frame uint32 // its number in the simulation, from 1; 0 is no frame
	Off   int32  // offset of its first byte in the frame as it entered; negative for prepended headers that it did not bring
	Bytes uint16 // bytes of the frame in this beat (ones in tkeep)
	Left  uint16 // bytes of the frame in this beat and all that follow it
	Dest  uint8  // tdest
	First bool
	Last  bool // tlast
	Bad   bool // tuser on the last beat: the frame is to be dropped
	Lane  int  // XGMII only: lane of START or TERMINATE; as an int it makes a Beat three whole words, cheap to copy
}

// Header is what stands on a Wire's header side channel: the header that a
// parser has taken off a frame, or that goes in front of it.
type Header struct {
	Frame uint32
	Bytes uint16 // of payload that belongs to it
	Off   int32  // offset of the payload's first byte in the frame as it entered
	Dest  uint8
}

// Wire is an AXI-Stream channel, with a header side channel for the stages
// that have one. Its producer drives Valid, Beat, HdrValid and Hdr in Offer;
// its consumer drives Ready and HdrReady in Accept. Both stay put until the
// next edge of its clock. A consumer may take the header before, with or after
// the first beat; what it does not use it must still accept.
type Wire struct {
	Name  string
	Clock *Domain
	Width int // bus width in bytes

	Valid, Ready bool
	Beat         Beat

	HdrValid, HdrReady bool
	Hdr                Header

	index  int
	stands bool // the beat has been shown to the observer
}

// Fire reports whether the beat moves at this edge.
func (w *Wire) Fire() bool { return w.Valid && w.Ready }

// HdrFire reports whether the header moves at this edge.
func (w *Wire) HdrFire() bool { return w.HdrValid && w.HdrReady }

// Put drives a beat, or nothing.
func (w *Wire) Put(valid bool, b Beat) { w.Valid, w.Beat = valid, b }

// PutHdr drives a header, or nothing.
func (w *Wire) PutHdr(valid bool, h Header) { w.HdrValid, w.Hdr = valid, h }

// Take drives ready for both channels: for consumers that ignore headers.
func (w *Wire) Take(ready bool) { w.Ready, w.HdrReady = ready, true }

// Beats is how many beats of width bytes carry n bytes.
func Beats(n, width int) int { return (n + width - 1) / width }
