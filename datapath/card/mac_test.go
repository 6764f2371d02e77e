package card_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

var rates = []struct {
	gbps, bits int
	mhz        float64
	rx, tx     sim.Cycle // latency: PG210, PG211
}{
	{10, 64, 156.25, 19, 11}, // 121.62 and 67.2 ns of 6.4
	{25, 64, 390.625, 20, 12},
	{100, 512, 322.265625, 19, 8},
}

// Frames back to back take (bytes + 24) byte times each, 84 at least; to a cycle
// over 400 of them.
func TestLineRate(t *testing.T) {
	for _, mac := range []string{"mac_rx", "mac_tx"} {
		for _, l := range rates {
			for _, bytes := range []int{14, 60, 61, 65, 129, 1514, 9000} {
				b := bench{mhz: l.mhz, bits: l.bits, frames: train(401, bytes, 0), name: mac, args: module.Args{"RATE_GBPS": float64(l.gbps)}}
				r, stage := b.run(t)
				require.Empty(t, r.drops)
				lasts := r.lasts("out")
				period, err := sim.PeriodOf(l.mhz)
				require.NoError(t, err)
				took := sim.Picos(lasts[400]-lasts[0]) * period
				want := 400 * sim.Picos(max(bytes, 60)+24) * sim.Picos(8000/l.gbps)
				require.InDelta(t, float64(want), float64(took), float64(2*period), "%s %d Gbit/s %d bytes", mac, l.gbps, bytes)
				if tx, ok := stage.(*card.MACTx); ok {
					require.Zero(t, tx.Underruns())
				}
			}
		}
	}
}

func TestMACLatency(t *testing.T) {
	for _, l := range rates {
		args := module.Args{"RATE_GBPS": float64(l.gbps)}
		r, _ := bench{mhz: l.mhz, bits: l.bits, frames: train(1, 60, 0), name: "mac_rx", args: args}.run(t)
		in, out := r.on("in"), r.on("out")
		require.Equal(t, l.rx, out[0].at-in[0].at, "rx %d", l.gbps)
		// The last beat has passed after preamble and 60 bytes.
		period, _ := sim.PeriodOf(l.mhz)
		passed := 68 * sim.Picos(8000/l.gbps)
		require.Equal(t, sim.Cycle((passed+period-1)/period), in[len(in)-1].at)

		r, _ = bench{mhz: l.mhz, bits: l.bits, frames: train(1, 60, 0), name: "mac_tx", args: args}.run(t)
		require.Equal(t, l.tx, r.on("out")[0].at-r.on("in")[0].at, "tx %d", l.gbps)
	}
}

// With idle between frames each starts when it comes.
func TestLineIdle(t *testing.T) {
	r, _ := bench{mhz: 322.265625, bits: 512, frames: train(3, 60, 100), name: "mac_rx", args: module.Args{"RATE_GBPS": 100}}.run(t)
	in := r.on("in")
	require.Equal(t, sim.Cycle(2), in[0].at)
	require.Equal(t, in[0].at+1+100+2, in[1].at, "a gap of 100, and 5440 ps on the line")
}

// The receive side never waits: with its output frozen it takes what fits into
// its FIFO and drops the rest whole.
func TestReceiveDrops(t *testing.T) {
	b := bench{mhz: 322.265625, bits: 512, frames: train(100, 100, 0), pattern: "frozen", name: "mac_rx", args: module.Args{"RATE_GBPS": 100, "RX_FIFO_DEPTH": 1024}}
	r, stage := b.run(t)
	require.Len(t, r.on("in"), 200, "all come in")
	held := (1024/64 + 19) / 2 // in the FIFO, and on their way to it
	require.Len(t, r.drops, 100-held)
	require.Equal(t, sim.LossFull, r.drops[uint32(held+1)])
	require.Equal(t, 100*held, stage.(sim.Leveller).Level())

	b.frames = train(2, 1025, 0)
	r, _ = b.run(t)
	require.Equal(t, map[uint32]sim.Loss{1: sim.LossOversize, 2: sim.LossOversize}, r.drops)
}

// A frame that does not come fast enough for the line is an underrun, one that
// waits for the output is none.
func TestTransmitUnderrun(t *testing.T) {
	for _, tt := range []struct {
		first, last string // pattern between source and MAC, of the sink
		underrun    bool
	}{{"none", "none", false}, {"pat25", "none", true}, {"none", "pat25", false}, {"none", "burst16", false}} {
		n := &sim.Net{}
		d := n.Clock("clk", 6400, 0)
		in, mid, out := n.Wire("in", d, 8), n.Wire("mid", d, 8), n.Wire("out", d, 8)
		f := sim.Frames(train(5, 300, 0))
		n.Add("source", &sim.Source{Out: in, Feed: &f})
		first, err := sim.NewPattern(tt.first)
		require.NoError(t, err)
		last, err := sim.NewPattern(tt.last)
		require.NoError(t, err)
		n.Add("valve", &valve{in, mid, first})
		mac := card.NewMACTx(10, 67.2, mid, out)
		n.Add("mac", mac)
		n.Add("sink", &sim.Sink{In: out, Pattern: last})
		tick, err := sim.NewTicker(n, nil)
		require.NoError(t, err)
		for range 5000 {
			tick.Step(second)
		}
		require.Equal(t, tt.underrun, mac.Underruns() > 0, "%v", tt)
	}
}

// valve lets a beat through in the cycles of a pattern.
type valve struct {
	in, out *sim.Wire
	pattern sim.Pattern
}

func (v *valve) open() bool {
	now := v.in.Clock.Now
	at, ok := v.pattern.Ready(now)
	return ok && at == now
}
func (v *valve) Ports() (in, out []*sim.Wire) { return []*sim.Wire{v.in}, []*sim.Wire{v.out} }
func (v *valve) Offer()                       { v.out.Put(v.in.Valid && v.open(), v.in.Beat) }
func (v *valve) Accept()                      { v.in.Take(v.out.Ready && v.open()) }
func (v *valve) Edge(sim.Edges) bool          { return true }
func (v *valve) Comb() (valid, ready bool)    { return true, true }
