package axis

import (
	"math"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Flow: a beat is accepted once the beat two before it has left.
func (r *Skid) Flow(in, out []*sim.Chan) sim.Flow { return &registerFlow{in[0], out[0], 2} }

// Flow: a beat is accepted once the beat before it has left.
func (r *Slice) Flow(in, out []*sim.Chan) sim.Flow { return &registerFlow{in[0], out[0], 1} }

// registerFlow is a register slice with so many places.
type registerFlow struct {
	in, out *sim.Chan
	places  uint64
}

func (f *registerFlow) Run() bool {
	moved := false
	if f.places > 1 {
		moved = f.in.Move(f.out, 1, math.MaxUint64) > 0
	}
	for f.in.Next() && f.out.Room() {
		k := f.in.Read()
		if k >= f.out.Taken()+f.places {
			break
		}
		at := max(f.in.Shown(), f.out.Done(k-f.places))
		f.out.Put(at+1, f.in.Head())
		f.in.Accept(at)
		moved = true
	}
	if f.places > 1 && f.in.Promised() < f.out.Promised() {
		f.promise()
	}
	return moved
}

// promise passes on that the output waits for nothing: then nor does the input,
// once what was held up before has left. The next two beats come no earlier than
// after the last one, and each finds a place.
func (f *registerFlow) promise() {
	k := f.in.Read()
	if f.in.Next() || f.out.Taken() < k || f.out.Done(k-2) > f.in.Done(k-1) || f.out.Done(k-1) > f.in.Done(k-1)+1 {
		return
	}
	f.in.Promise(f.out.Promised())
}

// Flow: each side sees the other in the same cycle.
func (r *Through) Flow(in, out []*sim.Chan) sim.Flow { return &throughFlow{in[0], out[0]} }

type throughFlow struct{ in, out *sim.Chan }

func (f *throughFlow) Run() bool {
	moved := false
	for f.in.Next() {
		if k := f.in.Read(); f.out.Sent() == k {
			if !f.out.Room() {
				break
			}
			f.out.Put(f.in.Shown(), f.in.Head())
			moved = true
		} else if f.out.Taken() == k {
			break
		} else {
			f.in.Accept(f.out.Done(k) - 1)
			moved = true
		}
	}
	if !f.in.Next() && f.in.Promised() < f.out.Promised() {
		f.in.Promise(f.out.Promised())
	}
	return moved
}
