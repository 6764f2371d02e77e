package card_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// The link's bandwidth is the paper's: 57.88 Gbit/s for gen 3 x8, to 0.2 %.
func TestLink(t *testing.T) {
	for _, tt := range []struct {
		gen, lanes int
		gbps       float64
	}{{1, 1, 2 * 0.92}, {2, 4, 16 * 0.92}, {3, 8, 57.88}, {3, 16, 115.8}, {4, 16, 231.5}, {5, 16, 463.1}} {
		took := card.NewLink(tt.gen, tt.lanes).Time(1 << 16)
		require.InEpsilon(t, tt.gbps, float64(8<<16)*1000/float64(took), 0.002, "gen %d x%d", tt.gen, tt.lanes)
	}
}

func edges(t sim.Picos, period sim.Picos) sim.Cycle { return sim.Cycle((t + period - 1) / period) }

// One frame through an idle link: stored, sent, there a latency later.
func TestDMALatency(t *testing.T) {
	link := card.NewLink(3, 16)
	const period = 4000
	for _, tt := range []struct {
		name  string
		args  module.Args
		bytes int
		took  sim.Picos // from the last beat in to the first beat out
	}{
		{"dma_write", nil, 60, link.Time(24+60+24) + link.Time(16+24) + 273_000},
		{"dma_write", module.Args{"DESC_BYTES": 0}, 60, link.Time(60+24) + 273_000},
		{"dma_write", module.Args{"DESC_FETCH": 1}, 60, 546_000 + link.Time(24+60+24) + link.Time(16+24) + 273_000},
		{"dma_write", module.Args{"DESC_BYTES": 0}, 1514, 5*link.Time(256+24) + link.Time(234+24) + 273_000},
		{"dma_write", module.Args{"DESC_BYTES": 0, "OUTSTANDING": 1}, 512, 2*link.Time(256+24) + 546_000 + 273_000},
		{"dma_read", module.Args{"DESC_BYTES": 0}, 60, link.Time(24) + 546_000 + link.Time(60+20)},
		{"dma_read", nil, 60, 546_000 + link.Time(48) + 546_000 + link.Time(36+60+20)},
		{"dma_read", module.Args{"DESC_FETCH": 0}, 60, link.Time(48) + 546_000 + link.Time(36+60+20)},
		{"dma_read", module.Args{"DESC_BYTES": 0}, 1514, link.Time(24) + 546_000 + 2*link.Time(512+40) + link.Time(490+40)},
		{"dma_read", module.Args{"DESC_BYTES": 0, "OUTSTANDING": 1}, 1514, 3*(link.Time(24)+546_000) + 2*link.Time(512+40) + link.Time(490+40)},
	} {
		r, _ := bench{mhz: 250, bits: 512, frames: train(1, tt.bytes, 0), name: tt.name, args: tt.args}.run(t)
		require.Equal(t, edges(tt.took, period), r.first["out"]-r.lasts("in")[0], "%s %v %d bytes", tt.name, tt.args, tt.bytes)
	}
}

// Frames back to back: the slowest of bus, link and window.
func TestDMAThroughput(t *testing.T) {
	x8 := card.NewLink(3, 8)
	for _, tt := range []struct {
		name  string
		args  module.Args
		bytes int
		every sim.Picos // a frame
	}{
		{"dma_write", module.Args{"LANES": 8}, 1514, 5*x8.Time(256+24) + x8.Time(234+24) + x8.Time(24) + x8.Time(16+24)},
		{"dma_write", module.Args{"LANES": 8, "OUTSTANDING": 256}, 60, x8.Time(24+60+24) + x8.Time(16+24)},
		{"dma_write", module.Args{"GEN": 5, "DESC_BYTES": 0, "OUTSTANDING": 1024, "MPS": 4096}, 4096, 64 * 4000}, // the bus
		{"dma_write", module.Args{"DESC_BYTES": 0, "OUTSTANDING": 8}, 256, (546_000 + card.NewLink(3, 16).Time(280)) / 8},
		{"dma_read", module.Args{"LANES": 8, "OUTSTANDING": 256}, 1514, 2*x8.Time(512+40) + x8.Time(490+40) + x8.Time(36)},
		{"dma_read", module.Args{"DESC_BYTES": 0, "OUTSTANDING": 4}, 512, (546_000 + card.NewLink(3, 16).Time(24+552)) / 4},
	} {
		const n = 1000
		r, _ := bench{mhz: 250, bits: 512, frames: train(2*n+1, tt.bytes, 0), name: tt.name, args: tt.args}.run(t)
		lasts := r.lasts("out")
		took := sim.Picos(lasts[2*n]-lasts[n]) * 4000
		require.InEpsilon(t, float64(n*tt.every), float64(took), 0.005, "%s %v %d bytes", tt.name, tt.args, tt.bytes)
	}
}

// The card's memory bounds what is inside; a frame longer than it is dropped.
func TestDMAMemory(t *testing.T) {
	for _, name := range []string{"dma_write", "dma_read"} {
		args := module.Args{"BUFFER": 2048, "GEN": 1, "LANES": 1}
		b := bench{mhz: 250, bits: 512, frames: train(50, 700, 0), name: name, args: args, pattern: "pat25"}
		n, stage := b.net(t)
		tick, err := sim.NewTicker(n, nil)
		require.NoError(t, err)
		require.True(t, tick.Run(second))
		require.LessOrEqual(t, tick.Highest(1), 2048)
		require.GreaterOrEqual(t, tick.Highest(1), 1400)
		require.Zero(t, stage.(sim.Leveller).Level(), "all is given back")

		b.frames = append(train(2, 2100, 0), sim.Frame{ID: 3, Bytes: 100})
		r, _ := b.run(t)
		require.Equal(t, map[uint32]sim.Loss{1: sim.LossOversize, 2: sim.LossOversize}, r.drops)
		require.Len(t, r.lasts("out"), 1)
	}
}
