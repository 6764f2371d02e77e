package corundum_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/corundum"
	"github.com/meshnic/meshnic/datapath/sim"
)

// at are the cycles, from the first, in which beats came.
func (s *seen) at(beats []moved) (at []int) {
	for _, m := range beats {
		at = append(at, s.cycles(s.in[0].accepted, m.accepted))
	}
	return at
}

func TestHashIsThereThreeCyclesAfterThePorts(t *testing.T) {
	for _, tt := range []struct{ width, bytes, want int }{
		{512, 60, 3}, {512, 1514, 3}, {256, 1514, 4}, {128, 1514, 5}, {64, 60, 7}, {64, 1514, 7}, {32, 60, 12}, {8, 60, 40},
		{64, 30, 6}, {64, 8, 3}, // over before: with the last beat
	} {
		t.Run(fmt.Sprintf("%d_bits_%d_bytes", tt.width, tt.bytes), func(t *testing.T) {
			s := chain{stages: []stage{of("rx_hash", "DATA_WIDTH", tt.width)}, frames: train(3, tt.bytes)}.run(t)
			b := sim.Beats(tt.bytes, tt.width/8)
			require.Equal(t, []int{tt.want, tt.want + b, tt.want + 2*b}, s.at(s.out))
			require.Len(t, s.in, 3*b)
			require.Equal(t, sim.Beat{Frame: 1, Bytes: 4, Left: 4, First: true, Last: true}, s.out[0].beat)
		})
	}
}

func TestChecksumIsThereAfterTheLastBeat(t *testing.T) {
	for _, tt := range []struct{ width, want int }{{1024, 7}, {512, 6}, {256, 5}, {128, 4}, {64, 3}, {32, 2}} {
		for _, bytes := range []int{1, 60, 1514} {
			s := chain{stages: []stage{of("rx_checksum", "DATA_WIDTH", tt.width)}, frames: train(3, bytes)}.run(t)
			b := sim.Beats(bytes, tt.width/8)
			require.Equal(t, []int{b - 1 + tt.want, 2*b - 1 + tt.want, 3*b - 1 + tt.want}, s.at(s.out), "%d bits, %d bytes", tt.width, bytes)
		}
	}
}

// watched runs one frame of 200 bytes through a tap on 64 bits that lets it pass.
func watched(t *testing.T, cfg corundum.TapConfig) (s *seen, results []int) {
	net := &sim.Net{}
	clock := net.Clock("clk", 4000, 2000)
	s = &seen{src: net.Wire("in", clock, 8), dst: net.Wire("out", clock, 8)}
	cfg.Result = func(_ uint32, at sim.Cycle) { results = append(results, int(at)) }
	fs := sim.Frames(frames(200))
	pattern, err := sim.NewPattern("alt50")
	require.NoError(t, err)
	net.Add("source", &sim.Source{Out: s.src, Feed: &fs})
	net.Add("tap", corundum.NewRxHash(cfg, s.src, s.dst))
	net.Add("sink", &sim.Sink{In: s.dst, Pattern: pattern})
	tick, err := sim.NewTicker(net, s)
	require.NoError(t, err)
	require.True(t, tick.Run(1e9))
	return s, results
}

func TestTapLetsTheStreamPass(t *testing.T) {
	for _, tt := range []struct {
		kind corundum.Kind
		beat int // the one that tells
	}{
		{corundum.Ports, 4}, {corundum.Addrs, 4}, {corundum.Other, 1}, {corundum.Late, 24},
	} {
		s, results := watched(t, corundum.TapConfig{Pass: true, Kind: func(uint32) corundum.Kind { return tt.kind }})
		require.Equal(t, 1, whole(t, frames(200), s.out))
		require.Equal(t, s.at(s.in), s.at(s.out), "by wire")
		require.Equal(t, []int{2*tt.beat + 3}, results, "a beat passes every second cycle")
	}
}
