package sim

// machine is stages that are clocked together: a whole network, or a part of
// one. Edges at which nothing can change are skipped.
type machine struct {
	see     Observer
	offers  []clocked // in the order in which combinational paths ask for it
	accepts []clocked
	clocked []clocked
	wires   []*Wire // that the observer is told about
	wakers  []Waker
	levels  []leveller
	full    []int // by stage of the network: highest level of each, bytes

	domains []*Domain
	cycle   []Cycle // by place in domains: the edge that comes next
	next    []Picos // and its time
	quiet   Edges   // domains whose last edge changed nothing
	all     Edges
	now     Picos
	busy    uint64
}

type clocked struct {
	stage Stage
	on    Edges
}

type leveller struct {
	Leveller
	stage int
	on    Edges
}

// newMachine prepares the stages of net that member accepts. offers and accepts
// are net.order's.
func newMachine(net *Net, see Observer, offers, accepts []int, full []int, member func(stage int) bool) *machine {
	m := &machine{see: see, full: full}
	on := make([]Edges, len(net.Stages))
	for i, s := range net.Stages {
		if !member(i) {
			continue
		}
		on[i] = edgesOf(s)
		m.all |= on[i]
		m.clocked = append(m.clocked, clocked{s, on[i]})
		if w, ok := s.(Waker); ok {
			m.wakers = append(m.wakers, w)
		}
		if l, ok := s.(Leveller); ok {
			m.levels = append(m.levels, leveller{l, i, on[i]})
		}
		if l, ok := s.(Lossy); ok {
			l.Lost().now = &m.now
			if see != nil {
				l.Lost().tell(i, see.Dropped)
			}
		}
		_, out := s.Ports()
		m.wires = append(m.wires, out...)
	}
	for _, i := range offers {
		if in, out := net.Stages[i].Ports(); member(i) && (len(out) > 0 || len(in) == 0) {
			m.offers = append(m.offers, clocked{net.Stages[i], on[i]})
		}
	}
	for _, i := range accepts {
		if in, out := net.Stages[i].Ports(); member(i) && (len(in) > 0 || len(out) == 0) {
			m.accepts = append(m.accepts, clocked{net.Stages[i], on[i]})
		}
	}
	for _, d := range net.Domains {
		if m.all.Has(d) {
			m.domains = append(m.domains, d)
			m.cycle = append(m.cycle, 0)
			m.next = append(m.next, d.Phase)
		}
	}
	return m
}

// edgesOf is the clocks that a stage has.
func edgesOf(s Stage) (on Edges) {
	in, out := s.Ports()
	for _, w := range in {
		on |= 1 << w.Clock.index
	}
	for _, w := range out {
		on |= 1 << w.Clock.index
	}
	return on
}

// enter makes the domains show this machine's time to its stages.
func (m *machine) enter() {
	for i, d := range m.domains {
		d.Now = m.cycle[i]
	}
}

// coming is the time of the next edge and the clocks that have it.
func (m *machine) coming() (at Picos, edges Edges) {
	at = Never
	for i, n := range m.next {
		if n < at {
			at, edges = n, 0
		}
		if n == at {
			edges |= 1 << m.domains[i].index
		}
	}
	return at, edges
}

// resting reports that nothing changes before something wakes a stage.
func (m *machine) resting() bool { return m.quiet == m.all }

// wake is the earliest time at which a stage acts on its own.
func (m *machine) wake() Picos {
	t := Never
	for _, w := range m.wakers {
		t = min(t, w.Wake())
	}
	return t
}

// skip moves every domain to its first edge at or after t: nothing changes
// before that.
func (m *machine) skip(t Picos) {
	for i, d := range m.domains {
		if n := d.First(t); n > m.cycle[i] {
			m.cycle[i], m.next[i] = n, d.At(n)
		}
	}
	m.quiet = 0
	m.enter()
}

// offer drives what the stages with a clock in edges put out. What the others
// drive still stands: it changes with their own clocks only.
func (m *machine) offer(edges Edges) {
	for i := range m.offers {
		if c := &m.offers[i]; c.on&edges != 0 {
			c.stage.Offer()
		}
	}
}

func (m *machine) accept(edges Edges) {
	for i := range m.accepts {
		if c := &m.accepts[i]; c.on&edges != 0 {
			c.stage.Accept()
		}
	}
}

// observe tells the observer what the wires of the clocks in edges show.
func (m *machine) observe(edges Edges) {
	for _, w := range m.wires {
		if !w.Valid || !edges.Has(w.Clock) {
			continue
		}
		if !w.stands {
			m.see.Offered(w, w.Clock.Now, w.Beat)
		}
		if w.stands = !w.Ready; w.Ready {
			m.see.Accepted(w, w.Clock.Now, w.Beat)
		}
	}
}

// clock is the edge itself, at m.now: it loads the registers and moves on.
func (m *machine) clock(edges Edges) {
	m.busy++
	changed := false
	for i := range m.clocked {
		if c := &m.clocked[i]; c.on&edges != 0 && c.stage.Edge(edges) {
			changed = true
		}
	}
	for i := range m.levels {
		if l := &m.levels[i]; l.on&edges != 0 {
			m.full[l.stage] = max(m.full[l.stage], l.Level())
		}
	}
	for i, d := range m.domains {
		if edges.Has(d) {
			m.cycle[i]++
			m.next[i] += d.Period
			d.Now = m.cycle[i]
		}
	}
	if changed {
		m.quiet = 0
	} else {
		m.quiet |= edges
	}
}
