package ethernet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Lanes as the records of the receive MACs show them; a run begins where the one
// before it has left the line.
func TestLineSource(t *testing.T) {
	lane, deficit := 0, 0
	for _, tt := range []struct {
		bytes, frames int
		lanes         string
	}{
		{60, 1, "0"}, {60, 2, "40"}, {60, 8, "40404040"}, {60, 64, "40404040"}, {64, 1, "4"}, {64, 64, "44444444"},
		{65, 1, "4"}, {65, 2, "44"}, {65, 8, "40000444"}, {65, 64, "40000444"}, {128, 1, "4"}, {1514, 1, "4"}, {1514, 2, "00"}, {1514, 8, "44004400"},
	} {
		b := &bench{chain: []string{"axis_xgmii_rx_64"}, frames: train(tt.frames, tt.bytes), lane: lane}
		b.build(t)
		line := b.source.(*LineSource)
		line.Deficit = deficit
		e, err := sim.NewTicker(b.net, b)
		require.NoError(t, err)
		require.True(t, e.Run(1e12))
		got := starts(b.in())
		require.Equal(t, tt.lanes, got[:min(8, len(got))], "%d of %d bytes", tt.frames, tt.bytes)
		lane, deficit, _ = line.Next()
	}
}

// A frame that comes later than the line is free starts in lane 0.
func TestLineSourcePauses(t *testing.T) {
	frames := train(3, 60)
	frames[1].At = 200 * 6400
	frames[2].Gap = 3
	b := &bench{chain: []string{"axis_xgmii_rx_64"}, frames: frames, lane: 4}
	b.run(t)
	require.Equal(t, "404", starts(b.in()))
	var at []sim.Cycle
	for _, e := range b.in() {
		if e.beat.First {
			at = append(at, e.accepted)
		}
	}
	require.Equal(t, []sim.Cycle{0, 200, 200 + 10 + 3}, at)
}

// A word goes through halves and back.
func TestHalves(t *testing.T) {
	for _, tt := range []struct {
		width int
		beat  sim.Beat
	}{
		{8, sim.Beat{Bytes: 8, First: true}},
		{8, sim.Beat{Bytes: 4, First: true, Lane: 4}},
		{8, sim.Beat{Bytes: 8}},
		{8, sim.Beat{Last: true}},
		{8, sim.Beat{Bytes: 3, Last: true, Lane: 3}},
		{8, sim.Beat{Bytes: 4, Last: true, Lane: 4}},
		{8, sim.Beat{Bytes: 7, Last: true, Lane: 7}},
		{8, sim.Beat{Last: true, Lane: 7, Bad: true}}, // errors
		{8, sim.Beat{Bytes: 4}},                       // errors behind data
		{4, sim.Beat{Bytes: 4, First: true}},
		{4, sim.Beat{Bytes: 2, Last: true, Lane: 2}},
		{4, sim.Beat{Last: true, Lane: 3, Bad: true}},
	} {
		lo, hi := split(tt.beat, tt.width)
		got, ok := word(lo, hi)
		require.True(t, ok)
		require.Equal(t, tt.beat, got)
	}
}
