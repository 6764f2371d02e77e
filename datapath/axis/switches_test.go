package axis_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// ports by tdest: 0, 64, 128 and 192 are outputs 0 to 3.
func switching(more module.Args) module.Args {
	p := module.Args{"S_DEST_WIDTH": 8, "M_DEST_WIDTH": 6}
	for k, v := range more {
		p[k] = v
	}
	return p
}

func TestSwitchesLatency(t *testing.T) {
	for _, c := range []struct {
		module string
		params module.Args
		first  sim.Cycle // first beat accepted to first beat offered
		frame  sim.Cycle // cycles a frame of 8 beats, one behind the other
		frozen int       // beats absorbed with the sink frozen
	}{
		{"axis_mux", module.Args{"DATA_WIDTH": 64}, 1, 9, 2},
		{"axis_arb_mux", module.Args{"DATA_WIDTH": 64}, 2, 8, 3},
		{"axis_demux", module.Args{"DATA_WIDTH": 64}, 1, 8, 2},
		{"axis_broadcast", module.Args{"DATA_WIDTH": 64}, 1, 8, 2},
		{"axis_switch", switching(module.Args{"DATA_WIDTH": 64}), 1, 10, 2},
		{"axis_switch", switching(module.Args{"DATA_WIDTH": 64, "S_REG_TYPE": 2}), 4, 10, 4},
		{"axis_switch", switching(module.Args{"DATA_WIDTH": 64, "M_REG_TYPE": 0}), 0, 10, 0},
		{"axis_ram_switch", switching(module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 64}), 21, 9, 397},
	} {
		t.Run(c.module, func(t *testing.T) {
			g := one(c.module, c.params, numbered(1, 20, 60, 0))
			b, trace := g.run(t)
			at, _ := accepted(trace, b.in[0])
			require.Equal(t, c.first, trace.Wires[b.out[0].Index()][0].At-at[0])
			_, last := arrived(trace, b.out[0])
			require.Len(t, last, 20)
			require.Equal(t, c.frame, (last[19]-last[9])/10)

			g = one(c.module, c.params, numbered(1, 100, 60, 0))
			g.sink = "frozen"
			b, trace = g.run(t)
			at, _ = accepted(trace, b.in[0])
			require.Len(t, at, c.frozen)
		})
	}
}

func TestArbMuxOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		rr   float64
		lsb  float64
		want string
	}{
		{"round robin", 1, 1, "012012012012"},
		{"round robin from above", 1, 0, "210210210210"},
		{"lowest first", 0, 1, "000011112222"},
		{"highest first", 0, 0, "222211110000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := one("axis_arb_mux", module.Args{"S_COUNT": 3, "DATA_WIDTH": 512, "ARB_TYPE_ROUND_ROBIN": c.rr, "ARB_LSB_HIGH_PRIORITY": c.lsb},
				numbered(0, 4, 300, 0), numbered(10, 4, 300, 0), numbered(20, 4, 300, 0))
			b, trace := g.run(t)
			frames, last := arrived(trace, b.out[0])
			order := ""
			for _, f := range frames {
				order += fmt.Sprint(f / 10)
			}
			require.Equal(t, c.want, order)
			require.Equal(t, sim.Cycle(11*5), last[11]-last[0], "no idle cycle at a change of owner")
		})
	}
}

func TestMuxPassesOneInput(t *testing.T) {
	g := one("axis_mux", module.Args{"S_COUNT": 3, "DATA_WIDTH": 64, "select": 2}, numbered(1, 2, 60, 0), nil, numbered(3, 2, 60, 0))
	b, trace := g.run(t)
	frames, _ := arrived(trace, b.out[0])
	require.Equal(t, []uint32{3, 4}, frames)
	at, _ := accepted(trace, b.in[0])
	require.Empty(t, at)
}

