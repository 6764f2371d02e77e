package card

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/sim"
)

// RewriterConfig is fixed when a Rewriter is built.
type RewriterConfig struct {
	Latency int // cycles from the edge that a beat is passed on at to the first edge that offers it
	Rate    int // bytes written in a cycle
	Written int // bytes of a frame of which no Author says so
	Grow    int // bytes that such a frame leaves longer; negative: shorter
	MaxGrow int // most that an Author may say, either way
	By      Author
}

// Author says what a Rewriter writes. It is called once a frame, in their order.
type Author interface {
	// Text is what is written for a frame; ok is false if the configuration says it.
	// Own of it holds until the next call.
	Text(frame uint32) (t Text, ok bool)
}

// Text is what is written for a frame.
type Text struct {
	Own     []sim.Frame // frames of the card's own, which leave before it: ID, Bytes and Dest count
	Consume bool        // it goes no further, itself
	Written int         // bytes of it that are new
	Grow    int         // bytes that it leaves longer
}

// Rewriter writes the heads of messages, and frames of the card's own in front of
// the frames that are the reason for them. A frame whose head is new leaves as that is
// written, and what follows the head as it comes; nothing is held but a beat. Own
// frames are written whole, before the frame, which waits. What a checksum in front of a
// head needs of it is known then: the sum of the old one from the scanner, of the new one
// from the tables.
type Rewriter struct {
	sim.Losses
	in, out *sim.Wire
	cfg     RewriterConfig
	q       queue

	open  bool // a frame is being passed on
	ended bool // its last beat is in
	done  bool // it goes no further
	frame sim.Frame
	off   int32
	text  Text
	own   int       // of text.Own that have left
	got   int       // of the frame's bytes, in
	sent  int       // bytes of the frame on the way out, or of the own one
	since sim.Cycle // the writer began with the first
	wrote int       // bytes it has to have written for what is behind it
	due   sim.Cycle // when it has written what is waited for; 0: nothing is
}

// NewRewriter returns a Rewriter between two wires of one clock and one width.
func NewRewriter(cfg RewriterConfig, in, out *sim.Wire) *Rewriter {
	if cfg.Latency < 1 || cfg.Rate < 1 || in.Clock != out.Clock || in.Width != out.Width {
		panic(fmt.Sprintf("card: rewriter from %s to %s: latency %d, rate %d, want 1 or more, one clock and one width", in.Name, out.Name, cfg.Latency, cfg.Rate))
	}
	return &Rewriter{in: in, out: out, cfg: cfg, q: newQueue(cfg.Latency + 1)}
}

// Author makes a say what is written. Call it before an engine has the network.
func (r *Rewriter) Author(a Author) { r.cfg.By = a }

// Ports returns the two wires.
func (r *Rewriter) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }

// Offer drives the oldest beat when its time has come.
func (r *Rewriter) Offer() { r.q.offer(r.out) }

// Accept is ready for a frame when the one before is over, and for more of it where
// the next beat out cannot do without, or what comes is of the old head.
func (r *Rewriter) Accept() {
	switch {
	case r.ended:
		r.in.Take(false)
	case r.open && r.done:
		r.in.Take(true)
	case r.open && (r.writesOwn() || r.enough() && !r.inHead()):
		r.in.Take(false)
	default:
		r.in.Take(r.q.n < len(r.q.place))
	}
}

// Level is how many bytes are inside.
func (r *Rewriter) Level() int { return r.q.bytes }

// Wake is when the oldest beat may leave, or the writer has what the next one needs.
func (r *Rewriter) Wake() sim.Picos {
	if r.due == 0 {
		return r.q.wake(r.out.Clock)
	}
	return min(r.q.wake(r.out.Clock), wakeAt(r.in.Clock, r.due))
}

// Edge takes a beat and passes one on.
func (r *Rewriter) Edge(sim.Edges) bool {
	now := r.in.Clock.Now
	put, got := r.in.Fire(), r.out.Fire()
	if got {
		r.q.pop()
	}
	if put {
		r.take(r.in.Beat, now)
	}
	return r.pass(now) || put || got
}

