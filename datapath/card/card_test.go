package card_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// every is each module, with parameters that reach its corners.
var every = []struct {
	name string
	args module.Args
	push int
}{
	{"mac_rx", module.Args{"RATE_GBPS": 10}, 0},
	{"mac_rx", module.Args{"RATE_GBPS": 25, "RX_FIFO_DEPTH": 256}, 0},
	{"mac_rx", module.Args{"RATE_GBPS": 100, "RX_FIFO_DEPTH": 512}, 0},
	{"mac_tx", module.Args{"RATE_GBPS": 10}, 0},
	{"mac_tx", module.Args{"RATE_GBPS": 100}, 0},
	{"parser", nil, 0},
	{"parser", module.Args{"HEADERS": 200, "VERIFY": 1}, 0},
	{"match_action", module.Args{"KIND": card.LPM}, 0},
	{"flow_table", nil, 0},
	{"flow_table", module.Args{"MEMORY": 1, "OUTSTANDING": 2, "INTERVAL": 5, "READS": 2}, 0},
	{"tcp_tracker", nil, 0},
	{"l7_scanner", module.Args{"BYTES_PER_CYCLE": 3}, 0},
	{"l7_scanner", module.Args{"HEAD_BYTES": 5000, "HEAD_MAX": 100}, 0},
	{"flow_state", nil, 0},
	{"flow_state", module.Args{"FLOWS": 1 << 20, "OUTSTANDING": 3, "INTERVAL": 4}, 0},
	{"route_table", module.Args{"MEMORY": card.DDR4, "ACCESSES": 16}, 0},
	{"head_rewrite", nil, 110},
	{"head_rewrite", module.Args{"GROW": 0, "WRITTEN": 0}, 0},
	{"head_rewrite", module.Args{"GROW": 70, "WRITTEN": 3, "BYTES_PER_CYCLE": 1}, 70},
	{"head_rewrite", module.Args{"GROW": 1, "WRITTEN": 5000, "BYTES_PER_CYCLE": 200}, 1},
	{"deparser", nil, 0},
	{"deparser", module.Args{"PUSH": 14}, 14},
	{"deparser", module.Args{"PUSH": 70}, 70},
	{"deparser", module.Args{"PUSH": -14}, -14},
	{"deparser", module.Args{"PUSH": -70}, -70},
	{"dma_write", module.Args{"BUFFER": 1024, "OUTSTANDING": 1, "MPS": 128}, 0},
	{"dma_write", module.Args{"DESCRIPTORS": 2, "DESC_FETCH": 1}, 0},
	{"dma_read", module.Args{"BUFFER": 1024, "OUTSTANDING": 2, "MRRS": 128}, 0},
	{"dma_read", module.Args{"DESCRIPTORS": 4, "DESC_BYTES": 0}, 0},
}

// No beat is lost, doubled, reordered or changed, whenever the sink is ready;
// the order in which stages are clocked does not matter, nor does the engine.
func TestConservation(t *testing.T) {
	for _, tt := range every {
		for _, bits := range []int{64, 512} {
			for _, pattern := range sim.Patterns {
				if pattern == "frozen" {
					continue
				}
				t.Run(tt.name+label(tt.args)+pattern, func(t *testing.T) {
					b := bench{mhz: 250, bits: bits, frames: mixed(60, 700), pattern: pattern, name: tt.name, args: tt.args}
					r, _ := b.run(t)
					conserved(t, b.frames, r, tt.push)
					for id, why := range r.drops {
						switch {
						case tt.name == "mac_rx":
						case tt.push < 0:
							require.LessOrEqual(t, b.frames[id-1].Bytes, -tt.push)
							require.Equal(t, sim.LossBad, why)
						default:
							t.Errorf("frame %d is lost: %s", id, why)
						}
					}
					b.shuffle = 1
					again, _ := b.run(t)
					require.Equal(t, r, again, "other order of stages")
					diff, err := datapathtest.EnginesDiffer(func() *sim.Net { n, _ := b.net(t); return n }, second, nil)
					require.NoError(t, err)
					require.Empty(t, diff)
				})
			}
		}
	}
}

// With the sink frozen everything comes to rest, with as many beats inside as
// there are places.
func TestFrozen(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   module.Args
		places int // beats at 512 bit, 64-byte frames
	}{
		{"parser", nil, 2 + 1},
		{"parser", module.Args{"HEADERS": 129}, 2 + 3},
		{"match_action", nil, 5 + 1},
		{"tcp_tracker", nil, 1 + 1},
		{"deparser", nil, 2 + 1},
		{"flow_table", module.Args{"OUTSTANDING": 7}, 7},
		{"flow_state", module.Args{"OUTSTANDING": 7}, 7},
		{"head_rewrite", module.Args{"GROW": 0}, 3 + 1},
		{"dma_write", module.Args{"DESCRIPTORS": 16}, 16},
		{"dma_read", module.Args{"BUFFER": 1024, "DESCRIPTORS": 32}, 32},
	} {
		r, _ := bench{mhz: 250, bits: 512, frames: train(2000, 64, 0), pattern: "frozen", name: tt.name, args: tt.args}.run(t)
		require.Len(t, r.on("in"), tt.places, "%s %v", tt.name, tt.args)
	}
}

func TestParametersRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		args module.Args
		want string
	}{
		{"mac_rx", module.Args{"DATA_WIDTH": 64}, "needs RATE_GBPS"},
		{"mac_rx", module.Args{"DATA_WIDTH": 64, "RATE_GBPS": 40}, "want 10, 25, 100"},
		{"match_action", module.Args{"DATA_WIDTH": 64, "KIND": 3}, "want 0, 1, 2"},
		{"l7_scanner", module.Args{"DATA_WIDTH": 64, "BYTES_PER_CYCLE": 0}, "want 1 to 128"},
		{"dma_read", module.Args{"DATA_WIDTH": 64, "MRRS": 500}, "power of two"},
	} {
		_, err := moduleNamed(t, tt.name).Fill(tt.args)
		require.ErrorContains(t, err, tt.want)
	}
}

// After warm-up nothing is allocated.
func TestNoAllocation(t *testing.T) {
	for _, tt := range every {
		n, _ := bench{mhz: 250, bits: 512, frames: train(3000, 300, 0), name: tt.name, args: tt.args}.net(t)
		tick, err := sim.NewTicker(n, nil)
		require.NoError(t, err)
		for range 100 {
			tick.Step(second)
		}
		require.Zero(t, testing.AllocsPerRun(200, func() { tick.Step(second) }), tt.name)
	}
}
