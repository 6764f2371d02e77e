package card

import "github.com/meshnic/meshnic/datapath/sim"

// Flow: see macRxFlow.
func (m *MACRx) Flow(in, out []*sim.Chan) sim.Flow {
	return &macRxFlow{MACRx: m, in: in[0], out: out[0], store: newStore(out[0])}
}

// macRxFlow is the receive side of a MAC. Beats come as the line says; that there
// is no room for a frame may depend on that the output has not moved by then.
type macRxFlow struct {
	*MACRx
	store   // q holds those of its beats that have not been put
	in, out *sim.Chan
}

// Highest is the store's.
func (f *macRxFlow) Highest() int { return f.store.Highest() }

func (f *macRxFlow) Run() bool {
	f.collect()
	for f.q.n > 0 && f.out.Room() {
		f.out.Put(f.q.place[f.q.head].at, &f.q.place[f.q.head].beat)
		f.q.pop()
	}
	moved := false
	for f.in.Next() {
		f.collect()
		if f.body() {
			moved = true
			continue
		}
		at, due := f.next()
		why, sure := f.admits(at)
		if !sure {
			break
		}
		f.take(at, due, why)
		moved = true
	}
	f.collect()
	return moved
}

// body takes beats behind a frame's first that have been waiting for the line, while
// the output waits for nothing.
func (f *macRxFlow) body() bool {
	if !f.line.inside || f.rest == 0 || f.q.n > 0 || f.out.Done(f.out.Sent()-1) > f.line.edge+f.latency {
		return false
	}
	from, done, beat := f.in.Waiting(0)
	left, put := f.out.Open()
	n := min(len(from), len(left), f.rest)
	if n == f.rest && !beat[n-1].Last {
		n--
	}
	n = f.line.run(f.in.Wire.Clock, from[:n], done, beat, preamble, true)
	if n == 0 {
		return false
	}
	f.rest -= n
	done, left, beat = done[:n], left[:n], beat[:n]
	for i, at := range done {
		left[i] = at + f.latency
	}
	copy(put, beat)
	f.moved(done, left, beat)
	f.in.Take(uint64(n))
	f.out.Flush(uint64(n))
	return true
}

// next is the edge at which the beat that waits has passed on the line, and when
// that was.
func (f *macRxFlow) next() (at sim.Cycle, due sim.Picos) {
	d, shown := f.in.Wire.Clock, f.in.Shown()
	due = f.line.due(d, shown, preamble+f.line.got+int(f.in.Head().Bytes))
	return firstFrom(d, shown, due), due
}

// begins is whether the beat that waits is a frame's first. A frame may have lost
// its last ones on the way.
func (f *macRxFlow) begins() bool { return f.in.Head().First || !f.line.inside }

// admits says whether there is room for the frame if its first beat is waiting,
// as far as it is sure.
func (f *macRxFlow) admits(at sim.Cycle) (why sim.Loss, sure bool) {
	if !f.begins() {
		return sim.LossNone, true
	}
	beats, places := sim.Beats(int(f.in.Head().Left), f.in.Wire.Width), uint64(len(f.q.place))
	if beats > f.places {
		return sim.LossOversize, true
	}
	k := f.pushed + uint64(beats)
	if k <= places {
		return sim.LossNone, true
	}
	k -= places + 1 // has to have left
	switch {
	case k >= f.known:
		return sim.LossFull, false
	case f.gotAway(k) > at:
		return sim.LossFull, true
	}
	return sim.LossNone, true
}

// take accepts the beat that waits.
func (f *macRxFlow) take(at sim.Cycle, due sim.Picos, why sim.Loss) {
	d, b := f.in.Wire.Clock, f.in.Head()
	if f.begins() {
		f.rest = sim.Beats(int(b.Left), f.in.Wire.Width)
		if why != sim.LossNone {
			f.rest = 0
			f.DropAt(d.At(at), b.Frame, why)
		}
		f.line.begin(d, f.in.Shown())
	}
	f.line.take(d, at, b, due)
	if x := *b; f.keeps(&x) {
		f.add(at, x.Bytes)
		if f.q.n == 0 && f.out.Room() {
			f.out.Put(at+f.latency, &x)
		} else {
			f.q.push(x, at+f.latency)
		}
	}
	f.in.Accept(at)
}

// Due is when the frame that waits is dropped.
func (f *macRxFlow) Due() sim.Picos {
	if !f.in.Next() { // Run has taken all that is sure
		return sim.Never
	}
	at, _ := f.next()
	return f.in.Wire.Clock.At(at)
}

// Decide drops it.
func (f *macRxFlow) Decide() {
	at, due := f.next()
	f.take(at, due, sim.LossFull)
}

// Flow: see macTxFlow. One whose beats do not all fit into a channel is clocked.
func (m *MACTx) Flow(in, out []*sim.Chan) sim.Flow {
	if len(m.q.place) > most {
		return nil
	}
	return &macTxFlow{m, in[0], out[0]}
}

// macTxFlow is the transmit side of a MAC. A beat is accepted when the line
// needs it, once the one so many places before it has left.
type macTxFlow struct {
	*MACTx
	in, out *sim.Chan
}

func (f *macTxFlow) Run() bool {
	moved := false
	d, places := f.in.Wire.Clock, uint64(len(f.q.place))
	for f.in.Next() && f.out.Room() {
		if f.body() {
			moved = true
			continue
		}
		k := f.in.Read()
		if k >= f.out.Taken()+places {
			break
		}
		shown, b := f.in.Shown(), f.in.Head()
		f.line.begin(d, shown)
		due := f.line.due(d, shown, f.line.got)
		at := firstFrom(d, shown, due)
		left := f.out.Done(k - places)
		if f.line.take(d, max(at, left), b, due) && left <= at {
			f.late++
		}
		at = max(at, left)
		f.out.Put(at+f.latency, b)
		f.in.Accept(at)
		moved = true
	}
	return moved
}

// body takes beats behind a frame's first that have been waiting for the line, while
// the output waits for nothing: then there is a place for each.
func (f *macTxFlow) body() bool {
	if !f.line.inside || f.out.Done(f.out.Sent()-1) > f.line.edge+f.latency {
		return false
	}
	from, done, beat := f.in.Waiting(0)
	left, put := f.out.Open()
	n := f.line.run(f.in.Wire.Clock, from[:min(len(from), len(left))], done, beat, 0, false)
	if n == 0 {
		return false
	}
	done, left = done[:n], left[:n]
	for i, at := range done {
		left[i] = at + f.latency
	}
	copy(put, beat[:n])
	f.in.Take(uint64(n))
	f.out.Flush(uint64(n))
	return true
}
