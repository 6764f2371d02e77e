package trace

import (
	"github.com/meshnic/meshnic/datapath/sim"
)

// Share is the part of a frame's time that it spent in one stage: from the
// accept of its last beat at the stage's input to that at the output. Where the
// frame enters, it is from the first offer to the last accept.
//
// The share is the sum of four parts, told apart by what the wires show:
//
//   - Blocked: beats stood on the output and were not accepted, waiting for
//     what is downstream.
//   - Queue: the whole frame was in, and the output still carried another.
//   - StoreForward: nothing of the frame had been shown before it was in whole;
//     then its beats went out one after the other. A pipeline that is longer
//     than the frame looks the same.
//   - Pass: the rest, which is the stage's own latency; in a FIFO that frames
//     cut through it is also the beats still in front.
type Share struct {
	Stage                              string
	Pass, Queue, StoreForward, Blocked sim.Picos

	row int // of the stage
}

// Total is the whole share.
func (s *Share) Total() sim.Picos { return s.Pass + s.Queue + s.StoreForward + s.Blocked }

func (s *Share) add(o *Share) {
	s.Pass += o.Pass
	s.Queue += o.Queue
	s.StoreForward += o.StoreForward
	s.Blocked += o.Blocked
}

// Fall is where the time of one frame went. Shares and Remainder add up to
// End - Begin.
type Fall struct {
	Frame     uint32
	Begin     sim.Picos // first beat offered where it entered
	End       sim.Picos // last beat accepted where it left, or the drop
	Shares    []Share   // in the order of its way
	Remainder sim.Picos // not spent in a stage that it left: that of a dropped frame in the stage that dropped it
	Why       sim.Loss  // of a frame that was dropped
	DropStage string
}

// Total is the frame's whole time.
func (f *Fall) Total() sim.Picos { return f.End - f.Begin }

// WaterfallConfig says how a waterfall is made.
type WaterfallConfig struct {
	// Name is what a stage is called; stages of one name are taken together.
	// nil: each has its own.
	Name func(stage int) string
	// See, if set, is shown each frame that left or was dropped; the Fall is
	// valid until it returns.
	See func(*Fall)
}

// Waterfall tells where the time of frames goes.
type Waterfall struct {
	cfg   WaterfallConfig
	j     *journeys
	rows  []int // by stage
	stats []stageStats
	total dist
	rest  dist
	path  []*hop
	fall  Fall
	out   WaterfallResult
}

type stageStats struct {
	name  string
	share dist
	sum   Share
}

// NewWaterfall makes a waterfall of net. Call Close at the end of the run.
func NewWaterfall(net *sim.Net, cfg WaterfallConfig) *Waterfall {
	if cfg.Name == nil {
		cfg.Name = net.Name
	}
	w := &Waterfall{cfg: cfg, rows: make([]int, len(net.Stages))}
	w.j = newJourneys(net, w.done)
	byName := map[string]int{}
	for _, i := range w.j.top.sorted() {
		name := cfg.Name(i)
		row, ok := byName[name]
		if !ok {
			row = len(w.stats)
			byName[name] = row
			w.stats = append(w.stats, stageStats{name: name})
		}
		w.rows[i] = row
	}
	return w
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (w *Waterfall) Offered(x *sim.Wire, at sim.Cycle, b sim.Beat)  { w.j.lanes.offered(x, at, b) }
func (w *Waterfall) Accepted(x *sim.Wire, at sim.Cycle, b sim.Beat) { w.j.lanes.accepted(x, at, b) }
func (w *Waterfall) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	w.j.lost(stage, at, frame, why)
}

// Close counts the frames that are under way.
func (w *Waterfall) Close() { w.j.close() }

func (w *Waterfall) done(x *journey) {
	w.path = w.j.path(x, w.path)
	switch {
	case !x.left && !x.dropped:
		w.out.UnderWay++
		return
	case len(w.path) == 0 || w.path[0].beats == 0 || !w.j.top.enters(w.path[0].wire.Index()):
		w.out.Partial++
		return
	}
	f := &w.fall
	w.measure(f, x)
	if x.left {
		w.count(f)
	} else {
		f.Why, f.DropStage = x.why, w.cfg.Name(x.stage)
		w.out.Dropped++
	}
	if w.cfg.See != nil {
		w.cfg.See(f)
	}
}

// measure fills f from a path.
func (w *Waterfall) measure(f *Fall, x *journey) {
	first, last := w.path[0], w.path[len(w.path)-1]
	*f = Fall{Frame: x.frame, Begin: first.at(first.offered), End: last.at(last.lastAccepted), Shares: f.Shares[:0]}
	in := f.Begin
	for i, h := range w.path {
		if h.beats == 0 {
			break
		}
		s := part(h, x.blocked(h.wire, in), in, i == 0)
		in = h.at(h.lastAccepted)
		s.row = w.rows[w.j.top.producer[h.wire.Index()]]
		s.Stage = w.stats[s.row].name
		if n := len(f.Shares); n > 0 && f.Shares[n-1].row == s.row {
			f.Shares[n-1].add(&s)
		} else {
			f.Shares = append(f.Shares, s)
		}
	}
	if !x.left {
		f.End = max(x.at, in)
	}
	f.Remainder = f.Total()
	for i := range f.Shares {
		f.Remainder -= f.Shares[i].Total()
	}
}

// part divides the time from in to the last accept of h.
func part(h *hop, blocked, in sim.Picos, enters bool) Share {
	s := Share{Blocked: blocked}
	total := h.at(h.lastAccepted) - in
	if shown := h.at(h.offered); shown > in && !enters {
		s.Queue = max(0, min(h.since, shown)-in)
		s.Pass = shown - in - s.Queue
		s.StoreForward = total - s.Pass - s.Queue - s.Blocked
	} else {
		s.Pass = total - s.Blocked
	}
	return s
}

// count adds a frame that left to the sums.
func (w *Waterfall) count(f *Fall) {
	w.out.Frames++
	for i := range f.Shares {
		s := &f.Shares[i]
		st := &w.stats[s.row]
		st.share.add(s.Total(), nil)
		st.sum.add(s)
	}
	w.rest.add(f.Remainder, nil)
	w.total.add(f.Total(), f)
}
