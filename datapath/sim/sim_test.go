package sim_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
)

func TestDuration(t *testing.T) {
	core := sim.Clock{Hz: 250_000_000}
	require.Equal(t, time.Duration(0), core.Duration(0))
	require.Equal(t, 4*time.Nanosecond, core.Duration(1))
	require.Equal(t, time.Second, core.Duration(250_000_000))
	require.Equal(t, 3*time.Nanosecond, sim.Clock{Hz: 322_265_625}.Duration(1), "rounded down from 3.1 ns")
	require.Equal(t, 31*time.Nanosecond, sim.Clock{Hz: 322_265_625}.Duration(10), "rounded once, not per cycle")
	require.Equal(t, time.Duration(1<<63-1), sim.Clock{Hz: 1}.Duration(1<<63), "saturates")
	require.Equal(t, time.Duration(1<<63-1), core.Duration(1<<64-1))
}

func TestDurationAgainstBigIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		n, hz := r.Uint64()>>r.IntN(64), 1+r.Uint64()>>r.IntN(64)
		want := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(1e9))
		want.Div(want, new(big.Int).SetUint64(hz))
		if !want.IsInt64() {
			want.SetInt64(1<<63 - 1)
		}
		require.Equal(t, want.Int64(), int64(sim.Clock{Hz: hz}.Duration(sim.Cycle(n))), "%d cycles at %d Hz", n, hz)
	}
}

// The first edge at or after a time is found without a division, for all periods
// and times.
func TestFirstEdge(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 20000 {
		period := sim.Picos(1 + r.Int64N(math.MaxInt64)>>r.IntN(63))
		if r.IntN(20) == 0 {
			period = sim.Picos(1) << r.IntN(62)
		}
		d := (&sim.Net{}).Clock("clk", period, sim.Picos(r.Int64N(math.MaxInt64)>>r.IntN(63)))
		at := sim.Picos(r.Int64N(math.MaxInt64) >> r.IntN(63))
		if r.IntN(2) == 0 { // an edge, or next to one
			n := r.Int64N(int64((math.MaxInt64-d.Phase)/(period+1)) + 1)
			at = d.At(sim.Cycle(n)) - sim.Picos(r.IntN(2))
		}
		want := sim.Cycle(0)
		if at > d.Phase {
			want = sim.Cycle((at-d.Phase-1)/period) + 1
		}
		require.Equal(t, want, d.First(at), "period %d, phase %d, at %d", period, d.Phase, at)
	}
}
