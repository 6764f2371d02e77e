package axis

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Flow: see broadcastFlow.
func (b *Broadcast) Flow(in, out []*sim.Chan) sim.Flow {
	return &broadcastFlow{Broadcast: b, in: in[0], out: out}
}

// broadcastFlow is a Broadcast: two places, of which the first stands on the
// outputs. A beat is accepted once the one two before it has left, and stands on
// its outputs once the one before it has.
type broadcastFlow struct {
	*Broadcast
	in   *sim.Chan
	out  []*sim.Chan
	held [2]copies // by beat
	put  uint64    // beats that stand on outputs, or have
}

// copies is a beat on its way out.
type copies struct {
	beat sim.Beat
	came sim.Cycle
	to   uint32
	nth  [maxPorts]uint64 // its number on each output
	left sim.Cycle        // the cycle after the last output took it
	gone bool
}

func (f *broadcastFlow) Run() bool {
	moved := false
	for {
		k := f.in.Read()
		switch {
		case f.put < k:
			if !f.show() {
				return moved
			}
		case !f.in.Next(), k >= 2 && !f.over(k-2):
			return moved
		default:
			c := &f.held[k%2]
			at := max(f.in.Shown(), c.left)
			*c = copies{beat: *f.in.Head(), came: at}
			f.in.Accept(at)
		}
		moved = true
	}
}

// over reports whether all outputs are known to have taken beat k.
func (f *broadcastFlow) over(k uint64) bool {
	c := &f.held[k%2]
	if c.gone {
		return true
	}
	for to := c.to; to != 0; to &= to - 1 {
		i := bits.TrailingZeros32(to)
		if f.out[i].Taken() <= c.nth[i] {
			return false
		}
		c.left = max(c.left, f.out[i].Done(c.nth[i]))
	}
	c.gone = true
	return true
}

// show puts the next beat on its outputs.
func (f *broadcastFlow) show() bool {
	c := &f.held[f.put%2]
	if c.to == 0 {
		c.to = f.targets(c.beat)
	}
	for to := c.to; to != 0; to &= to - 1 {
		if !f.out[bits.TrailingZeros32(to)].Room() {
			return false
		}
	}
	from := c.came + 1
	// Behind a beat on the same single output it waits there anyway.
	if before := &f.held[(f.put+1)%2]; f.put > 0 && (before.to != c.to || c.to&(c.to-1) != 0) {
		if !f.over(f.put - 1) {
			return false
		}
		from = max(from, before.left)
	}
	for to := c.to; to != 0; to &= to - 1 {
		i := bits.TrailingZeros32(to)
		c.nth[i] = f.out[i].Sent()
		f.out[i].Put(from, &c.beat)
	}
	f.put++
	return true
}
