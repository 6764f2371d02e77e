package axis

import "github.com/meshnic/meshnic/datapath/sim"

// Flow: see fifoFlow. A FIFO that marks what it cuts is clocked, and so is one
// whose output FIFO is longer than a channel.
func (f *AsyncFIFO) Flow(in, out []*sim.Chan) sim.Flow {
	return newFIFOFlow(f.writer.c, &f.Losses, f.tail, in[0], out[0], &crossing{
		frame: f.writer.c.Frame, in: f.in.Clock, out: f.out.Clock,
	})
}

// crossing is how an AsyncFIFO's two sides know of each other: what one side has
// done at an edge reaches the other through two flops, so at the second edge
// after the next.
//
// In frame mode the commit pointer is held while a bit toggles to the read side,
// which loads the pointer at the third edge, and back through two flops. Commits
// that come meanwhile cross together at the first edge at which that is over.
type crossing struct {
	frame   bool
	in, out *sim.Domain

	begun bool
	at    sim.Cycle // edge at which the last commit crosses that is known
	idle  sim.Cycle // first edge at which another may
	there sim.Cycle // edge at which it can be read on the other side
}

// commit is the output's edge at which what was committed at an edge of the
// input can be read.
func (x *crossing) commit(at sim.Cycle) sim.Cycle {
	if !x.frame {
		return x.out.First(x.in.At(at)+1) + 2
	}
	if !x.begun || at > x.at {
		if x.begun {
			at = max(at, x.idle)
		}
		x.begun, x.at = true, at
		seen := x.out.First(x.in.At(at) + 1)
		x.there = seen + 3
		x.idle = x.in.First(x.out.At(seen+2)+1) + 2
	}
	return x.there
}

// commits is commit without frames, for words written before cycles done.
func (x *crossing) commits(ready, done []sim.Cycle) {
	t, period := x.in.At(0)+1-x.in.Period, x.in.Period
	for i := range ready {
		ready[i] = x.out.First(t+sim.Picos(done[i])*period) + 2
	}
}

// freed is the input's edge at which it knows that a word was read at an edge of
// the output.
func (x *crossing) freed(at sim.Cycle) sim.Cycle { return x.in.First(x.out.At(at)+1) + 2 }

// news is freed the other way round, without a division: cycle left of the output,
// before which a word was read, is known of before cycle at of the input if
// left·out < at·in + skew.
type news struct{ out, in, skew sim.Picos }

// sameClock is the news within one clock: at the next edge.
var sameClock = news{1, 1, 0}

func (x *crossing) news() news {
	i, o := x.in.Period, x.out.Period
	return news{o, i, x.in.Phase - 3*i - x.out.Phase + o}
}

// later is news that look so many cycles later.
func (n news) later(cycles sim.Picos) news {
	n.skew += cycles * n.in
	return n
}

func (n *news) gone(left, at sim.Cycle) bool {
	return sim.Picos(left)*n.out < sim.Picos(at)*n.in+n.skew
}
