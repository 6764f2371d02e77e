package datapathtest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
)

// period is of the harness's clock: 250 MHz.
const period sim.Picos = 4000

// rig is the stage between a feeder and a sink.
type rig struct {
	net     *sim.Net
	feed    *feeder
	in, out *sim.Wire
	first   int // the stage's own stages in the network
	last    int
	packets map[uint32]*datapath.Packet
}

func (s *Timed) rig(c timedCase, frames []sim.Frame) *rig {
	n := &sim.Net{}
	clk := n.Clock("clk", period, 0)
	outWidth := c.width
	var args module.Args
	if s.Module != nil {
		args = s.filled(c.width)
		_, out := s.Module.Ports(args)
		outWidth = out[0].Width
	}
	r := &rig{net: n, in: n.Wire("in", clk, c.width), out: n.Wire("out", clk, outWidth), packets: map[uint32]*datapath.Packet{}}
	r.feed = &feeder{out: r.in, frames: frames, pause: pattern(c.idle)}
	n.Add("source", r.feed)
	r.first = len(n.Stages)
	switch {
	case s.Module != nil:
		s.Module.Build(&module.Site{Net: n, Name: s.Module.Name, Args: args, In: []*sim.Wire{r.in}, Out: []*sim.Wire{r.out}})
	case s.Acting != nil:
		for _, f := range frames {
			r.packets[f.ID] = packetOf(f.ID, s.content(f))
		}
		n.Add("stage", s.Acting(r.in, r.out, func(id uint32) *datapath.Packet { return r.packets[id] }))
	default:
		n.Add("stage", s.Stage(r.in, r.out))
	}
	r.last = len(n.Stages)
	n.Add("sink", &sim.Sink{In: r.out, Pattern: pattern(c.sink)})
	return r
}

// packetOf is f as a packet, parsed as far as it parses.
func packetOf(id uint32, f Frame) *datapath.Packet {
	p := raw(f)
	p.ID = uint64(id)
	if parser.New(parser.Config{}).Process(0, p) != datapath.Continue {
		p.PHV, p.Reason = datapath.PHV{}, datapath.DropNone
	}
	return p
}

// budget is when a run is given up: a stage that moves less than a byte in 64
// cycles is taken for one that hangs.
func budget(frames []sim.Frame) sim.Cycle {
	c := sim.Cycle(20_000)
	for _, f := range frames {
		c += 64 * sim.Cycle(f.Bytes)
	}
	return c
}

// watched is a run of the reference engine, edge by edge.
type watched struct {
	*Trace
	wave *wave
	end  sim.Cycle // after the last edge
	rest bool
	bad  *violation // the first rule broken
}

// watch runs a rig under probes.
func (s *Timed) watch(c timedCase, r *rig, limit sim.Cycle) (w *watched, err error) {
	w = &watched{Trace: newTrace(r.net, sim.Never), wave: &wave{title: "tick", net: r.net, wires: make([][]sample, len(r.net.Wires))}}
	clk := r.in.Clock
	note := func(wire *sim.Wire, at sim.Cycle, rule string) {
		if w.bad == nil {
			w.bad = &violation{where: c.String(), rule: wire.Name + ": " + rule, at: at, waves: []*wave{w.wave}}
		}
	}
	hasty := map[*sim.Wire]bool{}
	for i := r.first; i < r.last; i++ {
		st := r.net.Stages[i]
		if _, ok := st.(sim.Hasty); ok {
			_, out := st.Ports()
			for _, wire := range out {
				hasty[wire] = true
			}
		}
		r.net.Stages[i] = newProbe(st, func(wire *sim.Wire, rule string) { note(wire, clk.Now, rule) })
	}
	tick, err := sim.NewTicker(r.net, w.Trace)
	if err != nil {
		return nil, err
	}
	was := make([]sample, len(r.net.Wires))
	defer func() {
		if e := recover(); e != nil && w.bad == nil {
			note(r.in, clk.Now, fmt.Sprintf("the stage panics: %v", e))
		}
	}()
	more := around // edges after a violation
	for more > 0 && tick.Step(clk.At(limit)) {
		at := clk.Now - 1
		w.wave.add(at)
		for i, wire := range r.net.Wires {
			before := was[i]
			was[i] = sample{at, wire.Valid, wire.Ready, wire.Beat}
			switch {
			case !before.valid || before.ready || hasty[wire]:
			case !wire.Valid:
				note(wire, at, "tvalid is withdrawn: the beat of the cycle before was not accepted (tready was low)")
			case wire.Beat != before.beat:
				note(wire, at, "the beat changes while it waits: tready was low, so it must stand")
			}
		}
		if w.bad != nil {
			more--
		}
	}
	w.rest = w.bad == nil && tick.Run(clk.At(limit))
	w.Trace.run(ran{tick, w.rest}, 0)
	w.wave.drops = w.Drops
	w.end = clk.Now
	return w, nil
}

// ran is an engine that has run.
type ran struct {
	*sim.Ticker
	rest bool
}

func (r ran) Run(sim.Picos) bool { return r.rest }

// check runs one cell of the matrix.
func (s *Timed) check(c timedCase) *violation {
	frames := s.train(c.width)
	data := func(_ *sim.Wire, frame uint32) []byte {
		if i := int(frame) - 1; i >= 0 && i < len(frames) {
			return s.content(frames[i])
		}
		return nil
	}
	v := s.once(c, frames)
	if v != nil {
		v.data = data
	}
	return v
}

