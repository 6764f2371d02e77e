package card

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// holdFlow is a Pipe that holds frames: for its memory, for a scan that takes longer
// than the head takes to come, for those that are inside already, or to make them
// longer or shorter. A beat is accepted once the one so many places before it has left,
// a frame's first also not before the verdict on the frame before and, where frames are
// counted, once the one so many before has left. Of a head that is all in it is known
// when it is seen, and so when what was held until then leaves.
type holdFlow struct {
	*Pipe   // q holds those of its beats that have not been put
	store   // what is held is not in it yet
	in, out *sim.Chan
	latency sim.Cycle
	places  uint64     // that a beat may find taken but one
	heads   []headBeat // that wait for the verdict
	beats   uint64     // that wait for it, or did until it was bad
	bytes   int        // of them
	looked  sim.Cycle  // the cycle after the edge at which the head was looked at last
	judged  sim.Cycle  // the cycle after the verdict: what comes before is held
	from    sim.Cycle  // from which that is shown, if it is good
	empty   uint64     // beats of which it is known that they had left when the last was accepted
	over    []uint64   // where frames are counted: by frame, the beats pushed with it and those before
	passed  uint64     // frames that are all pushed
	away    uint64     // of them, those that had left when the last beat was accepted
}

func newHoldFlow(p *Pipe, in, out *sim.Chan) sim.Flow {
	f := &holdFlow{Pipe: p, store: newStore(out), in: in, out: out, latency: sim.Cycle(p.cfg.Latency), places: uint64(len(p.q.place) - p.spare)}
	if p.cfg.Frames > 0 {
		f.over = make([]uint64, 1<<bits.Len(uint(p.cfg.Frames)))
	}
	if p.cfg.Rate > 0 {
		return &scanFlow{f}
	}
	return f
}

// Highest is with what is held.
func (f *holdFlow) Highest() int {
	level, n := f.store.Highest(), 0
	for i := range f.heads {
		h := &f.heads[i]
		n += int(h.beat.Bytes)
		level = max(level, n+f.before(f.pushed, h.came+1))
	}
	return level
}

func (f *holdFlow) Run() bool {
	moved := false
	f.drain()
	f.collect()
	for f.in.Next() {
		at, sure := f.comes()
		if !sure {
			break
		}
		f.take(at)
		moved = true
	}
	if f.in.Promised() < f.in.Sent()+ahead && f.cfg.Rate == 0 && f.spare == 0 && !f.in.Next() {
		f.promise()
	}
	return moved
}

// ahead is how many beats a promise is to reach.
const ahead = 32

// drain puts what found no room on the output.
func (f *holdFlow) drain() {
	for f.q.n > 0 && f.out.Room() {
		t := &f.q.place[f.q.head]
		f.out.Put(t.at, &t.beat)
		f.q.pop()
	}
}

// comes is when the beat that waits is accepted, as far as it is sure: it may depend on
// when others leave.
func (f *holdFlow) comes() (at sim.Cycle, sure bool) {
	at = f.in.Shown()
	if !f.open {
		at = max(at, f.judged)
		if n := uint64(f.cfg.Frames); n > 0 && f.passed >= n {
			last := f.over[(f.passed-n)&uint64(len(f.over)-1)]
			if last > f.known {
				return at, false
			}
			at = max(at, f.gotAway(last-1))
		}
	}
	if f.drop && at >= f.judged {
		return at, true
	}
	k := f.pushed + f.beats
	if k < f.places {
		return at, true
	}
	if k -= f.places; k >= f.known {
		return at, false
	}
	if f.drop { // from the verdict on it takes no place
		return max(at, min(f.gotAway(k), f.judged)), true
	}
	return max(at, f.gotAway(k)), true
}

// take accepts the beat that waits.
func (f *holdFlow) take(at sim.Cycle) {
	b := f.in.Head()
	if !f.open {
		f.begin(*b)
		f.looked = at
	}
	switch {
	case !f.decided:
		f.hold(b, at)
	case f.drop && at < f.judged:
		f.withdrawn(b, at)
	case f.drop:
	case f.push != 0:
		f.got, f.bad = f.got+int(b.Bytes), b.Bad
		f.shift(at, at+f.latency)
	case at < f.judged:
		f.pass(b, at, f.from)
	default:
		f.pass(b, at, at+f.latency)
	}
	if b.Last {
		if f.over != nil && !f.drop {
			f.over[f.passed&uint64(len(f.over)-1)] = f.pushed
			f.passed++
		}
		f.close()
		f.beats, f.bytes = 0, 0
	}
	f.in.Accept(at)
}

