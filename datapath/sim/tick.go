package sim

// Ticker is the reference engine: every stage once a cycle, beat by beat.
// Stretches of time in which nothing changes are skipped.
type Ticker struct {
	net     *Net
	see     Observer
	offers  []Stage
	accepts []Stage
	clocked []clocked
	wakers  []Waker
	next    []Picos // time of each domain's next edge
	quiet   Edges   // domains whose last edge changed nothing
	all     Edges
	now     Picos
	busy    uint64
	full    []int // by stage: highest level of each stage, bytes
	levels  []leveller
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

// NewTicker prepares net for simulation from time 0. The observer may be nil.
func NewTicker(net *Net, see Observer) (*Ticker, error) {
	offers, accepts, err := net.order()
	if err != nil {
		return nil, err
	}
	t := &Ticker{net: net, see: see, full: make([]int, len(net.Stages))}
	for _, i := range offers {
		t.offers = append(t.offers, net.Stages[i])
	}
	for _, i := range accepts {
		t.accepts = append(t.accepts, net.Stages[i])
	}
	for i, s := range net.Stages {
		in, out := s.Ports()
		var on Edges
		for _, w := range in {
			on |= 1 << w.Clock.index
		}
		for _, w := range out {
			on |= 1 << w.Clock.index
		}
		t.clocked = append(t.clocked, clocked{s, on})
		if w, ok := s.(Waker); ok {
			t.wakers = append(t.wakers, w)
		}
		if l, ok := s.(Leveller); ok {
			t.levels = append(t.levels, leveller{l, i, on})
		}
		if l, ok := s.(Lossy); ok && see != nil {
			l.Losses().seen = func(frame uint32, why Loss) { see.Dropped(i, t.now, frame, why) }
		}
	}
	for _, d := range net.Domains {
		d.Now = 0
		t.next = append(t.next, d.Phase)
		t.all |= 1 << d.index
	}
	return t, nil
}

// Shuffle changes the order in which stages are clocked: it must not matter.
func (t *Ticker) Shuffle(swap func(n int, swap func(i, j int))) {
	swap(len(t.clocked), func(i, j int) { t.clocked[i], t.clocked[j] = t.clocked[j], t.clocked[i] })
}

// Now is the time of the edge that was simulated last.
func (t *Ticker) Now() Picos { return t.now }

// Busy is how many edges were simulated and not skipped.
func (t *Ticker) Busy() uint64 { return t.busy }

// Highest is the highest level stage i has had after an edge, in bytes.
func (t *Ticker) Highest(i int) int { return t.full[i] }

// Step simulates the next edge, or skips to the next at which something can
// happen. It reports false when nothing will ever happen again, or not before
// limit.
func (t *Ticker) Step(limit Picos) bool {
	if t.quiet == t.all {
		wake := Never
		for _, w := range t.wakers {
			wake = min(wake, w.Wake())
		}
		if wake == Never || wake > limit {
			return false
		}
		t.skip(wake)
	}
	at, edges := Never, Edges(0)
	for i, n := range t.next {
		if n < at {
			at, edges = n, 0
		}
		if n == at {
			edges |= 1 << i
		}
	}
	if at > limit {
		return false
	}
	t.now = at
	t.busy++
	for _, s := range t.offers {
		s.Offer()
	}
	for _, s := range t.accepts {
		s.Accept()
	}
	if t.see != nil {
		t.observe(edges)
	}
	changed := false
	for _, c := range t.clocked {
		if c.on&edges != 0 && c.stage.Edge(edges) {
			changed = true
		}
	}
	for _, l := range t.levels {
		if l.on&edges != 0 {
			t.full[l.stage] = max(t.full[l.stage], l.Level())
		}
	}
	for i, d := range t.net.Domains {
		if edges.Has(d) {
			d.Now++
			t.next[i] += d.Period
		}
	}
	if changed {
		t.quiet = 0
	} else {
		t.quiet |= edges
	}
	return true
}

// skip moves every domain to its first edge at or after wake: nothing changes
// before that.
func (t *Ticker) skip(wake Picos) {
	for i, d := range t.net.Domains {
		if n := d.First(wake); n > d.Now {
			d.Now, t.next[i] = n, d.At(n)
		}
	}
	t.quiet = 0
}

// observe tells the observer what the wires of the clocks in edges show.
func (t *Ticker) observe(edges Edges) {
	for _, w := range t.net.Wires {
		if !w.Valid || !edges.Has(w.Clock) {
			continue
		}
		if !w.stands {
			t.see.Offered(w, w.Clock.Now, w.Beat)
		}
		if w.stands = !w.Ready; w.Ready {
			t.see.Accepted(w, w.Clock.Now, w.Beat)
		}
	}
}

// Run steps until nothing moves any more or limit is reached; it reports
// whether the network came to rest.
func (t *Ticker) Run(limit Picos) bool {
	for t.Step(limit) {
	}
	return t.quiet == t.all
}
