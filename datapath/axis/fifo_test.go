package axis_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// alone is a chain of one FIFO.
func alone(name string, p module.Args, f []sim.Frame) chain {
	a := module.Args{"DATA_WIDTH": 64}
	for k, v := range p {
		a[k] = v
	}
	return chain{stages: []stage{{name, a}}, frames: f}
}

func TestFIFOLatency(t *testing.T) {
	for _, c := range []struct {
		name   string
		module string
		params module.Args
		want   float64 // first latency of a frame of 8 beats
	}{
		{"cut-through", "axis_fifo", module.Args{"RAM_PIPELINE": 1}, 3},
		{"no register", "axis_fifo", module.Args{"RAM_PIPELINE": 0}, 2},
		{"three registers", "axis_fifo", module.Args{"RAM_PIPELINE": 3}, 5},
		{"output FIFO", "axis_fifo", module.Args{"RAM_PIPELINE": 1, "OUTPUT_FIFO_ENABLE": 1}, 5},
		{"output FIFO, two registers", "axis_fifo", module.Args{"RAM_PIPELINE": 2, "OUTPUT_FIFO_ENABLE": 1}, 6},
		{"frames", "axis_fifo", module.Args{"FRAME_FIFO": 1}, 7 + 3},
		{"shift registers", "axis_srl_fifo", nil, 1},
		{"no pipeline", "axis_pipeline_fifo", module.Args{"LENGTH": 0}, 0},
		{"pipeline", "axis_pipeline_fifo", module.Args{"LENGTH": 4}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := alone(c.module, c.params, frames(60, 60)).run(t)
			require.Equal(t, c.want, s.first(4000))
			require.Equal(t, []uint32{1, 2}, whole(t, frames(60, 60), s.out))
			require.Equal(t, sim.Picos(7*4000), s.out[7].accepted-s.out[0].accepted, "no bubble")
		})
	}
}

// TestFIFOCapacity freezes the sink: words of RAM and what stands behind it.
func TestFIFOCapacity(t *testing.T) {
	for _, c := range []struct {
		name   string
		module string
		params module.Args
		want   int
	}{
		{"cut-through", "axis_fifo", module.Args{"DEPTH": 4096, "RAM_PIPELINE": 1}, 512 + 2},
		{"rounded up", "axis_fifo", module.Args{"DEPTH": 72, "RAM_PIPELINE": 2}, 16 + 3},
		{"without tkeep", "axis_fifo", module.Args{"DEPTH": 64, "KEEP_ENABLE": 0}, 64 + 2},
		{"output FIFO", "axis_fifo", module.Args{"DEPTH": 64, "OUTPUT_FIFO_ENABLE": 1}, 8 + 8},
		{"output FIFO, two registers", "axis_fifo", module.Args{"DEPTH": 64, "OUTPUT_FIFO_ENABLE": 1, "RAM_PIPELINE": 2}, 8 + 13},
		{"frames", "axis_fifo", module.Args{"DEPTH": 128, "FRAME_FIFO": 1}, 16 + 2},
		{"between clocks", "axis_async_fifo", module.Args{"DEPTH": 128, "S_CLK_MHZ": 250, "M_CLK_MHZ": 156.25}, 16 + 2},
		{"shift registers", "axis_srl_fifo", module.Args{"DEPTH": 5}, 5},
		{"pipeline", "axis_pipeline_fifo", module.Args{"LENGTH": 2}, 14},
		{"longer pipeline", "axis_pipeline_fifo", module.Args{"LENGTH": 4}, 26},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := frames(make([]int, 200)...)
			for i := range sent {
				sent[i].Bytes = 20
			}
			x := alone(c.module, c.params, sent)
			x.after = 10_000
			x.limit = 9_000 * 4000
			require.Len(t, x.run(t).in, c.want)
			x.limit = 0
			s := x.run(t)
			require.True(t, s.rest)
			require.Len(t, whole(t, sent, s.out), len(sent))
		})
	}
}

