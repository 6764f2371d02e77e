package netfpga_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/netfpga"
	"github.com/meshnic/meshnic/datapath/sim"
)

var (
	arbiter = block{Module: "nf.input_arbiter"}
	nic     = block{Module: "nf.nic_output_port_lookup"}
	lookup  = block{Module: "nf.switch_lite_output_port_lookup"}
	queues  = block{Module: "nf.output_queues"}
)

func TestLatency(t *testing.T) {
	for _, c := range []struct {
		block  block
		first  sim.Cycle // first beat accepted to first beat offered
		frozen int       // beats absorbed with the sink frozen
	}{
		{arbiter, 4, 34}, {nic, 3, 6}, {lookup, 5, 18}, {queues, 3, 200},
	} {
		t.Run(c.block.Module, func(t *testing.T) {
			r := row{blocks: []block{c.block}, inputs: [][]sim.Frame{numbered(1, 20, 300, 0)}}
			r.inputs[0][0].At = benchStart * 4000
			b, trace := r.run(t)
			at, _ := accepted(trace, b.in[0])
			require.Equal(t, c.first, trace.Wires[b.out[0].Index()][0].At-at[0])
			_, last := arrived(trace, b.out[0])
			require.Len(t, last, 20)
			require.Equal(t, sim.Cycle(19*5), last[19]-last[0])

			r = row{blocks: []block{c.block}, inputs: [][]sim.Frame{numbered(1, 200, 60, 0)}, sink: "frozen"}
			b, trace = r.run(t)
			at, _ = accepted(trace, b.in[0])
			require.Len(t, at, c.frozen)
		})
	}
}

// TestArbiterTurns: the latency depends on the cycle in which a frame comes,
// also if the engine has skipped the cycles before it.
func TestArbiterTurns(t *testing.T) {
	for _, c := range []struct{ at, first sim.Cycle }{{64, 4}, {65, 3}, {66, 4}, {67, 4}, {3_000_001, 4}, {3_000_002, 3}} {
		r := row{blocks: []block{arbiter}, inputs: [][]sim.Frame{numbered(1, 1, 60, 0)}}
		r.inputs[0][0].At = sim.Picos(c.at) * 4000
		b := r.build(t)
		trace, err := datapathtest.Ticked(b.net, sim.Never)
		require.NoError(t, err)
		require.Equal(t, c.first, trace.Wires[b.out[0].Index()][0].At-c.at, "cycle %d", c.at)
	}
}

// TestArbiterFirst: of frames that come at once, as on the test bench of the
// records (edge 64) and a cycle or two later, which is first depends on the turn.
func TestArbiterFirst(t *testing.T) {
	for _, tt := range []struct {
		inputs int
		at     sim.Cycle
		want   []uint32
		last   sim.Cycle // of the first frame
	}{
		{2, 64, []uint32{0, 10, 1, 11}, 4}, {2, 65, []uint32{0, 10, 1, 11}, 3}, {2, 66, []uint32{10, 0, 11, 1}, 3},
		{3, 64, []uint32{20, 0, 10, 21, 1, 11}, 3}, {3, 65, []uint32{0, 10, 20, 1, 11, 21}, 3}, {3, 66, []uint32{10, 20, 0, 11, 21, 1}, 3},
	} {
		r := row{blocks: []block{arbiter}}
		for i := range tt.inputs {
			r.inputs = append(r.inputs, numbered(uint32(10*i), 2, 60, 0))
			r.inputs[i][0].At = sim.Picos(tt.at) * 4000
		}
		b, trace := r.run(t)
		frames, last := arrived(trace, b.out[0])
		require.Equal(t, tt.want, frames, "%d inputs, cycle %d", tt.inputs, tt.at)
		require.Equal(t, tt.at+tt.last, last[0], "%d inputs, cycle %d", tt.inputs, tt.at)
	}
}

func TestArbiterOrder(t *testing.T) {
	r := row{blocks: []block{arbiter}, inputs: [][]sim.Frame{numbered(0, 4, 300, 0), numbered(10, 4, 300, 0), numbered(20, 4, 300, 0)}}
	b, trace := r.run(t)
	frames, last := arrived(trace, b.out[0])
	for k, f := range frames {
		require.Equal(t, (frames[0]/10+uint32(k))%3, f/10)
	}
	require.Equal(t, sim.Cycle(11*5), last[11]-last[0], "no idle cycle at a change of input")
}

