package ethernet

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// event is one beat on a wire.
type event struct {
	offered, accepted sim.Cycle
	beat              sim.Beat
}

// never is when a beat is accepted that still stands.
const never = ^sim.Cycle(0)

// bench is a chain of modules between a source and a sink.
type bench struct {
	chain   []string
	args    map[string]module.Args // by module
	frames  sim.Frames
	sink    string
	lane    int // of the line's first START
	deficit int
	mhz     float64      // of modules that name no clock; 0: 156.25
	phase   [2]sim.Picos // of the clocks
	engine  string
	seed    uint64 // of the order in which stages are clocked; 0: as built

	net     *sim.Net
	wires   []*sim.Wire // from the source's to the sink's
	source  sim.Stage
	events  [][]event // by wire
	headers []sim.Header
	lost    map[uint32]sim.Loss
	highest int
}

func (b *bench) of(w *sim.Wire) *[]event { return &b.events[w.Index()] }

func (b *bench) Offered(w *sim.Wire, at sim.Cycle, x sim.Beat) {
	*b.of(w) = append(*b.of(w), event{at, never, x})
}

func (b *bench) Accepted(w *sim.Wire, at sim.Cycle, x sim.Beat) {
	e := &(*b.of(w))[len(*b.of(w))-1]
	e.accepted, e.beat = at, x
}

func (b *bench) Dropped(_ int, _ sim.Picos, frame uint32, why sim.Loss) { b.lost[frame] = why }

// train is n frames of the given lengths in turn.
func train(n int, bytes ...int) sim.Frames {
	var f sim.Frames
	for i := range n {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: bytes[i%len(bytes)]})
	}
	return f
}

func find(t testing.TB, name string) *module.Module {
	for _, all := range [][]module.Module{Modules, axis.Modules} {
		for i := range all {
			if all[i].Name == name {
				return &all[i]
			}
		}
	}
	t.Fatalf("no module %s", name)
	return nil
}

// headers counts the headers that leave.
type headerSink struct {
	sim.Sink
	took func(sim.Header)
}

func (s *headerSink) Edge(e sim.Edges) bool {
	if s.In.HdrFire() {
		s.took(s.In.Hdr)
	}
	return s.Sink.Edge(e)
}

// build makes the network. Frames are Ethernet frames: what the first module
// takes is cut from them.
func (b *bench) build(t testing.TB) {
	b.net, b.lost = &sim.Net{}, map[uint32]sim.Loss{}
	clocks := map[float64]*sim.Domain{}
	clock := func(mhz float64) *sim.Domain {
		if mhz == 0 {
			mhz = cmp.Or(b.mhz, 156.25)
		}
		if clocks[mhz] == nil {
			period, err := sim.PeriodOf(mhz)
			require.NoError(t, err)
			clocks[mhz] = b.net.Clock("clk", period, b.phase[len(clocks)])
		}
		return clocks[mhz]
	}
	var last *sim.Wire
	for i, name := range b.chain {
		m := find(t, name)
		args, err := m.Fill(b.args[name])
		require.NoError(t, err)
		in, out := m.Ports(args)
		if i == 0 {
			last = b.net.Wire("in", clock(in[0].MHz), in[0].Width)
			b.wires = []*sim.Wire{last}
			var frames sim.Frames
			for _, f := range b.frames {
				f.Bytes -= m.Inner
				frames = append(frames, f)
			}
			if in[0].XGMII {
				b.source = &LineSource{Out: last, Feed: &frames, Lane: b.lane, Deficit: b.deficit}
			} else {
				b.source = &sim.Source{Out: last, Feed: &frames, WithHeader: in[0].Header}
			}
			b.net.Add("source", b.source)
		}
		next := b.net.Wire(name, clock(out[0].MHz), out[0].Width)
		m.Build(&module.Site{Net: b.net, Name: name, Args: args, In: []*sim.Wire{last}, Out: []*sim.Wire{next}})
		last = next
		b.wires = append(b.wires, last)
	}
	if b.sink == "" {
		b.sink = "none"
	}
	p, err := sim.NewPattern(b.sink)
	require.NoError(t, err)
	b.net.Add("sink", &headerSink{sim.Sink{In: last, Pattern: p}, func(h sim.Header) { b.headers = append(b.headers, h) }})
	b.events = make([][]event, len(b.net.Wires))
}

// run simulates until rest.
func (b *bench) run(t testing.TB) *bench {
	t.Helper()
	b.build(t)
	if b.engine == "maxplus" {
		e, err := sim.NewMaxPlus(b.net, b)
		require.NoError(t, err)
		require.True(t, e.Run(1e12), "comes to rest")
		return b
	}
	e, err := sim.NewTicker(b.net, b)
	require.NoError(t, err)
	if b.seed != 0 {
		e.Shuffle(rand.New(rand.NewPCG(b.seed, 0)).Shuffle)
	}
	require.True(t, e.Run(1e12), "comes to rest")
	for i := range b.net.Stages {
		b.highest = max(b.highest, e.Highest(i))
	}
	return b
}

func (b *bench) in() []event  { return *b.of(b.wires[0]) }
func (b *bench) out() []event { return *b.of(b.wires[len(b.wires)-1]) }

// lastBeats are the cycles in which frames' last beats were accepted.
func lastBeats(events []event) (at []sim.Cycle) {
	for _, e := range events {
		if e.beat.Last {
			at = append(at, e.accepted)
		}
	}
	return at
}
