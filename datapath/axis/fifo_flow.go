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
	g := &fifoFlow{FIFOConfig: c, losses: losses, in: in, out: out, words: n, regs: uint64(c.Pipeline) + 1, cross: cross, late: 1,
		beat: make([]sim.Beat, n), first: make([]sim.Cycle, n), ready: make([]sim.Cycle, n), free: make([]sim.Cycle, n)}
	if c.OutputFIFO {
		g.half = uint64(len(tail.ring)) / 2
	}
	if cross != nil {
		g.late = 0
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
// has taken w-regs, at the same edge; with an output FIFO they always move, and
// the RAM is read while a flop says that the output FIFO is less than half full.
type fifoFlow struct {
	FIFOConfig
	losses  *sim.Losses
	in, out *sim.Chan
	words   uint64
	regs    uint64 // behind the RAM, with the one that reads it
	half    uint64 // words in the output FIFO at which reading pauses; 0 is none
	cross   *crossing
	late    sim.Cycle // edges by which the level is behind the writes

	wr, commit, rd uint64
	send, dropping bool
	last           sim.Cycle // the cycle after the last read

	beat  []sim.Beat  // by place
	first []sim.Cycle // by place: first write of the word there, which a dropped frame may have made
	ready []sim.Cycle // by place: first cycle at which it may be read
	free  []sim.Cycle // by place: first cycle of the input in which it may be written again

	lately [64]sim.Cycle // by word: the cycle of the output after it was read, for the words on the way out

	high  uint64 // words ever written
	gone  uint64 // words read by the first write of word rd
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
	for f.room < f.rd && f.free[f.place(f.room)] <= now {
		f.room++
	}
	f.in.Promise(f.in.Read() + f.room + f.words - f.wr)
}

func (f *fifoFlow) place(word uint64) uint64 { return word & uint64(len(f.beat)-1) }

// write accepts what there is known to be room for.
func (f *fifoFlow) write() (moved bool) {
	for f.in.Next() {
		if f.in.Known() > 0 && f.fill() {
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
			full = f.free[f.place(f.wr)] > at
		default:
			at = max(at, f.free[f.place(f.wr)])
		}
		f.take(at, full, over)
		moved = true
	}
	return moved
}

// fill is write for the beats of which a promise has said when they are accepted.
func (f *fifoFlow) fill() (moved bool) {
	if f.dropping || f.send || f.DropWhenFull {
		return false
	}
	n := min(f.in.Known(), f.words-(f.wr-f.rd))
	if f.Frame {
		n = min(n, f.words-(f.wr-f.commit))
	}
	k := f.in.Read()
	for i := range n {
		b, at := f.in.Beat(k+i), f.in.Done(k+i)-1
		if f.DropBad && b.Last && b.Bad {
			n = i
			break
		}
		p := f.place(f.wr)
		f.beat[p] = *b
		if f.wr == f.high {
			f.first[p] = at
			f.high++
		}
		if f.wr++; !f.Frame || b.Last {
			f.commitAt(at)
		}
	}
	f.in.Skip(n)
	return n > 0
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
			f.first[p] = at
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
	if f.half == 0 && f.drain() {
		moved = true
	}
	for f.rd < f.commit && f.out.Room() {
		p := f.place(f.rd)
		at := max(f.ready[p], f.last)
		shown := sim.Cycle(f.regs)
		if f.half > 0 {
			var ok bool
			if at, ok = f.pause(at); !ok {
				return moved
			}
			shown += 2 // the output FIFO's RAM and register
		} else {
			if f.rd >= f.out.Taken()+f.regs {
				return moved
			}
			at = max(at+1, f.out.Done(f.rd-f.regs)) - 1
		}
		f.out.Put(at+shown, &f.beat[p])
		f.measure()
		f.last, f.free[p], f.lately[f.rd%64] = at+1, at+1, at+1
		if f.cross != nil {
			f.free[p] = f.cross.freed(at)
		}
		f.rd++
		moved = true
	}
	return moved
}

// drain is read for the beats of which a promise has said when they leave.
func (f *fifoFlow) drain() (moved bool) {
	if f.rd == f.commit {
		return false
	}
	n := min(f.out.Open(), f.commit-f.rd)
	k := f.out.Sent()
	for i := range n {
		p := f.place(f.rd)
		at := max(max(f.ready[p], f.last)+1, f.out.Done(f.rd-f.regs)) - 1
		f.out.Send(k+i, at+sim.Cycle(f.regs), &f.beat[p])
		f.measure()
		f.last, f.free[p] = at+1, at+1
		if f.cross != nil {
			f.free[p] = f.cross.freed(at)
		}
		f.rd++
	}
	f.out.Flush(n)
	return n > 0
}

// measure takes the level after word rd was first written, before it is read.
// That it is no new height takes one look: the word so many before was gone.
func (f *fifoFlow) measure() {
	switch w := f.rd; {
	case f.level == 0:
	case w < f.level:
		return
	case f.level == f.words, f.free[f.place(w-f.level)] <= f.first[f.place(w)]+f.late:
		f.gone = max(f.gone, w-f.level+1)
		return
	}
	f.level = max(f.level, f.levelAt(f.rd))
}

// levelAt is how many words were stored after word w was first written; that a
// word before it was read is known.
func (f *fifoFlow) levelAt(w uint64) uint64 {
	at := f.first[f.place(w)]
	for f.gone < f.rd && f.free[f.place(f.gone)] <= at+f.late {
		f.gone++
	}
	return w + 1 - f.gone
}

// Highest is the highest level, in bytes.
func (f *fifoFlow) Highest() int {
	gone, level := f.gone, f.level
	for w := f.rd; w < f.high; w++ {
		level = max(level, f.levelAt(w))
	}
	f.gone = gone
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
