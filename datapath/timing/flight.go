package timing

import (
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// frame is what is remembered of a frame while it is on the card.
type frame struct {
	entered sim.Picos
	tag     uint32
	to      uint16
	dropAt  int16 // place of the actor that drops it, or -1
	in      uint8
	copies  uint16 // that have neither left nor got lost, those of owns included; 0: over
	work    datapath.Work
	grow    int32
	own     uint32 // number of the first frame of the program's own because of it
	owns    uint16
	written bool   // they are
	cause   uint32 // of a frame of the program's own: the frame that is the reason
	bytes   uint16 // of one
}

// ofOwn is set in the numbers of frames of the program's own.
const ofOwn = 1 << 31

// flight is the frames on the card, by id.
type flight struct {
	actors []string // modules of the actors, from the input on
	ring   []frame
	oldest uint32 // no older frame is on the card
	next   uint32 // after the newest
	open   int
	writes bool    // there are frames of the program's own
	own    []frame // the same of these, by number
	first  uint32  // no older one is on the card
	last   uint32  // after the newest
}

// dropper is the place of the actor that drops what a functional stage dropped:
// its twin, or the first actor where it has none (a MAC only marks a frame).
func (f *flight) dropper(stage string) int16 {
	if stage == "" {
		return -1
	}
	if twin, ok := twins[stage]; ok {
		stage = twin
	}
	return int16(max(0, slices.Index(f.actors, stage)))
}

func (f *flight) of(id uint32) *frame {
	if f.writes && id&ofOwn != 0 {
		return &f.own[id&uint32(len(f.own)-1)]
	}
	return &f.ring[id&uint32(len(f.ring)-1)]
}

// made notes the frames of the program's own because of frame id, and returns the first one's number.
func (f *flight) made(id uint32, x *frame, own []Own, single bool) uint32 {
	for f.first != f.last && f.of(f.first|ofOwn).copies == 0 {
		f.first++
	}
	first := f.last
	for _, o := range own {
		if int(f.last-f.first) == len(f.own) {
			f.growOwn()
		}
		to := uint16(1) << o.To
		if single {
			to = 1
		}
		*f.of(f.last | ofOwn) = frame{
			tag: x.tag, in: x.in, to: to, copies: 1, dropAt: -1, work: datapath.Work{Told: true}, cause: id, bytes: uint16(max(o.Bytes, minFrame)),
		}
		f.last++
	}
	return first
}

func (f *flight) growOwn() {
	ring := make([]frame, max(32, 2*len(f.own)))
	for n := f.first; n != f.last; n++ {
		ring[n&uint32(len(ring)-1)] = *f.of(n | ofOwn)
	}
	f.own = ring
}

// add makes room for a frame, forgetting those at the old end that are over.
func (f *flight) add(id uint32, x frame) {
	if f.open == 0 {
		f.oldest = id
	}
	for f.open > 0 && f.of(f.oldest).copies == 0 {
		f.oldest++
	}
	if need := int(id-f.oldest) + 1; need > len(f.ring) {
		f.grow(need)
	}
	for f.next != id { // ids may have gaps: what is there is not open
		if f.open > 0 {
			f.of(f.next).copies = 0
			f.next++
			continue
		}
		f.next = id
	}
	*f.of(id) = x
	f.next = id + 1
	f.open++
}

func (f *flight) grow(need int) {
	size := max(64, len(f.ring)) // as many as are on the card stay in the host's cache
	for size < need {
		size *= 2
	}
	ring := make([]frame, size)
	if f.open > 0 {
		for id := f.oldest; id != f.next; id++ {
			ring[id&uint32(size-1)] = *f.of(id)
		}
	}
	f.ring = ring
}

// less takes copies of a frame away, and returns how many were there.
func (f *flight) less(x *frame, copies int) int {
	copies = min(copies, int(x.copies)) // there may be some that a stage of the description made
	if x.copies -= uint16(copies); copies > 0 && x.copies == 0 && x.cause == 0 {
		f.open--
	}
	return copies
}

// over takes copies of frame id away, and of the one that is the reason for it; it
// returns the number of that one.
func (f *flight) over(id uint32, x *frame, copies int) (reason uint32, gone int) {
	gone = f.less(x, copies)
	if x.cause == 0 {
		return id, gone
	}
	f.less(f.of(x.cause), gone)
	return x.cause, gone
}

// Entered, Left and Dropped make a Card a sim.FrameObserver.
func (c *Card) Entered(source int, id uint32, at sim.Cycle) {
	c.flight.of(id).entered = c.built.In[c.ports[source].source].Wire.Clock.At(at)
}

// Left tells of a copy that is through.
func (c *Card) Left(sink int, id uint32, at sim.Cycle) {
	x, k := c.flight.of(id), c.ports[sink].sink
	if k < 0 {
		return
	}
	cross := Crossing{Own: x.cause != 0, In: int(x.in), Out: k, Entered: x.entered, Left: c.built.Out[k].Wire.Clock.At(at)}
	if cross.Own {
		cross.Entered, cross.Bytes = c.flight.of(x.cause).entered, int(x.bytes)
	}
	cross.Frame, _ = c.flight.over(id, x, 1)
	c.see.Crossed(cross)
}

// Dropped tells of a frame that a stage dropped.
func (c *Card) Dropped(stage int, t sim.Picos, id uint32, why sim.Loss) {
	x := c.flight.of(id)
	l := Loss{Own: x.cause != 0, In: int(x.in), Stage: c.stages[stage].name, At: t, Why: why}
	copies := 1
	if !c.stages[stage].copies {
		if copies = bits.OnesCount16(x.to); !x.written {
			copies += int(x.owns)
			c.flight.unmade(x)
		}
	}
	l.Frame, l.Copies = c.flight.over(id, x, copies)
	c.see.Lost(l)
}

// tap sees all beats of a network and takes a Card's share of them.
type tap struct {
	c     *Card
	beats sim.Observer // or nil
	ends  []end        // by wire
}

// end is what a wire is to a Card.
type end struct {
	enters bool
	sink   int // place of the sink that takes from it as a port, or -1
}

func newTap(c *Card, beats sim.Observer) *tap {
	t := &tap{c: c, beats: beats, ends: make([]end, len(c.built.Net.Wires))}
	for i := range t.ends {
		t.ends[i].sink = -1
	}
	for _, p := range c.built.In {
		t.ends[p.Wire.Index()].enters = true
	}
	for i, s := range c.built.Net.Stages {
		if k, ok := s.(*sim.Sink); ok && c.ports[i].sink >= 0 {
			t.ends[k.In.Index()].sink = i
		}
	}
	return t
}

func (t *tap) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if t.beats != nil {
		t.beats.Offered(w, at, b)
	}
	if b.First && t.ends[w.Index()].enters {
		t.c.flight.of(b.Frame).entered = w.Clock.At(at)
	}
}

