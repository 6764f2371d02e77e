package axis_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// TestAsyncFIFOPhase: a beat is offered at the next edge of the output's clock
// after the edge that wrote it, and 4 more with one register behind the RAM; an
// edge at the very same time is none after it.
func TestAsyncFIFOPhase(t *testing.T) {
	for _, c := range []struct {
		phase sim.Picos
		frame float64
		want  sim.Picos
	}{
		{0, 0, 5 * 4000},
		{37, 0, 4*4000 + 37},
		{2000, 0, 4*4000 + 2000},
		{3999, 0, 4*4000 + 3999},
		{0, 1, 6 * 4000},
		{37, 1, 5*4000 + 37},
		{3999, 1, 5*4000 + 3999},
	} {
		t.Run(fmt.Sprint(c.phase, c.frame), func(t *testing.T) {
			x := alone("axis_async_fifo", module.Args{"FRAME_FIFO": c.frame, "S_CLK_MHZ": 250, "M_CLK_MHZ": 250}, frames(8))
			x.phase = c.phase
			s := x.run(t)
			require.Equal(t, c.want, s.out[0].offered-s.in[0].accepted)
		})
	}
}

// TestCommitsMerge: one-beat frames are committed faster than the handshake of
// the commit pointer goes round; those that come meanwhile cross together.
func TestCommitsMerge(t *testing.T) {
	sizes := make([]int, 64)
	for i := range sizes {
		sizes[i] = 8
	}
	s := alone("axis_async_fifo", module.Args{"FRAME_FIFO": 1, "S_CLK_MHZ": 250, "M_CLK_MHZ": 250}, frames(sizes...)).run(t)
	require.Len(t, whole(t, frames(sizes...), s.out), 64)
	gaps := map[sim.Picos]int{}
	for i := range s.out[1:] {
		gaps[s.out[i+1].accepted-s.out[i].accepted]++
	}
	require.Greater(t, gaps[4000], 50, "beats of merged commits follow each other")
	require.Len(t, gaps, 2, "between them a pause: %v", gaps)
}

// TestSlowReaderThrottles: what the slower side takes is what goes through.
func TestSlowReaderThrottles(t *testing.T) {
	x := alone("axis_async_fifo", module.Args{"DEPTH": 128, "S_CLK_MHZ": 250, "M_CLK_MHZ": 125}, frames(8*400))
	s := x.run(t)
	n := len(s.out)
	require.Equal(t, 400, n)
	require.Equal(t, sim.Picos(399*8000), s.out[n-1].accepted-s.out[0].accepted)
	require.Equal(t, sim.Picos(100*8000), s.in[n-1].accepted-s.in[n-101].accepted)
}
