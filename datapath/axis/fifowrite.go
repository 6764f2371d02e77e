package axis

import (
	"fmt"
	"math/bits"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// FIFOConfig is what the synchronous and the asynchronous FIFO have in common.
type FIFOConfig struct {
	Depth      int  // of the RAM in bytes; rounded up to a power of two of bus words
	Pipeline   int  // registers behind the RAM (RAM_PIPELINE), beside the one that reads it
	OutputFIFO bool // a small FIFO behind the pipeline, so that ready does not stop it

	// Frame stores a frame whole before its first beat is offered; the write
	// pointer that the read side sees moves on the last beat.
	Frame        bool
	DropOversize bool // a frame that does not fit into the RAM is lost; else it is passed on in pieces
	DropBad      bool // a frame marked bad is lost; wants Frame and DropOversize
	DropWhenFull bool // always ready, a frame that finds no room is lost; wants Frame and DropOversize

	// MarkWhenFull is always ready too, but without Frame: a frame is cut short
	// where the room ends, and its end is written, marked bad, once there is
	// room again; a frame that finds no room at all is lost whole.
	MarkWhenFull bool
}

// maxPipeline is the most registers that a model of a FIFO has behind its RAM.
const maxPipeline = 16

// Check reports a configuration that the hardware refuses on a bus of width
// bytes, as a module.ParamError.
func (c FIFOConfig) Check(width int) error { return c.CheckAs("", width) }

// CheckAs is Check of a module whose parameters begin with a prefix.
func (c FIFOConfig) CheckAs(prefix string, width int) error {
	refuse := func(param, format string, args ...any) error {
		return &module.ParamError{Param: prefix + param, Why: prefix + param + fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Depth/width < 2:
		return refuse("DEPTH", " is %d, want %d or more: two words of %d bytes", c.Depth, 2*width, width)
	case c.Pipeline < 0 || c.Pipeline > maxPipeline:
		return refuse("RAM_PIPELINE", " is %d, want 0 to %d", c.Pipeline, maxPipeline)
	case c.DropOversize && !c.Frame:
		return refuse("DROP_OVERSIZE_FRAME", " 1 needs %sFRAME_FIFO 1", prefix)
	case c.DropBad && !c.DropOversize:
		return refuse("DROP_BAD_FRAME", " 1 needs %[1]sFRAME_FIFO 1 and %[1]sDROP_OVERSIZE_FRAME 1", prefix)
	case c.DropWhenFull && !c.DropOversize:
		return refuse("DROP_WHEN_FULL", " 1 needs %[1]sFRAME_FIFO 1 and %[1]sDROP_OVERSIZE_FRAME 1", prefix)
	case c.MarkWhenFull && c.Frame:
		return refuse("MARK_WHEN_FULL", " 1 needs %sFRAME_FIFO 0", prefix)
	}
	return nil
}

// words is the RAM's size in bus words.
func (c FIFOConfig) words(width int) uint32 {
	return 1 << bits.Len32(uint32(c.Depth/width)-1)
}

// writer is the write side of a FIFO: the RAM, its write pointers and the
// decision what becomes of a frame. Pointers run freely; their differences are
// the hardware's.
type writer struct {
	sim.Losses
	c     FIFOConfig
	mem   []sim.Beat
	words uint32

	wr, commit              uint32 // wr_ptr_reg, wr_ptr_commit_reg
	inFrame                 bool   // s_frame_reg: the next beat is not a first one
	dropping, marking, send bool   // drop_frame_reg, mark_frame_reg, send_frame_reg

	cut  sim.Beat // the beat at which a marked frame was cut
	last sim.Beat // what stands on the input's data lines while nothing is offered
}

func newWriter(c FIFOConfig, width int) writer {
	if err := c.Check(width); err != nil {
		panic(err)
	}
	n := c.words(width)
	return writer{c: c, words: n, mem: make([]sim.Beat, n)}
}

// ready is s_axis_tready.
func (w *writer) ready(full bool) bool {
	return !full || w.c.DropWhenFull || w.c.MarkWhenFull || w.c.DropOversize && w.oversize()
}

// oversize: the frame that is coming in fills the RAM (full_wr).
func (w *writer) oversize() bool { return w.wr-w.commit == w.words }

func (w *writer) store(b sim.Beat) {
	w.mem[w.wr&(w.words-1)] = b
	w.wr++
}

// edge takes what is on the input. committed means that the commit pointer was
// loaded in frame mode.
func (w *writer) edge(in *sim.Wire, full bool) (changed, committed bool) {
	if w.c.Frame {
		return w.frame(in, full)
	}
	return w.beat(in, full), false
}

func (w *writer) frame(in *sim.Wire, full bool) (changed, committed bool) {
	over := w.oversize()
	if !in.Fire() {
		if in.Valid && over && !w.c.DropOversize { // send what there is
			w.send, w.commit = true, w.wr
			return true, true
		}
		return false, false
	}
	b := in.Beat
	if full && w.c.DropWhenFull || over && w.c.DropOversize || w.dropping {
		if !w.dropping {
			why := sim.LossFull
			if over {
				why = sim.LossOversize
			}
			w.Drop(b.Frame, why)
		}
		if w.dropping = !b.Last; b.Last {
			w.wr = w.commit // only now is the room free again
		}
		return true, false
	}
	w.store(b)
	if !b.Last && (w.c.DropOversize || !over && !w.send) {
		return true, false
	}
	w.send = !b.Last
	if b.Last && b.Bad && w.c.DropBad {
		w.wr = w.commit
		w.Drop(b.Frame, sim.LossBad)
		return true, false
	}
	w.commit = w.wr
	return true, true
}

func (w *writer) beat(in *sim.Wire, full bool) (changed bool) {
	if !in.Fire() {
		if !w.marking || w.dropping || full {
			return false
		}
		w.end(w.last)
		return true
	}
	b := in.Beat
	first := !w.inFrame
	w.inFrame, w.last = !b.Last, b
	switch {
	case w.dropping:
		if b.Last && w.marking && !full {
			w.end(b)
		}
		w.dropping = !b.Last
	case w.c.MarkWhenFull && (full || w.marking):
		w.dropping = !b.Last
		if first {
			w.Drop(b.Frame, sim.LossFull)
		} else {
			w.marking, w.cut = true, b
		}
	default:
		w.store(b)
		w.commit = w.wr
	}
	return true
}

// end writes the end of a frame that was cut: the hardware stores what is on
// the data lines, b, as a last beat marked bad. Left of the beats that are
// already stored still counts the whole frame.
func (w *writer) end(b sim.Beat) {
	e := w.cut
	e.Bytes, e.Left = b.Bytes, b.Bytes
	e.Last, e.Bad = true, true
	w.store(e)
	w.commit, w.marking = w.wr, false
}
