package card

import "github.com/meshnic/meshnic/datapath/sim"

// Flow: see rewriteFlow. One whose beats do not all fit into a channel is clocked.
func (r *Rewriter) Flow(in, out []*sim.Chan) sim.Flow {
	if len(r.q.place) > most {
		return nil
	}
	return &rewriteFlow{Rewriter: r, inside: inside{out: out[0]}, in: in[0], out: out[0], latency: sim.Cycle(r.cfg.Latency), places: uint64(len(r.q.place))}
}

// rewriteFlow is a Rewriter. A beat is passed on when what it is made of is there and
// written, behind the one before it, at the edge at which the one so many places before
// it leaves, or later. None of that depends on what comes after, so all beats are passed
// on that can be before it is asked when the next one comes in: of the old head that is
// in any cycle in which there was a place, even one that is over by then, and of the
// rest when nothing more can be passed on without it.
type rewriteFlow struct {
	*Rewriter
	inside
	in, out *sim.Chan
	latency sim.Cycle
	places  uint64
	got     sim.Cycle // edge at which the last beat came in
	next    sim.Cycle // the edge after that at which the last beat was passed on
	clear   sim.Cycle // the first in which the head's next beat may come, by the own frames and the jams
	idle    sim.Cycle // the cycle after the last frame was over
	jams    []jam     // while this frame's head comes in, in their order
	jammed  int       // of them, how many are over
}

// jam is cycles in which there is no place, the second not included.
type jam struct{ from, until sim.Cycle }

// Highest is with what has not left.
func (f *rewriteFlow) Highest() int { return f.highest(f.out.Sent()) }

func (f *rewriteFlow) Run() bool {
	moved := false
	f.collect(f.out.Sent())
	for f.stream() || f.pass() || f.take() {
		moved = true
	}
	return moved
}

// place is the first cycle in which there is a place behind k beats that have been
// passed on, as far as it is known; of those before taken it is known when they left.
func (f *rewriteFlow) place(k, taken uint64) (at sim.Cycle, known bool) {
	if k < f.places {
		return 0, true
	}
	if k -= f.places; k >= taken {
		return 0, false
	}
	return f.out.Done(k), true
}

// pass passes on beats, or ends the frame.
func (f *rewriteFlow) pass() bool {
	switch {
	case !f.open:
		return false
	case f.done && !f.writesOwn():
		if !f.ended {
			return false
		}
		f.close()
		f.idle = max(f.got, f.next) + 1
		return true
	}
	// The cycle after each leaves, if that is promised, or from when it is shown.
	done, put := f.out.Open()
	if len(put) > 0 {
		n := f.fill(put, done, true)
		f.out.Flush(n)
		f.collect(f.out.Sent())
		return n > 0
	}
	from, put := f.out.Blank()
	n := f.fill(put, from, false)
	f.out.Fill(n)
	return n > 0
}

// stream passes on what comes behind the head of a frame that stays as long as it is: each
// beat at the edge at which it is accepted.
func (f *rewriteFlow) stream() bool {
	if !f.open || f.done || f.writesOwn() || f.text.Grow != 0 || f.sent == 0 || f.sent != f.Rewriter.got || f.inHead() {
		return false
	}
	from, after, beat := f.in.Waiting(0)
	when, put := f.out.Open()
	promised := len(put) > 0
	if !promised {
		when, put = f.out.Blank()
	}
	k, taken, last := f.out.Sent(), f.out.Taken(), f.out.Done(f.out.Sent()-1)
	n, most := 0, min(len(beat), len(put))
	for ; n < most && f.open; n++ {
		b := &beat[n]
		if int(b.Left) != f.frame.Bytes-f.sent || b.Last != (b.Bytes == b.Left) || !b.Last && int(b.Bytes) != f.out.Wire.Width || b.Bad && !b.Last {
			break // a frame that is not what its first beat says
		}
		if promised {
			taken = k
		}
		free, known := f.place(k, taken)
		if !known {
			break
		}
		at := max(f.next, f.got+1, free, from[n])
		after[n] = at + 1
		if when[n] = at + f.latency; promised {
			last = max(when[n], last) + 1
			when[n] = last
		}
		put[n] = *b
		put[n].Dest, put[n].Off = f.frame.Dest, f.off+int32(f.sent)
		f.add(k, at)
		k++
		f.sent += int(b.Bytes)
		f.got, f.next = at, at+1
		if b.Last {
			f.ended = true
			f.close()
			f.idle, f.sent = f.next, 0
		}
	}
	if n == 0 {
		return false
	}
	f.Rewriter.got = f.sent
	f.in.Take(uint64(n))
	if promised {
		f.out.Flush(uint64(n))
		f.collect(f.out.Sent())
	} else {
		f.out.Fill(uint64(n))
	}
	return true
}

// fill makes beats, as many as can be passed on.
func (f *rewriteFlow) fill(put []sim.Beat, when []sim.Cycle, promised bool) (n uint64) {
	k, taken := f.out.Sent(), f.out.Taken()
	for ; n < uint64(len(put)) && f.open; n++ {
		own := f.writesOwn()
		if !own && (f.done || !f.enough()) {
			break
		}
		if promised {
			taken = k
		}
		free, known := f.place(k, taken)
		if !known {
			break
		}
		if free > f.next && !own && f.inHead() {
			f.jams = append(f.jams, jam{f.next, free})
		}
		at := max(f.next, f.writtenAt(), max(free, 1)-1) // a place is free at the edge before
		if !own {
			at = max(at, f.got)
		}
		if when[n] = at + f.latency; promised {
			when[n] = max(when[n], f.out.Done(k-1)) + 1
		}
		f.add(k, at)
		k++
		last := f.beat(&put[n])
		if f.next = at + 1; own {
			f.clear = f.next
		}
		if last {
			f.close()
			f.idle = f.next
		}
	}
	return n
}

// take accepts the beat that waits. What could be passed on without it has been, or
// waits.
func (f *rewriteFlow) take() bool {
	if f.ended || !f.in.Next() {
		return false
	}
	at := f.in.Shown()
	switch {
	case !f.open:
		at = max(at, f.idle)
	case f.done:
		return f.accept(at)
	case f.writesOwn():
		return false
	case f.inHead():
		f.unjam(at)
		if at = f.clear; at < f.next {
			return f.accept(at)
		}
	default:
		at = max(at, f.next)
	}
	if free, known := f.place(f.out.Sent(), f.out.Taken()); known && !(f.open && f.enough()) {
		return f.accept(max(at, free))
	}
	return false
}

// unjam finds the first cycle from one on in which there was a place.
func (f *rewriteFlow) unjam(at sim.Cycle) {
	f.clear = max(f.clear, at)
	for ; f.jammed < len(f.jams) && f.jams[f.jammed].from <= f.clear; f.jammed++ {
		f.clear = max(f.clear, f.jams[f.jammed].until)
	}
}

func (f *rewriteFlow) accept(at sim.Cycle) bool {
	b := f.in.Head()
	if !f.open {
		if f.begin(b, at); f.done {
			f.DropAt(f.in.Wire.Clock.At(at), f.frame.ID, sim.LossVerdict)
		}
		f.jams, f.jammed = f.jams[:0], 0
	}
	f.Rewriter.got += int(b.Bytes)
	f.ended, f.frame.Bad = b.Last, b.Bad
	f.got = at
	f.in.Accept(at)
	return true
}
