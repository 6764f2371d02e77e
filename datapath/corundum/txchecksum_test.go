package corundum_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
)

func TestFrameLeavesWithItsSum(t *testing.T) {
	for _, tt := range []struct {
		stage stage
		wait  int // for the command
	}{
		{of("tx_checksum", "DATA_WIDTH", 512, "csum_enable", 1), 1},
		{of("tx_checksum", "DATA_WIDTH", 512, "csum_enable", 0), 1},
		{of("mqnic_egress", "AXIS_DATA_WIDTH", 512, "MAX_TX_SIZE", 2048), 4},
	} {
		for _, bytes := range []int{60, 65, 1514} {
			t.Run(fmt.Sprintf("%s_%d", tt.stage.Module, bytes), func(t *testing.T) {
				s := chain{stages: []stage{tt.stage}, frames: train(8, bytes)}.run(t)
				b := sim.Beats(bytes, 64)
				require.Equal(t, tt.wait, s.cycles(s.in[0].offered, s.in[0].accepted), "first beat accepted")
				require.Equal(t, b+10, s.cycles(s.in[0].accepted, s.out[0].offered), "store and forward")
				require.Equal(t, b-1, s.cycles(s.out[0].accepted, s.out[b-1].accepted), "no bubble in a frame")
				require.Equal(t, b+tt.wait, s.cycles(s.in[0].accepted, s.in[b].accepted), "a command a frame")
				require.Equal(t, 8, whole(t, train(8, bytes), s.out))
			})
		}
	}
}

func TestFrozenSinkCapacity(t *testing.T) {
	for _, tt := range []struct {
		stage       stage
		short, long int // beats absorbed, of frames of 60 and of 1514 bytes
	}{
		{of("tx_checksum", "DATA_WIDTH", 512), 67, 68},
		{of("tx_checksum", "DATA_WIDTH", 512, "DATA_FIFO_DEPTH", 9214), 71, 260}, // of short frames the sums find no room
		{of("mqnic_egress", "AXIS_DATA_WIDTH", 512), 35, 36},
		{of("mqnic_ingress", "AXIS_DATA_WIDTH", 512), 34, 34},
		{port("mqnic_port_rx", "AXIS_RX_USE_READY", 1), 33, 33},
		{port("mqnic_port_tx"), 33, 33},
	} {
		for bytes, want := range map[int]int{60: tt.short, 1514: tt.long} {
			t.Run(fmt.Sprintf("%s_%d", tt.stage.Module, bytes), func(t *testing.T) {
				c := chain{stages: []stage{tt.stage}, frames: train(300, bytes), hold: 5000}
				s := c.run(t)
				n := 0
				for _, m := range s.in {
					if m.accepted < s.dst.Clock.At(c.hold) {
						n++
					}
				}
				require.Equal(t, want, n)
				require.True(t, s.rest)
				require.Equal(t, 300, whole(t, c.frames, s.out), "nothing is lost")
			})
		}
	}
}

// A tree of adders stands still while its FIFO is full, so no sum is lost even
// where the FIFO holds only two.
func TestSumsWaitForRoom(t *testing.T) {
	c := chain{stages: []stage{of("tx_checksum", "DATA_WIDTH", 512, "CHECKSUM_FIFO_DEPTH", 2)}, frames: train(60, 60), hold: 1000}
	s := c.run(t)
	require.True(t, s.rest)
	require.Equal(t, 60, whole(t, c.frames, s.out))
	require.Less(t, s.peak, 16*64, "the input stands while sums wait")
}

func TestEgressWithoutChecksumIsAWire(t *testing.T) {
	s := chain{stages: []stage{of("mqnic_egress", "AXIS_DATA_WIDTH", 512, "TX_CHECKSUM_ENABLE", 0)}, frames: train(4, 1514), sink: "pat75"}.run(t)
	require.Equal(t, s.at(s.in), s.at(s.out))
}

func TestIngressWaitsForTheHash(t *testing.T) {
	for _, tt := range []struct{ width, bytes, first int }{
		{512, 60, 6}, {512, 1514, 6}, // 3 for the hash, 3 for its FIFO
		{64, 1514, 10},
		{64, 32, 9}, // no ports: known with the last of 4 beats
	} {
		s := chain{stages: []stage{of("mqnic_ingress", "AXIS_DATA_WIDTH", tt.width)}, frames: train(8, tt.bytes)}.run(t)
		require.Equal(t, tt.first, s.cycles(s.in[0].accepted, s.out[0].offered), "%+v", tt)
		require.Equal(t, 8, whole(t, train(8, tt.bytes), s.out))
	}
	s := chain{stages: []stage{of("mqnic_ingress", "AXIS_DATA_WIDTH", 512, "RX_HASH_ENABLE", 0)}, frames: train(4, 1514), sink: "alt50"}.run(t)
	require.Equal(t, s.at(s.in), s.at(s.out), "without the hash, a wire")
}

// The hardware has no way out: a frame cannot leave before its end has come in,
// and its end finds no room.
func TestFrameLongerThanTheFIFOStaysForEver(t *testing.T) {
	s := chain{stages: []stage{of("tx_checksum", "DATA_WIDTH", 64, "DATA_FIFO_DEPTH", 512)}, frames: train(2, 1514)}.run(t)
	require.True(t, s.rest)
	require.Len(t, s.in, 64+2, "the RAM and two registers")
	require.Empty(t, s.out)
}