// TestFIFOLevel: status_depth counts the words in the RAM, a cycle later.
func TestFIFOLevel(t *testing.T) {
	require.Equal(t, 8, alone("axis_fifo", nil, frames(60)).run(t).peak)
	require.Equal(t, 8*8, alone("axis_fifo", module.Args{"FRAME_FIFO": 1}, frames(60)).run(t).peak)
	x := alone("axis_fifo", module.Args{"DEPTH": 64}, frames(500))
	x.after = 100
	require.Equal(t, 64, x.run(t).peak)
}

func TestFrameFIFODrops(t *testing.T) {
	bad := frames(60, 60, 60)
	bad[1].Bad = true
	for _, c := range []struct {
		name   string
		params module.Args
		sent   []sim.Frame
		after  sim.Cycle // the sink is frozen until then
		want   []uint32
		lost   []lost
	}{
		{"oversize", module.Args{"DEPTH": 128}, frames(60, 129, 128, 400, 60), 0, []uint32{1, 3, 5}, []lost{{2, sim.LossOversize}, {4, sim.LossOversize}}},
		{"bad passes", module.Args{}, bad, 0, []uint32{1, 2, 3}, nil},
		{"bad", module.Args{"DROP_BAD_FRAME": 1}, bad, 0, []uint32{1, 3}, []lost{{2, sim.LossBad}}},
		{"waits when full", module.Args{"DEPTH": 128}, frames(60, 60, 60, 60, 60), 60, []uint32{1, 2, 3, 4, 5}, nil},
		// 16 words and two registers: the third frame finds two, the others none.
		{"full", module.Args{"DEPTH": 128, "DROP_WHEN_FULL": 1}, frames(60, 60, 60, 16, 60), 60, []uint32{1, 2, 4}, []lost{{3, sim.LossFull}, {5, sim.LossFull}}},
		{"full and oversize", module.Args{"DEPTH": 128, "DROP_WHEN_FULL": 1}, frames(400, 60), 60, []uint32{2}, []lost{{1, sim.LossOversize}}},
	} {
		for _, name := range []string{"axis_fifo", "axis_async_fifo"} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				p := module.Args{"FRAME_FIFO": 1}
				for k, v := range c.params {
					p[k] = v
				}
				if name == "axis_async_fifo" {
					p["S_CLK_MHZ"], p["M_CLK_MHZ"] = 250, 250
				}
				x := alone(name, p, c.sent)
				x.after = c.after
				s := x.run(t)
				require.Equal(t, c.want, whole(t, c.sent, s.out))
				require.Equal(t, c.lost, s.lost)
				require.True(t, s.rest)
			})
		}
	}
}

// TestDroppedRoom: a frame of 20 beats fills the 16 words, is taken to its end
// without a stall, and leaves the RAM empty for the next.
func TestDroppedRoom(t *testing.T) {
	s := alone("axis_fifo", module.Args{"DEPTH": 128, "FRAME_FIFO": 1}, frames(160, 8)).run(t)
	require.Len(t, s.in, 21)
	require.Equal(t, sim.Picos(20*4000), s.in[20].accepted-s.in[0].accepted, "an oversize frame is taken at full rate")
	require.Equal(t, 128, s.peak)
	require.Equal(t, sim.Picos(3*4000), s.out[0].offered-s.in[20].accepted)
}

// TestOversizePasses: without DROP_OVERSIZE_FRAME a frame that fills the RAM is
// sent on in pieces.
func TestOversizePasses(t *testing.T) {
	for _, p := range []module.Args{
		{"DEPTH": 64, "FRAME_FIFO": 1, "DROP_OVERSIZE_FRAME": 0},
		{"DEPTH": 64, "FRAME_FIFO": 1, "DROP_OVERSIZE_FRAME": 0, "OUTPUT_FIFO_ENABLE": 1},
	} {
		s := alone("axis_fifo", p, frames(200, 60)).run(t)
		require.Equal(t, []uint32{1, 2}, whole(t, frames(200, 60), s.out))
		require.Empty(t, s.lost)
		require.Equal(t, sim.Picos(8*4000), s.in[8].offered-s.in[0].accepted)
		require.Greater(t, s.in[8].accepted, s.in[8].offered, "waits until the piece is sent")
	}
}

