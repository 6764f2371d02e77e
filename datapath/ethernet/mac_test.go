package ethernet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// starts are the lanes of START on a line.
func starts(events []event) (lanes string) {
	for _, e := range events {
		if e.beat.First {
			lanes += fmt.Sprint(e.beat.Lane)
		}
	}
	return lanes
}

func TestReceiveLatency(t *testing.T) {
	for _, tt := range []struct {
		module            string
		args              module.Args
		lane, bytes       int
		first, last, tail int
	}{
		{"axis_xgmii_rx_64", nil, 0, 60, 4, 11, 2},
		{"axis_xgmii_rx_64", nil, 4, 64, 5, 12, 2},
		{"axis_xgmii_rx_64", nil, 4, 65, 5, 13, 3},
		{"axis_xgmii_rx_32", nil, 0, 60, 6, 20, 2},
		{"axis_xgmii_rx_32", nil, 0, 65, 6, 22, 3},
		{"eth_mac_10g(rx)", module.Args{"PFC_ENABLE": 1}, 0, 60, 5, 12, 3},
		{"eth_mac_10g(rx)", module.Args{"DATA_WIDTH": 32}, 0, 60, 6, 20, 2},
	} {
		b := &bench{chain: []string{tt.module}, args: map[string]module.Args{tt.module: tt.args}, frames: train(1, tt.bytes), lane: tt.lane}
		b.run(t)
		from := b.in()[0].accepted
		require.Equal(t, tt.first, int(b.out()[0].offered-from), tt.module)
		require.Equal(t, tt.last, int(lastBeats(b.out())[0]-from), tt.module)
		require.Equal(t, tt.tail, int(lastBeats(b.out())[0]-lastBeats(b.in())[0]), tt.module)
	}
}

func TestTransmit(t *testing.T) {
	for _, tt := range []struct {
		module string
		args   module.Args
		bytes  int
		first  int // first beat accepted to START word
		lanes  string
		apart  float64 // cycles a frame
	}{
		{"axis_xgmii_tx_64", nil, 60, 1, "04040404", 10.5},
		{"axis_xgmii_tx_64", nil, 65, 1, "00004444", 11.125},
		{"axis_xgmii_tx_64", nil, 20, 1, "04040404", 10.5}, // padded
		{"axis_xgmii_tx_64", module.Args{"ENABLE_PADDING": 0}, 52, 1, "04040404", 9.5},
		{"axis_xgmii_tx_64", module.Args{"ENABLE_DIC": 0}, 65, 1, "04040404", 11.5},
		{"axis_xgmii_tx_64", module.Args{"cfg_ifg": 16}, 60, 1, "00000000", 11},
		{"axis_xgmii_tx_64", module.Args{"cfg_ifg": 4}, 60, 1, "04040404", 10.5}, // 12 at least
		{"axis_xgmii_tx_32", nil, 60, 0, "00000000", 21},
		{"axis_xgmii_tx_32", nil, 65, 0, "00000000", 22.25},
		{"eth_mac_10g(tx)", module.Args{"PFC_ENABLE": 1}, 60, 2, "04040404", 10.5},
	} {
		b := &bench{chain: []string{tt.module}, args: map[string]module.Args{tt.module: tt.args}, frames: train(33, tt.bytes)}
		b.run(t)
		require.Equal(t, tt.first, int(b.out()[0].offered-b.in()[0].accepted), tt.module)
		require.Equal(t, tt.lanes, starts(b.out())[:8], "%s %v", tt.module, tt.args)
		at := lastBeats(b.out())
		require.InDelta(t, tt.apart, float64(at[32]-at[16])/16, 0.01, "%s %v, %d bytes", tt.module, tt.args, tt.bytes)
	}
}

// What the transmit MAC sends, the receive MAC takes: any length, any lane.
func TestLineToLine(t *testing.T) {
	for _, bits := range []string{"64", "32"} {
		frames := train(80, 60, 61, 62, 63, 64, 65, 66, 67, 1514)
		b := &bench{chain: []string{"axis_xgmii_tx_" + bits, "axis_xgmii_rx_" + bits}, frames: frames}
		conserved(t, b.run(t), func(n int) int { return n })
	}
}