// TestRoutes: the upper bits of tdest are the output, the rest goes on.
func TestRoutes(t *testing.T) {
	sent := slices.Concat(numbered(1, 1, 60, 3), numbered(2, 1, 200, 64+5), numbered(3, 1, 60, 128), numbered(4, 1, 200, 192+63), numbered(5, 1, 60, 64))
	for _, c := range []struct {
		module string
		params module.Args
		want   [][]uint32
		lost   []uint32
	}{
		{"axis_demux", switching(module.Args{"DATA_WIDTH": 64, "TDEST_ROUTE": 1}), [][]uint32{{1}, {2, 5}, {3}, {4}}, nil},
		{"axis_demux", switching(module.Args{"DATA_WIDTH": 64, "TDEST_ROUTE": 1, "M_COUNT": 3}), [][]uint32{{1}, {2, 5}, {3}}, []uint32{4}},
		{"axis_demux", module.Args{"DATA_WIDTH": 64, "M_COUNT": 2, "select": 1}, [][]uint32{nil, {1, 2, 3, 4, 5}}, nil},
		{"axis_demux", module.Args{"DATA_WIDTH": 64, "M_COUNT": 3, "select": 3}, [][]uint32{nil, nil, nil}, []uint32{1, 2, 3, 4, 5}},
		{"axis_switch", switching(module.Args{"DATA_WIDTH": 64}), [][]uint32{{1}, {2, 5}, {3}, {4}}, nil},
		{"axis_switch", switching(module.Args{"DATA_WIDTH": 64, "M_COUNT": 3}), [][]uint32{{1}, {2, 5}, {3}}, []uint32{4}},
		{"axis_switch", module.Args{"DATA_WIDTH": 64, "M_COUNT": 1, "M_DEST_WIDTH": 8}, [][]uint32{{1, 2, 3, 4, 5}}, nil},
		{"axis_ram_switch", switching(module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 64}), [][]uint32{{1}, {2, 5}, {3}, {4}}, nil},
		{"axis_ram_switch", switching(module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 64, "M_COUNT": 3}), [][]uint32{{1}, {2, 5}, {3}}, []uint32{4}},
	} {
		t.Run(c.module, func(t *testing.T) {
			b, trace := one(c.module, c.params, sent).run(t)
			for o, want := range c.want {
				frames, _ := arrived(trace, b.out[o])
				require.Equal(t, want, frames, "output %d", o)
				_, beats := accepted(trace, b.out[o])
				for _, x := range beats {
					bits := 6
					if len(c.params) == 3 && c.params["S_DEST_WIDTH"] == 0 {
						bits = 8
					}
					require.Equal(t, sent[x.Frame-1].Dest&(1<<bits-1), x.Dest)
				}
			}
			var lost []uint32
			for _, d := range trace.Drops {
				require.Equal(t, sim.LossNoRoute, d.Why)
				lost = append(lost, d.Frame)
			}
			require.Equal(t, c.lost, lost)
		})
	}
}

// TestBroadcastWaitsForTheSlowest: each output takes a beat when it likes, the
// next comes when all have.
func TestBroadcastWaitsForTheSlowest(t *testing.T) {
	g := one("axis_broadcast", module.Args{"M_COUNT": 2, "DATA_WIDTH": 64}, numbered(1, 4, 60, 0))
	g.sink = "pat25"
	b, trace := g.run(t)
	slow, _ := accepted(trace, b.out[0])
	fast, _ := accepted(trace, b.out[1])
	require.Len(t, slow, 32)
	require.Len(t, fast, 32)
	for k := 1; k < 32; k++ {
		require.Equal(t, sim.Cycle(4), slow[k]-slow[k-1])
		require.Equal(t, slow[k-1]+1, fast[k])
	}
}

