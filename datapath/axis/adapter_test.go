package axis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

func adapts(s, m float64, f []sim.Frame) chain {
	return chain{stages: []stage{{"axis_adapter", module.Args{"S_DATA_WIDTH": s, "M_DATA_WIDTH": m}}}, frames: f}
}

func TestAdapter(t *testing.T) {
	for _, c := range []struct {
		name     string
		s, m     float64
		bytes    int
		first    float64
		beats    []int     // bytes in each output beat
		duration sim.Picos // first to last input beat, in cycles
		holds    int       // input beats with the sink frozen
	}{
		{"up", 64, 512, 100, 8, []int{64, 36}, 12, 9},
		{"up, less than a word", 64, 512, 20, 3, []int{20}, 2, 4}, // a short frame in the output register, a beat beside it
		{"down", 512, 64, 20, 1, []int{8, 8, 4}, 0, 1},
		{"down, one narrow beat", 512, 64, 8, 1, []int{8}, 0, 2},
		{"down, two wide beats", 512, 256, 100, 1, []int{32, 32, 32, 4}, 2, 1},
		{"same", 64, 64, 20, 0, []int{8, 8, 4}, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := frames(c.bytes, c.bytes, c.bytes, c.bytes)
			s := adapts(c.s, c.m, sent).run(t)
			require.Equal(t, c.first, s.first(4000))
			require.Len(t, whole(t, sent, s.out), 4)
			for i, n := range c.beats {
				require.Equal(t, n, int(s.out[i].beat.Bytes))
			}
			last := sim.Beats(c.bytes, int(c.s)/8) - 1
			require.Equal(t, c.duration*4000, s.in[last].accepted-s.in[0].accepted)

			x := adapts(c.s, c.m, sent)
			x.after, x.limit = 1e6, 1e8
			require.Len(t, x.run(t).in, c.holds)
		})
	}
}

// TestFIFOAdapterSides: the RAM is on the wider side.
func TestFIFOAdapterSides(t *testing.T) {
	for _, c := range []struct{ s, m, first float64 }{
		{64, 512, 8 + 3}, // gathered, then through the FIFO
		{512, 64, 3 + 1},
		{64, 64, 3},
	} {
		x := chain{stages: []stage{{"axis_fifo_adapter", module.Args{"S_DATA_WIDTH": c.s, "M_DATA_WIDTH": c.m, "DEPTH": 256}}}, frames: frames(512, 512)}
		s := x.run(t)
		require.Equal(t, c.first, s.first(4000))
		require.Len(t, whole(t, x.frames, s.out), 2)
		x.after, x.limit = 1e6, 1e8
		require.Equal(t, 256, x.run(t).peak)
	}
}