// TestLookupLosesResults: nothing guards the FIFO of results. 18 frames are
// taken while the sink is frozen, 8 results are overwritten, 8 frames stay.
func TestLookupLosesResults(t *testing.T) {
	r := row{blocks: []block{lookup}, inputs: [][]sim.Frame{numbered(1, 200, 60, 0)}, sink: "burst16"}
	r.inputs[0][0].At = 8 * 4000
	b, trace := r.run(t)
	frames, _ := arrived(trace, b.out[0])
	require.True(t, slices.IsSorted(frames))
	require.Less(t, len(frames), 200)
	require.Zero(t, len(frames)%8)
}

// TestNICLookup: from a MAC to the host, from the host to its MAC, and to MAC 0
// without a source port, as the Verilog sets the metadata word.
func TestNICLookup(t *testing.T) {
	metadata := func(src uint8) (dst uint8) { // nic_output_port_lookup.v, state MODULE_HEADER
		switch {
		case src == 0:
			return 1
		case src&0xaa != 0:
			return src >> 1
		}
		return src << 1
	}
	for port, src := range map[uint8]uint8{netfpga.PortMAC0: 1, netfpga.PortHost0: 2, netfpga.PortMAC1: 4, netfpga.PortHost1: 8, 4: 0, 255: 0} {
		r := row{blocks: []block{nic, queues}, inputs: [][]sim.Frame{numbered(1, 3, 300, port)}}
		b, trace := r.run(t)
		set := netfpga.Queues(metadata(src))
		for o, w := range b.out {
			frames, _ := arrived(trace, w)
			require.Equal(t, set>>o&1 != 0, len(frames) == 3, "port %d, output %d", port, o)
			require.Contains(t, []int{0, 3}, len(frames))
		}
	}
}

// TestSwitchLearns: a frame for an unknown address goes to the other MAC, one
// for a known address to its port, none back.
func TestSwitchLearns(t *testing.T) {
	const mac0, host, mac1 = 1, 2, 4
	type hop struct {
		dst, src uint64
		port     uint8
		want     []int // outputs
	}
	hops := []hop{
		{0xb, 0xa, mac0, []int{1}},
		{0xa, 0xb, mac1, []int{0}},
		{0xa, 0xc, host, []int{0}},
		{0xc, 0xa, mac0, []int{2}},
		{0xd, 0xc, host, []int{0, 1}},
		{0xb, 0xb, mac1, nil},
	}
	r := row{blocks: []block{lookup, queues}, inputs: [][]sim.Frame{numbered(1, len(hops), 200, 0)}}
	r.ends = func(f uint32) (uint64, uint64, uint8) { h := hops[f-1]; return h.dst, h.src, h.port }
	b, trace := r.run(t)
	for o, w := range b.out {
		var want []uint32
		for k, h := range hops {
			if slices.Contains(h.want, o) {
				want = append(want, uint32(k+1))
			}
		}
		frames, _ := arrived(trace, w)
		require.Equal(t, want, frames, "output %d", o)
	}
	require.Len(t, trace.Drops, 1)
	require.Equal(t, sim.LossNoRoute, trace.Drops[0].Why)
}

func TestCAMForgetsTheOldest(t *testing.T) {
	c := netfpga.NewCAM(2)
	for a := range uint64(4) {
		c.Lookup(99, a+1, 1<<a)
	}
	require.Equal(t, uint8(4), c.Lookup(3, 4, 8))
	require.Equal(t, uint8(1), c.Lookup(1, 5, 16), "looked up before it is replaced")
	require.Equal(t, uint8(5), c.Lookup(1, 2, 2))
	require.Equal(t, uint8(5&^4), c.Lookup(98, 3, 4), "not where it came from")
}

// TestQueuesDrop: a frame that finds 39 words in its queue is dropped, whole.
func TestQueuesDrop(t *testing.T) {
	r := row{blocks: []block{queues}, inputs: [][]sim.Frame{numbered(1, 200, 60, 0)}, sink: "frozen"}
	_, trace := r.run(t)
	require.Len(t, trace.Drops, 200-42)
	for k, d := range trace.Drops {
		require.Equal(t, uint32(43+k), d.Frame)
		require.Equal(t, sim.LossFull, d.Why)
	}
	require.Equal(t, 39*64, slices.Max(peaks(t, r)))

	r.inputs = [][]sim.Frame{slices.Concat(numbered(1, 3, 1514, 1), numbered(4, 3, 1514, netfpga.Several|5), numbered(7, 1, 60, 3))}
	r.sink = "none"
	b, trace := r.run(t)
	for o, want := range [][]uint32{{4, 5, 6}, {1, 2, 3}, {4, 5, 6}} {
		frames, _ := arrived(trace, b.out[o])
		require.Equal(t, want, frames)
	}
	require.Len(t, trace.Drops, 1)
	require.Equal(t, sim.LossNoRoute, trace.Drops[0].Why)
}

