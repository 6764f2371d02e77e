package sim

import (
	"math"
	"math/bits"
	"slices"
)

// MaxPlus is the fast engine: it computes in which cycles each beat comes and
// goes, stage by stage, instead of clocking the stages. Stages without a native
// form are clocked in islands, between which time is skipped. A network has the
// same cycles under both engines.
//
// The stages themselves belong to one engine; build the network anew for
// another.
type MaxPlus struct {
	net     *Net
	flows   []flow
	dirty   []uint64 // flows to run, by bits
	heads   []int    // flows without an input
	decide  []int    // flows that are Deciders
	islands []*island
	sources []*sourceFlow
	chans   []*Chan
	full    []int
	peaks   []Peak // by stage
}

type flow struct {
	Flow
	decider Decider
}

// NewMaxPlus prepares net for simulation from time 0. The observer may be nil.
// Each wire's events come in the order of time, those of different wires do
// not.
func NewMaxPlus(net *Net, see Observer) (*MaxPlus, error) {
	return NewMaxPlusOf(net, see, func(int) bool { return true })
}

// NewMaxPlusOf is NewMaxPlus with only those native forms that native allows,
// by the stages' indices: for tests, and for finding a form that is wrong.
func NewMaxPlusOf(net *Net, see Observer, native func(stage int) bool) (*MaxPlus, error) {
	offers, accepts, err := net.order()
	if err != nil {
		return nil, err
	}
	m := &MaxPlus{net: net, full: make([]int, len(net.Stages)), peaks: make([]Peak, len(net.Stages))}
	nobody := wake{word: new(uint64)}
	for _, w := range net.Wires {
		m.chans = append(m.chans, &Chan{Wire: w, see: see, slow: see != nil, producer: nobody, consumer: nobody})
	}
	forms := make([]Flow, len(net.Stages))
	for i, s := range net.Stages {
		if f, ok := s.(Flowing); ok && native(i) {
			in, out := s.Ports()
			forms[i] = f.Flow(m.of(in), m.of(out))
		}
	}
	ends := net.ends()
	net.hold(forms, ends)
	net.absorb(forms, ends)
	m.addFlows(forms, offers, ends, see)
	m.addIslands(forms, offers, accepts, ends, see)
	for _, d := range net.Domains {
		d.Now = 0
	}
	return m, nil
}

func (m *MaxPlus) of(wires []*Wire) (c []*Chan) {
	for _, w := range wires {
		c = append(c, m.chans[w.index])
	}
	return c
}

// ends is the stages at a wire's ends.
type ends struct{ producer, consumer int }

func (n *Net) ends() []ends {
	e := make([]ends, len(n.Wires))
	for i, s := range n.Stages {
		in, out := s.Ports()
		for _, w := range in {
			e[w.index].consumer = i
		}
		for _, w := range out {
			e[w.index].producer = i
		}
	}
	return e
}

// absorb takes the native form from stages with combinational paths next to an
// island: an island's shores must be registered.
func (n *Net) absorb(forms []Flow, ends []ends) {
	for again := true; again; {
		again = false
		for i, s := range n.Stages {
			c, ok := s.(Comb)
			if !ok || forms[i] == nil {
				continue
			}
			if valid, ready := c.Comb(); !valid && !ready {
				continue
			}
			in, out := s.Ports()
			for _, w := range slices.Concat(in, out) {
				if e := ends[w.index]; forms[e.producer] == nil || forms[e.consumer] == nil {
					forms[i], again = nil, true
				}
			}
		}
	}
}

// addFlows lists the native forms from the sources on.
func (m *MaxPlus) addFlows(forms []Flow, offers []int, ends []ends, see Observer) {
	at := make([]int, len(forms))
	for i := range at {
		at[i] = -1
	}
	var visit func(i int)
	visit = func(i int) {
		if forms[i] == nil || at[i] >= 0 {
			return
		}
		at[i] = math.MaxInt
		in, _ := m.net.Stages[i].Ports()
		for _, w := range in {
			visit(ends[w.index].producer)
		}
		at[i] = len(m.flows)
		if len(in) == 0 {
			m.heads = append(m.heads, at[i])
		}
		f := flow{Flow: forms[i]}
		f.decider, _ = forms[i].(Decider)
		if f.decider != nil {
			m.decide = append(m.decide, at[i])
		}
		m.peaks[i], _ = forms[i].(Peak)
		if s, ok := forms[i].(*sourceFlow); ok {
			m.sources = append(m.sources, s)
		}
		if l, ok := m.net.Stages[i].(Lossy); ok && see != nil {
			l.Lost().tell(i, see.Dropped)
		}
		m.flows = append(m.flows, f)
	}
	for _, i := range offers {
		visit(i)
	}
	m.dirty = make([]uint64, (len(m.flows)+63)/64)
	for i, c := range m.chans {
		if f := at[ends[i].producer]; f >= 0 {
			c.producer = wake{&m.dirty[f/64], 1 << (f % 64)}
		}
		if f := at[ends[i].consumer]; f >= 0 {
			c.consumer = wake{&m.dirty[f/64], 1 << (f % 64)}
		}
		c.producer.wake()
		c.consumer.wake()
	}
}