func TestRAMSwitchDrops(t *testing.T) {
	bad := numbered(1, 3, 60, 0)
	bad[1].Bad = true
	for _, c := range []struct {
		name   string
		params module.Args
		sent   []sim.Frame
		sink   string
		lost   map[sim.Loss]int
	}{
		{"oversize", module.Args{"FIFO_DEPTH": 1024}, slices.Concat(numbered(1, 2, 60, 0), numbered(3, 1, 1514, 0)), "none", map[sim.Loss]int{sim.LossOversize: 1}},
		{"full", module.Args{"FIFO_DEPTH": 1024, "DROP_WHEN_FULL": 1}, numbered(1, 20, 512, 0), "pat25", map[sim.Loss]int{sim.LossFull: 12}},
		{"waits", module.Args{"FIFO_DEPTH": 1024}, numbered(1, 20, 512, 0), "pat25", map[sim.Loss]int{}},
		{"bad", module.Args{"DROP_BAD_FRAME": 1}, bad, "none", map[sim.Loss]int{sim.LossBad: 1}},
		{"bad passes", nil, bad, "none", map[sim.Loss]int{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := switching(module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 64})
			for k, v := range c.params {
				p[k] = v
			}
			g := one("axis_ram_switch", p, c.sent)
			g.sink = c.sink
			b, trace := g.run(t)
			lost, n := map[sim.Loss]int{}, 0
			for _, d := range trace.Drops {
				lost[d.Why]++
				n++
			}
			require.Equal(t, c.lost, lost)
			frames, _ := arrived(trace, b.out[0])
			require.Len(t, frames, len(c.sent)-n)
		})
	}
}

// TestRAMSwitchReadsTooFar: the RTL does not clear len_reg when it drops a
// frame for which the memory is full, so the next frame is read longer by what
// had been stored of it.
func TestRAMSwitchReadsTooFar(t *testing.T) {
	g := one("axis_ram_switch", switching(module.Args{"FIFO_DEPTH": 1024, "S_DATA_WIDTH": 64, "M_DATA_WIDTH": 64, "DROP_WHEN_FULL": 1}), numbered(1, 20, 200, 0))
	g.sink = "pat25"
	b, trace := g.run(t)
	_, beats := accepted(trace, b.out[0])
	bytes := map[uint32]int{}
	for _, x := range beats {
		require.Equal(t, x.Off, int32(bytes[x.Frame]))
		bytes[x.Frame] += int(x.Bytes)
		require.Equal(t, x.Last, x.Left == x.Bytes)
	}
	require.Equal(t, 200, bytes[11])
	require.Equal(t, 200+8*32, bytes[14])
	require.Equal(t, 200+12*32, bytes[18])
	require.Len(t, trace.Drops, 7)
}

// several are grids with several inputs and outputs.
func several() map[string]grid {
	mixed := func(id uint32, dests ...uint8) (f []sim.Frame) {
		for k, n := range []int{60, 1514, 65, 64, 700, 9, 128, 60, 300} {
			f = append(f, sim.Frame{ID: id + uint32(k), Bytes: n, Dest: dests[k%len(dests)], Gap: sim.Cycle(k % 3 * 5)})
		}
		return f
	}
	ins := [][]sim.Frame{mixed(1, 0, 64), mixed(21, 64, 0, 192), mixed(41, 128)}
	return map[string]grid{
		"arb_mux":    one("axis_arb_mux", module.Args{"S_COUNT": 3, "DATA_WIDTH": 64}, ins...),
		"mux":        one("axis_mux", module.Args{"S_COUNT": 2, "DATA_WIDTH": 64}, ins[0]),
		"demux":      one("axis_demux", switching(module.Args{"DATA_WIDTH": 64, "TDEST_ROUTE": 1}), ins[1]),
		"broadcast":  one("axis_broadcast", module.Args{"M_COUNT": 3, "DATA_WIDTH": 64}, ins[0]),
		"switch":     one("axis_switch", switching(module.Args{"S_COUNT": 3, "DATA_WIDTH": 64}), ins...),
		"switch 1 0": one("axis_switch", switching(module.Args{"S_COUNT": 3, "DATA_WIDTH": 64, "S_REG_TYPE": 1, "M_REG_TYPE": 0}), ins...),
		"ram_switch": one("axis_ram_switch", switching(module.Args{"S_COUNT": 3, "FIFO_DEPTH": 2048, "S_DATA_WIDTH": 64, "M_DATA_WIDTH": 128}), ins...),
	}
}

