package nic

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/timing"
)

// The model runs behind the traffic: it is nobody's path. Its work is done when
// there is nothing to carry. Where that does not come for very many frames, or with
// an allowance for long, it takes a small part of the time, some frames between two
// looks at the rings. What it may not take, or cannot keep up with, is left out (see
// allowance and backlog).
const (
	modelIdle     = time.Millisecond       // without a frame, from which on there is nothing to carry
	modelMany     = maxBehind / 2          // segments that wait for that, without an allowance
	modelPatience = 500 * time.Millisecond // for which they wait, with one
	modelSlice    = 16                     // segments between two looks at the rings
	modelParts    = 8                      // parts of the time that are the traffic's, to one of the model's
)

// maxModel bounds the histograms; longer times count as this long.
const maxModel = sim.Picos(1e12) // a second

// model counts the cycles that the frames would take on a card. Its time begins
// with the first frame, so that a capture which begins with it has the same
// figures.
type model struct {
	card   *timing.Card
	build  func() (*timing.Card, error)
	name   string
	ports  []string
	begun  bool
	start  sim.Cycle
	id     uint32
	latest sim.Cycle    // of the last frame on the card
	made   []timing.Own // of the frame that enters
	flows  uint32       // the tracker's places; the proxy's are behind them
	backlog
	allowance
	timed  uint64        // segments on the card so far
	pause  time.Duration // until then the traffic has the time
	stages []string      // that dropped frames
	lost   uint64
	all    tally
	asked  exchanges
	pair   []*tally // by in·ports + out; nil: no frame yet
}

// tally is the times of a number of frames.
type tally struct {
	frames uint64
	sum    sim.Picos
	hist   *hdrhistogram.Histogram // ps
}

func newTally() tally { return tally{hist: hdrhistogram.New(1, int64(maxModel), 3)} }

func (t *tally) add(d sim.Picos) {
	t.frames++
	t.sum += d
	_ = t.hist.RecordValue(int64(min(d, maxModel))) // cannot be out of its range
}

func (t *tally) times() Times {
	at := func(q float64) float64 { return float64(t.hist.ValueAtQuantile(q)) / 1000 }
	return Times{P50: at(50), P90: at(90), P99: at(99), Max: float64(t.hist.Max()) / 1000, Sum: t.sum.Nanos()}
}

func newModel(d *pipeline.Description, ports []string, flows int, share float64) (*model, error) {
	m := &model{name: d.Name, ports: ports, all: newTally(), asked: newExchanges(flows), flows: uint32(flows), allowance: newAllowance(share)}
	m.pair = make([]*tally, (len(ports)+1)*len(ports))
	m.build = func() (*timing.Card, error) { return timing.New(d, timing.Options{Ports: len(ports)}, m) }
	var err error
	if m.card, err = m.build(); err != nil {
		return nil, fmt.Errorf("nic: %w", err)
	}
	return m, nil
}

// corePeriod is a cycle of the core's clock.
const corePeriod = sim.Picos(1e12 / CoreHz)

func (m *model) at(now sim.Cycle) sim.Picos { return sim.Picos(now-m.start) * corePeriod }

// arrive notes a frame that the program has just had.
func (m *model) arrive(now sim.Cycle, in datapath.Port, size int, segment uint16, l *Logic, o *Outcome) {
	h := &l.pkt.PHV
	own := o.Own
	if !m.card.Writes() {
		own = nil
	}
	n := segments(size, int(segment), int(h.PayloadOff))
	if !m.admits(now, n+len(own)) {
		return
	}
	w := &o.Work
	a := arrival{
		at: now, in: uint8(in), size: uint32(size), segment: segment, headers: h.PayloadOff, to: o.To, side: -1,
		told: w.Told, reads: w.Reads, lookups: w.Lookups, head: w.Head, written: w.Written,
	}
	a.segments = uint32(n)
	if o.To == 0 {
		a.drop = m.stage(o.Stage)
	}
	if w.Told && o.To != 0 {
		a.grow = int32(len(o.Data) - size)
	}
	if w.Told && w.Flow >= 0 {
		a.flow, a.side, a.flags, a.payload, a.answers = m.flows+uint32(w.Flow), 1, h.TCPFlags, h.PayloadLen > 0, w.Answer
		if w.Client {
			a.side = 0
		}
	} else if place, side, ok := l.tracker.Last(&l.pkt); ok {
		a.flow, a.side, a.flags, a.payload = place, int8(side), h.TCPFlags, h.PayloadLen > 0
		a.answers = side == 1 && a.payload
	}
	m.push(&a, own)
}

