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
	places  uint64      // that a beat may find taken but one
	heads   []sim.Beat  // that wait for the verdict
	came    []sim.Cycle // the cycle after each of them came
	beats   uint64      // that wait for it, or did until it was bad
	bytes   int         // of them
	looked  sim.Cycle   // the cycle after the edge at which the head was looked at last
	judged  sim.Cycle   // the cycle after the verdict: what comes before is held
	from    sim.Cycle   // from which that is shown, if it is good
	empty   uint64      // beats of which it is known that they had left when the last was accepted
	over    []uint64    // where frames are counted: by frame, the beats pushed with it and those before
	passed  uint64      // frames that are all pushed
	away    uint64      // of them, those that had left when the last beat was accepted
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
		n += int(f.heads[i].Bytes)
		level = max(level, n+f.before(f.pushed, f.came[i]))
	}
	return level
}

func (f *holdFlow) Run() bool {
	moved := false
	f.drain()
	f.collect()
	for f.in.Next() {
		if f.train() {
			moved = true
			continue
		}
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
	after, beat := [1]sim.Cycle{at + 1}, [1]sim.Beat{*b}
	switch {
	case !f.decided:
		if f.hold(after[:], beat[:]); f.decided && !f.drop && f.push == 0 {
			f.pass(after[:], beat[:])
		}
	case f.drop && at < f.judged:
		f.withdraw(after[:], beat[:])
	case f.drop:
	case f.push != 0:
		f.got, f.bad = f.got+int(b.Bytes), b.Bad
		f.shift(at, at+f.latency)
	default:
		f.pass(after[:], beat[:])
	}
	f.in.Accept(at)
	if b.Last {
		f.end()
	}
}

func (f *holdFlow) end() {
	if f.over != nil && !f.drop {
		f.over[f.passed&uint64(len(f.over)-1)] = f.pushed
		f.passed++
	}
	f.close()
	f.beats, f.bytes = 0, 0
}

// train takes beats of one frame, as many as are known and find a place.
func (f *holdFlow) train() bool {
	if f.spare > 0 || f.drop || f.q.n > 0 {
		return false
	}
	after, beat := f.in.Known()
	var from []sim.Cycle // where the input waits
	if len(beat) == 0 {
		from, after, beat = f.in.Waiting(0)
	}
	k := f.pushed + f.beats
	now, first := f.in.Done(f.in.Read()-1), 0
	if !f.open {
		at, sure := f.comes()
		if !sure {
			return false
		}
		if from != nil {
			after[0] = at + 1
		}
		f.begin(beat[0])
		f.looked, now, first = at, at+1, 1
		k++
	}
	n, last := int(min(uint64(len(beat)-first), f.known+f.places-k))+first, false
	for i := range n {
		if beat[i].Last {
			n, last = i+1, true
			break
		}
	}
	if n == 0 {
		return false
	}
	if from != nil {
		for i, at := range from[first:n] {
			if at = max(at, now); k >= f.places+f.gone {
				at = max(at, f.left[(k-f.places)&f.mask])
			}
			now = at + 1
			after[first+i] = now
			k++
		}
	}
	m := 0
	if !f.decided {
		m = f.hold(after[:n], beat[:n])
	}
	if f.decided && !f.drop {
		k := f.send(after[:n], beat[:n])
		if k < m {
			f.pass(after[k:m], beat[k:m])
		}
		m = max(m, k)
	}
	if from != nil {
		f.in.Take(uint64(m))
	} else {
		f.in.Skip(uint64(m))
	}
	if last && m == n {
		f.end()
	}
	return m > 0
}

// hold looks at beats of the head, as many as it has, and decides when it is all there;
// until then they are kept, and then they are passed on by the caller if the verdict is
// good. Each came in the cycle before after.
func (f *holdFlow) hold(after []sim.Cycle, beat []sim.Beat) (n int) {
	for n < len(beat) && (n == 0 || f.got < f.need) {
		b := &beat[n]
		f.scan(after[n] - 1)
		f.got, f.bad = f.got+int(b.Bytes), b.Bad
		if b.Last {
			f.need = min(f.need, f.got) // it was cut short
		}
		f.scan(after[n])
		n++
	}
	if f.got < f.need {
		f.heads, f.came, f.beats = append(f.heads, beat[:n]...), append(f.came, after[:n]...), f.beats+uint64(n)
		return n
	}
	at := after[n-1] - 1
	if left := f.need - f.seen; left > 0 {
		at += sim.Cycle((left + f.cfg.Rate - 1) / f.cfg.Rate)
	}
	f.decide(at, after[:n], beat[:n])
	f.heads, f.came = f.heads[:0], f.came[:0]
	return n
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

// decide lets what was held go by the verdict, or not. The head's last beats came in the
// cycles before after.
func (f *holdFlow) decide(at sim.Cycle, after []sim.Cycle, beat []sim.Beat) {
	f.judged, f.beats = at+1, 0
	why := f.verdict(at)
	if why == sim.LossNone {
		from := max(at, f.next)
		f.next = from + sim.Cycle(f.cfg.Interval*max(1, f.reads))
		f.from = from + f.latency + sim.Cycle(f.reads*f.cfg.Read)
	}
	if why == sim.LossNone && f.push == 0 {
		f.pass(f.came, f.heads)
	} else {
		f.withdraw(f.came, f.heads)
		f.withdraw(after, beat)
	}
	switch {
	case why != sim.LossNone:
		f.drop = true
		f.DropAt(f.in.Wire.Clock.At(at), f.id, why)
	case f.push != 0:
		f.beats = 0
		f.shift(at, f.from)
	}
}

// withdraw notes that beats were held until the verdict and then were not there.
func (f *holdFlow) withdraw(after []sim.Cycle, beat []sim.Beat) {
	for i, cycle := range after {
		f.beats++
		f.bytes += int(beat[i].Bytes)
		if cycle < f.judged {
			f.back.note(f.pushed, cycle, f.bytes)
		}
	}
}

// pass puts beats that came in the cycles before after on the way out.
func (f *holdFlow) pass(after []sim.Cycle, beat []sim.Beat) {
	for n := f.send(after, beat); n < len(beat); n++ {
		f.add(after[n]-1, beat[n].Bytes)
		b := beat[n]
		if f.route {
			b.Dest = f.dest
		}
		f.q.push(b, f.shown(after[n]))
	}
}

// shown is from when a beat may be shown that came in the cycle before after.
func (f *holdFlow) shown(after sim.Cycle) sim.Cycle {
	if after <= f.judged {
		return f.from
	}
	return after - 1 + f.latency
}

// send puts as many beats on the output as it has room for.
func (f *holdFlow) send(after []sim.Cycle, beat []sim.Beat) (n int) {
	for f.q.n == 0 && n < len(beat) {
		k := f.some(after[n:], beat[n:])
		if k == 0 {
			break
		}
		n += k
	}
	return n
}

// some is send for as many as lie together on the output.
func (f *holdFlow) some(after []sim.Cycle, beat []sim.Beat) (n int) {
	if left, put := f.out.Open(); len(put) > 0 {
		f.collect()
		n = min(len(beat), len(put))
		last := f.out.Done(f.out.Sent() - 1)
		for i, came := range after[:n] {
			last = max(f.shown(came), last) + 1
			left[i] = last
		}
		f.copy(put[:n], beat)
		f.moved(after[:n], left[:n], beat[:n])
		f.out.Flush(uint64(n))
		return n
	}
	from, put := f.out.Blank()
	n = min(len(beat), len(put))
	for i, came := range after[:n] {
		from[i] = f.shown(came)
	}
	f.copy(put[:n], beat)
	f.enter(after[:n], beat[:n])
	f.out.Fill(uint64(n))
	return n
}

func (f *holdFlow) copy(to, beat []sim.Beat) {
	copy(to, beat)
	if f.route {
		for i := range to {
			to[i].Dest = f.dest
		}
	}
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
