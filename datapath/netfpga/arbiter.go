package netfpga

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// InputArbiter merges its inputs frame by frame, round robin, with a FIFO
// behind each. While it has nothing to send it looks at one input after the
// other, one a cycle, so its latency depends on when a frame comes.
//
// Source: input_arbiter.v: first latency 3 if it happens to look at the input,
// else 4; b cycles a frame. The memories hold a frame of 2,000 bytes.
type InputArbiter struct {
	in    []*sim.Wire
	out   *sim.Wire
	outs  [1]*sim.Wire
	queue []fifo

	cur  int       // cur_queue, in the cycle at
	at   sim.Cycle // see turn
	busy bool      // state WR_PKT: within a frame
}

// arbiterStart is the input that the arbiter looks at in cycle 0, such that it
// looks at input 0 in cycle 17, the first after a reset of 16 cycles.
const arbiterStart = 1

// maxPacket is the size of frame for which the memories are made
// (MAX_PKT_SIZE).
const maxPacket = 2000

// NewInputArbiter returns an arbiter between wires of one clock and width.
func NewInputArbiter(in []*sim.Wire, out *sim.Wire) *InputArbiter {
	a := &InputArbiter{in: in, out: out, outs: [1]*sim.Wire{out}, cur: arbiterStart % len(in)}
	for range in {
		a.queue = append(a.queue, newFIFO(bits.Len(uint(maxPacket/out.Width-1))))
	}
	return a
}

func (a *InputArbiter) Ports() (in, out []*sim.Wire) { return a.in, a.outs[:] }

// turn brings cur up to now: while all is empty the arbiter turns in every
// cycle, also in those that the engine skips.
func (a *InputArbiter) turn() {
	now := a.out.Clock.Now
	if now > a.at && a.idle() {
		n := sim.Cycle(len(a.queue))
		a.cur = int((sim.Cycle(a.cur) + (now-a.at)%n) % n)
	}
	a.at = now
}

func (a *InputArbiter) idle() bool {
	for i := range a.queue {
		if a.queue[i].shown {
			return false
		}
	}
	return !a.busy
}

func (a *InputArbiter) Offer() {
	a.turn()
	q := &a.queue[a.cur]
	a.out.Put(q.shown, q.out)
}

func (a *InputArbiter) Accept() {
	for i, w := range a.in {
		w.Take(!a.queue[i].nearlyFull())
	}
}

func (a *InputArbiter) Edge(sim.Edges) bool {
	got, last := a.out.Fire(), a.out.Beat.Last
	cur, idle := a.cur, a.idle()
	changed := false
	if got {
		a.busy = !last
	}
	if got && last || !got && !a.busy && !a.queue[cur].shown {
		a.cur = a.next()
		changed = !idle
	}
	for i, w := range a.in {
		if a.queue[i].edge(w.Fire(), w.Beat, got && i == cur) {
			changed = true
		}
	}
	a.at = a.out.Clock.Now + 1
	return changed
}

// next is the first input after cur that has a word, cur itself being the last,
// or the one after cur.
func (a *InputArbiter) next() int {
	n := len(a.queue)
	for k := 1; k <= n; k++ {
		if i := (a.cur + k) % n; a.queue[i].shown {
			return i
		}
	}
	return (a.cur + 1) % n
}

// Level is the words in the memories, in bytes.
func (a *InputArbiter) Level() int {
	n := 0
	for i := range a.queue {
		n += int(a.queue[i].depth)
	}
	return n * a.out.Width
}

var inputArbiter = module.Module{
	Name:   "nf.input_arbiter",
	Source: source + "input_arbiter_v1_0_0/hdl/input_arbiter.v",
	Doc:    "merges the ports' frames, a FIFO each, round robin",
	Params: []module.Param{width, numQueues},
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		return []module.Port{bus(a), bus(a), bus(a)}, []module.Port{bus(a)}
	},
	Build: func(s *module.Site) { s.Add("", NewInputArbiter(s.In, s.Out[0])) },
}
