package axis

import "github.com/meshnic/meshnic/datapath/sim"

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

// free is the first cycle of the input in which the next word can be written.
func (f *fifoFlow) free() sim.Cycle {
	left := f.left[f.place(f.wr)]
	if f.cross == nil || f.wr < f.words {
		return left
	}
	return f.cross.freed(left - 1)
}
