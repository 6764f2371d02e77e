package ethernet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

func width(bits float64) map[string]module.Args {
	a := module.Args{"DATA_WIDTH": bits}
	return map[string]module.Args{"eth_axis_rx": a, "eth_axis_tx": a}
}

var fifoClocks = map[string]module.Args{
	"eth_mac_10g_fifo(rx)": {"MAC_MHZ": 156.25, "LOGIC_MHZ": 250},
	"eth_mac_10g_fifo(tx)": {"MAC_MHZ": 156.25, "LOGIC_MHZ": 250, "AXIS_DATA_WIDTH": 512},
}

// chains are what the tests of all stages run.
var chains = []struct {
	name  string
	chain []string
	args  map[string]module.Args
	size  func(frame int) int // bytes that leave for a frame
}{
	{"strip 8", []string{"eth_axis_rx"}, width(8), func(n int) int { return n - 14 }},
	{"strip 32", []string{"eth_axis_rx"}, width(32), func(n int) int { return n - 14 }},
	{"strip 64", []string{"eth_axis_rx"}, width(64), func(n int) int { return n - 14 }},
	{"strip 512", []string{"eth_axis_rx"}, width(512), func(n int) int { return n - 14 }},
	{"prepend 16", []string{"eth_axis_tx"}, width(16), func(n int) int { return n }},
	{"prepend 64", []string{"eth_axis_tx"}, width(64), func(n int) int { return n }},
	{"prepend 1024", []string{"eth_axis_tx"}, width(1024), func(n int) int { return n }},
	{"IP in", []string{"ip_eth_rx_64"}, nil, func(n int) int { return n - 34 }},
	{"IP out", []string{"ip_eth_tx_64"}, nil, func(n int) int { return n - 14 }},
	{"UDP in", []string{"udp_ip_rx_64"}, nil, func(n int) int { return n - 42 }},
	{"UDP out", []string{"udp_ip_tx_64"}, nil, func(n int) int { return n - 34 }},
	{"checksum", []string{"udp_checksum_gen_64"}, nil, func(n int) int { return n - 42 }},
	{"echo", []string{"eth_axis_rx", "ip_eth_rx_64", "udp_ip_rx_64", "udp_checksum_gen_64", "udp_ip_tx_64", "ip_eth_tx_64", "eth_axis_tx"},
		width(64), func(n int) int { return n }},
}

// lines are chains with XGMII at an end, whose sinks are always ready.
var lines = []struct {
	name  string
	chain []string
	args  map[string]module.Args
	size  func(frame int) int
}{
	{"receive 64", []string{"axis_xgmii_rx_64"}, nil, func(n int) int { return n }},
	{"receive 32", []string{"axis_xgmii_rx_32"}, nil, func(n int) int { return n }},
	{"receive with pause", []string{"eth_mac_10g(rx)"}, map[string]module.Args{"eth_mac_10g(rx)": {"PAUSE_ENABLE": 1}}, func(n int) int { return n }},
	{"receive with FIFO", []string{"eth_mac_10g_fifo(rx)"}, fifoClocks, func(n int) int { return n }},
	{"transmit 64", []string{"axis_xgmii_tx_64"}, nil, packetBytes},
	{"transmit 32", []string{"axis_xgmii_tx_32"}, nil, packetBytes},
	{"transmit with PFC", []string{"eth_mac_10g(tx)"}, map[string]module.Args{"eth_mac_10g(tx)": {"PFC_ENABLE": 1}}, packetBytes},
	{"transmit with FIFO", []string{"eth_mac_10g_fifo(tx)"}, fifoClocks, packetBytes},
}

func packetBytes(n int) int { return max(n, 60) + 12 }

