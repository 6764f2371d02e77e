package netfpga

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// OutputQueues stores frames for the ports. It is always ready: a frame that
// finds one of its queues above the threshold at its first beat is dropped, and
// one without a queue vanishes.
//
// Source: output_queues.v: first latency 3, b cycles a frame. The threshold
// leaves room for a frame of 1,600 bytes; the RTL overwrites its memory with
// what is longer and does not fit, the model drops that frame's middle, marks
// its last beat bad and counts it.
type OutputQueues struct {
	sim.Losses
	in     *sim.Wire
	ins    [1]*sim.Wire
	out    []*sim.Wire
	queue  []outputQueue
	limit  uint32 // words above which a queue takes no new frame (BUFFER_THRESHOLD)
	state  queueState
	to     uint8  // cur_queue: the queues of the frame that comes
	filled uint32 // the frame that was counted as too long
}

type queueState uint8

const (
	between queueState = iota // IDLE
	storing                   // WR_PKT
	losing                    // DROP
)

type outputQueue struct {
	words   fifo
	meta    fifo // the frames' metadata words
	inFrame bool // metadata_state WAIT_EOP
}

const (
	reserve   = 1600 // MAX_PACKET_SIZE
	metaDepth = 6    // of the metadata FIFO, in bits
)

// NewOutputQueues returns a queue of size bytes for each output.
func NewOutputQueues(size int, in *sim.Wire, out []*sim.Wire) *OutputQueues {
	q := &OutputQueues{in: in, ins: [1]*sim.Wire{in}, out: out, limit: uint32((size - reserve) / in.Width)}
	for range out {
		q.queue = append(q.queue, outputQueue{words: newFIFO(bits.Len(uint(size/in.Width - 1))), meta: newFIFO(metaDepth)})
	}
	return q
}

func (q *OutputQueues) Ports() (in, out []*sim.Wire) { return q.ins[:], q.out }
func (q *OutputQueues) Accept()                      { q.in.Take(true) }

func (q *OutputQueues) Offer() {
	for i, w := range q.out {
		f := &q.queue[i].words
		w.Put(f.shown, f.out)
	}
}

// set is the queues that a tdest names.
func (q *OutputQueues) set(dest uint8) uint8 {
	if dest&Several != 0 {
		return dest & (1<<len(q.queue) - 1)
	}
	return 1 << dest & (1<<len(q.queue) - 1)
}

func (q *OutputQueues) Edge(sim.Edges) bool {
	b := q.in.Beat
	var words, meta uint8 // queues that are written
	if q.in.Valid {
		switch q.state {
		case between:
			q.to = q.set(b.Dest)
			switch {
			case q.above(q.to):
				q.state = losing
				q.Drop(b.Frame, sim.LossFull)
			default:
				q.state = storing
				words, meta = q.to, q.to
				if q.to == 0 {
					q.Drop(b.Frame, sim.LossNoRoute)
				}
			}
		case storing:
			words = q.to
		}
		if b.Last {
			q.state = between
		}
	}
	changed := q.in.Valid
	for i := range q.queue {
		if q.step(i, words>>i&1 != 0, meta>>i&1 != 0, b) {
			changed = true
		}
	}
	return changed
}

// above reports whether one of the queues takes no new frame.
func (q *OutputQueues) above(set uint8) bool {
	for i := range q.queue {
		if s := &q.queue[i]; set>>i&1 != 0 && (s.words.depth >= q.limit || s.meta.nearlyFull()) {
			return true
		}
	}
	return false
}

// step clocks one queue.
func (q *OutputQueues) step(i int, word, meta bool, b sim.Beat) bool {
	s, w := &q.queue[i], q.out[i]
	if word && s.words.overflows() {
		word = false
		if q.filled != b.Frame {
			q.filled = b.Frame
			q.Drop(b.Frame, sim.LossOversize)
		}
		if b.Last {
			newest := &s.words.queue[(s.words.write-1)&uint32(len(s.words.queue)-1)]
			newest.Last, newest.Bad, newest.Left = true, true, newest.Bytes
		}
	}
	got := w.Fire()
	changed := s.words.edge(word, b, got)
	if s.meta.edge(meta, sim.Beat{}, got && !s.inFrame) {
		changed = true
	}
	if got {
		s.inFrame = !w.Beat.Last
	}
	return changed
}

// Level is the words in the memories, in bytes.
func (q *OutputQueues) Level() int {
	n := 0
	for i := range q.queue {
		n += int(q.queue[i].words.depth)
	}
	return n * q.in.Width
}

var outputQueues = module.Module{
	Name:   "nf.output_queues",
	Source: source + "output_queues_v1_0_0/hdl/output_queues.v",
	Doc:    "a queue for each port; always ready, drops what finds its queue above the threshold",
	Params: []module.Param{width, numQueues, module.Power("BUFFER_SIZE", 4096, 2048, 1<<20, "bytes of each queue")},
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		return []module.Port{bus(a)}, []module.Port{bus(a), bus(a), bus(a)}
	},
	Build: func(s *module.Site) { s.Add("", NewOutputQueues(s.Args.Int("BUFFER_SIZE"), s.In[0], s.Out)) },
}
