package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// normalise gives every stage a name and checks names and clocks.
func (d *Description) normalise() (problems Problems) {
	seen := map[string]bool{}
	count := map[string]int{}
	if d.ClockMHz != 0 && !clockable(d.ClockMHz) {
		problems = append(problems, Problem{Why: fmt.Sprintf("clock_mhz is %g, want %g to %d", d.ClockMHz, minMHz, maxMHz)})
	}
	for i := range d.Stages {
		s := &d.Stages[i]
		if s.Name != "" {
			if seen[s.Name] {
				problems = append(problems, s.problem("the name comes twice"))
			}
			seen[s.Name] = true
		}
	}
	for i := range d.Stages {
		s := &d.Stages[i]
		if s.Name != "" {
			continue
		}
		base := strings.NewReplacer("(", "_", ")", "", ".", "_").Replace(s.Module)
		for s.Name == "" || seen[s.Name] {
			s.Name = base
			if count[base] > 0 {
				s.Name = base + "-" + strconv.Itoa(count[base])
			}
			count[base]++
		}
		seen[s.Name] = true
	}
	for i := range d.Stages {
		if s := &d.Stages[i]; s.ClockMHz != 0 && !clockable(s.ClockMHz) {
			problems = append(problems, s.problem("clock_mhz is %g, want %g to %d", s.ClockMHz, minMHz, maxMHz))
		}
	}
	return problems
}

// Built is a pipeline as a network, without its ends: every wire of In lacks a
// producer, every wire of Out a consumer.
type Built struct {
	Net    *sim.Net
	In     []Port
	Out    []Port
	Stages []BuiltStage
}

// Port is an end of a built pipeline.
type Port struct {
	Wire   *sim.Wire
	Stage  int // in Stages
	Header bool
	XGMII  bool
	Inner  int // bytes of the Ethernet frame that are not on this wire
}

// BuiltStage is one stage of a description as it was built.
type BuiltStage struct {
	Name   string
	Module *module.Module
	Args   module.Args
	Input  int // the input that alone leads here, or -1
	Parts  []int
	In     []*sim.Wire
	Out    []*sim.Wire
}

// Setup is how a description is built.
type Setup struct {
	Inputs int       // number of sources, at least 1
	Phase  float64   // of every clock but the first, in its periods
	Skew   sim.Picos // added to it
}

type builder struct {
	setup    Setup
	b        *Built
	problems Problems
	all      []*place
	mhz      []float64            // of each domain
	ends     map[string]end       // outputs nobody has taken yet
	asked    map[string]*place    // stages without headers whose stream goes on to one with, and that one
	early    map[string]*sim.Wire // wires made before their producer: what closes a loop
}

// end is an output nobody has taken yet.
type end struct {
	wire   *sim.Wire
	stage  int
	port   module.Port
	source int       // the input, if stage is -1
	hdr    *sim.Wire // the header that waits beside the stream, if a stage without headers came between
}

// Build turns a description into a network. What cannot work is refused with
// Problems.
func (d *Description) Build(setup Setup) (*Built, error) {
	d = &Description{d.Name, d.Doc, d.ClockMHz, slices.Clone(d.Stages), d.Own}
	problems := slices.Concat(d.owned(), d.normalise())
	if len(problems) > 0 {
		return nil, problems
	}
	if len(d.Stages) == 0 {
		return nil, Problems{{Why: "the pipeline has no stages"}}
	}
	if setup.Inputs < 1 {
		setup.Inputs = 1
	}
	b := &builder{setup: setup, b: &Built{Net: &sim.Net{}}, ends: map[string]end{}, early: map[string]*sim.Wire{}, asked: map[string]*place{}}
	b.graph(d)
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	return b.b, nil
}

