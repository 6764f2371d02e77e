package card

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// dmaFlow is what the native forms of both directions have in common. Frames are numbered
// as they are whole. One may begin to come in once the one so many descriptors before it
// has left; it stands at the output from when it is there on.
type dmaFlow struct {
	q       *frames // whole, and not all put
	losses  *sim.Losses
	in, out *sim.Chan
	mask    uint64
	there   int         // of the frames in front, those of which it is known when they are there
	whole   uint64      // frames
	put     uint64      // of them, those that are all put
	left    uint64      // of these, those of which it is known when they left
	last    []uint64    // by frame: number of its last beat on the output
	until   []sim.Cycle // the cycle after that left
	size    []int       // bytes
}

func newDMAFlow(q *frames, losses *sim.Losses, in, out *sim.Chan) dmaFlow {
	n := 2 << bits.Len(uint(len(q.ring)))
	return dmaFlow{q: q, losses: losses, in: in, out: out, mask: uint64(n - 1), last: make([]uint64, n), until: make([]sim.Cycle, n), size: make([]int, n)}
}

// comes is when there is a descriptor for the beat that waits, as far as it is sure.
func (f *dmaFlow) comes() (at sim.Cycle, sure bool) {
	at = f.in.Shown()
	if f.q.open || f.whole < uint64(len(f.q.ring)) {
		return at, true
	}
	k := f.whole - uint64(len(f.q.ring))
	return max(at, f.until[k&f.mask]), k < f.left
}

// admit drops a frame that begins at an edge and is longer than may be.
func (f *dmaFlow) admit(at sim.Cycle, longest int) {
	if b := f.in.Head(); !f.q.open && int(b.Left) > longest {
		f.q.drop = true
		f.losses.DropAt(f.in.Wire.Clock.At(at), b.Frame, sim.LossOversize)
	}
}

// take accepts the beat that waits, and returns the frame if that is whole now.
func (f *dmaFlow) take(at sim.Cycle) (x *frame) {
	if x = f.q.take(*f.in.Head()); x != nil {
		f.size[f.whole&f.mask] = x.bytes
		f.whole++
	}
	f.in.Accept(at)
	return x
}

// show puts what is there.
func (f *dmaFlow) show() {
	f.collect()
	for f.there > 0 && f.out.Room() {
		b := f.q.beat()
		f.out.Put(f.q.nth(0).at, &b)
		if f.q.behind(&b) == nil {
			continue
		}
		f.there--
		f.last[f.put&f.mask] = f.out.Sent() - 1
		f.put++
		f.collect()
	}
}

// collect finds out which frames have left.
func (f *dmaFlow) collect() {
	for ; f.left < f.put && f.last[f.left&f.mask] < f.out.Taken(); f.left++ {
		f.until[f.left&f.mask] = f.out.Done(f.last[f.left&f.mask])
	}
}

// Flow: see dmaWriteFlow.
func (d *DMAWrite) Flow(in, out []*sim.Chan) sim.Flow {
	f := &dmaWriteFlow{dmaFlow: newDMAFlow(&d.frames, &d.Losses, in[0], out[0]), d: d}
	f.free = make([]sim.Cycle, len(f.until))
	return f
}

// dmaWriteFlow is a DMAWrite. When a frame is whole it is known when it has left the card,
// and with that when there is memory for which beat.
type dmaWriteFlow struct {
	dmaFlow
	d       *DMAWrite
	free    []sim.Cycle // by frame: the cycle after the edge that frees its memory
	freed   uint64      // frames whose memory was free at the last edge at which a beat came
	highest int
}

// Highest is the highest level, in bytes.
func (f *dmaWriteFlow) Highest() int { return f.highest }

func (f *dmaWriteFlow) Run() bool {
	moved := false
	f.show()
	for f.in.Next() && f.accept() {
		f.show()
		moved = true
	}
	return moved
}