// admits reports whether the model may take so many segments; else they are left out.
func (m *model) admits(now sim.Cycle, segments int) bool {
	ok := m.takes(now, segments)
	if !ok {
		m.miss(uint64(segments))
	}
	return ok
}

// own notes a frame that the proxy has made at a time of its own.
func (m *model) own(now sim.Cycle, f splice.Frame) {
	if in, ok := m.card.OwnPort(); ok {
		if !m.admits(now, 1) {
			return
		}
		m.push(&arrival{at: now, in: uint8(in), size: uint32(len(f.Data)), segments: 1, to: datapath.PortSet(0).Add(f.Port), side: -1, told: true}, nil)
	}
}

// stage is the place of a stage's name, from 1.
func (m *model) stage(name string) uint8 {
	i := slices.Index(m.stages, name)
	if i < 0 {
		i = len(m.stages)
		m.stages = append(m.stages, name)
	}
	return uint8(i + 1)
}

// renewal is how old a card is when it makes way for a new one, once nothing is on it:
// 53 days. Its time fits for twice as long.
const renewal = sim.Cycle(sim.Never / 2 / corePeriod)

// renew begins time anew where it is time to, before a frame that comes at a cycle.
func (m *model) renew(at sim.Cycle) {
	if !m.begun || at < m.start+renewal || m.card.InFlight() > 0 {
		return
	}
	if card, err := m.build(); err == nil { // as it was once before
		m.card, m.begun, m.id = card, false, 0
	}
}

// enter puts a frame on the card. One that stands for several segments enters as
// these, each behind the frame's headers.
func (m *model) enter(a *arrival) {
	m.renew(a.at)
	if !m.begun {
		m.begun, m.start = true, a.at
	}
	if a.gap {
		m.asked.forget()
	}
	if m.id >= maxID && m.card.InFlight() == 0 {
		m.id = 0
	}
	m.latest = a.at
	m.made = m.made[:0]
	for range a.owns {
		f := m.pop()
		m.made = append(m.made, timing.Own{Bytes: int(f.size), To: datapath.Port(bits.TrailingZeros64(uint64(f.to)))})
	}
	d, at := timing.Decision{To: a.to, Work: datapath.Work{Told: a.told, Reads: a.reads, Lookups: a.lookups}, Grow: int(a.grow)}, m.at(a.at)
	head, written := int(a.head), a.written
	if a.drop > 0 {
		d.Drop = m.stages[a.drop-1]
	}
	for rest := int(a.size); rest > 0; {
		n := rest
		if most := int(a.segment) + int(a.headers); a.segment > 0 && rest > most {
			n = most
		}
		// A head ends in one of the segments, which is the reason for what was done about it.
		d.Own, d.Work.Head, d.Work.Written = nil, uint16(min(head, n)), 0
		if head <= n {
			d.Own, m.made = m.made, nil
			d.Work.Written, written = written, 0
		}
		if head -= n; head > 0 {
			head += int(a.headers)
		}
		if a.side >= 0 {
			d.Tag = m.asked.frame(a, len(d.Own))
		}
		m.id++
		m.card.Arrive(m.id, int(a.in), at, n, d)
		d.Grow = 0
		if len(d.Own) > 0 {
			m.made = d.Own[:0] // the card has them
		}
		if rest -= n; rest > 0 {
			rest += int(a.headers)
		}
	}
}

