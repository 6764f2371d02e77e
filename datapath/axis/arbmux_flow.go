package axis

import "github.com/meshnic/meshnic/datapath/sim"

// Flow: see arbMuxFlow.
func (m *ArbMux) Flow(in, out []*sim.Chan) sim.Flow {
	return &arbMuxFlow{in: in, out: out[0], arb: newArbiter(len(in), m.arb.Arbitration), reg: make([]muxReg, len(in)), owner: -1}
}

// arbMuxFlow is an ArbMux. Each input's register takes a beat once the one before
// it has moved on, at the same edge. A beat moves on when its input is granted and
// the one two before it has left the output. Who is granted is decided at the
// edge at which the last beat of a frame moves on, or the first afterwards at which
// anything is asked for: by what has come by then.
type arbMuxFlow struct {
	in    []*sim.Chan
	out   *sim.Chan
	arb   arbiter
	reg   []muxReg
	owner int       // input that is granted, or -1
	since sim.Cycle // first cycle of the grant; without one, the first edge at which there may be one
}

// muxReg is the register of an input.
type muxReg struct {
	full  bool
	beat  sim.Beat
	shown sim.Cycle // when the beat was first offered
	came  sim.Cycle // edge at which it was accepted
	moved sim.Cycle // edge at which the one before it moved on
}

func (f *arbMuxFlow) Run() bool {
	moved := false
	for f.owner >= 0 && (f.body() || f.move() || f.accept(f.owner)) {
		moved = true
	}
	for i := range f.in {
		if f.accept(i) {
			moved = true
		}
	}
	return moved
}

func (f *arbMuxFlow) accept(i int) bool {
	r, in := &f.reg[i], f.in[i]
	if r.full || !in.Next() {
		return false
	}
	r.full, r.beat, r.shown = true, *in.Head(), in.Shown()
	r.came = max(r.shown, r.moved)
	in.Accept(r.came)
	return true
}

// move moves on the beat of the owner.
func (f *arbMuxFlow) move() bool {
	r, k := &f.reg[f.owner], f.out.Sent()
	if !r.full || !f.out.Room() || k >= f.out.Taken()+2 {
		return false
	}
	at := max(r.came+1, f.since, f.out.Done(k-2))
	f.out.Put(at+1, &r.beat)
	r.full, r.moved = false, at
	f.ended(at, r.beat.Last)
	return true
}

// ended ends the grant if what moved on at an edge was a frame's last beat.
func (f *arbMuxFlow) ended(at sim.Cycle, last bool) {
	if last {
		f.owner, f.since = -1, at
	}
}

// body moves on the owner's beats behind one that has gone, while neither the
// register nor the output is waited for: the cycle after each is accepted.
func (f *arbMuxFlow) body() bool {
	r, in, k := &f.reg[f.owner], f.in[f.owner], f.out.Sent()
	from, done, beat := in.Waiting(0)
	left, put := f.out.Open()
	last := in.Done(in.Read() - 1)
	if r.full || r.moved != last || f.since > last || f.out.Done(k-1) > last+2 {
		return false
	}
	n := min(len(from), len(left))
	for i := range n {
		last = max(from[i], last) + 1
		done[i], left[i] = last, last+2
		if beat[i].Last {
			n = i + 1
			break
		}
	}
	if n == 0 {
		return false
	}
	copy(put, beat[:n])
	in.Take(uint64(n))
	f.out.Flush(uint64(n))
	r.moved = last
	f.ended(last, beat[n-1].Last)
	return true
}

// Due is the edge at which the next grant is decided.
func (f *arbMuxFlow) Due() sim.Picos {
	at, any := f.edge()
	if !any {
		return sim.Never
	}
	return f.out.Wire.Clock.At(at)
}

func (f *arbMuxFlow) edge() (at sim.Cycle, any bool) {
	if f.owner >= 0 {
		return 0, false
	}
	for i := range f.reg {
		if r := &f.reg[i]; r.full && (!any || r.shown < at) {
			at, any = r.shown, true
		}
	}
	return max(at, f.since), any
}

// Decide grants one of the inputs that ask for it by now.
func (f *arbMuxFlow) Decide() {
	at, _ := f.edge()
	request := uint32(0)
	for i := range f.reg {
		if r := &f.reg[i]; r.full && r.shown <= at {
			request |= 1 << i
		}
	}
	f.arb.next(request, false)
	f.owner, f.since = f.arb.grant, at+1
}