func TestWrongFCS(t *testing.T) {
	for _, chain := range [][]string{{"axis_xgmii_rx_64"}, {"axis_xgmii_rx_32"}, {"eth_mac_10g_fifo(rx)"}} {
		frames := train(8, 60, 61, 62, 63, 64, 65, 66, 67)
		frames[2].Bad, frames[5].Bad = true, true
		b := &bench{chain: chain, args: fifoClocks, frames: frames}
		b.run(t)
		var bad []uint32
		for _, e := range b.out() {
			if e.beat.Bad {
				bad = append(bad, e.beat.Frame)
			}
		}
		if chain[0] == "eth_mac_10g_fifo(rx)" {
			require.Equal(t, map[uint32]sim.Loss{3: sim.LossBad, 6: sim.LossBad}, b.lost)
			require.Len(t, lastBeats(b.out()), 6)
			continue
		}
		require.Equal(t, []uint32{3, 6}, bad)
		require.Empty(t, b.lost)
	}
}

// A receive MAC cannot wait: what its sink does not take is lost.
func TestReceiveLosesWhatIsNotTaken(t *testing.T) {
	for _, engine := range []string{"tick", "maxplus"} {
		b := &bench{chain: []string{"axis_xgmii_rx_64"}, frames: train(2, 60), sink: "burst16", engine: engine}
		b.run(t)
		require.Equal(t, map[uint32]sim.Loss{2: sim.LossFull}, b.lost)
	}
}

// underrun is a source that leaves every second cycle empty.
func underrun(t *testing.T, mac func(in, out *sim.Wire) sim.Stage, rx func(in, out *sim.Wire) sim.Stage, width int) *bench {
	b := &bench{net: &sim.Net{}, frames: train(2, 100), lost: map[uint32]sim.Loss{}}
	d := b.net.Clock("clk", 6400, 0)
	for i := range 4 {
		b.wires = append(b.wires, b.net.Wire(fmt.Sprint(i), d, width))
	}
	b.net.Add("source", &sim.Source{Out: b.wires[0], Feed: &b.frames})
	b.net.Add("half", axis.NewSlice(b.wires[0], b.wires[1]))
	b.net.Add("tx", mac(b.wires[1], b.wires[2]))
	b.net.Add("rx", rx(b.wires[2], b.wires[3]))
	p, err := sim.NewPattern("none")
	require.NoError(t, err)
	b.net.Add("sink", &sim.Sink{In: b.wires[3], Pattern: p})
	b.events = make([][]event, 4)
	e, err := sim.NewTicker(b.net, b)
	require.NoError(t, err)
	require.True(t, e.Run(1e9))
	return b
}

// A frame whose beats do not come in time ends in errors, is counted where it
// was cut, and is marked bad where it arrives.
func TestUnderrun(t *testing.T) {
	c := TxConfig{Padding: true, DIC: true, MinFrame: 64, IFG: 12}
	for _, b := range []*bench{
		underrun(t, func(in, out *sim.Wire) sim.Stage { return NewTX64(in, out, c) }, func(in, out *sim.Wire) sim.Stage { return NewRX64(in, out) }, 8),
		underrun(t, func(in, out *sim.Wire) sim.Stage { return NewTX32(in, out, c) }, func(in, out *sim.Wire) sim.Stage { return NewRX32(in, out) }, 4),
	} {
		require.Equal(t, map[uint32]sim.Loss{1: sim.LossBad, 2: sim.LossBad}, b.lost)
		at := lastBeats(b.in())
		require.Len(t, at, 2, "the rest of a frame is thrown away")
		n := 0
		for _, e := range b.out() {
			if e.beat.Last {
				require.True(t, e.beat.Bad)
				n++
			}
		}
		require.Equal(t, 2, n)
	}
}
