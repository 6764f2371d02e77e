package trace_test

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// rig is a network for tests. Its stages belong to one run.
type rig struct {
	net    *sim.Net
	frames []sim.Frame
}

// traffic is frames of mixed lengths, every seventh marked bad.
func traffic(n int, gap sim.Cycle) (f []sim.Frame) {
	for i := range n {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: []int{60, 65, 64, 301, 9, 1}[i%6], Dest: uint8(i % 3), Bad: i%7 == 6, Gap: gap})
	}
	return f
}

// row puts stages in a row, between a source and a sink.
func row(t testing.TB, frames []sim.Frame, sink string, stages ...func(n *sim.Net, in *sim.Wire) *sim.Wire) rig {
	t.Helper()
	n := &sim.Net{}
	d := n.Clock("core", 4000, 0)
	w := n.Wire("rx", d, 8)
	feed := sim.Frames(frames)
	n.Add("src", &sim.Source{Out: w, Feed: &feed})
	for _, s := range stages {
		w = s(n, w)
	}
	p, err := sim.NewPattern(sink)
	require.NoError(t, err)
	n.Add("sink", &sim.Sink{In: w, Pattern: p})
	require.NoError(t, n.Check())
	return rig{n, frames}
}

func skid(name string) func(*sim.Net, *sim.Wire) *sim.Wire {
	return func(n *sim.Net, in *sim.Wire) *sim.Wire {
		out := n.Wire(name+".out", in.Clock, in.Width)
		n.Add(name, axis.NewSkid(in, out))
		return out
	}
}

func slice(name string) func(*sim.Net, *sim.Wire) *sim.Wire {
	return func(n *sim.Net, in *sim.Wire) *sim.Wire {
		out := n.Wire(name+".out", in.Clock, in.Width)
		n.Add(name, axis.NewSlice(in, out))
		return out
	}
}

func fifo(name string, c axis.FIFOConfig) func(*sim.Net, *sim.Wire) *sim.Wire {
	return func(n *sim.Net, in *sim.Wire) *sim.Wire {
		out := n.Wire(name+".out", in.Clock, in.Width)
		n.Add(name, axis.NewFIFO(c, in, out))
		return out
	}
}

func crossing(name string, period, phase sim.Picos) func(*sim.Net, *sim.Wire) *sim.Wire {
	return func(n *sim.Net, in *sim.Wire) *sim.Wire {
		out := n.Wire(name+".out", n.Clock("line", period, phase), in.Width)
		n.Add(name, axis.NewAsyncFIFO(axis.FIFOConfig{Depth: 1024, Pipeline: 1}, in, out))
		return out
	}
}

var dropping = axis.FIFOConfig{Depth: 512, Pipeline: 1, Frame: true, DropOversize: true, DropBad: true, DropWhenFull: true}

// full is a network with everything that writers tell apart: two clocks, a
// stage that stores and drops, back-pressure, frames marked bad, idle time.
func full(t testing.TB, n int) rig {
	frames := traffic(n, 0)
	for i := n / 2; i < n; i++ {
		frames[i].At = 1_000_000 // idle before it
	}
	return row(t, frames, "pat25", skid("skid"), fifo("queue", dropping), slice("slice"), crossing("cross", 3104, 700))
}

// fork is a network in which each frame leaves twice.
func fork(t testing.TB, n int) rig {
	t.Helper()
	net := &sim.Net{}
	d := net.Clock("core", 4000, 0)
	in, a, b, c := net.Wire("in", d, 8), net.Wire("a", d, 8), net.Wire("b", d, 8), net.Wire("c", d, 8)
	frames := traffic(n, 2)
	feed := sim.Frames(frames)
	net.Add("src", &sim.Source{Out: in, Feed: &feed})
	net.Add("copy", axis.NewBroadcast(in, []*sim.Wire{a, b}))
	net.Add("skid", axis.NewSkid(b, c))
	pattern, err := sim.NewPattern("none")
	require.NoError(t, err)
	net.Add("left", &sim.Sink{In: a, Pattern: pattern})
	net.Add("right", &sim.Sink{In: c, Pattern: pattern})
	return rig{net, frames}
}

// tick runs to the end under the tick engine.
func (r rig) tick(t testing.TB, see ...sim.Observer) {
	t.Helper()
	e, err := sim.NewTicker(r.net, trace.Tee(see...))
	require.NoError(t, err)
	require.True(t, e.Run(1e9))
}

// data is the bytes of the frames: the frame's number, then counting up.
func (r rig) data(_ *sim.Wire, frame uint32) []byte {
	b := make([]byte, r.frames[frame-1].Bytes)
	for i := range b {
		b[i] = byte(int(frame) + i)
	}
	return b
}

// digest sums up all that an observer is told.
type digest struct{ hash.Hash64 }

func newDigest() digest { return digest{fnv.New64a()} }

func (d digest) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat)  { d.beat(1, w, at, b) }
func (d digest) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) { d.beat(2, w, at, b) }

func (d digest) beat(kind int64, w *sim.Wire, at sim.Cycle, b sim.Beat) {
	d.words(kind, int64(w.Index()), int64(at), int64(b.Frame), int64(b.Off), int64(b.Bytes))
}

func (d digest) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	d.words(3, int64(stage), int64(at), int64(frame), int64(why))
}

func (d digest) words(v ...int64) { _ = binary.Write(d, binary.LittleEndian, v) }

func (d digest) String() string { return fmt.Sprintf("%016x", d.Sum64()) }
