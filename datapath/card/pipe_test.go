package card_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Latency of the first beat and cycles a frame, at 250 MHz, against closed forms.
func TestPipes(t *testing.T) {
	for _, tt := range []struct {
		name           string
		args           module.Args
		bits, bytes    int
		latency, every int
	}{
		{"parser", nil, 512, 60, 2, 1},
		{"parser", nil, 512, 1514, 2, 24},
		{"parser", nil, 64, 60, 2 + 6, 8},     // 54 bytes: 7 beats
		{"parser", nil, 64, 20, 2 + 2, 3},     // all of the frame is header
		{"parser", nil, 64, 1514, 2 + 6, 190}, // the same, for all lengths
		{"parser", module.Args{"HEADERS": 94}, 512, 1514, 2 + 1, 24},
		{"parser", module.Args{"VERIFY": 1}, 512, 1514, 2 + 6, 24},
		{"parser", module.Args{"VERIFY": 1}, 512, 60, 2 + 6, 1},
		{"match_action", nil, 512, 60, 5, 1},
		{"match_action", module.Args{"KIND": card.LPM, "KEY_BITS": 32}, 512, 60, 3 + 2*4, 1},
		{"match_action", module.Args{"KIND": card.LPM, "KEY_BITS": 128, "STRIDE": 5}, 512, 1514, 3 + 2*26, 24},
		{"match_action", module.Args{"KIND": card.Ternary, "ENTRIES": 16}, 512, 60, 5, 1},
		{"match_action", module.Args{"KIND": card.Ternary, "ENTRIES": 1024}, 512, 60, 6, 1},
		{"match_action", module.Args{"KIND": card.Ternary, "ENTRIES": 1025}, 512, 60, 7, 1},
		{"match_action", module.Args{"LATENCY": 9}, 64, 60, 9, 8},
		{"tcp_tracker", nil, 512, 60, 1, 1},
		{"deparser", nil, 512, 1514, 2, 24},
		{"deparser", module.Args{"PUSH": 14}, 512, 1514, 2, 24}, // 1528
		{"deparser", module.Args{"PUSH": 14}, 512, 60, 2, 2},    // 74: the output is the bottleneck
		{"deparser", module.Args{"PUSH": 14}, 64, 60, 2, 10},
		{"deparser", module.Args{"PUSH": -14}, 512, 1514, 2 + 1, 24}, // sees one beat further
		{"deparser", module.Args{"PUSH": -14}, 64, 60, 2 + 2, 8},     // the input is
		{"flow_table", nil, 512, 60, 2 + 23, 1},                      // 89.9 ns
		{"flow_table", module.Args{"MEMORY": 1}, 512, 60, 2 + 31, 1}, // 122.2 ns
		{"flow_table", module.Args{"MEMORY": 1, "READS": 2}, 512, 60, 2 + 62, 1},
		{"flow_table", module.Args{"LATENCY_NS": 200, "INTERVAL": 9}, 512, 60, 2 + 50, 9},
		{"flow_state", nil, 512, 60, 4 + 2*5, 2},                                      // two accesses on chip
		{"flow_state", module.Args{"FLOWS": 1 << 17}, 512, 60, 4 + 2*5, 2},            // 16 MiB: fits
		{"flow_state", module.Args{"FLOWS": 1 << 18}, 512, 60, 4 + 2*(2+31), 2},       // 32 MiB: HBM, 122.2 ns are 31 cycles; 64 frames under way of 70 cycles
		{"flow_state", module.Args{"MEMORY": card.DDR4}, 512, 1514, 4 + 2*(2+23), 24}, // 89.9 ns are 23
		{"flow_state", module.Args{"INTERVAL": 9}, 512, 60, 4 + 2*5, 18},              // two accesses, 9 cycles each
		{"route_table", module.Args{"ACCESS_NS": 10}, 512, 60, 2 + 4*(2+3), 4},        // 10 ns are 3
		{"route_table", nil, 512, 60, 2 + 4*5, 4},                                     // four lookups
		{"head_rewrite", module.Args{"WRITTEN": 0, "GROW": 0}, 512, 1514, 3, 24},      // nothing new
		{"head_rewrite", nil, 512, 400, 3 + 3, 24},                                    // 340 bytes of 510, 16 a cycle: 22, and two beats behind them
		{"l7_scanner", nil, 512, 60, 3 + 7, 8},                                        // 60 bytes, 8 a cycle: 8 cycles, the first as they come
		{"l7_scanner", nil, 512, 1514, 3 + 31, 32},                                    // 256 of them
		{"l7_scanner", nil, 64, 1514, 3 + 31, 190},
		{"l7_scanner", module.Args{"BYTES_PER_CYCLE": 64}, 64, 1514, 3 + 31, 190},
		{"l7_scanner", module.Args{"BYTES_PER_CYCLE": 64}, 512, 1514, 3 + 3, 24},
		{"l7_scanner", module.Args{"BYTES_PER_CYCLE": 1, "HEAD_MAX": 100}, 512, 1514, 3 + 99, 100},
	} {
		b := bench{mhz: 250, bits: tt.bits, frames: train(64, tt.bytes, 0), name: tt.name, args: tt.args}
		r, _ := b.run(t)
		require.Equal(t, sim.Cycle(tt.latency), r.first["out"]-r.first["in"], "%s %v %d bit %d bytes: latency", tt.name, tt.args, tt.bits, tt.bytes)
		lasts := r.lasts("out")
		require.Len(t, lasts, 64)
		require.Equal(t, sim.Cycle(32*tt.every), lasts[63]-lasts[31], "%s %v %d bit %d bytes: cycles of 32 frames", tt.name, tt.args, tt.bits, tt.bytes)
	}
}

