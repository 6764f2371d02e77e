package sim

// Frame is one frame that enters a network.
type Frame struct {
	ID    uint32 // its number, from 1
	Bytes int    // on this wire, without preamble and FCS; 1 … 65535
	Dest  uint8  // tdest
	Bad   bool   // tuser on the last beat
	At    Picos  // offered at the first edge at or after At
	Gap   Cycle  // idle cycles after the last beat of the frame before it was accepted
}

// Feed gives frames in their order, each time the next one may be needed.
type Feed interface {
	// Next returns the next frame; ok is false when there will be no more.
	Next() (f Frame, ok bool)
}

// Frames is a Feed of given frames.
type Frames []Frame

// Next takes the first frame off f.
func (f *Frames) Next() (Frame, bool) {
	if len(*f) == 0 {
		return Frame{}, false
	}
	x := (*f)[0]
	*f = (*f)[1:]
	return x, true
}

// Source presents the frames of a feed on a wire: the next beat as soon as the
// last is accepted, a header (where WithHeader is set) together with the first
// beat of its frame, or behind the headers that still wait.
type Source struct {
	Out        *Wire
	Feed       Feed
	WithHeader bool

	loaded bool
	frame  Frame
	off    int
	from   Cycle    // no earlier edge offers the frame
	hdrs   []Header // not accepted yet; that of frame is the last, if it is there
}

// Ports returns no inputs and the wire.
func (s *Source) Ports() (in, out []*Wire) { return nil, []*Wire{s.Out} }

func (s *Source) load(from Cycle) {
	s.off = 0
	if s.frame, s.loaded = s.Feed.Next(); !s.loaded {
		return
	}
	s.from = max(from, s.Out.Clock.First(s.frame.At))
	if s.WithHeader {
		s.hdrs = append(s.hdrs, Header{Frame: s.frame.ID, Bytes: uint16(s.frame.Bytes), Dest: s.frame.Dest})
	}
}

// Offer drives the next beat.
func (s *Source) Offer() {
	w := s.Out
	if !s.loaded {
		s.load(0)
	}
	now := s.loaded && w.Clock.Now >= s.from
	if now {
		w.Put(true, BeatAt(s.frame, s.off, w.Width))
	} else {
		w.Put(false, Beat{})
	}
	if len(s.hdrs) > 0 && (now || !s.loaded || s.hdrs[0].Frame != s.frame.ID) {
		w.PutHdr(true, s.hdrs[0])
	} else {
		w.PutHdr(false, Header{})
	}
}

// BeatAt is the beat of f that starts with its byte off, on a bus of width
// bytes.
func BeatAt(f Frame, off, width int) Beat {
	n := min(width, f.Bytes-off)
	last := off+n == f.Bytes
	return Beat{Frame: f.ID, Off: int32(off), Bytes: uint16(n), Left: uint16(f.Bytes - off), Dest: f.Dest,
		First: off == 0, Last: last, Bad: last && f.Bad}
}

// Accept does nothing: a source has no inputs.
func (s *Source) Accept() {}

// Edge moves on when the beat was accepted.
func (s *Source) Edge(at Edges) bool {
	w := s.Out
	moved := false
	if w.HdrFire() {
		s.hdrs, moved = append(s.hdrs[:0], s.hdrs[1:]...), true
	}
	if !w.Fire() {
		return moved
	}
	s.off += int(w.Beat.Bytes)
	if w.Beat.Last {
		s.load(w.Clock.Now + 1)
		if s.loaded {
			s.from = max(s.from, w.Clock.Now+1+s.frame.Gap)
		}
	}
	return true
}

// Wake is the time at which the next frame may be offered.
func (s *Source) Wake() Picos {
	if !s.loaded || s.Out.Clock.Now > s.from {
		return Never
	}
	return s.Out.Clock.At(s.from)
}
