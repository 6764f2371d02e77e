package card

import (
	"math"

	"github.com/meshnic/meshnic/datapath/sim"
)

// most is how many places a Pipe may have whose beats all fit into a channel.
const most = 40

// Flow: see pipeFlow, and holdFlow for a Pipe that holds frames longer than their heads
// take to come. One that changes a frame's length and does that as well is clocked.
func (p *Pipe) Flow(in, out []*sim.Chan) sim.Flow {
	places := len(p.q.place)
	holds := p.cfg.Rate > 0 || p.cfg.Frames > 0
	switch {
	case p.spare > 0 && holds:
		return nil
	case p.spare > 0 || holds || p.cfg.MaxReads > 0 || places > most:
		return newHoldFlow(p, in[0], out[0])
	}
	return &pipeFlow{Pipe: p, in: in[0], out: out[0], inside: inside{out: out[0]}, latency: sim.Cycle(p.cfg.Latency), places: uint64(places),
		heads: make([]headBeat, 0, places)}
}

// pipeFlow is a Pipe. A beat is accepted once the one so many places before it
// has left; the verdict falls at the edge at which the last beat of the head is,
// and lets go what was held.
//
// There are places enough for all that latency and head need. So a beat behind the
// head that has to wait for a place is never later at the output than the beat
// before it: it is put before it is known when it is accepted.
type pipeFlow struct {
	*Pipe
	inside
	in, out *sim.Chan
	latency sim.Cycle
	places  uint64
	heads   []headBeat // that wait for the verdict
	ahead   uint64     // beats on the output that are not accepted yet
	early   sim.Cycle  // the cycle after the last of them was shown, did none wait
}

type headBeat struct {
	beat sim.Beat
	came sim.Cycle
}

// Highest is with what is held.
func (f *pipeFlow) Highest() int {
	k := f.out.Sent() - f.ahead
	level, n := f.highest(k), 0
	for i := range f.heads {
		h := &f.heads[i]
		n += int(h.beat.Bytes)
		level = max(level, n+f.before(k, h.came+1))
	}
	return level
}

func (f *pipeFlow) Run() bool {
	moved := false
	f.collect(f.out.Sent() - f.ahead)
	for f.in.Next() && (f.accept() || f.move() || f.pass() || f.take()) {
		moved = true
	}
	if f.in.Promised() < f.out.Promised() && f.cfg.Interval <= 1 {
		f.promise()
	}
	return moved
}

// accept says when beats that were put ahead are accepted.
func (f *pipeFlow) accept() bool {
	if f.ahead == 0 {
		return false
	}
	k := f.out.Sent() - f.ahead
	from, done, _ := f.in.Waiting(0)
	n := min(f.ahead, uint64(len(from)), f.out.Taken()+f.places-min(k, f.out.Taken()+f.places))
	last := f.in.Done(f.in.Read() - 1)
	for i := range n {
		at := max(from[i], last, f.out.Done(k-f.places))
		f.add(k, at)
		last = at + 1
		done[i] = last
		k++
	}
	if n == 0 {
		return false
	}
	f.in.Take(n)
	f.ahead -= n
	f.collect(f.out.Sent() - f.ahead)
	return true
}

// move passes on what is known to wait for nothing, as far as each frame's head is
// in its first beat and has a good verdict.
func (f *pipeFlow) move() bool {
	if f.ahead > 0 || f.open && (!f.decided || f.drop || f.route) || f.cfg.Interval > 1 {
		return false
	}
	done, beat := f.in.Known()
	if len(done) == 0 {
		return false
	}
	to, _ := f.out.Open()
	n := f.good(done, beat[:min(len(beat), len(to))])
	if n == 0 {
		return false
	}
	f.collect(f.out.Sent() - f.ahead)
	first := f.in.Read()
	f.in.Move(f.out, f.latency, n)
	f.moved(f.in, first, n)
	return true
}