// As many lookups are under way as the table allows: 4 frames every 52 cycles.
func TestFlowTableIsLimitedByItsReads(t *testing.T) {
	b := bench{mhz: 250, bits: 512, frames: train(64, 64, 0), name: "flow_table", args: module.Args{"LATENCY_NS": 200, "OUTSTANDING": 4}}
	r, _ := b.run(t)
	lasts := r.lasts("out")
	// A place is free in the cycle after its frame has left.
	require.Equal(t, sim.Cycle(8*(52+1)), lasts[63]-lasts[31])
}

// What an actor decides.
func TestAct(t *testing.T) {
	var seen []card.Seen
	act := func(s card.Seen) (v card.Verdict) {
		seen = append(seen, s)
		switch s.Frame {
		case 2:
			v.Loss = sim.LossVerdict
		case 3:
			v.Route, v.Dest = true, 7
		case 4:
			v.Push = 50
		case 5:
			v.Push, v.Route, v.Dest = -4, true, 2
		case 6:
			v.Push = -200
		}
		return v
	}
	b := bench{mhz: 250, bits: 64, frames: train(7, 60, 0), pattern: "alt50"}
	b.stage = func(in, out *sim.Wire) sim.Stage {
		return card.NewPipe(card.Config{Latency: 3, Head: 54, MaxPush: 50, Act: card.ActFunc(act)}, in, out)
	}
	r, stage := b.run(t)
	require.Equal(t, map[uint32]sim.Loss{2: sim.LossVerdict, 6: sim.LossBad}, r.drops)
	require.Equal(t, uint64(1), stage.(*card.Pipe).Count[sim.LossVerdict])
	var bytes [8]int
	for _, m := range r.on("out") {
		bytes[m.beat.Frame] += int(m.beat.Bytes)
		require.Equal(t, map[uint32]uint8{3: 7, 5: 2}[m.beat.Frame], m.beat.Dest, "frame %d", m.beat.Frame)
	}
	require.Equal(t, [8]int{0, 60, 0, 60, 110, 56, 0, 60}, bytes)
	require.Equal(t, card.Seen{Frame: 1, Bytes: 60, At: 6}, seen[0], "54 bytes are in with the seventh beat")
	require.Len(t, seen, 7)
}

// A head as long as its actor says, and no longer than configured.
type heads map[uint32]int

func (h heads) Head(frame uint32) int           { return h[frame] }
func (heads) Decide(card.Seen) (v card.Verdict) { return v }

func TestHeadByFrame(t *testing.T) {
	b := bench{mhz: 250, bits: 64, frames: train(3, 800, 1000)}
	b.stage = func(in, out *sim.Wire) sim.Stage {
		return card.NewPipe(card.Config{Latency: 1, Head: 8, MaxHead: 400, Act: heads{2: 80, 3: 900}}, in, out)
	}
	r, _ := b.run(t)
	var latency []sim.Cycle
	var came sim.Cycle
	for _, m := range r.beats {
		if m.beat.First && m.wire == "in" {
			came = m.at
		} else if m.beat.First {
			latency = append(latency, m.at-came)
		}
	}
	require.Equal(t, []sim.Cycle{1, 1 + 9, 1 + 49}, latency)
}
