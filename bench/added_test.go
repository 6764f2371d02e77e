package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/load"
)

// repeats is a cell whose repeats have these latencies, and hop microseconds of
// CPU a request.
func repeats(name string, hops int, hop float64, us ...float64) cell {
	i := 0
	return cell{name: name, connections: 8, hops: hops, beside: []string{"envoy", "haproxy", "nginx"},
		measure: func(context.Context) (sample, error) {
			i++
			return sample{result: answered(us[i-1], 10), cpu: CPU{Generator: 50, NIC: hop / 4, Proxy: hop * 3 / 4}}, nil
		}}
}

// What is added is compared within each repeat, with as many hops, and the median
// is of those ratios: 10/100, 20/80 and 40/400 of envoy's.
func TestAddedBesideOtherProxies(t *testing.T) {
	base := repeats("direct", 0, 0, 100, 200, 300)
	base.beside = nil
	rows, err := runCells(t.Context(), []cell{
		base,
		repeats("nic_offload", 1, 5, 110, 220, 340),
		repeats("envoy", 1, 50, 200, 280, 700),
		repeats("envoy", 2, 90, 900, 900, 900),
		repeats("haproxy", 1, 0, 90, 240, 340),
	}, 3, noProgress)
	require.NoError(t, err)
	require.Nil(t, rows[0].Added)
	a := rows[1].Added
	require.Equal(t, "direct", a.To)
	require.InDelta(t, 20, a.P50US, .5)
	require.InDelta(t, .1, *a.Beside["envoy"].AddedP50, .01)
	require.InDelta(t, 200./110, a.Beside["envoy"].RPS, .001, "of 1.82, 1.27 and 2.06")
	require.InDelta(t, .1, *a.Beside["envoy"].CPU, 1e-9)
	require.Nil(t, a.Beside["haproxy"].AddedP50, "haproxy added nothing in the first repeat")
	require.Nil(t, a.Beside["haproxy"].CPU)
	require.NotContains(t, a.Beside, "nginx")
	require.NotContains(t, rows[2].Added.Beside, "envoy", "not beside itself")
	require.Empty(t, rows[3].Added.Beside["haproxy"], "no haproxy with two hops")
}

func TestAddedOfNoAnswer(t *testing.T) {
	none := sample{result: &load.Result{Hist: load.NewHist()}}
	some := sample{result: answered(100, 10)}
	require.Nil(t, added([]sample{none}, []sample{some}, "direct", nil))
	a := added([]sample{some}, []sample{some}, "direct", map[string][]sample{"envoy": {none}})
	require.Zero(t, a.P50US)
	require.Empty(t, a.Beside)
}