// take takes a beat.
func (r *Rewriter) take(b sim.Beat, now sim.Cycle) {
	if !r.open {
		if r.begin(&b, now); r.done {
			r.Drop(r.frame.ID, sim.LossVerdict)
		}
	}
	r.got += int(b.Bytes)
	r.ended = b.Last
	r.frame.Bad = b.Bad
}

func (r *Rewriter) begin(b *sim.Beat, now sim.Cycle) {
	r.open, r.off = true, b.Off
	r.frame = sim.Frame{ID: b.Frame, Bytes: int(b.Left), Dest: b.Dest}
	r.text = Text{Written: r.cfg.Written, Grow: r.cfg.Grow}
	if r.cfg.By != nil {
		if t, ok := r.cfg.By.Text(b.Frame); ok {
			r.text = t
		}
	}
	t := &r.text
	t.Grow = max(-r.cfg.MaxGrow, min(t.Grow, r.cfg.MaxGrow, 1<<16-1-r.frame.Bytes))
	t.Grow = max(t.Grow, 1-r.frame.Bytes)
	r.frame.Bytes += t.Grow
	t.Written = max(0, t.Grow, min(t.Written, r.frame.Bytes))
	r.own, r.got, r.sent, r.wrote, r.since = 0, 0, 0, 0, now
	r.done = t.Consume
}

// inHead reports whether what comes next is of the old head.
func (r *Rewriter) inHead() bool { return r.got+r.text.Grow < r.text.Written }

// enough reports whether the next beat of the frame can be passed on with what is in. The
// last one says whether the frame is bad, which its own last says.
func (r *Rewriter) enough() bool {
	n := min(r.sent+r.out.Width, r.frame.Bytes)
	if n == r.frame.Bytes {
		return r.ended
	}
	return n <= r.text.Written || r.got+r.text.Grow >= n
}

// pass puts the next beat on its way if it is there, and reports whether anything changed.
func (r *Rewriter) pass(now sim.Cycle) bool {
	r.due = 0
	if !r.open {
		return false
	}
	if r.done && !r.writesOwn() {
		return r.close()
	}
	if !r.writesOwn() && !r.enough() {
		return false
	}
	if at := r.writtenAt(); now < at {
		r.due = at
		return false
	}
	if r.q.n == len(r.q.place) {
		return false
	}
	var b sim.Beat
	last := r.beat(&b)
	r.q.push(b, now+sim.Cycle(r.cfg.Latency))
	if last {
		r.close()
	}
	return true
}

// writesOwn reports whether the next beat is of an own frame.
func (r *Rewriter) writesOwn() bool { return r.own < len(r.text.Own) }

// writtenAt is the first edge at which all is written that the next beat needs.
func (r *Rewriter) writtenAt() sim.Cycle {
	fresh := min(r.sent+r.out.Width, r.text.Written, r.frame.Bytes)
	if r.writesOwn() {
		fresh = min(r.sent+r.out.Width, r.text.Own[r.own].Bytes)
	}
	if fresh == 0 {
		return r.since
	}
	return r.since + sim.Cycle((r.wrote+fresh+r.cfg.Rate-1)/r.cfg.Rate) - 1 // behind the r.wrote bytes before
}

// beat makes the next beat; last says that it is the last of the frame itself.
func (r *Rewriter) beat(b *sim.Beat) (last bool) {
	f, own := &r.frame, r.writesOwn()
	if own {
		f = &r.text.Own[r.own]
	}
	left, n, off := f.Bytes-r.sent, r.out.Width, int32(r.sent)
	if n >= left {
		n, last = left, true
	}
	if !own {
		off += r.off - int32(r.text.Grow)
	}
	*b = sim.Beat{Frame: f.ID, Off: off, Bytes: uint16(n), Left: uint16(left), Dest: f.Dest, First: r.sent == 0, Last: last, Bad: last && f.Bad}
	if r.sent += n; !last {
		return false
	}
	if own {
		r.own++
		r.wrote += r.sent
	}
	r.sent = 0
	return !own
}

// close ends the frame once its last beat is in, and reports whether it did.
func (r *Rewriter) close() bool {
	if !r.ended {
		return false
	}
	r.open, r.ended = false, false
	return true
}
