package sim

// Ticker is the reference engine: every stage once a cycle, beat by beat.
// Stretches of time in which nothing changes are skipped.
type Ticker struct{ m *machine }

// NewTicker prepares net for simulation from time 0. The observer may be nil.
func NewTicker(net *Net, see Observer) (*Ticker, error) {
	offers, accepts, err := net.order()
	if err != nil {
		return nil, err
	}
	m := newMachine(net, see, offers, accepts, make([]int, len(net.Stages)), func(int) bool { return true })
	m.wires = net.Wires
	m.enter()
	return &Ticker{m}, nil
}

// Shuffle changes the order in which stages are clocked: it must not matter.
func (t *Ticker) Shuffle(swap func(n int, swap func(i, j int))) {
	c := t.m.clocked
	swap(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
}

// Now is the time of the edge that was simulated last.
func (t *Ticker) Now() Picos { return t.m.now }

// Busy is how many edges were simulated and not skipped.
func (t *Ticker) Busy() uint64 { return t.m.busy }

// Highest is the highest level stage i has had after an edge, in bytes.
func (t *Ticker) Highest(i int) int { return t.m.full[i] }

// Step simulates the next edge, or skips to the next at which something can
// happen. It reports false when nothing will ever happen again, or not before
// limit.
func (t *Ticker) Step(limit Picos) bool {
	m := t.m
	if m.resting() {
		wake := m.wake()
		if wake == Never || wake > limit {
			return false
		}
		m.skip(wake)
	}
	at, edges := m.coming()
	if at > limit {
		return false
	}
	m.now = at
	m.offer(edges)
	m.accept(edges)
	if m.see != nil {
		m.observe(edges)
	}
	m.clock(edges)
	return true
}

// Run steps until nothing moves any more or limit is reached; it reports
// whether the network came to rest: whether nothing will ever happen again.
func (t *Ticker) Run(limit Picos) bool {
	for t.Step(limit) {
	}
	return t.m.resting() && t.m.wake() == Never
}
