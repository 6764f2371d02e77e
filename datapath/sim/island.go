package sim

// island is stages without a native form, next to each other, which are clocked
// as the reference engine clocks them. At its shores are channels: in a cycle, a
// beat stands on one that leads in if it is known to be shown by then, and a
// beat offered on one that leads out is accepted if it is known to be accepted
// in that very cycle. Because the engine always moves what is earliest, and
// every path out of an island and back into one has a register, what is not
// known then does not happen then.
type island struct {
	*machine
	in, out []shore
	ends    []inner
	at      Picos // of the edge being simulated
	edges   Edges
}

// inner is an end of the network inside an island.
type inner struct {
	*end
	wire   *Wire
	stands bool
	shown  Cycle // when what stands was first offered
}

func (e *inner) watch() {
	w := e.wire
	if !w.Valid {
		e.stands = false // what waits for nobody is gone
		return
	}
	if !e.stands {
		e.shown = w.Clock.Now
	}
	if e.stands = !w.Ready; w.Ready {
		e.pass(e.shown, w.Clock.Now, &w.Beat)
	}
}

// shore is a wire between an island and a native stage.
type shore struct {
	*Chan
	shown uint64 // beats that have stood on the wire at an edge
}

// pending is the time of the next edge at which something may happen, or Never.
func (l *island) pending() Picos {
	if !l.resting() {
		at, _ := l.coming()
		return at
	}
	l.enter()
	t := l.wake()
	for i := range l.in {
		if s := &l.in[i]; s.Next() && s.shown == s.read {
			t = min(t, s.Wire.Clock.At(max(s.Shown(), s.Wire.Clock.Now)))
		}
	}
	for i := range l.out {
		if s := &l.out[i]; s.Wire.stands && s.taken == s.shown {
			t = min(t, s.Wire.Clock.At(s.Done(s.taken-1)-1))
		}
	}
	if t == Never {
		return t
	}
	at := Never
	for i, d := range l.domains {
		at = min(at, d.At(max(d.First(t), l.cycle[i])))
	}
	return at
}

// begin is the first half of the edge at a time: what the island offers.
func (l *island) begin(at Picos) {
	l.enter()
	if l.resting() {
		l.skip(at)
	}
	l.now, l.edges = l.coming()
	for i := range l.in {
		s := &l.in[i]
		w := s.Wire
		if !l.edges.Has(w.Clock) {
			continue
		}
		if w.Valid = s.Next() && s.Shown() <= w.Clock.Now; w.Valid {
			w.Beat, s.shown = *s.Head(), s.read+1
		}
	}
	l.offer(l.edges)
	for i := range l.out {
		s := &l.out[i]
		w := s.Wire
		if !l.edges.Has(w.Clock) {
			continue
		}
		if w.stands {
			if !w.Valid || w.Beat != *l.standing(s) {
				panic("sim: what stood on " + w.Name + " was withdrawn")
			}
			continue
		}
		if w.Valid {
			s.Put(w.Clock.Now, &w.Beat)
			s.shown, w.stands = s.sent, true
		}
	}
}

// standing is the beat that was put last.
func (l *island) standing(s *shore) *Beat { return &s.beat[(s.sent-1)%places] }

// finish is the second half: what the island accepts, and its clock.
func (l *island) finish() {
	l.enter()
	for i := range l.out {
		s := &l.out[i]
		w := s.Wire
		if !l.edges.Has(w.Clock) {
			continue
		}
		ready := w.Valid && s.taken == s.shown && s.Done(s.taken-1) == w.Clock.Now+1
		w.Take(ready)
		w.stands = w.Valid && !ready
	}
	l.accept(l.edges)
	for i := range l.in {
		if s := &l.in[i]; l.edges.Has(s.Wire.Clock) && s.Wire.Fire() {
			s.Accept(s.Wire.Clock.Now)
		}
	}
	if l.see != nil {
		l.observe(l.edges)
	}
	for i := range l.ends {
		if e := &l.ends[i]; l.edges.Has(e.wire.Clock) {
			e.watch()
		}
	}
	l.clock(l.edges)
}
