package axis

import "github.com/meshnic/meshnic/datapath/sim"

func (f *fifoFlow) read() (moved bool) {
	if f.half > 0 {
		return f.readPaused()
	}
	for f.rd < f.put && f.know() || f.put < f.commit && (f.through() || f.show()) {
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
