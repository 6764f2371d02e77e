package axis

import (
	"math"
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
	moved := f.run()
	if f.in.Promised() < f.in.Sent()+ahead {
		f.promise()
	}
	return moved
}

func (f *broadcastFlow) run() (moved bool) {
	for {
		if f.move() {
			moved = true
			continue
		}
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

// move passes on beats of a frame that are known to wait for nothing: see promise.
func (f *broadcastFlow) move() bool {
	done, beat := f.in.Known()
	k := f.in.Read()
	if len(done) == 0 || f.put < k {
		return false
	}
	n, all := len(done), f.targets(beat[0])
	for to := all; to != 0; to &= to - 1 {
		left, _ := f.out[bits.TrailingZeros32(to)].Open()
		n = min(n, len(left))
	}
	for i := range n {
		if beat[i].Last {
			n = i + 1
			break
		}
	}
	if n == 0 {
		return false
	}
	for to := all; to != 0; to &= to - 1 {
		out := f.out[bits.TrailingZeros32(to)]
		left, put := out.Open()
		for i, at := range done[:n] {
			left[i] = at + 1
		}
		copy(put, beat[:n])
		out.Flush(uint64(n))
	}
	for i := max(0, n-2); i < n; i++ {
		c := &f.held[(k+uint64(i))%2]
		c.came, c.to, c.left, c.gone = done[i]-1, all, done[i]+1, true
	}
	f.put += uint64(n)
	f.in.Skip(uint64(n))
	return true
}

// promise passes on that no output waits for anything: then nor does the input,
// once the two beats inside are on their way out in time.
func (f *broadcastFlow) promise() {
	k := f.in.Read()
	if f.in.Next() || f.put < k {
		return
	}
	now := f.in.Done(k - 1)
	for i := k - min(k, 2); i < k; i++ {
		if !f.over(i) || f.held[i%2].left > now+1-sim.Cycle(k-1-i) {
			return
		}
	}
	until := uint64(math.MaxUint64)
	for _, out := range f.out {
		if p := out.Promised(); p != math.MaxUint64 {
			until = min(until, k+p-min(p, out.Sent()))
		}
	}
	f.in.Promise(until)
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
