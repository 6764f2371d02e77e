package card

import (
	"math"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// macLatency is a MAC's and PCS's latency in ns without the transceiver.
//
// Source: AMD PG210 5.1 (10G/25G Ethernet Subsystem), table 1 of Latency, 64-bit
// MAC+PCS: 10G 67.2 transmit and 121.62 receive, 25G 29.58 and 50.83. No figure was
// found for the 100G block (PG203); those used are AMD PG211 3.2's for 50G MAC+PCS
// in its low-latency form, without a FIFO (25.6 and 58.8), the nearest there is, and
// to be taken as an order of magnitude: set LATENCY_NS where you know better.
func macLatency(gbps int) (tx, rx float64) {
	switch gbps {
	case 10:
		return 67.2, 121.62
	case 25:
		return 29.58, 50.83
	}
	return 25.6, 58.8
}

// latencyCycles is ns in cycles of d, to the nearest.
func latencyCycles(ns float64, d *sim.Domain) int {
	return max(1, int(math.Round(ns*1000/float64(d.Period))))
}

// MACRx is the receive side of a MAC. Its input is the line: a beat moves when
// its last byte has passed there, whatever the output does. Behind the MAC is a
// FIFO; a frame that does not fit into what is free of it when its first beat
// comes is dropped whole (a real MAC would find out at the end, and throw the
// frame away there: the same frames, later). The output waits for nobody else.
type MACRx struct {
	sim.Losses
	in, out *sim.Wire
	latency sim.Cycle
	places  int // of the FIFO, in beats
	line    line
	q       queue
	rest    int // beats that there is room for: none of a frame that is dropped
}

// NewMACRx returns the receive side of a MAC of gbps gigabits a second, with a
// FIFO of depth bytes.
func NewMACRx(gbps int, latencyNanos float64, depth int, in, out *sim.Wire) *MACRx {
	n := latencyCycles(latencyNanos, in.Clock)
	m := &MACRx{in: in, out: out, latency: sim.Cycle(n), places: sim.Beats(depth, in.Width), line: newLine(gbps)}
	m.q = newQueue(m.places + n)
	return m
}

// Ports returns the line and the output.
func (m *MACRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{m.in}, []*sim.Wire{m.out} }

// Offer drives the oldest beat when its time has come.
func (m *MACRx) Offer() { m.q.offer(m.out) }

func (m *MACRx) due() sim.Picos {
	return m.line.due(m.in.Clock, m.in.Clock.Now, preamble+m.line.got+int(m.in.Beat.Bytes))
}

// Accept is ready when the beat has passed on the line.
func (m *MACRx) Accept() {
	d := m.in.Clock
	m.in.Take(m.in.Valid && m.due() <= d.At(d.Now))
}

// Edge moves beats.
func (m *MACRx) Edge(sim.Edges) bool {
	d := m.in.Clock
	put, got := m.in.Fire(), m.out.Fire()
	began := m.in.Valid && m.line.begin(d, d.Now)
	b := m.in.Beat
	if put && (b.First || !m.line.inside) {
		m.admit(b) // what leaves at this edge is still there
	}
	if got {
		m.q.pop()
	}
	if put {
		m.line.take(d, d.Now, &b, m.due())
		if m.keeps(&b) {
			m.q.push(b, d.Now+m.latency)
		}
	}
	return began || put || got
}

func (m *MACRx) admit(b sim.Beat) {
	beats := sim.Beats(int(b.Left), m.in.Width)
	m.rest = 0
	switch {
	case beats > m.places:
		m.Drop(b.Frame, sim.LossOversize)
	case m.q.n+beats > len(m.q.place):
		m.Drop(b.Frame, sim.LossFull)
	default:
		m.rest = beats
	}
}

// keeps is whether beat b goes into the FIFO. A frame that goes on beyond the
// length its first beat gave, which none of a line does, ends there.
func (m *MACRx) keeps(b *sim.Beat) bool {
	if m.rest == 0 {
		return false
	}
	m.rest--
	b.Last = b.Last || m.rest == 0
	return true
}

// Level is how many bytes are inside.
func (m *MACRx) Level() int { return m.q.bytes }

// Wake is when the oldest beat may leave, or the next has passed on the line.
func (m *MACRx) Wake() sim.Picos {
	t := m.q.wake(m.out.Clock)
	if m.in.Valid {
		t = min(t, m.line.wake(m.in.Clock, m.due()))
	}
	return t
}

// MACTx is the transmit side of a MAC: it takes a beat when the line needs it,
// and gives it on after its latency. Its output is the line, which is ready; if
// it is not, the MAC waits.
type MACTx struct {
	in, out *sim.Wire
	latency sim.Cycle
	line    line
	q       queue
	blocked bool // the output has held up the beat that is due
	late    uint64
}

// NewMACTx returns the transmit side of a MAC of gbps gigabits a second.
func NewMACTx(gbps int, latencyNanos float64, in, out *sim.Wire) *MACTx {
	n := latencyCycles(latencyNanos, in.Clock)
	return &MACTx{in: in, out: out, latency: sim.Cycle(n), line: newLine(gbps), q: newQueue(n + 1)}
}

// Ports returns the input and the line.
func (m *MACTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{m.in}, []*sim.Wire{m.out} }

// Underruns is how many beats came too late for the line. A real MAC would have
// broken the frame off: put a FIFO that holds whole frames in front of it.
func (m *MACTx) Underruns() uint64 { return m.late }

// Offer drives the oldest beat when its time has come.
func (m *MACTx) Offer() { m.q.offer(m.out) }

func (m *MACTx) room() bool { return m.q.n < len(m.q.place) }

func (m *MACTx) due() sim.Picos { return m.line.due(m.in.Clock, m.in.Clock.Now, m.line.got) }

// Accept is ready when the line needs the beat.
func (m *MACTx) Accept() {
	d := m.in.Clock
	m.in.Take(m.in.Valid && m.room() && m.due() <= d.At(d.Now))
}

// Edge moves beats.
func (m *MACTx) Edge(sim.Edges) bool {
	d := m.in.Clock
	put, got := m.in.Fire(), m.out.Fire()
	began := m.in.Valid && m.line.begin(d, d.Now)
	if m.in.Valid && !m.room() && m.due() <= d.At(d.Now) {
		m.blocked = true
	}
	if got {
		m.q.pop()
	}
	if put {
		if m.line.take(d, d.Now, &m.in.Beat, m.due()) && !m.blocked {
			m.late++
		}
		m.blocked = false
		m.q.push(m.in.Beat, d.Now+m.latency)
	}
	return began || put || got
}

// Wake is when the oldest beat may leave, or the line needs the next.
func (m *MACTx) Wake() sim.Picos {
	t := m.q.wake(m.out.Clock)
	if m.in.Valid && m.room() {
		t = min(t, m.line.wake(m.in.Clock, m.due()))
	}
	return t
}

var rate = module.Param{Name: "RATE_GBPS", Required: true, Allowed: []float64{10, 25, 100}, Doc: "line rate in Gbit/s"}

func macParams(more ...module.Param) []module.Param {
	return append([]module.Param{
		module.Width("DATA_WIDTH"), rate,
		{Name: "LATENCY_NS", Default: 0, Min: 0, Max: 100_000, Doc: "MAC and PCS, in ns; 0: by RATE_GBPS"},
	}, more...)
}

const macSource = "IEEE 802.3 (line), AMD PG210 latency table (10G, 25G), PG211 50G for 100G: vendor guides, not measured"

var macRx = module.Module{
	Name:   "mac_rx",
	Source: macSource,
	Doc:    "receive side of a MAC: frames come at line rate, and are dropped whole if the FIFO behind it is full",
	Stores: true,
	Params: macParams(module.Power("RX_FIFO_DEPTH", 16384, 64, 1<<20, "bytes of the FIFO behind the MAC")),
	Ports:  same,
	Build: func(s *module.Site) {
		a := s.Args
		ns := a.Float("LATENCY_NS")
		if ns == 0 {
			_, ns = macLatency(a.Int("RATE_GBPS"))
		}
		s.Add("", NewMACRx(a.Int("RATE_GBPS"), ns, a.Int("RX_FIFO_DEPTH"), s.In[0], s.Out[0]))
	},
}

var macTx = module.Module{
	Name:   "mac_tx",
	Source: macSource,
	Doc:    "transmit side of a MAC: takes frames at line rate",
	Params: macParams(),
	Ports:  same,
	Build: func(s *module.Site) {
		a := s.Args
		ns := a.Float("LATENCY_NS")
		if ns == 0 {
			ns, _ = macLatency(a.Int("RATE_GBPS"))
		}
		s.Add("", NewMACTx(a.Int("RATE_GBPS"), ns, s.In[0], s.Out[0]))
	},
}
