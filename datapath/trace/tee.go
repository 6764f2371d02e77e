package trace

import "github.com/meshnic/meshnic/datapath/sim"

type tee []sim.Observer

// Tee shows everything to several observers, in their order. Those that are nil
// are left out; of none, Tee returns nil.
func Tee(to ...sim.Observer) sim.Observer {
	var t tee
	for _, o := range to {
		if o != nil {
			t = append(t, o)
		}
	}
	switch len(t) {
	case 0:
		return nil
	case 1:
		return t[0]
	}
	return t
}

func (t tee) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	for _, o := range t {
		o.Offered(w, at, b)
	}
}

func (t tee) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	for _, o := range t {
		o.Accepted(w, at, b)
	}
}

func (t tee) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	for _, o := range t {
		o.Dropped(stage, at, frame, why)
	}
}

// Window shows an observer only what happens at from or later and before to.
// What stood on the wires before is not shown; frames that were under way at
// the borders look cut.
type Window struct {
	From, To sim.Picos
	See      sim.Observer
}

func (o *Window) has(t sim.Picos) bool { return o.From <= t && t < o.To }

// Offered, Accepted and Dropped make a window a sim.Observer.
func (o *Window) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if o.has(w.Clock.At(at)) {
		o.See.Offered(w, at, b)
	}
}

func (o *Window) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if o.has(w.Clock.At(at)) {
		o.See.Accepted(w, at, b)
	}
}

func (o *Window) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if o.has(at) {
		o.See.Dropped(stage, at, frame, why)
	}
}
