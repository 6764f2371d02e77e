package ethernet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Latencies of the header stages as rtl-cycles.md gives them; a module with a
// header at its input is measured from header and first beat presented.
func TestHeaderLatency(t *testing.T) {
	for _, tt := range []struct {
		module  string
		bits    float64
		bytes   int
		payload int // cycle in which the first payload beat is taken
		first   int
		last    int
	}{
		{"eth_axis_rx", 64, 60, 0, 3, 8},
		{"eth_axis_rx", 512, 60, 0, 2, 2},
		{"eth_axis_tx", 64, 60, 2, 2, 9},
		{"eth_axis_tx", 512, 60, 1, 2, 2},
		{"ip_eth_rx_64", 0, 60, 1, 5, 8},
		{"udp_ip_rx_64", 0, 60, 1, 3, 5},
		{"ip_eth_tx_64", 0, 60, 2, 1, 6},
		{"udp_ip_tx_64", 0, 60, 1, 1, 4},
		{"udp_checksum_gen_64", 0, 60, 2, 5, 7},
		{"udp_checksum_gen_64", 0, 1514, 2, 5, 188},
	} {
		b := &bench{chain: []string{tt.module}, args: width(tt.bits), frames: train(1, tt.bytes)}
		b.run(t)
		from := b.in()[0].offered
		require.Equal(t, tt.payload, int(b.in()[0].accepted-from), "%s: payload", tt.module)
		require.Equal(t, tt.first, int(b.out()[0].offered-from), "%s: first", tt.module)
		require.Equal(t, tt.last, int(lastBeats(b.out())[0]-from), "%s: last", tt.module)
	}
}

// Beats taken with the sink frozen, as rtl-capacity.jsonl has them.
func TestHeaderCapacity(t *testing.T) {
	for _, tt := range []struct {
		module string
		bits   float64
		bytes  int
		want   int
	}{
		{"eth_axis_rx", 64, 60, 4},
		{"eth_axis_rx", 512, 60, 2},
		{"eth_axis_rx", 512, 1514, 3},
		{"eth_axis_tx", 64, 60, 1},
		{"eth_axis_tx", 512, 60, 1},
		{"eth_axis_tx", 512, 1514, 2},
		{"ip_eth_rx_64", 0, 60, 5},
		{"udp_ip_rx_64", 0, 60, 3},
		{"ip_eth_tx_64", 0, 60, 0},
		{"udp_ip_tx_64", 0, 1514, 1},
		{"udp_checksum_gen_64", 0, 1514, 258},
	} {
		b := &bench{chain: []string{tt.module}, args: width(tt.bits), frames: train(8, tt.bytes), sink: "frozen"}
		b.run(t)
		taken := 0
		for _, e := range b.in() {
			if e.accepted != never {
				taken++
			}
		}
		require.Equal(t, tt.want, taken, "%s %v, %d bytes", tt.module, tt.bits, tt.bytes)
	}
}

// A header is offered one cycle before its payload.
func TestHeaderComesFirst(t *testing.T) {
	b := &bench{chain: []string{"eth_axis_rx"}, args: width(64), frames: train(1, 60)}
	b.build(t)
	e, err := sim.NewTicker(b.net, b)
	require.NoError(t, err)
	out := b.wires[1]
	hdr, payload := -1, -1
	for i := 0; e.Step(1e9); i++ {
		if out.HdrValid && hdr < 0 {
			hdr = i
		}
		if out.Valid && payload < 0 {
			payload = i
		}
	}
	require.Equal(t, 2, hdr)
	require.Equal(t, 3, payload)
	require.Equal(t, []sim.Header{{Frame: 1, Bytes: 46, Off: 14}}, b.headers)
}

// Frames that end with the header have nothing to pass on.
func TestHeaderOnlyFramesAreLost(t *testing.T) {
	for _, tt := range []struct {
		module string
		bytes  int // of the Ethernet frame
	}{
		{"eth_axis_rx", 14}, {"eth_axis_rx", 9}, {"ip_eth_rx_64", 34}, {"udp_ip_rx_64", 42},
	} {
		b := &bench{chain: []string{tt.module}, args: width(64), frames: train(3, 100, tt.bytes, 101)}
		b.run(t)
		require.Equal(t, map[uint32]sim.Loss{2: sim.LossBad}, b.lost, tt.module)
		require.Len(t, lastBeats(b.out()), 2, tt.module)
		require.Len(t, b.headers, 2, tt.module)
	}
}

// A frame marked bad stays so through all header stages.
func TestBadPassesThrough(t *testing.T) {
	for _, tt := range chains {
		frames := train(3, 100)
		frames[1].Bad = true
		b := &bench{chain: tt.chain, args: tt.args, frames: frames}
		var bad []uint32
		for _, e := range b.run(t).out() {
			if e.beat.Bad {
				require.True(t, e.beat.Last)
				bad = append(bad, e.beat.Frame)
			}
		}
		require.Equal(t, []uint32{2}, bad, tt.name)
	}
}

// The payload FIFO's level is one cycle behind and never above its depth.
func TestChecksumLevel(t *testing.T) {
	b := &bench{chain: []string{"udp_checksum_gen_64"}, frames: train(4, 1514), sink: "frozen",
		args: map[string]module.Args{"udp_checksum_gen_64": {"PAYLOAD_FIFO_DEPTH": 1000}}}
	require.Equal(t, 1024, b.run(t).highest)
}
