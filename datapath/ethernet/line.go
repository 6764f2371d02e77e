package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// MinIFG is the inter-frame gap in bytes, TERMINATE included; deficit idle
// count takes up to 3 of them from one frame and gives them back later.
const MinIFG = 12

// LineSource is the far end of a line: it sends the frames of a feed as XGMII
// words, back to back unless a frame comes later (Frame.At) or asks for idle
// words before it (Frame.Gap). START is aligned to 4 bytes; the gap is kept on
// the mean by deficit idle count. After a pause longer than the gap START is in
// lane 0 and the deficit is forgotten. Frame.Bad gives a wrong FCS.
type LineSource struct {
	Out     *sim.Wire
	Feed    sim.Feed
	Lane    int // of the first START: 0, or 4 on a 64-bit line
	Deficit int // idle count at the first frame: 0 … 3
	IFG     int // bytes, if more than MinIFG

	begun, loaded bool
	frame         sim.Frame
	start, end    int64 // START and TERMINATE of the frame, in bytes since edge 0
}

// Ports returns no inputs and the wire.
func (s *LineSource) Ports() (in, out []*sim.Wire) { return nil, []*sim.Wire{s.Out} }

// Next is the lane and the deficit with which a frame that followed at once
// would begin, and the edge of its START: what a source that carries on starts
// with.
func (s *LineSource) Next() (lane, deficit int, at sim.Cycle) {
	after, width := *s, int64(s.Out.Width)
	next := after.aligned(after.next(0))
	return int(next % width), after.Deficit, sim.Cycle(next / width)
}

// next is where the line may start a frame after the last one and gap idle
// words, after the deficit has been accounted for.
func (s *LineSource) next(gap sim.Cycle) int64 {
	return s.end + int64(max(s.IFG, MinIFG)) + int64(gap)*int64(s.Out.Width)
}

// load takes the next frame off the feed.
func (s *LineSource) load() {
	s.frame, s.loaded = s.Feed.Next()
	if !s.loaded {
		return
	}
	width := int64(s.Out.Width)
	due := int64(s.Out.Clock.First(s.frame.At)) * width
	at := due + int64(s.Lane)
	if s.begun {
		if at = s.aligned(s.next(s.frame.Gap)); at < due {
			at, s.Deficit = due, 0
		}
	}
	s.begun = true
	s.start = at
	s.end = at + preambleBytes + int64(s.frame.Bytes) + fcsBytes
}

// aligned rounds a position to 4 bytes: down while the deficit allows it.
func (s *LineSource) aligned(at int64) int64 {
	over := int(at % lanes)
	switch {
	case over == 0:
	case s.Deficit+over < lanes:
		s.Deficit += over
		at -= int64(over)
	default:
		s.Deficit -= lanes - over
		at += int64(lanes - over)
	}
	return at
}

// Offer drives the word of this cycle.
func (s *LineSource) Offer() {
	w := s.Out
	if !s.loaded {
		s.load()
	}
	width := int64(w.Width)
	from := int64(w.Clock.Now) * width
	if !s.loaded || from+width <= s.start {
		w.Put(false, sim.Beat{})
		return
	}
	first, last := s.start >= from, s.end < from+width
	b := sim.Beat{Frame: s.frame.ID, Dest: s.frame.Dest, First: first, Last: last, Bad: last && s.frame.Bad}
	begin, end := max(from, s.start), min(from+width, s.end)
	b.Off, b.Bytes, b.Left = int32(begin-s.start)-preambleBytes, uint16(end-begin), uint16(s.end-begin)
	if first {
		b.Lane = int(s.start - from)
	} else if last {
		b.Lane = int(s.end - from)
	}
	w.Put(true, b)
}

// Hasty makes it a sim.Hasty.
func (s *LineSource) Hasty() {}

// Accept does nothing: a line has no inputs.
func (s *LineSource) Accept() {}

// Edge moves on to the next frame after TERMINATE; it waits for nobody.
func (s *LineSource) Edge(sim.Edges) bool {
	if !s.Out.Valid {
		return false
	}
	if s.Out.Beat.Last {
		s.load()
	}
	return true
}

// Wake is the time of the next START.
func (s *LineSource) Wake() sim.Picos {
	if !s.loaded { // a feed may have more after a pause
		s.load()
	}
	if !s.loaded || s.Out.Valid {
		return sim.Never
	}
	return s.Out.Clock.At(sim.Cycle(s.start / int64(s.Out.Width)))
}
