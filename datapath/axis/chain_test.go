package axis_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// stage is a module by name with its parameters.
type stage struct {
	Module string      `json:"module"`
	Params module.Args `json:"params"`
}

// chain is a run of stages in a row between a source and a sink.
type chain struct {
	stages []stage
	mhz    float64   // of the first clock; 0: 250
	phase  sim.Picos // of the second clock
	sink   string    // "": none
	frames []sim.Frame
	order  func(n int, swap func(i, j int)) // of the stages, if not nil
	after  sim.Cycle                        // the sink is frozen until then
	limit  sim.Picos                        // 0: until all rests
}

// moved is one beat at an end.
type moved struct {
	offered, accepted sim.Picos
	beat              sim.Beat
}

// lost is one frame that was dropped.
type lost struct {
	frame uint32
	why   sim.Loss
}

// seen is what a run of a chain showed.
type seen struct {
	t       *sim.Ticker
	src     *sim.Wire
	dst     *sim.Wire
	shown   [2]sim.Picos // when the beat on src and dst came
	in, out []moved
	lost    []lost
	peak    int // of the stage that stores, if it is the only one
	rest    bool
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

func (s *seen) Dropped(_ int, _ sim.Picos, frame uint32, why sim.Loss) {
	s.lost = append(s.lost, lost{frame, why})
}

// late is a pattern that starts after a while.
type late struct {
	sim.Pattern
	after sim.Cycle
}

func (l late) Ready(c sim.Cycle) (sim.Cycle, bool) { return l.Pattern.Ready(max(c, l.after)) }

// find returns a module of the package.
func find(t testing.TB, name string) *module.Module {
	t.Helper()
	i := slices.IndexFunc(axis.Modules, func(m module.Module) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, "no module %s", name)
	return &axis.Modules[i]
}

// build puts the chain together. Edge n of the first clock is at n+½ periods,
// that of a second one phase later than at n+½ of its own.
func (c chain) build(t testing.TB) (*sim.Net, *seen) {
	t.Helper()
	net := &sim.Net{}
	mhz := map[*sim.Domain]float64{}
	clock := func(f float64, phase sim.Picos) *sim.Domain {
		p, err := sim.PeriodOf(f)
		require.NoError(t, err)
		d := net.Clock(fmt.Sprint(f), p, (p/2+phase)%p)
		mhz[d] = f
		return d
	}
	if c.mhz == 0 {
		c.mhz = 250
	}
	at := clock(c.mhz, 0)
	s, sunk := &seen{}, sim.Cycle(0)
	for i, st := range c.stages {
		m := find(t, st.Module)
		args, err := m.Fill(st.Params)
		require.NoError(t, err)
		in, out := m.Ports(args)
		if i == 0 {
			s.src = net.Wire("in", at, in[0].Width)
			s.dst = s.src
		}
		from := s.dst
		if f := out[0].MHz; f != 0 {
			i := slices.IndexFunc(net.Domains, func(d *sim.Domain) bool { return d != at && mhz[d] == f })
			if i < 0 {
				at = clock(f, c.phase)
			} else {
				at = net.Domains[i]
			}
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
	net.Add("source", &sim.Source{Out: s.src, Feed: &frames})
	net.Add("sink", &sim.Sink{In: s.dst, Pattern: late{pattern, c.after}, From: sunk})
	s.t, err = sim.NewTicker(net, s)
	require.NoError(t, err)
	if c.order != nil {
		s.t.Shuffle(c.order)
	}
	return net, s
}

// run runs the chain.
func (c chain) run(t testing.TB) *seen {
	t.Helper()
	net, s := c.build(t)
	if c.limit == 0 {
		c.limit = 1e10
	}
	s.rest = s.t.Run(c.limit)
	for i := range net.Stages {
		if _, ok := net.Stages[i].(sim.Leveller); ok {
			s.peak = s.t.Highest(i)
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

// whole checks that every beat of out belongs where it is, and returns the
// frames that came, in their order.
func whole(t *testing.T, sent []sim.Frame, out []moved) (ids []uint32) {
	t.Helper()
	off := int32(0)
	for _, m := range out {
		b := m.beat
		f := sent[b.Frame-1]
		require.Equal(t, off, b.Off, "frame %d", b.Frame)
		require.Equal(t, off == 0, b.First, "frame %d", b.Frame)
		require.Equal(t, f.Bytes-int(off), int(b.Left), "frame %d", b.Frame)
		off += int32(b.Bytes)
		require.Equal(t, int(off) == f.Bytes, b.Last, "frame %d", b.Frame)
		require.Equal(t, b.Last && f.Bad, b.Bad, "frame %d", b.Frame)
		if b.Last {
			ids = append(ids, b.Frame)
			off = 0
		}
	}
	require.Zero(t, off, "a frame was cut")
	return ids
}

// first is the first latency in cycles of a clock of period p.
func (s *seen) first(p sim.Picos) float64 {
	return float64(s.out[0].offered-s.in[0].accepted) / float64(p)
}
