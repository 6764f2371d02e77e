package sim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

// batched is a register slice of two places whose form moves all it can at once. It
// promises nothing itself.
type batched struct{ *axis.Skid }

func (batched) Flow(in, out []*sim.Chan) sim.Flow { return &batchedFlow{in: in[0], out: out[0]} }

type batchedFlow struct {
	in, out *sim.Chan
	ahead   uint64    // beats put that are not accepted
	early   sim.Cycle // the cycle after the last of them was shown, did none wait
}

func (f *batchedFlow) Run() bool {
	moved := false
	for f.accept() || f.put() || f.one() {
		moved = true
	}
	return moved
}

// accept says when beats are accepted: once the one two before has left.
func (f *batchedFlow) accept() bool {
	k := f.out.Sent() - f.ahead
	from, done, _ := f.in.Waiting(0)
	n := min(f.ahead, uint64(len(from)), f.out.Taken()+2-min(k, f.out.Taken()+2))
	last := f.in.Done(f.in.Read() - 1)
	for i := range n {
		last = max(from[i], last, f.out.Done(k+i-2)) + 1
		done[i] = last
	}
	f.in.Take(n)
	f.ahead -= n
	return n > 0
}

// put puts beats without knowing when they are accepted: one that waits is shown
// behind the one before it anyway.
func (f *batchedFlow) put() bool {
	from, _, beat := f.in.Waiting(f.ahead)
	to, put := f.out.Blank()
	n := copy(put, beat)
	if f.ahead == 0 {
		f.early = f.in.Done(f.in.Read() - 1)
	}
	for i := range n {
		f.early = max(from[i], f.early) + 1
		to[i] = f.early
	}
	f.out.Fill(uint64(n))
	f.ahead += uint64(n)
	return n > 0
}

// one moves a beat when the output waits for nothing.
func (f *batchedFlow) one() bool {
	if done, _ := f.out.Open(); f.ahead > 0 || len(done) == 0 || !f.in.Next() {
		return false
	}
	at := max(f.in.Shown(), f.out.Done(f.in.Read()-2))
	f.out.Put(at+1, f.in.Head())
	f.in.Accept(at)
	return true
}

// Chains of such registers, with others that promise between them, have the cycles
// of the reference engine under every pattern, and so does what watches only the
// ends.
func TestBatches(t *testing.T) {
	for seed := range uint64(800) {
		build := func() *sim.Net {
			r := rand.New(rand.NewPCG(seed, 3))
			n := &sim.Net{}
			d := n.Clock("clk", 4000, 0)
			w := n.Wire("w0", d, 8)
			n.Add("source", &sim.Source{Out: w, Feed: frames(r, 0)})
			for i := range 1 + r.IntN(6) {
				out := n.Wire(fmt.Sprint("w", i+1), d, 8)
				switch r.IntN(4) {
				case 0:
					n.Add(out.Name, axis.NewSkid(w, out))
				case 1:
					n.Add(out.Name, axis.NewFIFO(axis.FIFOConfig{Depth: 8 << r.IntN(7) << 1, Pipeline: r.IntN(3)}, w, out))
				default:
					n.Add(out.Name, batched{axis.NewSkid(w, out)})
				}
				w = out
			}
			p, err := sim.NewPattern(sim.Patterns[r.IntN(len(sim.Patterns))])
			require.NoError(t, err)
			n.Add("sink", &sim.Sink{In: w, Pattern: p})
			return n
		}
		diff, err := datapathtest.EnginesDiffer(build, limit, nil)
		require.NoError(t, err)
		require.Empty(t, diff, "seed %d", seed)

		ends := func(net *sim.Net, watch func(to *passed) interface{ Run(sim.Picos) bool }) *passed {
			p := &passed{}
			watch(p).Run(limit)
			return p
		}
		fast, slow := build(), build()
		require.Equal(t,
			ends(slow, func(p *passed) interface{ Run(sim.Picos) bool } {
				e, err := sim.NewMaxPlusOf(slow, nil, func(int) bool { return false })
				require.NoError(t, err)
				e.Watch(p)
				return e
			}),
			ends(fast, func(p *passed) interface{ Run(sim.Picos) bool } {
				e, err := sim.NewMaxPlus(fast, nil)
				require.NoError(t, err)
				e.Watch(p)
				return e
			}), "seed %d", seed)
	}
}

// passed is what a FrameObserver was told.
type passed struct{ entered, left [][2]uint64 }

func (p *passed) Entered(_ int, frame uint32, at sim.Cycle) {
	p.entered = append(p.entered, [2]uint64{uint64(frame), uint64(at)})
}

func (p *passed) Left(_ int, frame uint32, at sim.Cycle) {
	p.left = append(p.left, [2]uint64{uint64(frame), uint64(at)})
}

func (*passed) Dropped(int, sim.Picos, uint32, sim.Loss) {}

// What is promised moves at once, as far as there is room, and no further.
func TestMove(t *testing.T) {
	n := &sim.Net{}
	d := n.Clock("clk", 4000, 0)
	a, b := n.Wire("a", d, 8), n.Wire("b", d, 8)
	n.Add("source", &sim.Source{Out: a, Feed: &sim.Frames{{ID: 1, Bytes: 8 * 500}}})
	m := &mover{a: a, b: b}
	n.Add("mover", m)
	always, err := sim.NewPattern("none")
	require.NoError(t, err)
	n.Add("sink", &sim.Sink{In: b, Pattern: always})
	e, err := sim.NewMaxPlus(n, nil)
	require.NoError(t, err)
	require.True(t, e.Run(sim.Never))
	require.EqualValues(t, 500, m.moved)
	require.EqualValues(t, 500, m.out.Taken())
	require.EqualValues(t, 500+7, m.out.Done(499), "a beat a cycle, seven later")
	require.EqualValues(t, 500, m.in.Done(499))
}

// mover has only the form.
type mover struct {
	a, b    *sim.Wire
	in, out *sim.Chan
	moved   uint64
}

func (m *mover) Ports() (in, out []*sim.Wire) { return []*sim.Wire{m.a}, []*sim.Wire{m.b} }
func (*mover) Offer()                         {}
func (*mover) Accept()                        {}
func (*mover) Edge(sim.Edges) bool            { return false }

func (m *mover) Flow(in, out []*sim.Chan) sim.Flow {
	m.in, m.out = in[0], out[0]
	return m
}

func (m *mover) Run() bool {
	n := m.in.Move(m.out, 7, math.MaxUint64)
	if m.moved += n; !m.in.Next() {
		m.in.Promise(m.out.Promised())
	}
	return n > 0
}
