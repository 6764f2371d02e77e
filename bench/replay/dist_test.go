package replay

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// Quantiles are those of the sorted values: exactly while there are few, and
// less than 0.1 % too low with many.
func TestDist(t *testing.T) {
	require.Nil(t, (&dist{}).spread())
	for name, tt := range map[string]struct {
		below int64
		most  float64
	}{"one value": {1, 0}, "few": {5000, 0}, "as many as are kept": {distinct, 0}, "many": {1 << 40, 0.001}} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var d dist
			var all []sim.Picos
			sum := sim.Picos(0)
			for range 200_000 {
				v := sim.Picos(r.Int64N(tt.below))
				d.add(v)
				all = append(all, v)
				sum += v
			}
			slices.Sort(all)
			s := d.spread()
			require.Equal(t, s, d.spread(), "asking changes nothing")
			require.Equal(t, trace.Nanos(all[0]), s.MinNs)
			require.Equal(t, trace.Nanos(all[len(all)-1]), s.MaxNs)
			require.InDelta(t, sum.Nanos()/200_000, s.MeanNs, 1e-9)
			for rank, got := range map[int]trace.Nanos{100_000: s.P50Ns, 180_000: s.P90Ns, 198_000: s.P99Ns, 199_800: s.P999Ns} {
				want := float64(all[rank-1])
				require.LessOrEqual(t, float64(got), want)
				require.GreaterOrEqual(t, float64(got), want*(1-tt.most))
			}
		})
	}
}
