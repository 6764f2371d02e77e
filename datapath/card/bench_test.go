package card_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// second is longer than any run here takes.
const second = sim.Picos(1e12)

// moved is one beat at one edge.
type moved struct {
	wire string
	at   sim.Cycle
	beat sim.Beat
}

// record is an Observer that keeps what moves.
type record struct {
	beats []moved
	drops map[uint32]sim.Loss
	first map[string]sim.Cycle // by wire: first beat offered
}

func (r *record) Offered(w *sim.Wire, at sim.Cycle, _ sim.Beat) {
	if _, ok := r.first[w.Name]; !ok {
		r.first[w.Name] = at
	}
}
func (r *record) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	r.beats = append(r.beats, moved{w.Name, at, b})
}
func (r *record) Dropped(_ int, _ sim.Picos, frame uint32, why sim.Loss) { r.drops[frame] = why }

// on is what moved on a wire.
func (r *record) on(wire string) (m []moved) {
	for _, x := range r.beats {
		if x.wire == wire {
			m = append(m, x)
		}
	}
	return m
}

// lasts are the cycles of the last beats on a wire.
func (r *record) lasts(wire string) (at []sim.Cycle) {
	for _, x := range r.on(wire) {
		if x.beat.Last {
			at = append(at, x.at)
		}
	}
	return at
}

// bench is one stage between a source and a sink.
type bench struct {
	mhz     float64
	bits    int
	frames  []sim.Frame
	pattern string
	shuffle uint64
	stage   func(in, out *sim.Wire) sim.Stage
	name    string // of a module, instead of a stage
	args    module.Args
}

func (b bench) net(t testing.TB) (*sim.Net, sim.Stage) {
	t.Helper()
	n := &sim.Net{}
	period, err := sim.PeriodOf(b.mhz)
	require.NoError(t, err)
	d := n.Clock("clk", period, 0)
	in, out := n.Wire("in", d, b.bits/8), n.Wire("out", d, b.bits/8)
	f := sim.Frames(slices.Clone(b.frames))
	n.Add("source", &sim.Source{Out: in, Feed: &f})
	if b.name != "" {
		m := moduleNamed(t, b.name)
		args, err := m.Fill(with(b.args, "DATA_WIDTH", float64(b.bits)))
		require.NoError(t, err)
		m.Build(&module.Site{Net: n, Name: b.name, Args: args, In: []*sim.Wire{in}, Out: []*sim.Wire{out}})
	} else {
		n.Add("stage", b.stage(in, out))
	}
	p := b.pattern
	if p == "" {
		p = "none"
	}
	pattern, err := sim.NewPattern(p)
	require.NoError(t, err)
	n.Add("sink", &sim.Sink{In: out, Pattern: pattern})
	return n, n.Stages[1]
}

func (b bench) run(t testing.TB) (*record, sim.Stage) {
	t.Helper()
	n, stage := b.net(t)
	r := &record{drops: map[uint32]sim.Loss{}, first: map[string]sim.Cycle{}}
	tick, err := sim.NewTicker(n, r)
	require.NoError(t, err)
	if b.shuffle != 0 {
		tick.Shuffle(rand.New(rand.NewPCG(b.shuffle, 0)).Shuffle)
	}
	require.True(t, tick.Run(second), "comes to rest")
	return r, stage
}

func moduleNamed(t testing.TB, name string) *module.Module {
	t.Helper()
	i := slices.IndexFunc(card.Modules, func(m module.Module) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return &card.Modules[i]
}

func with(a module.Args, name string, v float64) module.Args {
	b := module.Args{name: v}
	for k, v := range a {
		b[k] = v
	}
	return b
}

// train is n frames of so many bytes.
func train(n, bytes int, gap sim.Cycle) (f []sim.Frame) {
	for i := range n {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: bytes, Gap: gap})
	}
	return f
}

// mixed is n frames of lengths that fit beats and do not, some marked bad.
func mixed(n int, longest int) (f []sim.Frame) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: 1 + r.IntN(longest), Dest: uint8(r.IntN(4)), Bad: r.IntN(8) == 0, Gap: sim.Cycle(r.IntN(3) * r.IntN(20))})
	}
	return f
}

// conserved requires that each frame either left whole, in order, push bytes
// longer, or was dropped.
func conserved(t testing.TB, sent []sim.Frame, r *record, push int) {
	t.Helper()
	out := r.on("out")
	for _, f := range sent {
		if _, lost := r.drops[f.ID]; lost {
			continue
		}
		for off := 0; off == 0 || off < f.Bytes+push; {
			require.NotEmpty(t, out, "frame %d is cut", f.ID)
			b := out[0].beat
			out = out[1:]
			left := f.Bytes + push - off
			require.Equal(t, f.ID, b.Frame)
			require.Equal(t, int32(off-push), b.Off, "frame %d", f.ID)
			require.Equal(t, uint16(left), b.Left, "frame %d", f.ID)
			require.Equal(t, off == 0, b.First)
			require.Equal(t, int(b.Bytes) == left, b.Last)
			require.Equal(t, b.Last && f.Bad, b.Bad)
			require.Equal(t, f.Dest, b.Dest)
			off += int(b.Bytes)
		}
	}
	require.Empty(t, out, "beats of no frame")
}

func label(a module.Args) string { return fmt.Sprint(a) }
