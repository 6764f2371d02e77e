package enginetest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// trace is all that a run showed: by wire, by stage.
type trace struct {
	net    *sim.Net
	wires  [][]event
	drops  []drop
	levels []int
	rest   bool // nothing would have moved ever again

	entered, left [][]passed // by stage, as a FrameObserver saw it; nil for those it does not see
	watched       []drop
}

// event is a beat offered or accepted.
type event struct {
	accepted bool
	at       sim.Cycle
	beat     sim.Beat
}

func (e event) String() string {
	switch {
	case e == event{}:
		return "nothing"
	case e.accepted:
		return fmt.Sprintf("accepted at %d %+v", e.at, e.beat)
	}
	return fmt.Sprintf("offered at %d %+v", e.at, e.beat)
}

// drop is a frame that a stage dropped.
type drop struct {
	stage int
	at    sim.Picos
	frame uint32
	why   sim.Loss
}

// passed is a frame that entered or left the network.
type passed struct {
	frame uint32
	at    sim.Cycle
}

// reset prepares t for a run of net, and keeps its memory.
func (t *trace) reset(net *sim.Net) {
	t.net = net
	t.wires = again(t.wires, len(net.Wires))
	t.entered, t.left = again(t.entered, len(net.Stages)), again(t.left, len(net.Stages))
	t.drops, t.watched, t.levels, t.rest = t.drops[:0], t.watched[:0], t.levels[:0], false
}

func again[T any](s [][]T, n int) [][]T {
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = s[i][:0]
	}
	return s
}

// maxEvents is far more than what Draw's networks show on a wire.
const maxEvents = 1 << 21

func (t *trace) add(w *sim.Wire, e event) {
	if w.Clock.At(e.at) > limit {
		return // the fast engine may run ahead
	}
	at := &t.wires[w.Index()]
	if *at = append(*at, e); len(*at) > maxEvents {
		panic(fmt.Sprintf("wire %s does not come to an end", w.Name))
	}
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (t *trace) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat)  { t.add(w, event{false, at, b}) }
func (t *trace) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) { t.add(w, event{true, at, b}) }

func (t *trace) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if at <= limit {
		t.drops = append(t.drops, drop{stage, at, frame, why})
	}
}

// watcher makes a trace a sim.FrameObserver.
type watcher struct{ *trace }

func (w watcher) Entered(source int, frame uint32, at sim.Cycle) {
	w.entered[source] = append(w.entered[source], passed{frame, at})
}

func (w watcher) Left(sink int, frame uint32, at sim.Cycle) {
	w.left[sink] = append(w.left[sink], passed{frame, at})
}

func (w watcher) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	w.watched = append(w.watched, drop{stage, at, frame, why})
}

// engine is what both engines have in common.
type engine interface {
	Run(limit sim.Picos) bool
	Highest(stage int) int
}

// finish runs to the end and notes what the engine knows then.
func (t *trace) finish(e engine) {
	t.rest = e.Run(limit)
	if t.rest {
		for i := range t.net.Stages {
			t.levels = append(t.levels, e.Highest(i))
		}
	}
	// Each stage's own are in the order of time.
	for _, d := range [][]drop{t.drops, t.watched} {
		slices.SortStableFunc(d, func(a, b drop) int { return cmp.Compare(a.stage, b.stage) })
	}
}

// diff is the earliest difference to another run of the same network, or "".
func (t *trace) diff(o *trace) string {
	first, what := sim.Never, ""
	for i, w := range t.net.Wires {
		a, b := t.wires[i], o.wires[i]
		if slices.Equal(a, b) {
			continue
		}
		var x, y event
		k := 0
		for k < len(a) && k < len(b) && a[k] == b[k] {
			k++
		}
		at := sim.Never - 1
		if k < len(a) {
			x, at = a[k], min(at, w.Clock.At(a[k].at))
		}
		if k < len(b) {
			y, at = b[k], min(at, w.Clock.At(b[k].at))
		}
		if at < first {
			first, what = at, fmt.Sprintf("wire %s, event %d: %v; %v", w.Name, k, x, y)
		}
	}
	if what != "" {
		return what
	}
	if d := dropsDiffer(t.net, t.drops, o.drops); d != "" {
		return d
	}
	if t.rest != o.rest {
		return fmt.Sprintf("came to rest: %t; %t", t.rest, o.rest)
	}
	for i := range t.levels {
		if t.levels[i] != o.levels[i] {
			return fmt.Sprintf("stage %s, highest level: %d; %d", t.net.Name(i), t.levels[i], o.levels[i])
		}
	}
	return ""
}

func dropsDiffer(net *sim.Net, a, b []drop) string {
	for k := range max(len(a), len(b)) {
		var x, y drop
		if k < len(a) {
			x = a[k]
		}
		if k < len(b) {
			y = b[k]
		}
		if x != y {
			return fmt.Sprintf("drop %d: %s; %s", k, x.in(net), y.in(net))
		}
	}
	return ""
}

func (d drop) in(net *sim.Net) string {
	if d == (drop{}) {
		return "none"
	}
	return fmt.Sprintf("stage %s at %d ps frame %d %v", net.Name(d.stage), d.at, d.frame, d.why)
}
