package netfpga

import "github.com/meshnic/meshnic/datapath/sim"

// fifo is a first-word-fall-through FIFO: a memory, the register behind it, a
// middle register and the output register. A word is at the output three cycles
// after it was written, and three words more fit than the memory holds.
//
// Source: fallthrough_small_fifo.v and small_fifo.v. Nothing there guards the
// memory: who writes while it is full overwrites, and the depth wraps.
type fifo struct {
	queue       []sim.Beat
	read, write uint32
	depth       uint32 // words in the memory

	fetched, middle, shown bool     // fifo_valid, middle_valid, dout_valid
	word, mid, out         sim.Beat // fifo_dout, middle_dout, dout
}

// newFIFO returns a FIFO with a memory of 2^bits words.
func newFIFO(bits int) fifo { return fifo{queue: make([]sim.Beat, 1<<bits)} }

func (f *fifo) nearlyFull() bool { return int(f.depth) >= len(f.queue)-1 }

// fetches reports whether the next edge reads the memory.
func (f *fifo) fetches() bool { return f.depth != 0 && !(f.middle && f.shown && f.fetched) }

// overflows reports whether a word written at the next edge overwrites another.
func (f *fifo) overflows() bool { return int(f.depth) >= len(f.queue) && !f.fetches() }

// edge writes b if put is set and takes the word at the output if get is set.
// It reports whether anything changed.
func (f *fifo) edge(put bool, b sim.Beat, get bool) bool {
	toOut := (f.middle || f.fetched) && (get || !f.shown)
	toMiddle := f.fetched && f.middle == toOut
	fetch := f.fetches()
	if !put && !get && !toOut && !toMiddle && !fetch {
		return false
	}
	if toOut {
		f.out = f.word
		if f.middle {
			f.out = f.mid
		}
	}
	f.shown = toOut || f.shown && !get
	if toMiddle {
		f.mid = f.word
	}
	f.middle = toMiddle || f.middle && !toOut
	f.fetched = fetch || f.fetched && !toMiddle && !toOut
	mask := uint32(len(f.queue)) - 1
	if fetch {
		f.word = f.queue[f.read&mask]
		f.read++
		f.depth--
	}
	if put {
		f.queue[f.write&mask] = b
		f.write++
		f.depth = (f.depth + 1) & (2*mask + 1)
	}
	return true
}
