package timing

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/sim"
)

// frame is what is remembered of a frame while it is on the card.
type frame struct {
	entered sim.Picos
	tag     uint32
	to      uint16
	dropAt  int16 // place of the actor that drops it, or -1
	in      uint8
	copies  uint8 // that have neither left nor got lost; 0: over
}

// flight is the frames on the card, by id.
type flight struct {
	actors []string // modules of the actors, from the input on
	ring   []frame
	oldest uint32 // no older frame is on the card
	next   uint32 // after the newest
	open   int
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

func (f *flight) of(id uint32) *frame { return &f.ring[id&uint32(len(f.ring)-1)] }

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
	size := max(1024, len(f.ring))
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

// less takes copies of a frame away.
func (f *flight) less(x *frame, all bool) {
	if x.copies == 0 { // a copy that a stage of the description made
		return
	}
	if x.copies--; all {
		x.copies = 0
	}
	if x.copies == 0 {
		f.open--
	}
}

// actor gives a stage the decisions that were made beforehand.
type actor struct {
	c     *Card
	place int
}

func (a *actor) Head(uint32) int { return 0 }

func (a *actor) Decide(s card.Seen) (v card.Verdict) {
	if int(a.c.flight.of(s.Frame).dropAt) == a.place {
		v.Loss = sim.LossVerdict
	}
	return v
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
	cross := Crossing{Frame: id, In: int(x.in), Out: k, Entered: x.entered, Left: c.built.Out[k].Wire.Clock.At(at)}
	c.flight.less(x, false)
	c.see.Crossed(cross)
}

// Dropped tells of a frame that a stage dropped.
func (c *Card) Dropped(stage int, t sim.Picos, id uint32, why sim.Loss) {
	x := c.flight.of(id)
	in := int(x.in)
	c.flight.less(x, !c.stages[stage].copies)
	c.see.Lost(id, in, c.stages[stage].name, t, why)
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