// hold keeps a beat of the head, and decides when it is all there.
func (f *holdFlow) hold(b *sim.Beat, at sim.Cycle) {
	f.heads = append(f.heads, headBeat{*b, at})
	f.beats++
	f.scan(at)
	f.got, f.bad = f.got+int(b.Bytes), b.Bad
	if b.Last {
		f.need = min(f.need, f.got) // it was cut short
	}
	f.scan(at + 1)
	switch left := f.need - f.seen; {
	case f.got < f.need:
		return
	case left > 0:
		at += sim.Cycle((left + f.cfg.Rate - 1) / f.cfg.Rate)
	}
	f.decide(at)
}

// scan looks at the head at the edges before a cycle.
func (f *holdFlow) scan(cycle sim.Cycle) {
	there := min(f.got, f.need)
	if f.cfg.Rate == 0 {
		f.seen = there
	} else if n := cycle - f.looked; n > 0 {
		f.seen = int(min(sim.Cycle(there), sim.Cycle(max(f.seen, min(there, f.cfg.Known)))+n*sim.Cycle(f.cfg.Rate)))
	}
	f.looked = cycle
}

// decide lets what was held go by the verdict, or not.
func (f *holdFlow) decide(at sim.Cycle) {
	f.judged = at + 1
	if why := f.verdict(at); why != sim.LossNone {
		f.drop = true
		f.DropAt(f.in.Wire.Clock.At(at), f.id, why)
		f.beats = 0
		for i := range f.heads {
			f.withdrawn(&f.heads[i].beat, f.heads[i].came)
		}
		f.heads = f.heads[:0]
		return
	}
	from := max(at, f.next)
	f.next = from + sim.Cycle(f.cfg.Interval*max(1, f.reads))
	f.from = from + f.latency + sim.Cycle(f.reads*f.cfg.Read)
	f.beats = 0
	if f.push == 0 {
		for i := range f.heads {
			f.pass(&f.heads[i].beat, f.heads[i].came, f.from)
		}
	} else {
		for i := range f.heads {
			f.withdrawn(&f.heads[i].beat, f.heads[i].came)
		}
		f.beats = 0
		f.shift(at, f.from)
	}
	f.heads = f.heads[:0]
}

// withdrawn notes that a beat was held until the verdict and then was not there.
func (f *holdFlow) withdrawn(b *sim.Beat, came sim.Cycle) {
	f.beats++
	f.bytes += int(b.Bytes)
	if came+1 < f.judged {
		f.back.note(f.pushed, came, f.bytes)
	}
}

// pass puts a beat that came at an edge on the way out.
func (f *holdFlow) pass(b *sim.Beat, came, from sim.Cycle) {
	f.add(came, b.Bytes)
	x := b
	if f.route && b.Dest != f.dest {
		y := *b
		y.Dest = f.dest
		x = &y
	}
	if f.q.n == 0 && f.out.Room() {
		f.out.Put(from, x)
		f.collect()
		return
	}
	f.q.push(*x, from)
}

// shift passes on what has come of a frame that gets longer or shorter.
func (f *holdFlow) shift(came, from sim.Cycle) {
	n := f.q.n
	f.repack(from)
	for ; n < f.q.n; n++ {
		f.add(came, f.q.nth(n).beat.Bytes)
	}
	f.drain()
	f.collect()
}

// promise says how many beats find a place whenever they come, and so, if all of them
// are frames, how many frames may come.
func (f *holdFlow) promise() {
	now := f.in.Done(f.in.Read() - 1)
	for f.empty < f.known && f.gotAway(f.empty) <= now {
		f.empty++
	}
	free := f.places - (f.pushed + f.beats - f.empty)
	if f.over != nil {
		f.away = max(f.away, f.passed-min(f.passed, uint64(f.cfg.Frames)))
		for f.away < f.passed && f.over[f.away&uint64(len(f.over)-1)] <= f.empty {
			f.away++
		}
		inside := f.passed - f.away
		if f.open && !f.drop {
			inside++
		}
		free = min(free, uint64(f.cfg.Frames)-inside)
	}
	f.in.Promise(f.in.Read() + free)
}

// scanFlow is a holdFlow whose verdict comes later than what it is about. What comes in
// between of a frame that is dropped then waits for a place no longer than until the
// verdict: whether it found one may depend on that nothing has left by then.
type scanFlow struct{ *holdFlow }

// Due is when the beat that waits is accepted at the latest.
func (f *scanFlow) Due() sim.Picos {
	if !f.drop || !f.in.Next() { // Run has accepted everything that is sure
		return sim.Never
	}
	return f.in.Wire.Clock.At(max(f.in.Shown(), f.judged))
}

// Decide accepts the beat.
func (f *scanFlow) Decide() { f.take(max(f.in.Shown(), f.judged)) }
