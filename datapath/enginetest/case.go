package enginetest

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Case is a pipeline, its traffic, its back-pressure, and how the engines run
// it.
type Case struct {
	Pipeline pipeline.Description // stages with names, and with From
	Skew     sim.Picos            // of every clock but the first
	Sources  []Source             // inputs that are not listed send nothing
	Sinks    []Sink               // outputs that are not listed are always ready
	Acts     uint64               // seed of what stages decide that ask somebody, by the frames' numbers; 0: they are configured

	// Of the second run of the fast engine:
	Clocked []string    // stages of the network that do without their native form
	Steps   []sim.Picos // times up to which it is advanced before it is run to the end; frames arrive no sooner than they must
	// Of the second run of the reference engine:
	Order uint64 // seed of the order in which stages are clocked
}

// Source is what an input sends. The last three are for XGMII lines: see
// ethernet.LineSource.
type Source struct {
	Name               string // in0, in1, …
	Frames             []sim.Frame
	Lane, Deficit, IFG int
}

// Sink is when an output is ready.
type Sink struct {
	Wire    string    // its name: the stage's, or stage.N if it has several outputs
	Pattern string    // one of Patterns
	Seed    uint64    // of pattern "runs"
	From    sim.Cycle // cycle 0 of the pattern
	Thaw    sim.Cycle // the first cycle of the pattern in which it may be ready
}

// limit is when a run is given up: 10 ms of the card's time, long after all that
// Draw draws has come to rest.
const limit sim.Picos = 1e10

// network is a case as it is built for one run.
type network struct {
	*sim.Net
	plain []int    // stages that are a sim.Source without headers
	calm  []int    // sinks whose wire waits for them
	feeds []*queue // of the plain sources, in their order
}

// build makes the network. The frames of plain sources have not arrived yet if
// live is set.
func (c *Case) build(live bool) (*network, error) {
	built, err := c.Pipeline.Build(pipeline.Setup{Skew: c.Skew})
	if err != nil {
		return nil, err
	}
	n := &network{Net: built.Net}
	if c.Acts != 0 {
		acts(c.Acts).apply(n.Net)
	}
	for _, in := range built.In {
		src := Source{}
		if i := slices.IndexFunc(c.Sources, func(s Source) bool { return s.Name == in.Wire.Name }); i >= 0 {
			src = c.Sources[i]
		}
		q := &queue{frames: src.Frames, there: len(src.Frames)}
		switch {
		case in.XGMII:
			n.Add(in.Wire.Name, &ethernet.LineSource{Out: in.Wire, Feed: q, Lane: src.Lane, Deficit: src.Deficit, IFG: src.IFG})
			continue
		case !in.Header:
			if live {
				q.there = 0
			}
			n.plain, n.feeds = append(n.plain, len(n.Stages)), append(n.feeds, q)
		}
		n.Add(in.Wire.Name, &sim.Source{Out: in.Wire, Feed: q, WithHeader: in.Header})
	}
	for _, out := range built.Out {
		snk := Sink{Pattern: "none"}
		if i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Wire == out.Wire.Name }); i >= 0 {
			snk = c.Sinks[i]
		}
		p, err := snk.pattern()
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", out.Wire.Name, err)
		}
		n.Add("sink."+out.Wire.Name, &sim.Sink{In: out.Wire, Pattern: p, From: snk.From})
	}
	for i, s := range n.Stages {
		if k, ok := s.(*sim.Sink); ok && !hasty(n.Net, k.In) {
			n.calm = append(n.calm, i)
		}
	}
	return n, n.Check()
}

// hasty reports whether what drives a wire waits for nobody.
func hasty(n *sim.Net, w *sim.Wire) bool {
	for _, s := range n.Stages {
		if _, out := s.Ports(); slices.Contains(out, w) {
			_, ok := s.(sim.Hasty)
			return ok
		}
	}
	return false
}

// queue is a feed whose frames arrive one after the other.
type queue struct {
	frames      []sim.Frame
	next, there int
}

// Next returns the next frame if it has arrived.
func (q *queue) Next() (sim.Frame, bool) {
	if q.next >= q.there {
		return sim.Frame{}, false
	}
	q.next++
	return q.frames[q.next-1], true
}

// arrive lets those frames come that must be there before a time, and what
// stands in front of them.
func (q *queue) arrive(until sim.Picos) {
	for i := q.there; i < len(q.frames); i++ {
		if q.frames[i].At < until {
			q.there = i + 1
		}
	}
}
