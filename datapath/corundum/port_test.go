package corundum_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/corundum"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// received is 64 frames into the receive side of a port at 100G, with so many
// idle cycles between them.
func received(t *testing.T, bytes int, gap sim.Cycle, params ...any) *seen {
	c := chain{stages: []stage{port("mqnic_port_rx", params...)}, mhz: 322.165, phase: 37, frames: train(64, bytes)}
	for i := range c.frames[1:] {
		c.frames[i+1].Gap = gap
	}
	c.frames[0].At = 3104/2 + 64*3104 // where the records of the RTL have it
	s := c.run(t)
	require.True(t, s.rest)
	return s
}

// At 322 MHz a frame in every beat is more than 250 MHz can take. The figures
// are those of bench/reference/rtl-cycles.jsonl, and for cut frames those of
// the same Verilog in simulation.
func TestPortCutsWhatFindsNoRoom(t *testing.T) {
	for _, tt := range []struct{ bytes, drops, lost, cut int }{
		{60, 0, 0, 0}, {128, 1, 128, 1}, {256, 4, 1856, 14}, {512, 3, 5824, 18}, {1514, 5, 20690, 20},
	} {
		t.Run(fmt.Sprint(tt.bytes), func(t *testing.T) {
			s := received(t, tt.bytes, 0)
			in, out, ends, bad := 0, 0, 0, 0
			for _, m := range s.in {
				in += int(m.beat.Bytes)
				require.Equal(t, m.offered, m.accepted, "the MAC never waits")
			}
			for _, m := range s.out {
				out += int(m.beat.Bytes)
				ends += bit(m.beat.Last)
				bad += bit(m.beat.Bad)
			}
			require.Equal(t, tt.drops, len(s.lost), "frames lost whole")
			require.Equal(t, 64-tt.drops, ends)
			require.Equal(t, tt.lost, in-out, "bytes")
			require.Equal(t, tt.cut, bad, "frames cut and marked")
		})
	}
}

func TestPortTakesTheLineRate(t *testing.T) {
	for bytes, gap := range map[int]sim.Cycle{60: 2, 128: 2, 256: 4, 512: 6, 1514: 16} {
		s := received(t, bytes, gap)
		require.Empty(t, s.lost)
		require.Equal(t, 64, whole(t, train(64, bytes), s.out))
	}
}

func TestPortThatUsesReady(t *testing.T) {
	s := received(t, 1514, 0, "AXIS_RX_USE_READY", 1)
	require.Empty(t, s.lost)
	require.Equal(t, 64, whole(t, train(64, 1514), s.out))
	require.Less(t, s.src.Clock.At(0), s.in[len(s.in)-1].accepted-s.in[len(s.in)-1].offered, "the MAC waits")
}

// The transmit side gathers a frame; one that is longer than its 32 beats leaves
// in pieces.
func TestPortTransmitsWholeFrames(t *testing.T) {
	for _, bytes := range []int{60, 1514, 2048, 2049, 9000} {
		c := chain{stages: []stage{port("mqnic_port_tx")}, phase: 37, frames: train(5, bytes)}
		s := c.run(t)
		require.Equal(t, 5, whole(t, c.frames, s.out))
		b := sim.Beats(bytes, 64)
		if bytes > 2048 {
			continue
		}
		require.Less(t, s.in[b-1].accepted, s.out[0].offered, "store and forward")
		for k := 1; k < b; k++ {
			require.Equal(t, s.dst.Clock.Period, s.out[k].accepted-s.out[k-1].accepted, "no bubble")
		}
	}
}

var rows = [][]stage{
	{of("tx_checksum", "DATA_WIDTH", 64, "DATA_FIFO_DEPTH", 2048, "CHECKSUM_FIFO_DEPTH", 4)},
	{of("mqnic_egress", "AXIS_DATA_WIDTH", 512)},
	{of("mqnic_ingress", "AXIS_DATA_WIDTH", 128)},
	{port("mqnic_port_tx", "AXIS_TX_PIPELINE", 2)},
	{port("mqnic_port_tx", "AXIS_SYNC_DATA_WIDTH", 128)},
	{port("mqnic_port_rx", "AXIS_RX_USE_READY", 1, "AXIS_RX_PIPELINE", 3)},
	{port("mqnic_port_rx", "AXIS_RX_USE_READY", 1, "AXIS_SYNC_DATA_WIDTH", 1024)},
	{of("rx_hash", "DATA_WIDTH", 512, "PASS_THROUGH", 1), of("rx_checksum", "DATA_WIDTH", 512, "PASS_THROUGH", 1), of("mqnic_ingress", "AXIS_DATA_WIDTH", 512)},
	{of("mqnic_egress", "AXIS_DATA_WIDTH", 512), port("mqnic_port_tx")},
}

