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

func (f *fifoFlow) place(word uint64) uint64 { return word & uint64(len(f.beat)-1) }

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
