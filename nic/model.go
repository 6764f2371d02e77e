package nic

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
)

// The model runs behind the traffic: it is nobody's path, so its work is done for
// many frames at once, or when there is nothing to carry.
const (
	modelBatch = 256
	modelIdle  = time.Millisecond
)

// maxModel bounds the histograms; longer times count as this long.
const maxModel = sim.Picos(1e12) // a second

// model counts the cycles that the frames would take on a card. Its time begins
// with the first frame, so that a capture which begins with it has the same
// figures.
type model struct {
	card    *timing.Card
	name    string
	ports   []string
	begun   bool
	start   sim.Cycle
	id      uint32
	waiting int // frames that arrived since the last advance
	lost    uint64
	all     tally
	asked   exchanges
	pair    []*tally // by in·ports + out; nil: no frame yet
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

func newModel(d *pipeline.Description, ports []string, flows int) (*model, error) {
	m := &model{name: d.Name, ports: ports, all: newTally(), asked: newExchanges(flows), pair: make([]*tally, len(ports)*len(ports))}
	var err error
	m.card, err = timing.New(d, timing.Options{Ports: len(ports)}, m)
	if err != nil {
		return nil, fmt.Errorf("nic: %w", err)
	}
	return m, nil
}

// corePeriod is a cycle of the core's clock.
const corePeriod = sim.Picos(1e12 / CoreHz)

func (m *model) at(now sim.Cycle) sim.Picos { return sim.Picos(now-m.start) * corePeriod }

// arrive queues a frame that the program has just had. One that stands for
// several segments arrives as these, of segment bytes each behind the frame's
// headers.
func (m *model) arrive(now sim.Cycle, in datapath.Port, size int, segment uint16, l *Logic, o *Outcome) {
	if !m.begun {
		m.begun, m.start = true, now
	}
	d, at, headers := o.Decision(), m.at(now), int(l.pkt.PHV.PayloadOff)
	for rest := size; rest > 0; {
		n := rest
		if most := int(segment) + headers; segment > 0 && rest > most {
			n = most
		}
		if place, side, ok := l.tracker.Last(&l.pkt); ok {
			d.Tag = m.asked.frame(place, side, &l.pkt.PHV, o.To)
		}
		m.id++
		m.waiting++
		m.card.Arrive(m.id, int(in), at, n, d)
		if rest -= n; rest > 0 {
			rest += headers
		}
	}
}

// advance counts what has happened by now.
func (m *model) advance(now sim.Cycle) {
	if m.begun {
		m.card.Advance(m.at(now))
	}
	m.waiting = 0
}

// settle counts what is still on the card when no more frames come.
func (n *NIC) settle() {
	if n.model != nil {
		n.model.card.Finish(sim.Never - 1)
		n.model.asked.endAll()
	}
}

// Crossed and Lost make a model a timing.Observer.
func (m *model) Crossed(c timing.Crossing) {
	d := c.Left - c.Entered
	m.all.add(d)
	m.asked.over(m.card.Tag(c.Frame), d)
	k := c.In*len(m.ports) + c.Out
	if m.pair[k] == nil {
		t := newTally()
		m.pair[k] = &t
	}
	m.pair[k].add(d)
}

// Lost counts what the card had no room for; what the program dropped is among
// its own counters.
func (m *model) Lost(id uint32, _ int, _ string, _ sim.Picos, why sim.Loss) {
	m.asked.over(m.card.Tag(id), 0)
	if why != sim.LossVerdict {
		m.lost++
	}
}

// times is nil if no frame has left.
func (m *model) times() *ModelTime {
	if m.all.frames == 0 {
		return nil
	}
	s := &ModelTime{Pipeline: m.name, Frames: m.all.frames, Lost: m.lost, Times: m.all.times()}
	if m.asked.done.frames > 0 {
		s.Requests = &RequestTime{m.asked.done.frames, m.asked.done.times()}
	}
	for k, t := range m.pair {
		if t != nil {
			s.Crossings = append(s.Crossings, CrossingTime{
				In: m.ports[k/len(m.ports)], Out: m.ports[k%len(m.ports)], Frames: t.frames, Times: t.times(),
			})
		}
	}
	return s
}
