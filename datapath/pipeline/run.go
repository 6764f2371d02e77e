package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Engines are the names of the two engines.
var Engines = []string{"tick", "maxplus"}

// Traffic is what drives a run: each input gets Frames frames of Bytes bytes.
type Traffic struct {
	Bytes  int    // Ethernet frame without FCS: 15 … 65535
	Frames int    // on each input, at least 1
	Gap    int    // idle cycles before each frame after the first
	Sink   string // ready pattern of the followed output, by its name; all other outputs are always ready
	Inputs int    // inputs with traffic, at least 1
	Phases int    // a run for each of so many phases of the second clock, evenly spread; at least 1
	Engine string // tick or maxplus; empty: tick
	Dest   Dests  // tdests of the frames, 0 … 255: a list for all inputs or one for each

	// Lines is how the line to the first stage stands in the run of each phase,
	// where it is an XGMII line, and when the run begins; missing ones are zero.
	Lines []Line
}

// Line is the state of a test bench before its first frame.
type Line struct {
	Lane    int       // of the first START: 0 or 4
	Deficit int       // idle count, 0 … 3
	Late    sim.Cycle // cycles by which the first frame comes later than the reset's end
}

// The test bench of the records, which a run repeats: clocks start low at time 0,
// so the first edge is half a period later; every clock but the first is off its
// even place by 37 ps, so that no two edges fall together; the reset takes 64
// cycles of the input's clock, and the first beat is presented at edge 64. Sinks
// count their patterns from edge 0 of their own clock, which is the same as from
// edge 64 for all that repeat.
const (
	skew  sim.Picos = 37
	start sim.Cycle = 64
)

// limit is when a run is given up: a second of the card's time.
const limit sim.Picos = 1e12

func (t *Traffic) normalise() error {
	t.Inputs, t.Phases, t.Frames = max(t.Inputs, 1), max(t.Phases, 1), max(t.Frames, 1)
	if t.Sink == "" {
		t.Sink = "none"
	}
	if t.Engine == "" {
		t.Engine = Engines[0]
	}
	switch {
	case t.Bytes < 15 || t.Bytes > math.MaxUint16:
		return fmt.Errorf("frames of %d bytes, want 15 to 65535", t.Bytes)
	case t.Frames > 1<<20:
		return fmt.Errorf("%d frames, want at most %d", t.Frames, 1<<20)
	case t.Gap < 0 || t.Gap > 1<<20:
		return fmt.Errorf("a gap of %d cycles, want 0 to %d", t.Gap, 1<<20)
	case t.Inputs > 256:
		return fmt.Errorf("%d inputs, want at most 256", t.Inputs)
	case slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Lane != 0 && l.Lane != 4 || l.Deficit < 0 || l.Deficit > 3 }):
		return fmt.Errorf("a line that starts with %v: want START in lane 0 or 4, and a deficit of 0 to 3 bytes", t.Lines)
	case t.Phases > 64:
		return fmt.Errorf("%d phases, want at most 64", t.Phases)
	case len(t.Dest) > 1 && len(t.Dest) != t.Inputs:
		return fmt.Errorf("dests for %d inputs (%s), but traffic on %d: want one list for all, or one each", len(t.Dest), t.Dest, t.Inputs)
	case !slices.Contains(Engines, t.Engine):
		return fmt.Errorf("unknown engine %q, want %s", t.Engine, strings.Join(Engines, ", "))
	}
	if err := t.Dest.check(); err != nil {
		return err
	}
	_, err := sim.NewPattern(t.Sink)
	return err
}

// bench is a built pipeline with its ends, and what they saw.
type bench struct {
	*Built
	inputs  []*side
	outputs []*side
	seen    []*side // by wire index; nil if nobody asks
	lost    []loss
	engine  engine
	frames  int
}

// engine is what both engines have in common.
type engine interface {
	Run(limit sim.Picos) bool
	Highest(stage int) int
}

// side is what one end of the pipeline saw.
type side struct {
	Port
	active bool
	beats  []event
	open   bool                 // the last beat has not been accepted
	line   *ethernet.LineSource // nil unless the side is the far end of a line
}

// event is one beat at an end.
type event struct {
	offered, accepted sim.Cycle
	beat              sim.Beat
}

type loss struct {
	stage int
	at    sim.Picos
	frame uint32
	why   sim.Loss
}

// Offered, Accepted and Dropped make a bench a sim.Observer.
func (b *bench) Offered(w *sim.Wire, at sim.Cycle, x sim.Beat) {
	if e := b.seen[w.Index()]; e != nil {
		e.beats = append(e.beats, event{offered: at, beat: x})
		e.open = true
	}
}