func (t *tap) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if t.beats != nil {
		t.beats.Accepted(w, at, b)
	}
	if b.Last {
		if i := t.ends[w.Index()].sink; i >= 0 {
			t.c.Left(i, b.Frame, at)
		}
	}
}

func (t *tap) Dropped(stage int, at sim.Picos, id uint32, why sim.Loss) {
	if t.beats != nil {
		t.beats.Dropped(stage, at, id, why)
	}
	t.c.Dropped(stage, at, id, why)
}

// feed is the frames that have arrived at a port.
type feed struct {
	frames []sim.Frame
	first  int
}

func (f *feed) push(x sim.Frame) {
	if f.first == len(f.frames) || len(f.frames) == cap(f.frames) && f.first > len(f.frames)/2 {
		f.frames, f.first = f.frames[:copy(f.frames, f.frames[f.first:])], 0
	}
	f.frames = append(f.frames, x)
}

// Next takes the oldest.
func (f *feed) Next() (sim.Frame, bool) {
	if f.first == len(f.frames) {
		return sim.Frame{}, false
	}
	f.first++
	return f.frames[f.first-1], true
}

// unmade forgets the frames of the program's own that x would have been the reason for.
func (f *flight) unmade(x *frame) {
	for n := x.own; n != x.own+uint32(x.owns); n++ {
		f.of(n | ofOwn).copies = 0
	}
}
