package datapathtest

import "github.com/meshnic/meshnic/datapath/sim"

// feeder presents frames on a wire. Unlike sim.Source it pauses inside frames
// too: a beat is offered in the first cycle in which its pattern is ready, and
// then stands.
type feeder struct {
	out    *sim.Wire
	frames []sim.Frame
	pause  sim.Pattern
	awake  sim.Cycle // up to this cycle no edge is skipped

	off    int // of the next beat in the first frame
	stands bool
}

func (f *feeder) Ports() (in, out []*sim.Wire) { return nil, []*sim.Wire{f.out} }
func (f *feeder) Accept()                      {}

func (f *feeder) Offer() {
	w := f.out
	if len(f.frames) == 0 || !f.stands && f.due(w.Clock.Now) != w.Clock.Now {
		w.Put(false, sim.Beat{})
		return
	}
	w.Put(true, f.beat())
}

func (f *feeder) beat() sim.Beat { return sim.BeatAt(f.frames[0], f.off, f.out.Width) }

// due is the first cycle at or after from in which the next beat may be offered.
func (f *feeder) due(from sim.Cycle) sim.Cycle {
	c, ok := f.pause.Ready(from)
	if !ok {
		panic("datapathtest: a pause that never ends")
	}
	return c
}

func (f *feeder) Edge(sim.Edges) bool {
	w := f.out
	f.stands = w.Valid && !w.Ready
	if w.Fire() {
		f.next(w.Beat)
		return true
	}
	return w.Clock.Now < f.awake
}

func (f *feeder) next(b sim.Beat) {
	if f.off += int(b.Bytes); b.Last {
		f.frames, f.off = f.frames[1:], 0
	}
}

// Wake is when the next beat may be offered.
func (f *feeder) Wake() sim.Picos {
	if len(f.frames) == 0 || f.stands {
		return sim.Never
	}
	return f.out.Clock.At(f.due(f.out.Clock.Now))
}

// Flow makes it native.
func (f *feeder) Flow(_, out []*sim.Chan) sim.Flow { return &feederFlow{f, out[0]} }

type feederFlow struct {
	f   *feeder
	out *sim.Chan
}

func (l *feederFlow) Run() bool {
	moved := false
	for len(l.f.frames) > 0 && l.out.Taken() == l.out.Sent() && l.out.Room() {
		b := l.f.beat()
		l.out.Put(l.f.due(l.out.Done(l.out.Sent()-1)), &b)
		l.f.next(b)
		moved = true
	}
	return moved
}

// thaw is never ready before a cycle and always from it on.
type thaw sim.Cycle

func (t thaw) Ready(c sim.Cycle) (sim.Cycle, bool) { return max(c, sim.Cycle(t)), true }
