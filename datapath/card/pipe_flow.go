package card

import (
	"math"

	"github.com/meshnic/meshnic/datapath/sim"
)

// most is how many places a Pipe may have whose beats all fit into a channel.
const most = 40

// Flow: see pipeFlow. A Pipe that changes a frame's length, looks at less than
// comes in, or counts frames, is clocked.
func (p *Pipe) Flow(in, out []*sim.Chan) sim.Flow {
	places := len(p.q.place)
	if p.spare > 0 || p.cfg.Rate > 0 || p.cfg.Frames > 0 || places > most {
		return nil
	}
	return &pipeFlow{Pipe: p, in: in[0], out: out[0], latency: sim.Cycle(p.cfg.Latency), places: uint64(places),
		store: newStore(places, out[0]), heads: make([]headBeat, 0, places)}
}

// pipeFlow is a Pipe. A beat is accepted once the one so many places before it
// has left; the verdict falls at the edge at which the last beat of the head is,
// and lets go what was held.
type pipeFlow struct {
	*Pipe
	store
	in, out *sim.Chan
	latency sim.Cycle
	places  uint64
	heads   []headBeat // that wait for the verdict
}

type headBeat struct {
	beat sim.Beat
	came sim.Cycle
}

// Highest is the store's, or with what is held.
func (f *pipeFlow) Highest() int {
	level, n := f.store.Highest(), 0
	for i := range f.heads {
		h := &f.heads[i]
		n += int(h.beat.Bytes)
		level = max(level, n+f.behind(f.pushed, h.came))
	}
	return level
}

func (f *pipeFlow) Run() bool {
	moved := false
	f.collect()
	for f.in.Next() && f.out.Fits(uint64(len(f.heads))+1) {
		if f.open && f.decided && !f.drop && !f.route && f.move() {
			moved = true
			continue
		}
		at := f.in.Shown()
		b := f.in.Head()
		if f.drop {
			if b.Last {
				f.close()
			}
			f.in.Accept(at)
			continue
		}
		if k := f.pushed + uint64(len(f.heads)); k >= f.places {
			if k -= f.places; k >= f.known {
				break
			}
			at = max(at, f.left[k&f.mask])
		}
		moved = true
		if !f.open {
			f.begin(*b)
		}
		if f.decided {
			f.pass(b, at, at+f.latency)
			if b.Last {
				f.close()
			}
		} else {
			f.hold(b, at)
		}
		f.in.Accept(at)
	}
	if f.in.Promised() < f.out.Promised() && f.cfg.Interval <= 1 {
		f.promise()
	}
	return moved
}

// move passes on what of the frame behind its head is known to wait for nothing.
func (f *pipeFlow) move() bool {
	in, out := f.in.Read(), f.out.Sent()
	n, last := f.in.Move(f.out, f.latency, true)
	if f.known < f.pushed {
		for i := range n {
			f.add(f.in.Done(in+i)-1, f.out.Beat(out+i).Bytes)
		}
		f.collect()
	} else {
		f.moved(f.in, in, out, n)
	}
	if last {
		f.close()
	}
	return n > 0
}

// pass puts a beat on the way out.
func (f *pipeFlow) pass(b *sim.Beat, came, from sim.Cycle) {
	f.add(came, b.Bytes)
	if f.route && b.Dest != f.dest {
		x := *b
		x.Dest = f.dest
		b = &x
	}
	f.out.Put(from, b)
	if f.out.Taken() > f.known {
		f.collect()
	}
}

// hold keeps a beat of the head, and decides when it is all there.
func (f *pipeFlow) hold(b *sim.Beat, at sim.Cycle) {
	f.heads = append(f.heads, headBeat{*b, at})
	f.got += int(b.Bytes)
	if f.got < f.need && !b.Last {
		return
	}
	why := f.verdict(at)
	if why != sim.LossNone {
		n := 0
		for _, h := range f.heads[:len(f.heads)-1] { // the last never stood there after an edge
			n += int(h.beat.Bytes)
			f.takeBack(h.came, n)
		}
		f.heads = f.heads[:0]
		f.drop = true
		f.DropAt(f.in.Wire.Clock.At(at), f.id, why)
	} else {
		from := max(at, f.next)
		f.next = from + sim.Cycle(f.cfg.Interval)
		for i := range f.heads {
			f.pass(&f.heads[i].beat, f.heads[i].came, from+f.latency)
		}
		f.heads = f.heads[:0]
	}
	if b.Last {
		f.close()
	}
}

// promise passes on that the output waits for nothing. There are places enough
// for all that latency and head need, so nor does the input, once the beats
// inside are on their way out in time.
func (f *pipeFlow) promise() {
	k := f.pushed + uint64(len(f.heads))
	if f.in.Next() || f.known < f.pushed {
		return
	}
	from := f.in.Done(f.in.Read() - 1)
	for i := range f.places {
		if k+i >= f.places && k+i-f.places < f.pushed && f.left[(k+i-f.places)&f.mask] > from+sim.Cycle(i) {
			return
		}
	}
	until := f.out.Promised()
	if until != math.MaxUint64 {
		until += f.in.Read() - k
	}
	f.in.Promise(until)
}