// TestMarkWhenFull: a frame that finds no room any more is cut and ends marked
// bad as soon as there is room; one that finds none at all is lost.
func TestMarkWhenFull(t *testing.T) {
	for _, name := range []string{"axis_fifo", "axis_async_fifo"} {
		p := module.Args{"DEPTH": 64, "MARK_WHEN_FULL": 1}
		if name == "axis_async_fifo" {
			p["S_CLK_MHZ"], p["M_CLK_MHZ"] = 250, 250
		}
		x := alone(name, p, frames(40, 60, 60, 24))
		x.frames[3].Gap = 100
		x.after = 60
		s := x.run(t)
		require.Len(t, s.in, 5+8+8+3)
		require.Equal(t, sim.Picos(20*4000), s.in[20].accepted-s.in[0].accepted, "always ready")
		require.Equal(t, []lost{{3, sim.LossFull}}, s.lost)
		var got []string
		for _, m := range s.out {
			if m.beat.Last {
				got = append(got, fmt.Sprint(m.beat.Frame, " ", m.beat.Off, " ", m.beat.Bad))
			}
		}
		// Eight words and two registers hold 5 beats of the first frame and 5 of
		// the second; the ninth stands where the sixth was.
		require.Equal(t, []string{"1 32 false", "2 40 true", "4 16 false"}, got)
	}
}

func TestFIFORefuses(t *testing.T) {
	for _, c := range []struct {
		params module.Args
		want   string
	}{
		{module.Args{"DEPTH": 8}, "DEPTH is 8, want 16 or more: two words of 8 bytes"},
		{module.Args{"DROP_OVERSIZE_FRAME": 1}, "DROP_OVERSIZE_FRAME 1 needs FRAME_FIFO 1"},
		{module.Args{"FRAME_FIFO": 1, "DROP_OVERSIZE_FRAME": 0, "DROP_WHEN_FULL": 1}, "DROP_WHEN_FULL 1 needs FRAME_FIFO 1 and DROP_OVERSIZE_FRAME 1"},
		{module.Args{"DROP_BAD_FRAME": 1}, "DROP_BAD_FRAME 1 needs FRAME_FIFO 1 and DROP_OVERSIZE_FRAME 1"},
		{module.Args{"FRAME_FIFO": 1, "MARK_WHEN_FULL": 1}, "MARK_WHEN_FULL 1 needs FRAME_FIFO 0"},
		{module.Args{"PAUSE_ENABLE": 1}, "PAUSE_ENABLE is 1, want 0"},
		{module.Args{"RAM_PIPELINE": 17}, "want 0 to 16"},
	} {
		c.params["DATA_WIDTH"] = 64
		_, err := find(t, "axis_fifo").Fill(c.params)
		require.ErrorContains(t, err, c.want, "%v", c.params)
	}
}

