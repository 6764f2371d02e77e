package datapathtest

import "github.com/meshnic/meshnic/datapath/sim"

// probe is a stage under test as the reference engine sees it. It calls Offer
// and Accept twice in each cycle, the first time with the signals changed on
// which they must not depend, and holds Edge to changing no wire.
type probe struct {
	sim.Stage
	valid       bool // paths that Comb declares
	ready       bool
	note        func(w *sim.Wire, rule string)
	in, out     []*sim.Wire
	before, was []sim.Wire
	differs     []bool
	none        sim.Losses
}

func newProbe(s sim.Stage, note func(*sim.Wire, string)) *probe {
	p := &probe{Stage: s, note: note}
	p.in, p.out = s.Ports()
	p.differs = make([]bool, len(p.out))
	if c, ok := s.(sim.Comb); ok {
		p.valid, p.ready = c.Comb()
	}
	return p
}

func (p *probe) Comb() (valid, ready bool) { return p.valid, p.ready }

func (p *probe) Wake() sim.Picos {
	if w, ok := p.Stage.(sim.Waker); ok {
		return w.Wake()
	}
	return sim.Never
}

func (p *probe) Level() int {
	if l, ok := p.Stage.(sim.Leveller); ok {
		return l.Level()
	}
	return 0
}

func (p *probe) Lost() *sim.Losses {
	if l, ok := p.Stage.(sim.Lossy); ok {
		return l.Lost()
	}
	return &p.none
}

// garbage is a beat of no frame in the run.
var garbage = sim.Beat{Frame: 1 << 31, Bytes: 1, Left: 1, First: true, Last: true, Bad: true, Dest: 255}

func save(wires []*sim.Wire, to []sim.Wire) []sim.Wire {
	to = to[:0]
	for _, w := range wires {
		to = append(to, *w)
	}
	return to
}

func (p *probe) Offer() {
	p.before = save(p.in, p.before)
	for _, w := range p.out {
		w.Ready = !w.Ready
	}
	p.Stage.Offer()
	p.was = save(p.out, p.was)
	for _, w := range p.out {
		w.Ready = !w.Ready
	}
	p.Stage.Offer()
	for i, w := range p.out {
		if changed(w, &p.was[i]) {
			p.note(w, "Offer depends on tready of the output, or is a register: called twice in one cycle it must offer the same, whatever tready is")
		}
	}
	if p.valid {
		return
	}
	p.was = save(p.out, p.was)
	for _, w := range p.in {
		w.Valid, w.Beat = !w.Valid, garbage
	}
	p.Stage.Offer()
	for i, w := range p.out {
		p.differs[i] = changed(w, &p.was[i])
	}
	for i, w := range p.in {
		w.Valid, w.Beat = p.before[i].Valid, p.before[i].Beat
	}
	p.Stage.Offer()
	for i, w := range p.out {
		if p.differs[i] {
			p.note(w, "tvalid or the beat follows the input in the same cycle, and Comb declares no such path")
		}
	}
}

func changed(a, b *sim.Wire) bool {
	return a.Valid != b.Valid || a.Valid && a.Beat != b.Beat || a.HdrValid != b.HdrValid || a.HdrValid && a.Hdr != b.Hdr
}

func (p *probe) Accept() {
	toggle := func() {
		for _, w := range p.out {
			if !p.ready || !w.Valid {
				w.Ready = !w.Ready
			}
		}
	}
	toggle()
	p.Stage.Accept()
	p.was = save(p.in, p.was)
	toggle()
	p.Stage.Accept()
	for i, w := range p.in {
		switch {
		case w.Ready == p.was[i].Ready && w.HdrReady == p.was[i].HdrReady:
		case p.ready && w.Valid:
			p.note(w, "tready follows tready of an output that offers no beat")
		case p.ready:
		default:
			p.note(w, "tready follows tready of the output in the same cycle, and Comb declares no such path; or Accept is a register")
		}
	}
}

func (p *probe) Edge(at sim.Edges) bool {
	p.before, p.was = save(p.in, p.before), save(p.out, p.was)
	moved := p.Stage.Edge(at)
	p.compare("Edge changes the wire: the stages clocked after it see another cycle")
	if !moved {
		p.Stage.Offer()
		p.Stage.Accept()
		p.compare("Edge reports no change, and then the stage drives something else")
	}
	return moved
}

// compare notes the rule for each wire that is not what it was before the edge,
// and makes it that again.
func (p *probe) compare(rule string) {
	for i, w := range p.in {
		if p.before[i] != *w {
			*w = p.before[i]
			p.note(w, rule)
		}
	}
	for i, w := range p.out {
		if p.was[i] != *w {
			*w = p.was[i]
			p.note(w, rule)
		}
	}
}
