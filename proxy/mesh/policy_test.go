package mesh

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func cluster(p Policy, choices, n int) *CompiledCluster {
	c := &CompiledCluster{Policy: p, Choices: choices, Endpoints: make([]netip.AddrPort, n), Weights: make([]uint32, n), minRing: 64, maxRing: 64}
	for i := range c.Weights {
		c.Weights[i] = 1
	}
	return c
}

// balancer picks from all of c's endpoints.
func balancer(c *CompiledCluster, seed uint64) *Balancer {
	return NewBalancer(NewHealth(c).View(), seed)
}

// place is who h is among the hosts that b picks from.
func (b *Balancer) place(h *Host) int { return slices.Index(b.view.hosts, h) }

// chiSquare says how far counts are from shares of their sum.
func chiSquare(counts []int, shares []float64) (x float64) {
	n := 0
	for _, c := range counts {
		n += c
	}
	for i, c := range counts {
		e := shares[i] * float64(n)
		x += (float64(c) - e) * (float64(c) - e) / e
	}
	return x
}

func tally(b *Balancer, n, picks int, active []int64) []int {
	counts := make([]int, n)
	for i, n := range active {
		b.view.hosts[i].Carry(n)
	}
	for range picks {
		counts[b.place(b.Next(0, false))]++
	}
	return counts
}

// Picks by chance have the distribution they should: of two draws with
// replacement an endpoint that is busier than the others is taken if both are it.
func TestPolicies(t *testing.T) {
	third := []float64{1. / 3, 1. / 3, 1. / 3}
	for name, c := range map[string]struct {
		policy  Policy
		choices int
		active  []int64
		want    []float64
	}{
		"random":              {Random, 2, []int64{9, 0, 0}, third},
		"least, all the same": {LeastRequest, 2, []int64{4, 4, 4}, third},
		"least, one busy":     {LeastRequest, 2, []int64{1, 0, 0}, []float64{1. / 9, 4. / 9, 4. / 9}},
		"least, in order":     {LeastRequest, 2, []int64{2, 1, 0}, []float64{1. / 9, 3. / 9, 5. / 9}},
		"least of three":      {LeastRequest, 3, []int64{1, 0, 0}, []float64{1. / 27, 13. / 27, 13. / 27}},
	} {
		counts := tally(balancer(cluster(c.policy, c.choices, 3), 1), 3, 30000, c.active)
		require.Less(t, chiSquare(counts, c.want), 27.6, "%s: %v", name, counts) // p = 1e-6 with two degrees of freedom
	}
	rr := balancer(cluster(RoundRobin, 2, 3), 0)
	require.Equal(t, []int{10, 10, 10}, tally(rr, 3, 30, nil))
}

func TestBalancerOfNothing(t *testing.T) {
	for _, p := range Policies() {
		require.Nil(t, balancer(cluster(Policy(p), 2, 0), 7).Next(0, false), p)
	}
}

func TestSameSeedSamePicks(t *testing.T) {
	a, b, c := balancer(cluster(Random, 2, 5), 3), balancer(cluster(Random, 2, 5), 3), balancer(cluster(Random, 2, 5), 4)
	same := true
	for range 100 {
		x := a.place(a.Next(0, false))
		require.Equal(t, x, b.place(b.Next(0, false)))
		same = same && x == c.place(c.Next(0, false))
	}
	require.False(t, same)
}

func TestPolicyIsValidated(t *testing.T) {
	for want, change := range map[string]func(*Cluster){
		`clusters[0].lb_policy: is "SUBSET", want one of ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH, MAGLEV`: func(c *Cluster) { c.Policy = "SUBSET" },
		`clusters[0].choice_count: is 1, want 2 or more`:                                                        func(c *Cluster) { c.Policy, c.Choices = LeastRequest, 1 },
		`clusters[0].choice_count: is for LEAST_REQUEST, and the policy is not`:                                 func(c *Cluster) { c.Choices = 2 },
	} {
		cfg := config()
		change(&cfg.Clusters[0])
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := config()
	cfg.Clusters[0].Policy = LeastRequest
	table, err := Compile(cfg)
	require.NoError(t, err)
	require.Equal(t, DefaultChoices, table.Clusters[0].Choices)
}

func TestPickingDoesNotAllocate(t *testing.T) {
	for _, p := range Policies() {
		b := balancer(cluster(Policy(p), 2, 10), 1)
		require.Zero(t, testing.AllocsPerRun(1000, func() { b.Next(0, false) }), p)
	}
}

func BenchmarkBalancer(b *testing.B) {
	for _, p := range Policies() {
		b.Run(p, func(b *testing.B) {
			lb := balancer(cluster(Policy(p), 2, 100), 1)
			b.ReportAllocs()
			for b.Loop() {
				lb.Next(0, false)
			}
		})
	}
}
