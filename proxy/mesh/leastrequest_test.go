package mesh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// weighted is a balancer of LeastRequest among endpoints of the given weights.
func weighted(seed uint64, weights ...uint32) *Balancer {
	c := cluster(LeastRequest, 2, len(weights))
	copy(c.Weights, weights)
	return balancer(c, seed)
}

func TestLeastRequestByWeight(t *testing.T) {
	for _, c := range []struct {
		weights []uint32
		active  []int64
		want    []float64
	}{
		{[]uint32{1, 2, 3}, []int64{0, 0, 0}, []float64{1. / 6, 2. / 6, 3. / 6}},
		{[]uint32{1, 2, 3}, []int64{5, 5, 5}, []float64{1. / 6, 2. / 6, 3. / 6}},
		{[]uint32{4, 2, 3}, []int64{3, 0, 0}, []float64{1. / 6, 2. / 6, 3. / 6}},
		{[]uint32{1 << 31, 1 << 30, 1 << 30}, []int64{1, 0, 1 << 40}, []float64{1. / 2, 1. / 2, 0x1p-40}},
	} {
		b := weighted(7, c.weights...)
		counts := tally(b, 3, 6000, c.active)
		for i, share := range c.want {
			require.InDelta(t, share*6000, counts[i], 2, "%v", counts)
		}
	}
}

// A request changes the turns that come after it, and none before.
func TestLeastRequestLooksWhenItPicks(t *testing.T) {
	b := weighted(0, 1, 2)
	first, second := b.view.hosts[0], b.view.hosts[1]
	pick := func() *Host { return b.Next(0, false) }
	require.Same(t, second, pick(), "due at 1/2")
	require.Same(t, first, pick(), "at 1, before the one that was put in line later")
	second.Carry(9)
	require.Same(t, second, pick(), "at 1 as well")
	for range 4 {
		require.Same(t, first, pick(), "the next turn of the other is at 6")
	}
	second.Carry(-9)
	require.Same(t, second, pick())
	require.Same(t, first, pick())
}

func TestLeastRequestGoesOnForEver(t *testing.T) {
	b := weighted(1, 1, 2)
	b.view.hosts[0].Carry(1 << 18)
	b.view.hosts[1].Carry(1 << 18)
	require.InDelta(t, 20000, tally(b, 2, 30000, nil)[1], 1)
	require.Less(t, b.least.now, float64(rebase)+1<<19)
}

// Those that are healthy may be of equal weight although not all are.
func TestLeastRequestOfTheHealthy(t *testing.T) {
	h := NewHealth(&CompiledCluster{Policy: LeastRequest, Choices: 2, Endpoints: cluster(LeastRequest, 2, 3).Endpoints, Weights: []uint32{5, 1, 1}})
	b := NewBalancer(h.View(), 1)
	require.NotNil(t, b.least)
	h.hosts[0].down.Store(true)
	b.Use(h.look())
	require.Nil(t, b.least)
	counts := tally(b, 2, 30000, []int64{0, 1})
	require.Less(t, chiSquare(counts, []float64{.75, .25}), 23.9, "%v: two draws", counts) // p = 1e-6 with one degree of freedom
	h.hosts[0].down.Store(false)
	h.hosts[2].down.Store(true)
	b.Use(h.look())
	require.NotNil(t, b.least)
	require.InDelta(t, 500, tally(b, 2, 600, nil)[0], 1)
}

func TestLeastRequestByWeightDoesNotAllocate(t *testing.T) {
	b := weighted(1, 1, 2, 3)
	require.Zero(t, testing.AllocsPerRun(1000, func() { b.Next(0, false) }))
}