// addIslands makes an island of each group of stages that have no native form
// and touch each other.
func (m *MaxPlus) addIslands(forms []Flow, offers, accepts []int, ends []ends, see Observer) {
	group := make([]int, len(forms))
	for again := true; again; {
		again = false
		for _, e := range ends {
			p, c := e.producer, e.consumer
			if forms[p] != nil || forms[c] != nil {
				continue
			}
			if g := max(p+1, c+1, group[p], group[c]); group[p] != g || group[c] != g {
				group[p], group[c], again = g, g, true
			}
		}
	}
	for i := range forms {
		if forms[i] == nil && group[i] == 0 {
			group[i] = i + 1
		}
	}
	for g := 1; g <= len(forms); g++ {
		if !slices.Contains(group, g) {
			continue
		}
		l := &island{machine: newMachine(m.net, see, offers, accepts, m.full, func(i int) bool { return group[i] == g })}
		l.wires = nil
		for i, e := range ends {
			switch p, c := group[e.producer] == g, group[e.consumer] == g; {
			case p && c:
				l.wires = append(l.wires, m.net.Wires[i])
			case p:
				l.out = append(l.out, shore{Chan: m.chans[i]})
			case c:
				l.in = append(l.in, shore{Chan: m.chans[i]})
			}
		}
		m.islands = append(m.islands, l)
	}
}

// Watch reports the frames at the network's sources and sinks, and those that are
// dropped.
func (m *MaxPlus) Watch(to FrameObserver) {
	for i, s := range m.net.Stages {
		if l, ok := s.(Lossy); ok {
			l.Lost().tell(i, to.Dropped)
		}
		switch s := s.(type) {
		case *Source:
			m.end(s.Out, to).source = i
		case *Sink:
			m.end(s.In, to).sink = i
		}
	}
}

func (m *MaxPlus) end(w *Wire, to FrameObserver) *end {
	c := m.chans[w.index]
	if c.end == nil {
		c.end = &end{source: -1, sink: -1}
	}
	c.end.watch, c.slow = to, true
	for _, l := range m.islands {
		if slices.Contains(l.wires, w) {
			l.ends = append(l.ends, inner{end: c.end, wire: w})
		}
	}
	return c.end
}

func (m *MaxPlus) mark(f int) { m.dirty[f/64] |= 1 << (f % 64) }

// settle runs the native forms until nothing more follows from what is known:
// those nearest the sinks first, so that what comes from the sources finds known
// room.
func (m *MaxPlus) settle() {
	for w := len(m.dirty) - 1; w >= 0; {
		if m.dirty[w] == 0 {
			w--
			continue
		}
		b := 63 - bits.LeadingZeros64(m.dirty[w])
		m.dirty[w] &^= 1 << b
		m.flows[w*64+b].Run()
		w = len(m.dirty) - 1
	}
}

// Run simulates until nothing moves any more, or everything up to limit; it
// reports whether the network came to rest. What follows from beats before the
// limit may be computed beyond it.
func (m *MaxPlus) Run(limit Picos) bool {
	for _, s := range m.sources {
		s.limit, s.held = limit, false
	}
	for _, f := range m.heads {
		m.mark(f)
	}
	m.settle()
	for {
		t := Never
		for _, l := range m.islands {
			t = min(t, l.pending())
		}
		for _, d := range m.decide {
			t = min(t, m.flows[d].decider.Due())
		}
		if t == Never || t > limit {
			rest := t == Never
			for _, s := range m.sources {
				rest = rest && !s.held
			}
			return rest
		}
		m.step(t)
	}
}

// step simulates time t, at which something is pending and before which all is
// known.
func (m *MaxPlus) step(t Picos) {
	for _, l := range m.islands {
		if l.at = l.pending(); l.at == t {
			l.begin(t)
		}
	}
	m.settle()
	for _, d := range m.decide {
		if f := m.flows[d].decider; f.Due() == t {
			f.Decide()
			m.mark(d)
		}
	}
	m.settle()
	for _, l := range m.islands {
		if l.at == t {
			l.finish()
		}
	}
	m.settle()
}

// Advance simulates everything that is decided by time until if no further
// frame comes before it: the feeds of native sources may have had none, and have
// more with At ≥ until later. Memory does not grow.
func (m *MaxPlus) Advance(until Picos) { m.Run(until - 1) }

// Highest is the highest level stage i has had after an edge, in bytes.
func (m *MaxPlus) Highest(i int) int {
	if m.peaks[i] != nil {
		return m.peaks[i].Highest()
	}
	return m.full[i]
}
