package corundum_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/corundum"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// stage is a module by name with its parameters.
type stage struct {
	Module string      `json:"module"`
	Params module.Args `json:"params"`
}

// chain is a run of stages in a row between a source, which presents commands
// where the first stage takes them, and a sink.
type chain struct {
	stages []stage
	mhz    float64   // of the first clock; 0: 250
	phase  sim.Picos // of the second clock
	sink   string    // "": none
	frames []sim.Frame
	order  func(n int, swap func(i, j int)) // of the stages, if not nil
	hold   sim.Cycle                        // the sink is frozen until then
}

// moved is one beat at an end.
type moved struct {
	offered, accepted sim.Picos
	beat              sim.Beat
}

// seen is what a run of a chain showed.
type seen struct {
	src, dst *sim.Wire
	shown    [2]sim.Picos // when the beat on src and dst came
	in, out  []moved
	lost     []uint32
	peak     int // of the last stage that stores
	rest     bool
}

func (s *seen) Offered(w *sim.Wire, at sim.Cycle, _ sim.Beat) {
	switch w {
	case s.src:
		s.shown[0] = w.Clock.At(at)
	case s.dst:
		s.shown[1] = w.Clock.At(at)
	}
}

func (s *seen) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	switch w {
	case s.src:
		s.in = append(s.in, moved{s.shown[0], w.Clock.At(at), b})
	case s.dst:
		s.out = append(s.out, moved{s.shown[1], w.Clock.At(at), b})
	}
}

func (s *seen) Dropped(_ int, _ sim.Picos, frame uint32, _ sim.Loss) { s.lost = append(s.lost, frame) }

// late is a pattern that starts after a while.
type late struct {
	sim.Pattern
	after sim.Cycle
}

func (l late) Ready(c sim.Cycle) (sim.Cycle, bool) { return l.Pattern.Ready(max(c, l.after)) }

// find returns a module of this package or of axis.
func find(t testing.TB, name string) *module.Module {
	t.Helper()
	all := slices.Concat(corundum.Modules, axis.Modules)
	i := slices.IndexFunc(all, func(m module.Module) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, "no module %s", name)
	return &all[i]
}

// build puts the chain together. Edge n of the first clock is at n+½ periods,
// that of a second one phase later than at n+½ of its own.
func (c chain) build(t testing.TB) (*sim.Net, *seen) {
	t.Helper()
	net := &sim.Net{}
	clock := func(mhz float64, phase sim.Picos) *sim.Domain {
		p, err := sim.PeriodOf(mhz)
		require.NoError(t, err)
		return net.Clock(fmt.Sprint(mhz), p, (p/2+phase)%p)
	}
	if c.mhz == 0 {
		c.mhz = 250
	}
	at := clock(c.mhz, 0)
	s, sunk, commands := &seen{}, sim.Cycle(0), false
	for i, st := range c.stages {
		m := find(t, st.Module)
		args, err := m.Fill(st.Params)
		require.NoError(t, err)
		in, out := m.Ports(args)
		if i == 0 {
			s.src = net.Wire("in", at, in[0].Width)
			s.dst, commands = s.src, in[0].Header
		}
		from := s.dst
		if f := out[0].MHz; f != 0 {
			at = clock(f, c.phase)
		}
		s.dst = net.Wire(fmt.Sprint("w", i), at, out[0].Width)
		m.Build(&module.Site{Net: net, Name: fmt.Sprint(st.Module, i), Args: args, In: []*sim.Wire{from}, Out: []*sim.Wire{s.dst}})
	}
	if at != net.Domains[0] && at.Period/2+c.phase >= at.Period {
		sunk = 1 // its first edge is the one a period later
	}
	if c.sink == "" {
		c.sink = "none"
	}
	pattern, err := sim.NewPattern(c.sink)
	require.NoError(t, err)
	frames := sim.Frames(slices.Clone(c.frames))
	net.Add("source", &sim.Source{Out: s.src, Feed: &frames, WithHeader: commands})
	net.Add("sink", &sim.Sink{In: s.dst, Pattern: late{pattern, c.hold}, From: sunk})
	return net, s
}

// run runs the chain until it rests, for 10 ms at most.
func (c chain) run(t testing.TB) *seen {
	t.Helper()
	net, s := c.build(t)
	tick, err := sim.NewTicker(net, s)
	require.NoError(t, err)
	if c.order != nil {
		tick.Shuffle(c.order)
	}
	s.rest = tick.Run(1e10)
	for i := range net.Stages {
		if _, ok := net.Stages[i].(sim.Leveller); ok {
			s.peak = tick.Highest(i)
		}
	}
	return s
}

// frames are frames of these sizes, one behind the other.
func frames(sizes ...int) (f []sim.Frame) {
	for i, n := range sizes {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: n})
	}
	return f
}

// train is n frames of one size.
func train(n, bytes int) []sim.Frame { return frames(slices.Repeat([]int{bytes}, n)...) }

// whole checks that every beat of out belongs where it is, and returns how many
// frames came.
func whole(t *testing.T, sent []sim.Frame, out []moved) (n int) {
	t.Helper()
	off := int32(0)
	for _, m := range out {
		b := m.beat
		f := sent[b.Frame-1]
		require.Equal(t, uint32(n+1), b.Frame, "in order")
		require.Equal(t, off, b.Off, "frame %d", b.Frame)
		require.Equal(t, off == 0, b.First, "frame %d", b.Frame)
		require.Equal(t, f.Bytes-int(off), int(b.Left), "frame %d", b.Frame)
		off += int32(b.Bytes)
		require.Equal(t, int(off) == f.Bytes, b.Last, "frame %d", b.Frame)
		require.Equal(t, b.Last && f.Bad, b.Bad, "frame %d", b.Frame)
		if b.Last {
			off = 0
			n++
		}
	}
	require.Zero(t, off, "a frame was cut")
	return n
}

// cycles is a span in cycles of the first clock.
func (s *seen) cycles(from, to sim.Picos) int { return int((to - from) / s.src.Clock.Period) }

// of is a module with its parameters: name, value, name, value.
func of(name string, params ...any) stage {
	s := stage{name, module.Args{}}
	for i := 0; i < len(params); i += 2 {
		s.Params[params[i].(string)] = float64(params[i+1].(int))
	}
	return s
}

// port is a port's FIFO at 100G: the MAC at 322.165 MHz, the core at 250.
func port(name string, params ...any) stage {
	s := of(name, append([]any{"AXIS_DATA_WIDTH", 512}, params...)...)
	s.Params["S_CLK_MHZ"], s.Params["M_CLK_MHZ"] = 322.165, 250
	if name == "mqnic_port_tx" {
		s.Params["S_CLK_MHZ"], s.Params["M_CLK_MHZ"] = 250, 322.165
	}
	return s
}
