package datapathtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Trace records all that moves in a network, wire by wire, so that two runs can
// be compared whatever the order in which their engine reports it.
type Trace struct {
	Net   *sim.Net
	Until sim.Picos // what happens later is not recorded
	Wires [][]Event
	Drops []Dropped
	Peaks []int // highest level by stage, filled in by the run
}

// Event is a beat offered or accepted.
type Event struct {
	Accepted bool
	At       sim.Cycle
	Beat     sim.Beat
}

// Dropped is a frame dropped by a stage.
type Dropped struct {
	Stage int
	At    sim.Picos
	Frame uint32
	Why   sim.Loss
}

// Offered records a beat.
func (t *Trace) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) { t.add(w, Event{false, at, b}) }

// Accepted records a beat.
func (t *Trace) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) { t.add(w, Event{true, at, b}) }

func (t *Trace) add(w *sim.Wire, e Event) {
	if w.Clock.At(e.At) <= t.Until {
		t.Wires[w.Index()] = append(t.Wires[w.Index()], e)
	}
}

// Dropped records a lost frame.
func (t *Trace) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if at <= t.Until {
		t.Drops = append(t.Drops, Dropped{stage, at, frame, why})
	}
}

// Ticked runs a network under the reference engine until it rests or until the
// limit.
func Ticked(net *sim.Net, limit sim.Picos) (*Trace, error) {
	t := newTrace(net, limit)
	e, err := sim.NewTicker(net, t)
	if err != nil {
		return nil, err
	}
	return t.run(e, limit), nil
}

// MaxPlused runs a network under the maxplus engine, with the native forms that
// native allows; nil allows all.
func MaxPlused(net *sim.Net, limit sim.Picos, native func(stage int) bool) (*Trace, error) {
	if native == nil {
		native = func(int) bool { return true }
	}
	t := newTrace(net, limit)
	e, err := sim.NewMaxPlusOf(net, t, native)
	if err != nil {
		return nil, err
	}
	return t.run(e, limit), nil
}

func newTrace(net *sim.Net, limit sim.Picos) *Trace {
	return &Trace{Net: net, Until: limit, Wires: make([][]Event, len(net.Wires))}
}

func (t *Trace) run(e interface {
	Run(sim.Picos) bool
	Highest(int) int
}, limit sim.Picos) *Trace {
	rest := e.Run(limit)
	for i := range t.Net.Stages {
		if !rest { // native stages have run ahead of the limit
			break
		}
		t.Peaks = append(t.Peaks, e.Highest(i))
	}
	slices.SortStableFunc(t.Drops, func(a, b Dropped) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.At, b.At), cmp.Compare(a.Frame, b.Frame))
	})
	return t
}

// Diff is the earliest difference between two runs of a network, or "".
func (t *Trace) Diff(other *Trace) string {
	d := t.diff(other)
	if d.at == sim.Never || d.what == "" {
		return d.what
	}
	return fmt.Sprintf("at %d ps: %s", d.at, d.what)
}

// difference is where two runs part.
type difference struct {
	what string // "" if they do not
	at   sim.Picos
	wire *sim.Wire // nil if it is on none
}

func (t *Trace) diff(other *Trace) difference {
	first := difference{at: sim.Never}
	note := func(at sim.Picos, w *sim.Wire, format string, args ...any) {
		if at < first.at {
			first = difference{fmt.Sprintf(format, args...), at, w}
		}
	}
	for i, w := range t.Net.Wires {
		a, b := t.Wires[i], other.Wires[i]
		for k := range max(len(a), len(b)) {
			var x, y Event
			at := sim.Never - 1
			if k < len(a) {
				x, at = a[k], min(at, w.Clock.At(a[k].At))
			}
			if k < len(b) {
				y, at = b[k], min(at, w.Clock.At(b[k].At))
			}
			if x != y {
				note(at, w, "wire %s, event %d: %v and %v", w.Name, k, x, y)
				break
			}
		}
	}
	for k := range max(len(t.Drops), len(other.Drops)) {
		var x, y Dropped
		if k < len(t.Drops) {
			x = t.Drops[k]
		}
		if k < len(other.Drops) {
			y = other.Drops[k]
		}
		if x != y {
			note(max(x.At, y.At), nil, "drop %d: %v and %v", k, x, y)
			break
		}
	}
	if first.what != "" {
		return first
	}
	if (len(t.Peaks) > 0) != (len(other.Peaks) > 0) {
		first.what = fmt.Sprintf("one came to rest: %t and %t", len(t.Peaks) > 0, len(other.Peaks) > 0)
		return first
	}
	for i := range t.Peaks {
		if t.Peaks[i] != other.Peaks[i] {
			first.what = fmt.Sprintf("stage %s: highest level %d and %d", t.Net.Name(i), t.Peaks[i], other.Peaks[i])
			break
		}
	}
	return first
}

// String is the event in words.
func (e Event) String() string {
	if e.Beat == (sim.Beat{}) {
		return "nothing"
	}
	word := "offered"
	if e.Accepted {
		word = "accepted"
	}
	return fmt.Sprintf("%s at %d %+v", word, e.At, e.Beat)
}

// EnginesDiffer builds a network anew for each engine, runs it, and returns
// their first difference, or "". native may be nil.
func EnginesDiffer(build func() *sim.Net, limit sim.Picos, native func(stage int) bool) (string, error) {
	tick, err := Ticked(build(), limit)
	if err != nil {
		return "", err
	}
	fast, err := MaxPlused(build(), limit, native)
	if err != nil {
		return "", err
	}
	return tick.Diff(fast), nil
}
