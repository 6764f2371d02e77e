package axis

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/sim"
)

// reader is the read side of a FIFO: the read pointer, the registers behind the
// RAM and, if there is one, the output FIFO.
type reader struct {
	rd    uint32 // rd_ptr_reg
	valid uint32 // m_axis_tvalid_pipe_reg, a bit a register
	pipe  []sim.Beat
	tail  *tailFIFO
}

func newReader(c FIFOConfig) reader {
	r := reader{pipe: make([]sim.Beat, c.Pipeline+1)}
	if c.OutputFIFO {
		addr := 3
		if c.Pipeline >= 2 {
			addr = bits.Len(uint(2*c.Pipeline + 6)) // $clog2(RAM_PIPELINE*2+7)
		}
		r.tail = newTailFIFO(addr)
	}
	return r
}

func (r *reader) offer(out *sim.Wire) {
	if r.tail != nil {
		r.tail.offer(out)
		return
	}
	last := len(r.pipe) - 1
	out.Put(r.valid>>last&1 != 0, r.pipe[last])
}

// edge moves beats from the RAM towards the output. Without an output FIFO the
// registers close up: all below the topmost bubble move, all of them if the
// output is ready. With one, they always move, and the RAM is read while the
// output FIFO is less than half full.
func (r *reader) edge(out *sim.Wire, w *writer, empty bool) (changed bool) {
	last := len(r.pipe) - 1
	read := !empty
	top := last
	if t := r.tail; t != nil {
		read = read && !t.half
		changed = t.edge(r.valid>>last&1 != 0, r.pipe[last], out)
	} else if r.valid>>last&1 != 0 && !out.Ready {
		top = bits.Len32(^r.valid&(1<<(last+1)-1)) - 1
		if top < 0 {
			return false
		}
	}
	old := r.valid
	move := uint32(2)<<top - 1 // the registers that are loaded
	for i := top; i > 0; i-- {
		if old>>(i-1)&1 != 0 {
			r.pipe[i] = r.pipe[i-1]
		}
	}
	r.valid = old&^move | old<<1&move
	if read {
		r.pipe[0] = w.mem[r.rd&(w.words-1)]
		r.valid |= 1
		r.rd++
	}
	return changed || old != r.valid || top == last && old != 0
}

// tailFIFO is the small FIFO behind a pipeline that cannot be stopped: RAM, an
// output register, and a flop that says that the RAM was half full.
type tailFIFO struct {
	ring   []sim.Beat
	wr, rd uint32
	half   bool // out_fifo_half_full_reg
	valid  bool // m_axis_tvalid_reg
	beat   sim.Beat
}

func newTailFIFO(addr int) *tailFIFO { return &tailFIFO{ring: make([]sim.Beat, 1<<addr)} }

func (f *tailFIFO) offer(out *sim.Wire) { out.Put(f.valid, f.beat) }

// edge stores b, if put is set. Half the ring is more than what can be on the
// way to it, so it never overflows.
func (f *tailFIFO) edge(put bool, b sim.Beat, out *sim.Wire) (changed bool) {
	n, size := f.wr-f.rd, uint32(len(f.ring))
	if half := n >= size/2; half != f.half {
		f.half, changed = half, true
	}
	if f.valid && out.Ready {
		f.valid, changed = false, true
	}
	if !f.valid && n > 0 {
		f.beat = f.ring[f.rd&(size-1)]
		f.rd++
		f.valid, changed = true, true
	}
	if put {
		f.ring[f.wr&(size-1)] = b
		f.wr++
		changed = true
	}
	return changed
}