// graph builds all stages. Clocks and widths flow along the wires, so a stage is
// built when all stages it takes from have been, but for loops, whose wires are
// made first from what the stages say of themselves.
func (b *builder) graph(d *Description) {
	places := b.places(d)
	if len(b.problems) > 0 {
		return
	}
	producer := map[string]*place{}
	for _, p := range places {
		producer[p.name] = p
	}
	taken := map[string]string{}
	clock := d.ClockMHz
	for _, p := range places {
		for _, f := range p.from {
			key := canonical(f)
			if by, ok := taken[key]; ok {
				b.fail(p, "takes %s, which %s has taken already: put an axis_broadcast or an axis_demux between", f, by)
				return
			}
			taken[key] = p.name
			if stage, _, ok := split(f); !ok && !inputLike.MatchString(f) || ok && producer[stage] == nil && !inputLike.MatchString(stage) {
				b.fail(p, "takes %q, which is no stage and no input", f)
				return
			}
		}
	}
	if clock == 0 {
		clock = b.firstClock(places)
	}
	b.all = places
	b.ask(places, producer)
	built := map[string]bool{}
	for len(built) < len(places) {
		progress := false
		for _, p := range places {
			if built[p.name] || !b.ready(p, built) {
				continue
			}
			if !b.place(p, clock) {
				return
			}
			built[p.name], progress = true, true
		}
		if progress {
			continue
		}
		p, ok := b.loop(places, built)
		if !ok || !b.place(p, clock) {
			return
		}
		built[p.name] = true
	}
	for _, e := range b.ends {
		if e.hdr != nil {
			b.b.Net.Add(e.hdr.Name+".end", &sim.Sink{In: e.hdr, Pattern: always})
		}
	}
	for key := range b.early {
		b.problems = append(b.problems, Problem{Why: "nothing gives " + key})
	}
	b.finish()
}

func (b *builder) fail(p *place, format string, args ...any) {
	b.problems = append(b.problems, Problem{p.at.line, p.at.column, p.name, fmt.Sprintf(format, args...)})
}

func (b *builder) ready(p *place, built map[string]bool) bool {
	for _, f := range p.from {
		if stage, _, _ := split(f); !inputLike.MatchString(stage) && !built[stage] {
			return false
		}
	}
	return true
}

// loop picks a stage at which a loop of stages not built yet can be entered: a
// FIFO, which tells its own width and cuts the loop's combinational paths.
func (b *builder) loop(places []*place, built map[string]bool) (*place, bool) {
	producer := map[string]*place{}
	var left *place
	for _, p := range places {
		producer[p.name] = p
		if !built[p.name] {
			left = p
		}
	}
	// From any stage left, going against the stream ends in a loop.
	seen := map[*place]int{}
	var path []*place
	for seen[left] == 0 {
		path = append(path, left)
		seen[left] = len(path)
		for _, f := range left.from {
			if stage, _, _ := split(f); producer[stage] != nil && !built[stage] {
				left = producer[stage]
				break
			}
		}
	}
	ring := path[seen[left]-1:]
	for _, p := range ring {
		if p.m.Stores {
			return p, true
		}
	}
	var names []string
	for _, p := range slices.Backward(ring) {
		names = append(names, p.name)
	}
	b.fail(ring[len(ring)-1], "is in a loop without a FIFO (%s): put an axis_fifo into it", strings.Join(names, " -> "))
	return nil, false
}