// conserved checks that all frames left whole, once, in order.
func conserved(t *testing.T, b *bench, size func(int) int) {
	t.Helper()
	k, sent := 0, 0
	for _, e := range b.out() {
		x := e.beat
		require.Less(t, k, len(b.frames))
		f := b.frames[k]
		n := size(f.Bytes)
		require.Equal(t, f.ID, x.Frame)
		require.Equal(t, sent == 0, x.First, "first beat of frame %d", f.ID)
		require.Equal(t, n-sent, int(x.Left), "bytes left of frame %d", f.ID)
		if sent += int(x.Bytes); x.Last {
			require.Equal(t, n, sent, "bytes of frame %d", f.ID)
			k, sent = k+1, 0
		}
	}
	require.Equal(t, len(b.frames), k, "frames")
	require.Empty(t, b.lost)
	for i, h := range b.headers {
		require.Equal(t, b.frames[i].ID, h.Frame)
		require.Equal(t, size(b.frames[i].Bytes), int(h.Bytes))
	}
}

func TestConservation(t *testing.T) {
	for _, tt := range chains {
		for _, sink := range []string{"none", "alt50", "pat25", "pat75", "burst16", "rnd50"} {
			for _, gap := range []sim.Cycle{0, 5} {
				t.Run(fmt.Sprintf("%s/%s/%d", tt.name, sink, gap), func(t *testing.T) {
					frames := train(24, 60, 61, 64, 65, 66, 67, 68, 128, 129, 300, 1514, 74)
					for i := range frames {
						frames[i].Gap = gap
					}
					b := &bench{chain: tt.chain, args: tt.args, frames: frames, sink: sink}
					b.run(t)
					conserved(t, b, tt.size)
					if _, out := find(t, tt.chain[len(tt.chain)-1]).Ports(b.filled(t)); out[0].Header {
						require.Len(t, b.headers, len(frames))
					}
				})
			}
		}
	}
	for _, tt := range lines {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{chain: tt.chain, args: tt.args, frames: train(24, 60, 61, 62, 63, 64, 65, 66, 67, 48, 1514), phase: [2]sim.Picos{0, 37}}
			conserved(t, b.run(t), tt.size)
		})
	}
}

// filled are the arguments of the chain's last module.
func (b *bench) filled(t *testing.T) module.Args {
	name := b.chain[len(b.chain)-1]
	args, err := find(t, name).Fill(b.args[name])
	require.NoError(t, err)
	return args
}

// The order in which stages are clocked does not matter, nor does the engine.
func TestOrderAndEngine(t *testing.T) {
	for _, tt := range append(chains, lines...) {
		t.Run(tt.name, func(t *testing.T) {
			run := func(engine string, seed uint64) *bench {
				b := &bench{chain: tt.chain, args: tt.args, frames: train(9, 60, 65, 48, 300), phase: [2]sim.Picos{0, 37}, engine: engine, seed: seed}
				return b.run(t)
			}
			want := run("", 0)
			require.NotEmpty(t, want.out())
			for seed := range uint64(4) {
				require.Equal(t, want.events, run("", seed+1).events, "seed %d", seed+1)
			}
			got := run("maxplus", 0)
			require.Equal(t, want.in(), got.in())
			require.Equal(t, want.out(), got.out())
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		module string
		args   module.Args
		want   string
	}{
		{"eth_axis_rx", nil, "eth_axis_rx needs DATA_WIDTH"},
		{"eth_axis_rx", module.Args{"DATA_WIDTH": 24}, "DATA_WIDTH is 24, want a power of two"},
		{"ip_eth_rx_64", module.Args{"DATA_WIDTH": 512}, "ip_eth_rx_64 has no parameter DATA_WIDTH"},
		{"axis_xgmii_rx_64", module.Args{"DATA_WIDTH": 32}, "DATA_WIDTH is 32, want 64"},
		{"axis_xgmii_rx_64", module.Args{"PTP_TS_ENABLE": 1}, "has no parameter PTP_TS_ENABLE"},
		{"axis_xgmii_tx_64", module.Args{"cfg_ifg": 300}, "cfg_ifg is 300, want 0 to 200"},
		{"eth_mac_10g_fifo(rx)", nil, "needs MAC_MHZ"},
	} {
		_, err := find(t, tt.module).Fill(tt.args)
		require.ErrorContains(t, err, tt.want)
	}
}
