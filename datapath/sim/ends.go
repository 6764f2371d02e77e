package sim

import (
	"math"
	"slices"
)

// FrameObserver sees frames enter a network, leave it or get lost in it: the
// events of each end and of each stage in the order of time.
type FrameObserver interface {
	// Entered: the source (a stage's index) first offers the frame at cycle
	// at.
	Entered(source int, frame uint32, at Cycle)
	// Left: the sink accepts the frame's last beat at cycle at.
	Left(sink int, frame uint32, at Cycle)
	// Dropped is Observer's.
	Dropped(stage int, t Picos, frame uint32, why Loss)
}

// end is a wire at which frames enter or leave the network.
type end struct {
	watch        FrameObserver
	source, sink int // stages, or -1
}

func (e *end) pass(shown, accepted Cycle, b *Beat) {
	if b.First && e.source >= 0 {
		e.watch.Entered(e.source, b.Frame, shown)
	}
	if b.Last && e.sink >= 0 {
		e.watch.Left(e.sink, b.Frame, accepted)
	}
}

// Flow makes a source native unless it has headers to give.
func (s *Source) Flow(_, out []*Chan) Flow {
	if s.WithHeader {
		return nil
	}
	return &sourceFlow{s: s, out: out[0]}
}

// sourceFlow shows beats as early as they may be: that one waits for the one
// before it is the channel's business.
type sourceFlow struct {
	s     *Source
	out   *Chan
	limit Picos // frames that may not be offered by then are not taken from the feed
	held  bool  // there is one
	timed bool  // s.from accounts for the frame before
	like  Beat  // what all beats of a frame have
}

func (f *sourceFlow) Run() bool {
	moved := false
	for f.out.Room() && f.ready() {
		if from, beat := f.out.Blank(); len(from) > 0 {
			n := f.fill(beat)
			for i := range from[:n] {
				from[i] = f.s.from
			}
			f.out.Fill(uint64(n))
		} else { // there is a promise
			var b [1]Beat
			f.fill(b[:])
			f.out.Put(f.s.from, &b[0])
		}
		moved = true
	}
	return moved
}

// fill makes the next beats of the frame, and returns how many they are.
func (f *sourceFlow) fill(beat []Beat) int {
	x, width := &f.s.frame, f.out.Wire.Width
	off := f.s.off
	f.like = Beat{Frame: x.ID, Bytes: uint16(width), Dest: x.Dest}
	for i := range beat {
		b, left := &beat[i], x.Bytes-off
		*b = f.like
		b.Off, b.Left = int32(off), uint16(left)
		if off == 0 {
			b.First = true
		}
		if left <= width {
			b.Bytes, b.Last, b.Bad = uint16(left), true, x.Bad
			f.s.loaded = false
			return i + 1
		}
		off += width
	}
	f.s.off = off
	return len(beat)
}

// ready makes sure that there is a frame whose first cycle is known.
func (f *sourceFlow) ready() bool {
	s, d := f.s, f.out.Wire.Clock
	if !s.loaded {
		if s.load(0); !s.loaded {
			return false
		}
		f.timed = s.frame.Gap == 0 || f.out.sent == 0
	}
	if !f.timed {
		if f.out.taken < f.out.sent {
			return false
		}
		s.from = max(s.from, f.out.Done(f.out.sent-1)+s.frame.Gap)
		f.timed = true
	}
	f.held = s.off == 0 && d.At(s.from) > f.limit
	return !f.held
}

// Flow makes a sink native.
func (s *Sink) Flow(in, _ []*Chan) Flow {
	p, ok := s.Pattern.(periodic)
	return &sinkFlow{s, in[0], ok && !slices.Contains(p, false)}
}

type sinkFlow struct {
	s      *Sink
	in     *Chan
	always bool // ready from s.From on
}

func (f *sinkFlow) Run() bool {
	if f.in.promised == math.MaxUint64 {
		f.in.skip()
		return true
	}
	moved := false
	for f.in.Next() {
		at, ok := f.s.ready(f.in.Shown())
		if !ok {
			break
		}
		f.in.Accept(at)
		moved = true
	}
	if f.always && !f.in.Next() && f.in.Done(f.in.read-1) >= f.s.From {
		f.in.Promise(math.MaxUint64)
	}
	return moved
}
