package axis

import (
	"math"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Flow: see fifoFlow. A FIFO that marks what it cuts is clocked, and so is one
// whose output FIFO is longer than a channel.
func (f *FIFO) Flow(in, out []*sim.Chan) sim.Flow {
	return newFIFOFlow(f.writer.c, &f.Losses, f.tail, in[0], out[0], nil)
}

func newFIFOFlow(c FIFOConfig, losses *sim.Losses, tail *tailFIFO, in, out *sim.Chan, cross *crossing) sim.Flow {
	if c.MarkWhenFull || c.OutputFIFO && c.Pipeline > 6 {
		return nil
	}
	n := uint64(c.words(in.Wire.Width))
	g := &fifoFlow{FIFOConfig: c, losses: losses, in: in, out: out, words: n, regs: uint64(c.Pipeline) + 1, cross: cross,
		beat: make([]sim.Beat, n), first: make([]sim.Cycle, n), ready: make([]sim.Cycle, n), left: make([]sim.Cycle, n)}
	if c.OutputFIFO {
		g.half = uint64(len(tail.ring)) / 2
	}
	g.freed = sameClock
	g.known = g.freed.later(1) // the level is behind the writes
	if cross != nil {
		g.freed = cross.news()
		g.known = g.freed
	}
	if c.DropWhenFull {
		return &fifoDecider{fifoFlow: g}
	}
	return g
}

// fifoFlow is a FIFO. Words are numbered as they are written; word w reuses the
// place of w-words, and waits until that is read. A read follows the commit and
// the read before it by an edge at least, and needs a register to go into.
//
// In a FIFO between two clocks, what one side has done the other knows later:
// see crossing.
//
// The registers behind the RAM close up, so word w can be read once the output
// has taken w-regs, at the same edge. That never makes it later at the output than
// the word before it does, so a word is put before it is known. With an output FIFO
// they always move, and the RAM is read while a flop says that the output FIFO is
// less than half full.
type fifoFlow struct {
	FIFOConfig
	losses  *sim.Losses
	in, out *sim.Chan
	words   uint64
	regs    uint64 // behind the RAM, with the one that reads it
	half    uint64 // words in the output FIFO at which reading pauses; 0 is none
	cross   *crossing
	known   news // of reads, to the level
	freed   news // and to the writes

	wr, commit, rd uint64
	put            uint64 // words put on the output; the first are read by then, from rd on it is not known yet when
	send, dropping bool
	last           sim.Cycle // the cycle after the last read
	early          sim.Cycle // the cycle after the last word put would be read, did the output never wait

	beat  []sim.Beat  // by place
	first []sim.Cycle // by place: the cycle after the first write of the word there, which a dropped frame may have made
	ready []sim.Cycle // by place: first cycle at which it may be read
	left  []sim.Cycle // by place: the cycle of the output after it was read

	lately [64]sim.Cycle // with an output FIFO, by word: the cycle of the output after it was read, for the words on the way out

	high  uint64 // words ever written
	room  uint64 // words read by the last beat that was accepted, at least
	level uint64 // highest
}

func (f *fifoFlow) Run() bool {
	moved := false
	for {
		if f.write() {
			moved = true
		}
		if !f.read() {
			break
		}
		moved = true
	}
	if !f.in.Next() && f.in.Promised() < f.in.Sent()+ahead {
		f.promise()
	}
	return moved
}

// ahead is how many beats a promise is to reach: as many as a channel holds.
const ahead = 64

// promise says how many beats find room whenever they come.
func (f *fifoFlow) promise() {
	if f.DropWhenFull {
		f.in.Promise(math.MaxUint64)
		return
	}
	now := f.in.Done(f.in.Read() - 1)
	f.room = max(f.room, f.rd-min(f.rd, f.words))
	for lost := f.rd; f.room < lost; {
		if half := (f.room + lost) / 2; f.freed.gone(f.left[f.place(half)], now+1) {
			f.room = half + 1
		} else {
			lost = half
		}
	}
	f.in.Promise(f.in.Read() + f.room + f.words - f.wr)
}

// free is the first cycle of the input in which the next word can be written.
func (f *fifoFlow) free() sim.Cycle {
	left := f.left[f.place(f.wr)]
	if f.cross == nil || f.wr < f.words {
		return left
	}
	return f.cross.freed(left - 1)
}

func (f *fifoFlow) place(word uint64) uint64 { return word & uint64(len(f.beat)-1) }

// write accepts what there is known to be room for.
func (f *fifoFlow) write() (moved bool) {
	for f.in.Next() {
		if f.fill() {
			moved = true
			continue
		}
		at, full := f.in.Shown(), false
		over := f.Frame && f.wr-f.commit == f.words
		switch {
		case f.dropping || over && f.DropOversize:
		case over: // too long a frame: what there is goes on
			f.commitAt(at)
			f.send = true
			return true
		case f.wr == f.rd+f.words:
			return moved
		case f.DropWhenFull:
			full = f.wr >= f.words && !f.freed.gone(f.left[f.place(f.wr)], at+1)
		default:
			at = max(at, f.free())
		}
		f.take(at, full, over)
		moved = true
	}
	return moved
}

// fill is write for the beats of which a promise has said when they are accepted,
// up to a frame's last where they are committed by frames.
func (f *fifoFlow) fill() (moved bool) {
	if f.dropping || f.send || f.DropWhenFull {
		return false
	}
	done, beat := f.in.Known()
	p := f.place(f.wr)
	n := min(uint64(len(done)), f.words-(f.wr-f.rd), f.words-p)
	if f.Frame {
		n = min(n, f.words-(f.wr-f.commit))
		for i := range beat[:n] {
			if !beat[i].Last {
				continue
			}
			if n = uint64(i) + 1; f.DropBad && beat[i].Bad {
				n--
			}
			break
		}
	}
	if n == 0 {
		return false
	}
	copy(f.beat[p:], beat[:n])
	if more := f.wr + n - min(f.high, f.wr+n); more > 0 {
		copy(f.first[p+n-more:], done[n-more:n])
		f.high = f.wr + n
	}
	f.wr += n
	switch {
	case f.Frame && beat[n-1].Last:
		f.commitAt(done[n-1] - 1)
	case f.Frame:
	case f.cross != nil:
		f.cross.commits(f.ready[p:p+n], done)
		f.commit = f.wr
	default:
		copy(f.ready[p:], done[:n])
		f.commit = f.wr
	}
	f.in.Skip(n)
	return true
}

// take accepts the next beat.
func (f *fifoFlow) take(at sim.Cycle, full, over bool) {
	b := f.in.Head()
	switch {
	case full || over || f.dropping:
		if !f.dropping {
			why := sim.LossFull
			if over {
				why = sim.LossOversize
			}
			f.drop(at, why)
		}
		if f.dropping = !b.Last; b.Last {
			f.wr = f.commit
		}
	default:
		if b.Last && b.Bad && f.DropBad {
			f.wr, f.send = f.commit, false
			f.drop(at, sim.LossBad)
			break
		}
		p := f.place(f.wr)
		f.beat[p] = *b
		if f.wr == f.high {
			f.first[p] = at + 1
			f.high++
		}
		if f.wr++; !f.Frame || b.Last || f.send {
			f.send = f.Frame && !b.Last
			f.commitAt(at)
		}
	}
	f.in.Accept(at)
}

func (f *fifoFlow) drop(at sim.Cycle, why sim.Loss) {
	f.losses.DropAt(f.in.Wire.Clock.At(at), f.in.Head().Frame, why)
}

// commitAt lets the read side see what is written, from the next cycle on.
func (f *fifoFlow) commitAt(at sim.Cycle) {
	ready := at + 1
	if f.cross != nil {
		ready = f.cross.commit(at)
	}
	for ; f.commit < f.wr; f.commit++ {
		f.ready[f.place(f.commit)] = ready
	}
}

func (f *fifoFlow) read() (moved bool) {
	if f.half > 0 {
		return f.readPaused()
	}
	for f.know() || f.through() || f.show() {
		moved = true
	}
	return moved
}

// through is show and know for words that nothing holds up: when they are read
// follows from when they are there.
func (f *fifoFlow) through() bool {
	p, regs, last := f.place(f.put), sim.Cycle(f.regs), f.last
	done, beat := f.out.Open()
	n := min(f.commit-f.put, f.words-p, uint64(len(done)))
	if n == 0 || f.rd < f.put || last != f.early || f.out.Done(f.put-1) > last+regs {
		return false
	}
	words, all, known := f.words, f.left, f.known
	w, level := f.rd, max(f.level, 1)
	left, first, done := all[p:p+n], f.first[p:p+n], done[:n]
	for i, ready := range f.ready[p : p+n] {
		if level <= w && level < words && !known.gone(all[(w-level)&(words-1)], first[i]) {
			f.rd = w
			level = f.higher(level, w)
		}
		last = max(ready, last) + 1
		left[i], done[i] = last, last+regs
		w++
	}
	copy(beat, f.beat[p:p+n])
	f.out.Flush(n)
	f.last, f.early, f.rd, f.put, f.level = last, last, w, w, level
	return true
}

// show puts committed words: a read follows the one before it by an edge.
func (f *fifoFlow) show() bool {
	p := f.place(f.put)
	most := min(f.commit-f.put, f.words-p)
	if most == 0 {
		return false
	}
	regs, early := sim.Cycle(f.regs), f.early
	if done, beat := f.out.Open(); len(done) > 0 {
		n := min(most, uint64(len(done)))
		last := f.out.Done(f.put - 1)
		done = done[:n]
		for i, ready := range f.ready[p : p+n] {
			early = max(ready, early) + 1
			last = max(early-1+regs, last) + 1
			done[i] = last
		}
		copy(beat, f.beat[p:p+n])
		f.out.Flush(n)
		f.early, f.put = early, f.put+n
		return true
	}
	from, beat := f.out.Blank()
	n := min(most, uint64(len(from)))
	if n == 0 {
		return false
	}
	from = from[:n]
	for i, ready := range f.ready[p : p+n] {
		early = max(ready, early) + 1
		from[i] = early - 1 + regs
	}
	copy(beat, f.beat[p:p+n])
	f.out.Fill(n)
	f.early, f.put = early, f.put+n
	return true
}

// know finds out when words were read that were put.
func (f *fifoFlow) know() bool {
	p := f.place(f.rd)
	until := min(f.put, f.out.Taken()+f.regs)
	if f.rd >= until {
		return false
	}
	n := min(until-f.rd, f.words-p)
	// What does not change is kept out of the loop, which runs for every word.
	out, regs, words, all, known := f.out, f.regs, f.words, f.left, f.known
	w, last, level := f.rd, f.last, max(f.level, 1)
	left, first := all[p:p+n], f.first[p:p+n]
	for i, ready := range f.ready[p : p+n] {
		if level <= w && level < words && !known.gone(all[(w-level)&(words-1)], first[i]) {
			f.rd = w
			level = f.higher(level, w)
		}
		last = max(max(ready, last)+1, out.Done(w-regs))
		left[i] = last
		w++
	}
	f.last, f.rd, f.level = last, w, level
	return true
}

// readPaused is read for a FIFO with an output FIFO.
func (f *fifoFlow) readPaused() (moved bool) {
	for f.rd < f.commit && f.out.Room() {
		p := f.place(f.rd)
		at, ok := f.pause(max(f.ready[p], f.last))
		if !ok {
			return moved
		}
		f.lately[f.rd%64] = at + 1
		f.out.Put(at+sim.Cycle(f.regs)+2, &f.beat[p]) // the output FIFO's RAM and register
		f.level = f.higher(f.level, f.rd)
		f.last, f.left[p] = at+1, at+1
		f.rd++
		f.put, moved = f.rd, true
	}
	return moved
}

// higher is the level after word w, which is not read, was first written, if it is
// higher than a level. That it is not takes one look: the word so many before was
// gone.
func (f *fifoFlow) higher(level, w uint64) uint64 {
	for level <= w && level < f.words {
		before := f.place(w - level)
		if w-level < f.rd && f.known.gone(f.left[before], f.first[f.place(w)]) {
			break
		}
		level++
	}
	return level
}

// Highest is the highest level, in bytes.
func (f *fifoFlow) Highest() int {
	level := f.level
	for w := f.rd; w < f.high; w++ {
		level = f.higher(level, w)
	}
	return int(level) * f.in.Wire.Width
}

// pause is the first cycle from at on at which word rd can be read because the
// output FIFO was less than half full two edges before; ok is false if that is
// not known yet.
func (f *fifoFlow) pause(at sim.Cycle) (c sim.Cycle, ok bool) {
	for ; ; at++ {
		in := f.rd // words that had come to the output FIFO by the edge before last
		for in > 0 && f.lately[(in-1)%64]+sim.Cycle(f.regs)+1 > at {
			in--
		}
		if in < f.half {
			return at, true
		}
		left, ok := f.leaves(in - f.half)
		switch {
		case !ok || left+2 <= at:
			return at, ok
		case in == f.rd:
			return left + 2, true
		}
	}
}

// leaves is the edge at which word w goes from the output FIFO's RAM into its
// register.
func (f *fifoFlow) leaves(w uint64) (at sim.Cycle, ok bool) {
	if f.out.Taken() < w {
		return 0, false
	}
	return max(f.lately[w%64]+sim.Cycle(f.regs)+1, f.out.Done(w-1)) - 1, true
}

// fifoDecider is a FIFO that drops what finds it full: whether it is full may
// depend on that the output has not moved by then.
type fifoDecider struct{ *fifoFlow }

func (f *fifoDecider) Due() sim.Picos {
	if !f.in.Next() { // Run has accepted everything that is decided
		return sim.Never
	}
	return f.in.Wire.Clock.At(f.in.Shown())
}

func (f *fifoDecider) Decide() { f.take(f.in.Shown(), true, false) }