// good looks at the heads of the frames that begin in beats, and returns how many
// of the beats may go on.
func (f *pipeFlow) good(done []sim.Cycle, beat []sim.Beat) uint64 {
	for i := 0; ; i++ {
		if !f.open {
			if i == len(beat) {
				break
			}
			b := &beat[i]
			f.begin(*b)
			if f.need > int(b.Bytes) && !b.Last {
				return uint64(i)
			}
			if why := f.verdict(done[i] - 1); why != sim.LossNone {
				f.lose(done[i]-1, why)
			}
			if f.drop || f.route {
				return uint64(i)
			}
		}
		for i < len(beat) && !beat[i].Last {
			i++
		}
		if i == len(beat) {
			break
		}
		f.close()
	}
	return uint64(len(beat))
}

// pass puts beats behind a head without waiting for the places that they need.
func (f *pipeFlow) pass() bool {
	if !f.open || !f.decided || f.drop || f.route {
		return false
	}
	from, _, beat := f.in.Waiting(f.ahead)
	to, put := f.out.Blank()
	if f.ahead == 0 {
		f.early = f.in.Done(f.in.Read() - 1)
	}
	n := min(len(from), len(to))
	for i := range n {
		at := max(from[i], f.early)
		to[i] = at + f.latency
		f.early = at + 1
		if beat[i].Last {
			n = i + 1
			f.close()
			break
		}
	}
	copy(put, beat[:n])
	f.out.Fill(uint64(n))
	f.ahead += uint64(n)
	return n > 0
}

// take accepts the next beat.
func (f *pipeFlow) take() bool {
	if f.ahead > 0 || !f.in.Next() || !f.out.Fits(uint64(len(f.heads))+1) {
		return false
	}
	at, b := f.in.Shown(), f.in.Head()
	if !f.drop {
		if k := f.out.Sent() + uint64(len(f.heads)); k >= f.places {
			if k -= f.places; k >= f.out.Taken() {
				return false
			}
			at = max(at, f.out.Done(k))
		}
		if !f.open {
			f.begin(*b)
		}
		if f.decided {
			f.put(b, at, at+f.latency)
		} else {
			f.hold(b, at)
		}
	}
	if b.Last {
		f.close()
	}
	f.in.Accept(at)
	return true
}

// put puts a beat on the way out.
func (f *pipeFlow) put(b *sim.Beat, came, from sim.Cycle) {
	f.add(f.out.Sent(), came)
	if f.route && b.Dest != f.dest {
		x := *b
		x.Dest = f.dest
		b = &x
	}
	f.out.Put(from, b)
	f.collect(f.out.Sent() - f.ahead)
}

// hold keeps a beat of the head, and decides when it is all there.
func (f *pipeFlow) hold(b *sim.Beat, at sim.Cycle) {
	f.heads = append(f.heads, headBeat{*b, at})
	f.got += int(b.Bytes)
	if f.got < f.need && !b.Last {
		return
	}
	if why := f.verdict(at); why != sim.LossNone {
		n := 0
		for _, h := range f.heads[:len(f.heads)-1] { // the last never stood there after an edge
			n += int(h.beat.Bytes)
			f.back.note(f.out.Sent(), h.came+1, n)
		}
		f.lose(at, why)
	} else {
		from := max(at, f.next)
		f.next = from + sim.Cycle(f.cfg.Interval)
		for i := range f.heads {
			f.put(&f.heads[i].beat, f.heads[i].came, from+f.latency)
		}
	}
	f.heads = f.heads[:0]
}

// lose drops the frame that comes in.
func (f *pipeFlow) lose(at sim.Cycle, why sim.Loss) {
	f.drop = true
	f.DropAt(f.in.Wire.Clock.At(at), f.id, why)
}

// promise passes on that the output waits for nothing. There are places enough
// for all that latency and head need, so nor does the input, once the beats
// inside are on their way out in time: once the last of them is.
func (f *pipeFlow) promise() {
	k, held := f.out.Sent(), uint64(len(f.heads))
	if f.in.Next() || f.out.Taken() < k {
		return
	}
	from := f.in.Done(f.in.Read() - 1)
	if k > 0 && f.out.Done(k-1) > from+sim.Cycle(f.places-1-held) {
		return
	}
	until := f.out.Promised()
	if until != math.MaxUint64 {
		until += f.in.Read() - (k + held)
	}
	f.in.Promise(until)
}