func peaks(t *testing.T, r row) []int {
	trace, err := datapathtest.Ticked(r.build(t).net, 1e9)
	require.NoError(t, err)
	return trace.Peaks
}

// TestQueuesOverrun: a frame longer than what is left loses its middle.
func TestQueuesOverrun(t *testing.T) {
	r := row{blocks: []block{queues}, inputs: [][]sim.Frame{slices.Concat(numbered(1, 1, 1514, 0), numbered(2, 1, 9000, 0))}, sink: "pat25"}
	b, trace := r.run(t)
	frames, _ := arrived(trace, b.out[0])
	require.Equal(t, []uint32{1, 2}, frames)
	_, beats := accepted(trace, b.out[0])
	require.True(t, beats[len(beats)-1].Bad)
	require.Len(t, trace.Drops, 1)
	require.Equal(t, sim.LossOversize, trace.Drops[0].Why)
}

// TestPipelines: under every pattern each frame leaves once, whole and in the
// order of its input, or is counted; the order in which stages are clocked does
// not matter, and both engines agree.
func TestPipelines(t *testing.T) {
	mixed := func(id uint32) (f []sim.Frame) {
		for k, n := range []int{60, 1514, 65, 64, 700, 128, 60, 300} {
			f = append(f, sim.Frame{ID: id + uint32(k), Bytes: n, Gap: sim.Cycle(k % 3 * 5)})
		}
		return f
	}
	ins := [][]sim.Frame{mixed(1), mixed(21), mixed(41)}
	host := [][]sim.Frame{mixed(1), mixed(21), mixed(41)} // all leave by MAC 0
	for _, in := range host {
		for k := range in {
			in[k].Dest = netfpga.PortHost0
		}
	}
	narrow := func(b block) block { return block{b.Module, module.Args{"C_S_AXIS_DATA_WIDTH": 256}, 0} }
	for name, r := range map[string]row{
		"nic":    {blocks: []block{arbiter, nic, queues}, inputs: host},
		"switch": {blocks: []block{arbiter, lookup, queues}, inputs: ins},
		"narrow": {blocks: []block{narrow(arbiter), narrow(nic), narrow(queues)}, inputs: host},
		"input":  {blocks: []block{arbiter, nic}, inputs: ins},
	} {
		for _, sink := range sim.Patterns {
			t.Run(fmt.Sprint(name, " ", sink), func(t *testing.T) {
				r.sink = sink
				b, trace := r.run(t)
				if sink != "frozen" {
					conserved(t, r, b, trace)
				}
				for seed := range uint64(5) {
					r.seed = seed + 1
					_, other := r.run(t)
					require.Empty(t, trace.Diff(other))
				}
				diff, err := datapathtest.EnginesDiffer(func() *sim.Net { return r.build(t).net }, 160_000_000, nil)
				require.NoError(t, err)
				require.Empty(t, diff)
			})
		}
	}
}

func conserved(t *testing.T, r row, b *built, trace *datapathtest.Trace) {
	sent := map[uint32]int{}
	for _, fs := range r.inputs {
		for _, f := range fs {
			sent[f.ID] = f.Bytes
		}
	}
	_, beats := accepted(trace, b.out[0])
	off, count, before := 0, 0, map[uint32]uint32{}
	for _, x := range beats {
		require.Equal(t, off, int(x.Off))
		require.Equal(t, off == 0, x.First)
		off += int(x.Bytes)
		require.Equal(t, off == sent[x.Frame], x.Last)
		if x.Last {
			require.Greater(t, x.Frame, before[x.Frame/20])
			before[x.Frame/20], off = x.Frame, 0
			count++
		}
	}
	require.Equal(t, len(sent), count+len(trace.Drops))
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		block block
		want  string
	}{
		{block{arbiter.Module, module.Args{"NUM_QUEUES": 4}, 0}, "NUM_QUEUES is 4, want 3"},
		{block{queues.Module, module.Args{"BUFFER_SIZE": 1024}, 0}, "BUFFER_SIZE is 1024, want 2048 to 1048576"},
		{block{nic.Module, module.Args{"C_S_AXIS_DATA_WIDTH": 100}, 0}, "C_S_AXIS_DATA_WIDTH is 100, want a power of two"},
	} {
		i := slices.IndexFunc(netfpga.Modules, func(m module.Module) bool { return m.Name == c.block.Module })
		_, err := netfpga.Modules[i].Fill(c.block.Params)
		require.EqualError(t, err, c.want)
	}
}