// mixed are frames of many sizes with gaps, some marked bad.
func mixed(n int) (f []sim.Frame) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range n {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: 1 + r.IntN(1518), Bad: r.IntN(8) == 0, Gap: sim.Cycle(r.IntN(3) * r.IntN(40))})
	}
	return f
}

func TestNothingIsLostOrReordered(t *testing.T) {
	for i, row := range rows {
		for _, sink := range sim.Patterns[:len(sim.Patterns)-1] {
			t.Run(fmt.Sprintf("%d_%s_%s", i, row[0].Module, sink), func(t *testing.T) {
				c := chain{stages: row, phase: 1200, sink: sink, frames: mixed(60)}
				s := c.run(t)
				require.True(t, s.rest)
				require.Equal(t, 60, whole(t, c.frames, s.out))
				for seed := range uint64(3) {
					c.order = rand.New(rand.NewPCG(seed, 0)).Shuffle
					require.Equal(t, s, c.run(t), "the order of stages matters")
				}
			})
		}
	}
}

func TestEnginesAgree(t *testing.T) {
	more := append([][]stage{
		{of("rx_hash", "DATA_WIDTH", 64)}, {of("rx_checksum", "DATA_WIDTH", 256)}, {port("mqnic_port_rx")},
		{port("mqnic_port_rx"), of("mqnic_ingress", "AXIS_DATA_WIDTH", 512)},
	}, rows...)
	for i, row := range more {
		for _, sink := range sim.Patterns[:len(sim.Patterns)-1] {
			t.Run(fmt.Sprintf("%d_%s_%s", i, row[0].Module, sink), func(t *testing.T) {
				c := chain{stages: row, phase: 1200, sink: sink, frames: mixed(40)}
				diff, err := datapathtest.EnginesDiffer(func() *sim.Net { net, _ := c.build(t); return net }, 1e9, nil)
				require.NoError(t, err)
				require.Empty(t, diff)
			})
		}
	}
}

func TestWhatTheModelDoesNotHaveIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		args module.Args
		want string
	}{
		{"rx_hash", module.Args{"DATA_WIDTH": 24}, "DATA_WIDTH is 24, want a power of two"},
		{"rx_checksum", module.Args{"DATA_WIDTH": 16}, "DATA_WIDTH is 16, want 32 to 1024"},
		{"tx_checksum", module.Args{"DATA_WIDTH": 512, "DATA_FIFO_DEPTH": 64}, "at least two beats of 64 bytes"},
		{"mqnic_egress", module.Args{"AXIS_DATA_WIDTH": 512, "MAX_TX_SIZE": 100}, "at least two beats of 64 bytes"},
		{"mqnic_port_rx", module.Args{"AXIS_DATA_WIDTH": 512, "S_CLK_MHZ": 322.165, "M_CLK_MHZ": 250, "APP": 1}, "APP is 1, want 0"},
		{"mqnic_port_tx", module.Args{"AXIS_DATA_WIDTH": 512, "S_CLK_MHZ": 250, "M_CLK_MHZ": 322.165, "PFC_ENABLE": 1}, "PFC_ENABLE is 1, want 0"},
		{"mqnic_port_rx", module.Args{"AXIS_DATA_WIDTH": 1024, "AXIS_SYNC_DATA_WIDTH": 16, "S_CLK_MHZ": 1, "M_CLK_MHZ": 1}, "less than two words"},
	} {
		_, err := find(t, tt.name).Fill(tt.args)
		require.ErrorContains(t, err, tt.want)
	}
	require.Len(t, corundum.Modules, 7)
}
