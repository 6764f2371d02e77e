package replay

import (
	"strings"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// meter measures how long frames are in each stage: from the accept of their last
// beat at a stage's input to that at its output. Where frames enter it is from
// the first offer to the last accept, so that the rows of a chain add up to a
// frame's whole time.
type meter struct {
	rows  []row
	wires []*gauge // by index; nil: inside a stage
}

type row struct {
	name string
	dist dist
}

// gauge is a wire between stages.
type gauge struct {
	row   *row
	from  []*gauge // of the producer's inputs; none where frames enter
	to    []*gauge // of the consumer's outputs
	began sim.Picos
	owed  int    // marks that are
	ring  []mark // by frame; a power of two
}

// mark is when a frame's last beat was accepted.
type mark struct {
	frame uint32
	owed  bool // the producer's input has not told yet: wires are in order each by itself
	at    sim.Picos
}

// marks is more frames than a stage of the network holds: none is shorter on a
// line than 60 bytes.
func marks(b *pipeline.Built) int {
	n := 1024
	for _, st := range b.Stages {
		for name, v := range st.Args {
			for (strings.Contains(name, "DEPTH") || strings.Contains(name, "SIZE")) && n < 1<<20 && float64(n) < 2*v/minFrame {
				n *= 2
			}
		}
	}
	return n
}

// of prepares for a network before its first cycle.
func (m *meter) of(b *pipeline.Built) {
	m.wires, m.rows = make([]*gauge, len(b.Net.Wires)), make([]row, 0, len(b.In)+len(b.Stages))
	size := marks(b)
	for _, p := range b.In {
		m.wires[p.Wire.Index()] = &gauge{row: m.row("source." + p.Wire.Name), ring: make([]mark, size)}
	}
	for _, st := range b.Stages {
		for _, w := range st.Out {
			m.wires[w.Index()] = &gauge{ring: make([]mark, size)}
		}
	}
	for _, st := range b.Stages {
		r := m.row(st.Name)
		for _, w := range st.Out {
			g := m.wires[w.Index()]
			g.row = r
			for _, in := range st.In {
				if from := m.wires[in.Index()]; from != nil {
					g.from, from.to = append(g.from, from), append(from.to, g)
				}
			}
		}
	}
}

func (m *meter) row(name string) *row {
	m.rows = append(m.rows, row{name: name})
	return &m.rows[len(m.rows)-1]
}

// Offered, Accepted and Dropped make a meter a sim.Observer.
func (m *meter) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if g := m.wires[w.Index()]; b.First && g != nil && len(g.from) == 0 {
		g.began = w.Clock.At(at)
	}
}

func (m *meter) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	g := m.wires[w.Index()]
	if !b.Last || g == nil {
		return
	}
	t, n := w.Clock.At(at), b.Frame&uint32(len(g.ring)-1)
	here := &g.ring[n]
	*here = mark{frame: b.Frame, at: t, owed: true}
	if len(g.from) == 0 {
		g.row.dist.add(t - g.began)
		here.owed = false
	}
	for _, f := range g.from {
		if x := &f.ring[n]; x.frame == b.Frame {
			g.row.dist.add(t - x.at)
			here.owed = false
			break
		}
	}
	if here.owed {
		g.owed++
	}
	for _, o := range g.to {
		if x := &o.ring[n]; o.owed > 0 && x.owed && x.frame == b.Frame {
			o.row.dist.add(x.at - t)
			x.owed = false
			o.owed--
		}
	}
}

func (m *meter) Dropped(int, sim.Picos, uint32, sim.Loss) {}