func (b *bench) Accepted(w *sim.Wire, at sim.Cycle, _ sim.Beat) {
	if e := b.seen[w.Index()]; e != nil {
		e.beats[len(e.beats)-1].accepted = at
		e.open = false
	}
}

func (b *bench) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	b.lost = append(b.lost, loss{stage, at, frame, why})
}

// newBench builds the description and puts sources and sinks at its ends.
// The pattern is that of output follow, which becomes the first.
func (d *Description) newBench(t Traffic, phase float64, line Line, pattern sim.Pattern, follow int) (*bench, error) {
	built, err := d.Build(Setup{Inputs: t.Inputs, Phase: phase, Skew: skew})
	if err != nil {
		return nil, err
	}
	b := &bench{Built: built, frames: t.Frames}
	open := slices.Clone(built.Net.Wires)
	for i, in := range built.In {
		e := &side{Port: in, active: i < t.Inputs}
		var frames sim.Frames
		if e.active {
			for k := range t.Frames {
				f := sim.Frame{ID: uint32(i*t.Frames + k + 1), Bytes: t.Bytes - in.Inner, Dest: t.Dest.of(i, k)}
				if f.Bytes < 1 {
					return nil, fmt.Errorf("frames of %d bytes leave nothing behind the %d bytes of header in front of %s", t.Bytes, in.Inner, built.Stages[in.Stage].Name)
				}
				if f.At = in.Wire.Clock.At(start + line.Late); k > 0 {
					f.Gap = sim.Cycle(t.Gap)
				}
				frames = append(frames, f)
			}
		}
		built.Net.Add(in.Wire.Name, e.source(&frames, line))
		b.inputs = append(b.inputs, e)
	}
	if len(b.inputs) < t.Inputs {
		return nil, fmt.Errorf("the pipeline has %d inputs, not %d", len(b.inputs), t.Inputs)
	}
	if len(built.Out) == 0 {
		return nil, fmt.Errorf("the pipeline has no output: every stage's outputs are taken")
	}
	for i, out := range slices.Concat(built.Out[follow:follow+1], built.Out[:follow], built.Out[follow+1:]) {
		p := pattern
		if i > 0 || out.XGMII || built.hasty(out.Wire) { // there is no ready to take back
			p = always
		}
		built.Net.Add("sink."+out.Wire.Name, &sim.Sink{In: out.Wire, Pattern: p})
		b.outputs = append(b.outputs, &side{Port: out, active: true})
	}
	b.seen = make([]*side, len(open)+len(b.inputs))
	for _, e := range slices.Concat(b.inputs, b.outputs) {
		b.seen[e.Wire.Index()] = e
	}
	if t.Engine == "maxplus" {
		b.engine, err = sim.NewMaxPlus(built.Net, b)
	} else {
		b.engine, err = sim.NewTicker(built.Net, b)
	}
	return b, err
}

// hasty reports whether what drives a wire waits for nobody.
func (b *Built) hasty(w *sim.Wire) bool {
	for _, s := range b.Net.Stages {
		if _, ok := s.(sim.Hasty); ok {
			if _, out := s.Ports(); slices.Contains(out, w) {
				return true
			}
		}
	}
	return false
}

// source returns what presents frames at the side's port.
func (e *side) source(frames sim.Feed, l Line) sim.Stage {
	if e.XGMII {
		e.line = &ethernet.LineSource{Out: e.Wire, Feed: frames, Lane: l.Lane, Deficit: l.Deficit}
		return e.line
	}
	return &sim.Source{Out: e.Wire, Feed: frames, WithHeader: e.Header}
}

// always is the pattern of the outputs that Traffic.Sink is not about.
var always, _ = sim.NewPattern("none")

// Run drives the pipeline and measures.
func (d *Description) Run(t Traffic) (*Result, error) {
	if err := t.normalise(); err != nil {
		return nil, err
	}
	pattern, err := sim.NewPattern(t.Sink)
	if err != nil {
		return nil, err
	}
	var runs []*Result
	follow := 0
	for i := 0; i < t.Phases; i++ {
		var line Line
		if i < len(t.Lines) {
			line = t.Lines[i]
		}
		b, err := d.newBench(t, float64(i)/float64(t.Phases), line, pattern, follow)
		if err != nil {
			return nil, err
		}
		rest := b.engine.Run(limit)
		if used := slices.IndexFunc(b.outputs, func(e *side) bool { return len(e.beats) > 0 }); follow == 0 && used > 0 {
			follow, i = used, i-1 // once more, with the pattern where the frames leave
			continue
		}
		r := b.measure(t, rest)
		runs = append(runs, r)
		if len(b.Net.Domains) == 1 {
			break // one clock has no phase
		}
	}
	r := runs[0]
	r.over(runs)
	r.Pipeline, r.Traffic = d.Name, t
	return r, nil
}