func (s *Timed) once(c timedCase, frames []sim.Frame) *violation {
	for _, f := range frames {
		if n := len(s.content(f)); n != f.Bytes {
			return &violation{where: c.String(), rule: fmt.Sprintf("Content(%d, %d) returns %d bytes", f.ID, f.Bytes, n)}
		}
	}
	r := s.rig(c, frames)
	limit := budget(frames)
	w, err := s.watch(c, r, limit)
	if err != nil {
		return &violation{where: c.String(), rule: err.Error()}
	}
	if w.bad != nil {
		return w.bad
	}
	if v := s.balance(c, r, w, frames, limit); v != nil {
		return v
	}
	return s.engines(c, r, w, frames, limit)
}

// balance holds what left to what is due.
func (s *Timed) balance(c timedCase, r *rig, w *watched, frames []sim.Frame, limit sim.Cycle) *violation {
	fail := func(at sim.Cycle, rule string) *violation {
		return &violation{where: c.String(), rule: rule, at: at, waves: []*wave{w.wave}}
	}
	sc := &score{frames: s.due(frames), drops: w.Drops, may: s.May, routes: s.Routes, tail: s.Tail, width: r.out.Width}
	for _, e := range w.Wires[r.out.Index()] {
		if !e.Accepted {
			continue
		}
		if rule := sc.beat(&e.Beat); rule != "" {
			return fail(e.At, "out: "+rule)
		}
	}
	if at, rule := sc.losses(); rule != "" {
		return fail(r.out.Clock.First(at), rule)
	}
	last := w.wave.end()
	switch rule := sc.rest(); {
	case !w.rest:
		return fail(last, fmt.Sprintf("does not come to rest within %d cycles", limit))
	case r.in.Valid:
		return fail(last, fmt.Sprintf("deadlock: nothing moves any more, and the beat of frame %d on in is never accepted", r.in.Beat.Frame)+s.asleep(c, w, frames))
	case rule != "":
		return fail(last, rule+s.asleep(c, w, frames))
	}
	for i := range sc.frames {
		f := &sc.frames[i]
		p := r.packets[f.ID]
		if p == nil || !f.left {
			continue
		}
		deparser.New().Process(0, p)
		if !bytes.Equal(p.Data, f.out) {
			return fail(last, fmt.Sprintf("frame %d leaves as\n%swant\n%s", f.ID, hex.Dump(p.Data), hex.Dump(f.out)))
		}
	}
	return nil
}

// asleep says if a run that stopped goes on when no edge is skipped.
func (s *Timed) asleep(c timedCase, w *watched, frames []sim.Frame) string {
	t, err := s.rerun(c, frames, func(o *rig) (*Trace, error) {
		o.feed.awake = w.end + 4096
		return Ticked(o.net, o.in.Clock.At(o.feed.awake))
	})
	if err != nil || w.diff(t).wire == nil {
		return ""
	}
	return "; it goes on if no edge is skipped: Edge reports no change where there was one, or Wake is not when the stage acts next"
}

// engines compares the run with others that must be the same.
func (s *Timed) engines(c timedCase, r *rig, w *watched, frames []sim.Frame, limit sim.Cycle) *violation {
	at := r.in.Clock.At(limit)
	own := func(i int) bool { return i >= r.first && i < r.last }
	for _, other := range []struct {
		name, rule string
		run        func(*rig) (*Trace, error)
	}{
		{"tick, stages in reverse", "the order in which stages are clocked matters", func(o *rig) (*Trace, error) {
			return shuffled(o.net, at, func(n int, swap func(i, j int)) {
				for i := range n / 2 {
					swap(i, n-1-i)
				}
			})
		}},
		{"tick, stages in another order", "the order in which stages are clocked matters", func(o *rig) (*Trace, error) {
			return shuffled(o.net, at, rand.New(rand.NewPCG(3, 3)).Shuffle)
		}},
		{"tick, no edge skipped", "Edge reports no change where there was one, or Wake is not when the stage acts next", func(o *rig) (*Trace, error) {
			o.feed.awake = w.end + 64
			return Ticked(o.net, at)
		}},
		{"maxplus", "the engines differ", func(o *rig) (*Trace, error) { return MaxPlused(o.net, at, nil) }},
		{"maxplus, stage as an island", "the engines differ", func(o *rig) (*Trace, error) {
			return MaxPlused(o.net, at, func(i int) bool { return !own(i) })
		}},
		{"maxplus, one island", "the engines differ", func(o *rig) (*Trace, error) {
			return MaxPlused(o.net, at, func(int) bool { return false })
		}},
	} {
		t, err := s.rerun(c, frames, other.run)
		if err != nil {
			return &violation{where: c.String() + ", " + other.name, rule: err.Error()}
		}
		d := w.diff(t)
		if d.what == "" {
			continue
		}
		cycle := w.wave.end()
		if d.at != sim.Never {
			cycle = r.in.Clock.First(d.at)
		}
		return &violation{where: c.String() + ", tick and " + other.name, rule: other.rule + ": " + d.what,
			at: cycle, waves: []*wave{w.wave, t.wave(other.name)}}
	}
	return nil
}

// rerun runs a new rig; a stage that panics breaks a rule too.
func (s *Timed) rerun(c timedCase, frames []sim.Frame, run func(*rig) (*Trace, error)) (t *Trace, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
	}()
	return run(s.rig(c, slices.Clone(frames)))
}

func shuffled(net *sim.Net, limit sim.Picos, order func(int, func(i, j int))) (*Trace, error) {
	t := newTrace(net, limit)
	e, err := sim.NewTicker(net, t)
	if err != nil {
		return nil, err
	}
	e.Shuffle(order)
	return t.run(e, limit), nil
}