func (f *dmaWriteFlow) accept() bool {
	at, sure := f.comes()
	if !sure {
		return false
	}
	d, width := f.d, f.in.Wire.Width
	for !f.q.drop && d.level+width > d.cfg.Buffer {
		if f.freed == f.whole {
			return false // there will never be
		}
		at = max(at, f.free[f.freed&f.mask])
		f.release()
	}
	for f.freed < f.whole && f.free[f.freed&f.mask] <= at+1 {
		f.release()
	}
	f.admit(at, d.cfg.Buffer-width)
	if !f.q.drop {
		d.level += int(f.in.Head().Bytes)
		f.highest = max(f.highest, d.level)
	}
	if x := f.take(at); x != nil {
		d.send(x, f.in.Wire.Clock.At(at))
		f.free[(f.whole-1)&f.mask] = d.landed(x.gone) + 1
		f.there++
	}
	return true
}

func (f *dmaWriteFlow) release() {
	f.d.level -= f.size[f.freed&f.mask]
	f.freed++
}

// Flow: see dmaReadFlow.
func (d *DMARead) Flow(in, out []*sim.Chan) sim.Flow {
	f := &dmaReadFlow{dmaFlow: newDMAFlow(&d.frames, &d.Losses, in[0], out[0]), d: d}
	f.began = make([]sim.Cycle, len(f.until))
	return f
}

// dmaReadFlow is a DMARead. A frame's reads start when it is whole, those of the frame
// before it have, and so many frames before it have left that there is memory for it.
type dmaReadFlow struct {
	dmaFlow
	d       *DMARead
	start   sim.Cycle   // edge at which the last reads started
	reads   uint64      // frames whose reads have started
	gone    uint64      // of them, those that had left when the last had to have memory
	began   []sim.Cycle // by frame: edge at which its reads started
	known   uint64      // frames at whose start the level is known
	away    uint64      // of them, those that had left at the last such start
	level   int         // at it, in bytes
	highest int
}

// Highest is the highest level, in bytes.
func (f *dmaReadFlow) Highest() int {
	g := *f
	g.measure(g.reads)
	return g.highest
}

func (f *dmaReadFlow) Run() bool {
	moved := false
	f.next()
	for f.in.Next() {
		at, sure := f.comes()
		if !sure {
			break
		}
		f.admit(at, f.d.cfg.Buffer)
		if x := f.take(at); x != nil {
			x.gone = f.in.Wire.Clock.At(at) // the doorbell
			f.next()
		}
		moved = true
	}
	return moved
}

// next starts the reads of what is whole, and puts what is there.
func (f *dmaReadFlow) next() {
	for f.show(); f.there < f.q.n && f.read(f.q.nth(f.there)); f.show() {
		f.there++
	}
	f.measure(min(f.reads, f.left+1))
}

func (f *dmaReadFlow) read(x *frame) bool {
	d := f.d
	at := max(f.start, d.landed(x.gone))
	for d.level+x.bytes > d.cfg.Buffer || f.gone < f.left && f.until[f.gone&f.mask] <= at+1 {
		if f.gone == f.left {
			return false
		}
		at = max(at, f.until[f.gone&f.mask]-1)
		d.level -= f.size[f.gone&f.mask]
		f.gone++
	}
	d.read(x, f.in.Wire.Clock.At(at))
	f.began[f.reads&f.mask], f.start = at, at
	f.reads++
	return true
}

// measure takes the level at the starts of frames before a number, before which all are
// known to have left or not.
func (f *dmaReadFlow) measure(until uint64) {
	for ; f.known < until; f.known++ {
		f.level += f.size[f.known&f.mask]
		for f.away < min(f.left, f.known) && f.until[f.away&f.mask] <= f.began[f.known&f.mask]+1 {
			f.level -= f.size[f.away&f.mask]
			f.away++
		}
		f.highest = max(f.highest, f.level)
	}
}