// TestSwitchesConserve: under every pattern each frame leaves once at its
// output, whole and in the order of its input; the order in which stages are
// clocked does not matter, and both engines agree.
func TestSwitchesConserve(t *testing.T) {
	for name, g := range several() {
		for i, sink := range sim.Patterns {
			t.Run(name+" "+sink, func(t *testing.T) {
				g.sink, g.others = sink, sim.Patterns[(i+2)%len(sim.Patterns)]
				b, trace := g.run(t)
				if sink != "frozen" && g.others != "frozen" {
					conserved(t, g, b, trace)
				}
				for seed := range uint64(5) {
					g.seed = seed + 1
					_, other := g.run(t)
					require.Empty(t, trace.Diff(other))
				}
				diff, err := datapathtest.EnginesDiffer(func() *sim.Net { return g.build(t).net }, 160_000_000, nil)
				require.NoError(t, err)
				require.Empty(t, diff)
			})
		}
	}
}

func conserved(t *testing.T, g grid, b *built, trace *datapathtest.Trace) {
	copies := 1
	if g.blocks[0].Module == "axis_broadcast" {
		copies = len(b.out)
	}
	sent := map[uint32]int{}
	for _, fs := range g.inputs {
		for _, f := range fs {
			sent[f.ID] = f.Bytes
		}
	}
	count := map[uint32]int{}
	for _, w := range b.out {
		_, beats := accepted(trace, w)
		off, before := 0, map[uint32]uint32{} // by input: the last frame that came
		for k, x := range beats {
			require.Equal(t, k == 0 || beats[k-1].Last, x.First)
			require.Equal(t, off, int(x.Off))
			require.Equal(t, sent[x.Frame]-off, int(x.Left))
			off += int(x.Bytes)
			require.Equal(t, off == sent[x.Frame], x.Last)
			if x.Last {
				require.Greater(t, x.Frame, before[x.Frame/20])
				before[x.Frame/20], off = x.Frame, 0
				count[x.Frame]++
			}
		}
	}
	require.Empty(t, trace.Drops)
	require.Len(t, count, len(sent))
	for f, n := range count {
		require.Equal(t, copies, n, "frame %d", f)
	}
}

func TestSwitchesRefuse(t *testing.T) {
	for _, c := range []struct {
		module string
		params module.Args
		want   string
	}{
		{"axis_mux", module.Args{"DATA_WIDTH": 64, "S_COUNT": 2, "select": 2}, "select is 2, axis_mux has inputs 0 to 1"},
		{"axis_demux", module.Args{"DATA_WIDTH": 64, "M_COUNT": 2, "select": 2}, "select is 2, axis_demux has outputs 0 to 1"},
		{"axis_demux", module.Args{"DATA_WIDTH": 64, "TDEST_ROUTE": 1}, "axis_demux needs a tdest of 10 bits, a stream here has 8: set S_DEST_WIDTH or M_DEST_WIDTH"},
		{"axis_switch", module.Args{"DATA_WIDTH": 64, "S_DEST_WIDTH": 1}, "S_DEST_WIDTH is 1 bits, too few for 4 outputs"},
		{"axis_ram_switch", module.Args{"S_DATA_WIDTH": 512, "M_DATA_WIDTH": 512, "FIFO_DEPTH": 256}, "FIFO_DEPTH is 256 bytes, want two words of the memory, which are 256 bytes each"},
		{"axis_arb_mux", module.Args{"DATA_WIDTH": 64, "LAST_ENABLE": 0}, "LAST_ENABLE is 0, want 1"},
	} {
		_, err := find(t, c.module).Fill(c.params)
		require.EqualError(t, err, c.want)
	}
}