// TestConservation: nothing is lost, doubled or changed, whatever the sink does,
// and the order in which stages are clocked does not matter.
func TestConservation(t *testing.T) {
	wide := func(name string, s, m float64, p module.Args) stage {
		a := module.Args{"S_DATA_WIDTH": s, "M_DATA_WIDTH": m}
		for k, v := range p {
			a[k] = v
		}
		return stage{name, a}
	}
	flat := func(name string, p module.Args) stage { return alone(name, p, nil).stages[0] }
	chains := map[string][]stage{
		"FIFO":          {flat("axis_fifo", module.Args{"DEPTH": 64})},
		"output FIFO":   {flat("axis_fifo", module.Args{"DEPTH": 64, "OUTPUT_FIFO_ENABLE": 1, "RAM_PIPELINE": 3})},
		"frames":        {flat("axis_fifo", module.Args{"DEPTH": 512, "FRAME_FIFO": 1})},
		"SRL":           {flat("axis_srl_fifo", module.Args{"DEPTH": 2})},
		"pipeline":      {flat("axis_pipeline_fifo", module.Args{"LENGTH": 3})},
		"up":            {wide("axis_adapter", 64, 512, nil)},
		"down":          {wide("axis_adapter", 512, 64, nil)},
		"same":          {wide("axis_adapter", 64, 64, nil)},
		"up FIFO":       {wide("axis_fifo_adapter", 64, 256, module.Args{"DEPTH": 256})},
		"down FIFO":     {wide("axis_fifo_adapter", 256, 64, module.Args{"DEPTH": 512, "FRAME_FIFO": 1})},
		"there":         {flat("axis_async_fifo", module.Args{"DEPTH": 64, "S_CLK_MHZ": 250, "M_CLK_MHZ": 156.25})},
		"and back":      {flat("axis_async_fifo", module.Args{"DEPTH": 512, "FRAME_FIFO": 1, "S_CLK_MHZ": 250, "M_CLK_MHZ": 322.165}), flat("axis_async_fifo", module.Args{"DEPTH": 64, "S_CLK_MHZ": 322.165, "M_CLK_MHZ": 250})},
		"wide and back": {wide("axis_async_fifo_adapter", 64, 512, module.Args{"DEPTH": 512, "S_CLK_MHZ": 250, "M_CLK_MHZ": 322.165}), wide("axis_async_fifo_adapter", 512, 64, module.Args{"DEPTH": 512, "S_CLK_MHZ": 322.165, "M_CLK_MHZ": 250}), flat("axis_register", nil)},
	}
	rng := rand.New(rand.NewPCG(4, 4))
	sent := frames(make([]int, 40)...)
	for i := range sent {
		sent[i].Bytes = 1 + rng.IntN(300)
		sent[i].Gap = sim.Cycle(max(0, rng.IntN(60)-40))
		sent[i].Bad = rng.IntN(4) == 0
	}
	for name, stages := range chains {
		for _, sink := range sim.Patterns[:len(sim.Patterns)-1] {
			t.Run(name+" "+sink, func(t *testing.T) {
				c := chain{stages: stages, sink: sink, frames: sent, phase: 37}
				s := c.run(t)
				require.True(t, s.rest)
				require.Len(t, whole(t, sent, s.out), len(sent))
				require.Empty(t, s.lost)
				c.order = rand.New(rand.NewPCG(7, 7)).Shuffle
				require.Equal(t, s.out, c.run(t).out)
			})
		}
	}
}

// TestNoAllocation: a running chain allocates nothing.
func TestNoAllocation(t *testing.T) {
	p := module.Args{"DATA_WIDTH": 64, "DEPTH": 256, "FRAME_FIFO": 1, "OUTPUT_FIFO_ENABLE": 1, "DROP_WHEN_FULL": 1, "S_CLK_MHZ": 250, "M_CLK_MHZ": 250}
	q := module.Args{"S_DATA_WIDTH": 64, "M_DATA_WIDTH": 512, "DEPTH": 256}
	r := module.Args{"DATA_WIDTH": 512}
	c := chain{stages: []stage{{"axis_async_fifo", p}, {"axis_fifo_adapter", q}, {"axis_pipeline_fifo", r}, {"axis_srl_fifo", r}}, sink: "alt50",
		frames: frames(make([]int, 4000)...)}
	for i := range c.frames {
		c.frames[i].Bytes = 60 + i%100
	}
	_, s := c.build(t)
	s.in, s.out, s.lost = make([]moved, 0, 1<<20), make([]moved, 0, 1<<20), make([]lost, 0, 1<<12)
	s.t.Run(100_000)
	limit := s.t.Now()
	require.Zero(t, testing.AllocsPerRun(20, func() {
		limit += 1000 * 4000
		s.t.Run(limit)
	}))
	require.NotEmpty(t, s.out)
}
