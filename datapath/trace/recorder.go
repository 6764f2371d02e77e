package trace

import (
	"cmp"
	"iter"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Kind is what an event is.
type Kind uint8

// The kinds, in the order in which they come within one edge.
const (
	Offer Kind = iota
	Accept
	Drop
)

// Event is one call of an observer.
type Event struct {
	Kind  Kind
	Time  sim.Picos
	Wire  *sim.Wire // of offers and accepts
	Cycle sim.Cycle // of the wire's clock
	Beat  sim.Beat
	Stage int // of drops, with Frame and Why
	Frame uint32
	Why   sim.Loss
}

// Recorder keeps events in memory.
type Recorder struct {
	// Limit is how many of the latest events are kept; 0 is all.
	Limit int

	events []Event
	next   int // once the ring is full: the oldest
	lost   uint64
}

// Offered, Accepted and Dropped make a recorder a sim.Observer.
func (r *Recorder) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	r.add(Event{Kind: Offer, Time: w.Clock.At(at), Wire: w, Cycle: at, Beat: b, Frame: b.Frame})
}

func (r *Recorder) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	r.add(Event{Kind: Accept, Time: w.Clock.At(at), Wire: w, Cycle: at, Beat: b, Frame: b.Frame})
}

func (r *Recorder) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	r.add(Event{Kind: Drop, Time: at, Stage: stage, Frame: frame, Why: why})
}

func (r *Recorder) add(e Event) {
	if r.Limit == 0 || len(r.events) < r.Limit {
		r.events = append(r.events, e)
		return
	}
	r.events[r.next] = e
	r.next = (r.next + 1) % r.Limit
	r.lost++
}

// Forgotten is how many events made room for later ones.
func (r *Recorder) Forgotten() uint64 { return r.lost }

// All returns the events in the order in which they came.
func (r *Recorder) All() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for i := range r.events {
			if !yield(r.events[(r.next+i)%len(r.events)]) {
				return
			}
		}
	}
}

// Replay shows the events to an observer in the order that sim.Observer
// promises, whatever the order in which they came: by time, then offers and
// accepts by wire, then drops by stage. Run over the same network, both engines
// thus give the same calls.
func (r *Recorder) Replay(o sim.Observer) {
	events := slices.Collect(r.All())
	slices.SortStableFunc(events, func(a, b Event) int {
		if a.Kind == Drop || b.Kind == Drop {
			return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Kind/Drop, b.Kind/Drop),
				cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Frame, b.Frame))
		}
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Wire.Index(), b.Wire.Index()), cmp.Compare(a.Kind, b.Kind))
	})
	for _, e := range events {
		switch e.Kind {
		case Offer:
			o.Offered(e.Wire, e.Cycle, e.Beat)
		case Accept:
			o.Accepted(e.Wire, e.Cycle, e.Beat)
		case Drop:
			o.Dropped(e.Stage, e.Time, e.Frame, e.Why)
		}
	}
}