// place builds one stage.
func (b *builder) place(p *place, clock float64) bool {
	var from []end
	upstream := 0.0
	for _, f := range p.from {
		stage, n, _ := split(f)
		e, ok := b.ends[canonical(f)]
		switch {
		case ok:
			upstream = b.mhzOf(e.wire)
		case inputLike.MatchString(stage):
			k, err := strconv.Atoi(stage[2:])
			if err != nil || k > 255 {
				b.fail(p, "takes %s: want in0 to in255", stage)
				return false
			}
			e = end{stage: -1, source: k}
		case slices.ContainsFunc(b.b.Stages, func(s BuiltStage) bool { return s.Name == stage }):
			b.fail(p, "takes %s, but %s has no output %d", f, stage, n)
			return false
		default:
			e = end{stage: -2, source: -1}
		}
		from = append(from, e)
	}
	if upstream == 0 {
		upstream = clock
		if p.ClockMHz > 0 && len(p.m.Params) > 0 && !crossing(p.m) {
			upstream = p.ClockMHz
		}
	}
	own := p.ClockMHz
	if own == 0 && crossing(p.m) {
		own = b.clockAfter(p)
	}
	if own == 0 {
		own = upstream
	}
	args, err := p.m.Fill(clocked(p.m, p.Params, upstream, own))
	if err != nil {
		b.fail(p, "%v", err)
		return false
	}
	p.args = args
	p.in, p.out = p.m.Ports(args)
	if len(from) > len(p.in) {
		b.fail(p, "has %d inputs, not %d", len(p.in), len(from))
		return false
	}
	st := BuiltStage{Name: p.name, Module: p.m, Args: args, Input: p.input}
	index := len(b.b.Stages)
	var clk *sim.Domain
	var beside *sim.Wire // a header that goes round the stage
	for i, port := range p.in {
		mhz := port.MHz
		if mhz == 0 {
			mhz = own
		}
		e := end{stage: -1, source: -1}
		if i < len(from) {
			e = from[i]
		}
		w := e.wire
		if w == nil {
			w = b.b.Net.Wire(p.name+".in"+strconv.Itoa(i), b.clockOf(from, mhz), port.Width)
			switch {
			case e.stage == -2:
				b.early[canonical(p.from[i])] = w
			case e.source >= 0:
				w.Name = "in" + strconv.Itoa(e.source)
			default:
				w.Name = "idle." + w.Name
			}
			if e.stage != -2 {
				by := b.asked[p.name]
				header, inner := port.Header || len(p.in) == 1 && by != nil, p.m.Inner
				if header && !port.Header {
					inner = by.m.Inner // what its header says is beside the stream already here
				}
				b.b.In = append(b.b.In, Port{Wire: w, Stage: index, Header: header, XGMII: port.XGMII, Inner: inner})
				if header && !port.Header {
					w, beside = b.beside(p, w)
				}
			}
		} else {
			delete(b.ends, canonical(p.from[i]))
			if !b.fits(p, e, port, mhz) {
				return false
			}
			w, beside = b.headers(p, e, port)
		}
		if clk != nil && clk != w.Clock && sameClock(b.mhzOf(w), b.mhzOf(st.In[0])) {
			b.fail(p, "takes streams of two clocks of %g MHz: put an axis_async_fifo with S_CLK_MHZ and M_CLK_MHZ of that in front of input %d", mhz, i)
			return false
		}
		clk = w.Clock
		st.In = append(st.In, w)
	}
	for i, port := range p.out {
		mhz := port.MHz
		if mhz == 0 {
			mhz = own
		}
		d := clk
		if crossing(p.m) && port.MHz > 0 {
			d = b.domain(mhz, clk)
		}
		key := p.name + "." + strconv.Itoa(i)
		if w := b.early[key]; w != nil {
			if w.Width != port.Width || w.Clock != d {
				b.fail(p, "closes a loop with %d bits at %s into %d bits at %s", port.Width*8, d.Name, w.Width*8, w.Clock.Name)
				return false
			}
			delete(b.early, key)
			st.Out = append(st.Out, w)
			continue
		}
		w := b.b.Net.Wire(key, d, port.Width)
		if len(p.out) == 1 {
			w.Name = p.name
		}
		st.Out = append(st.Out, w)
		b.ends[key] = end{w, index, port, -1, nil}
		if beside != nil && i == 0 && !port.Header {
			b.ends[key] = end{w, index, port, -1, beside}
		}
	}
	first := len(b.b.Net.Stages)
	p.m.Build(&module.Site{Net: b.b.Net, Name: p.name, Args: args, In: st.In, Out: st.Out})
	for i := first; i < len(b.b.Net.Stages); i++ {
		st.Parts = append(st.Parts, i)
	}
	b.b.Stages = append(b.b.Stages, st)
	return true
}

// fits checks width, kind and clock of a wire that goes into a port.
func (b *builder) fits(p *place, e end, port module.Port, mhz float64) bool {
	w, before := e.wire, b.b.Stages[e.stage].Name
	switch {
	case e.port.XGMII && !port.XGMII:
		b.fail(p, "takes AXI-Stream, %s gives XGMII: put a receiving MAC between", before)
	case !e.port.XGMII && port.XGMII:
		b.fail(p, "takes XGMII, %s gives AXI-Stream: put a transmitting MAC between", before)
	case w.Width != port.Width:
		b.fail(p, "takes %d bits, %s gives %d: put {module: axis_adapter, S_DATA_WIDTH: %d, M_DATA_WIDTH: %d} between", port.Width*8, before, w.Width*8, w.Width*8, port.Width*8)
	case !sameClock(mhz, b.mhzOf(w)):
		b.fail(p, "runs at %g MHz, %s gives %g MHz: put an axis_async_fifo with S_CLK_MHZ %g and M_CLK_MHZ %g between", mhz, before, b.mhzOf(w), b.mhzOf(w), mhz)
	default:
		return true
	}
	return false
}

// finish collects the outputs nobody took, in the order of stages, the last
// stage's first.
func (b *builder) finish() {
	for i := len(b.b.Stages) - 1; i >= 0; i-- {
		st := &b.b.Stages[i]
		for k := range st.Out {
			if e, ok := b.ends[st.Name+"."+strconv.Itoa(k)]; ok {
				b.b.Out = append(b.b.Out, Port{Wire: e.wire, Stage: i, Header: e.port.Header, XGMII: e.port.XGMII})
			}
		}
	}
	slices.SortStableFunc(b.b.In, func(x, y Port) int {
		return inputOrder(x.Wire.Name) - inputOrder(y.Wire.Name)
	})
}

func inputOrder(name string) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(name, "in")); err == nil {
		return n
	}
	return 1 << 20
}