// maxID is a frame's number from which on they begin anew when none is on the card, which
// takes numbers below 2^31.
const maxID = 1 << 30

// due reports whether it is the model's turn, when the last frame came idle ago.
func (m *model) due(now, idle time.Duration) bool {
	if idle > modelIdle {
		return m.behind()
	}
	if m.waiting == 0 || now < m.pause {
		return false
	}
	return m.waiting >= modelMany || m.share > 0 && now-coreClock.Duration(m.oldest()) > modelPatience
}

// behind reports whether frames wait, or are on the card.
func (m *model) behind() bool { return m.waiting > 0 || m.card.InFlight() > 0 }

// turn is the model's turn at a time.
func (m *model) turn(now time.Duration) {
	begin, cpu, timed := time.Now(), cpuTime(), m.timed
	m.slice(cycleAt(now))
	m.took(cpuTime()-cpu, int(m.timed-timed))
	m.pause = now + modelParts*time.Since(begin)
}

// slice counts some frames more, and, if they are the last, what has happened to
// them by now.
func (m *model) slice(now sim.Cycle) {
	for left := modelSlice; left > 0 && m.waiting > 0; {
		a := *m.pop()
		left -= int(a.segments)
		m.timed += uint64(a.segments)
		m.enter(&a)
	}
	if !m.begun {
		return
	}
	if m.waiting == 0 {
		m.latest = max(m.latest, now)
	}
	m.card.Advance(m.at(m.latest))
}

// advance counts all that has happened by now.
func (m *model) advance(now sim.Cycle) {
	for m.slice(now); m.waiting > 0; {
		m.slice(now)
	}
}

// settle counts what waits and what is still on the card when no more frames come.
func (n *NIC) settle() {
	if n.model != nil {
		n.model.settle(sim.Never - 1)
	}
}

// settle reports whether the card came to rest within limit.
func (m *model) settle(limit sim.Picos) bool {
	m.advance(m.latest)
	rest := m.card.Finish(limit)
	m.asked.endAll()
	return rest
}

// Crossed and Lost make a model a timing.Observer.
func (m *model) Crossed(c timing.Crossing) {
	d := c.Left - c.Entered
	m.all.add(d)
	m.asked.over(m.card.Tag(c.Frame), d, 1)
	k := c.In*len(m.ports) + c.Out
	if m.pair[k] == nil {
		t := newTally()
		m.pair[k] = &t
	}
	m.pair[k].add(d)
}

// Lost counts what the card had no room for; what the program dropped is among
// its own counters.
func (m *model) Lost(l timing.Loss) {
	m.asked.over(m.card.Tag(l.Frame), 0, l.Copies)
	if l.Why != sim.LossVerdict {
		m.lost++
	}
}

// in is the name of a port, or of where frames of the proxy's own arrive.
func (m *model) in(port int) string {
	if port == len(m.ports) {
		return OwnFrames
	}
	return m.ports[port]
}

// times is nil if no frame has come.
func (m *model) times() *ModelTime {
	behind := uint64(m.waiting + m.card.InFlight())
	if m.all.frames+behind+m.untimed == 0 {
		return nil
	}
	s := &ModelTime{Pipeline: m.name, Frames: m.all.frames, Lost: m.lost, Behind: behind, Timed: m.timed, Untimed: m.untimed, Backlog: m.size(), Times: m.all.times()}
	if m.asked.done.frames > 0 {
		s.Requests = &RequestTime{m.asked.done.frames, m.asked.done.times()}
	}
	for k, t := range m.pair {
		if t != nil {
			s.Crossings = append(s.Crossings, CrossingTime{
				In: m.in(k / len(m.ports)), Out: m.ports[k%len(m.ports)], Frames: t.frames, Times: t.times(),
			})
		}
	}
	return s
}
