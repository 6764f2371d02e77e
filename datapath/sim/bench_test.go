package sim_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// twelve is passthrough-100g with what a floor plan adds: registers where the
// clock changes hands, and a FIFO in front of the table.
const twelve = `
schema: meshnic.pipeline/1
name: twelve
clock_mhz: 322.265625
stages:
  - {module: mac_rx, DATA_WIDTH: 512, RATE_GBPS: 100}
  - {module: axis_register, name: rx_reg, DATA_WIDTH: 512}
  - {module: axis_async_fifo, name: rx_cross, DATA_WIDTH: 512, DEPTH: 16384, FRAME_FIFO: 0, S_CLK_MHZ: 322.265625, M_CLK_MHZ: 250}
  - {module: parser, DATA_WIDTH: 512, HEADERS: 54, VERIFY: 1}
  - {module: tcp_tracker, DATA_WIDTH: 512}
  - {module: axis_fifo, DATA_WIDTH: 512, DEPTH: 4096, FRAME_FIFO: 0}
  - {module: match_action, DATA_WIDTH: 512, KEY_BITS: 48}
  - {module: axis_register, name: core_reg, DATA_WIDTH: 512}
  - {module: deparser, DATA_WIDTH: 512}
  - {module: axis_register, name: tx_reg, DATA_WIDTH: 512}
  - {module: axis_async_fifo, name: tx_cross, DATA_WIDTH: 512, DEPTH: 16384, FRAME_FIFO: 1, S_CLK_MHZ: 250, M_CLK_MHZ: 322.265625}
  - {module: mac_tx, DATA_WIDTH: 512, RATE_GBPS: 100}
`

// forever is a feed of so many frames alike.
type forever struct {
	frame sim.Frame
	left  int
}

func (f *forever) Next() (sim.Frame, bool) {
	if f.left == 0 {
		return sim.Frame{}, false
	}
	f.left--
	f.frame.ID++
	return f.frame, true
}

// seen counts the frames that left.
type seen struct{ left int }

func (s *seen) Entered(int, uint32, sim.Cycle)           {}
func (s *seen) Left(int, uint32, sim.Cycle)              { s.left++ }
func (s *seen) Dropped(int, sim.Picos, uint32, sim.Loss) {}

// twelveStages is the twelve stages between a feed and a sink.
func twelveStages(b testing.TB, f *forever) *sim.Net {
	d, err := pipeline.Parse([]byte(twelve), "twelve")
	require.NoError(b, err)
	built, err := d.Build(pipeline.Setup{Inputs: 1, Phase: 0.3})
	require.NoError(b, err)
	require.Len(b, built.Stages, 12)
	always, err := sim.NewPattern("none")
	require.NoError(b, err)
	built.Net.Add("source", &sim.Source{Out: built.In[0].Wire, Feed: f})
	built.Net.Add("sink", &sim.Sink{In: built.Out[0].Wire, Pattern: always})
	return built.Net
}

func perFrame(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/frame")
}

// BenchmarkMaxPlus is line rate: every frame behind the one before.
func BenchmarkMaxPlus(b *testing.B) {
	for _, bytes := range []int{64, 1518} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			f := &forever{frame: sim.Frame{Bytes: bytes}, left: 1000}
			see := &seen{}
			m, err := sim.NewMaxPlus(twelveStages(b, f), nil)
			require.NoError(b, err)
			m.Watch(see)
			m.Run(sim.Never)
			f.left = b.N
			b.ReportAllocs()
			b.ResetTimer()
			require.True(b, m.Run(sim.Never))
			perFrame(b)
			require.Equal(b, b.N+1000, see.left)
		})
	}
}

// BenchmarkLive is a frame each time the model moves on: 5 us idle between two.
func BenchmarkLive(b *testing.B) {
	const pause = 5_000_000
	for _, bytes := range []int{64, 1518} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			f := &forever{frame: sim.Frame{Bytes: bytes}}
			see := &seen{}
			m, err := sim.NewMaxPlus(twelveStages(b, f), nil)
			require.NoError(b, err)
			m.Watch(see)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f.frame.At, f.left = sim.Picos(i)*pause, 1
				m.Advance(f.frame.At + pause)
			}
			perFrame(b)
			require.Equal(b, b.N, see.left)
		})
	}
}

// BenchmarkAdvance is a step of time in which nothing is pending.
func BenchmarkAdvance(b *testing.B) {
	m, err := sim.NewMaxPlus(twelveStages(b, &forever{left: 1}), nil)
	require.NoError(b, err)
	m.Run(sim.Never)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		m.Advance(sim.Picos(i) * 1000)
	}
}

// BenchmarkTick is line rate under the reference engine; a cycle is an edge of
// either clock.
func BenchmarkTick(b *testing.B) {
	for _, bytes := range []int{64, 1518} {
		b.Run(fmt.Sprintf("bytes=%d", bytes), func(b *testing.B) {
			f := &forever{frame: sim.Frame{Bytes: bytes}, left: b.N}
			t, err := sim.NewTicker(twelveStages(b, f), nil)
			require.NoError(b, err)
			b.ReportAllocs()
			b.ResetTimer()
			require.True(b, t.Run(sim.Never))
			perFrame(b)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(t.Busy()), "ns/cycle")
		})
	}
}
