package mesh

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grown is c with the endpoints of the given ports, found by a name.
func grown(c *CompiledCluster, ports ...uint16) *CompiledCluster {
	next := *c
	next.Endpoints, next.Weights, next.Hostnames, next.found = nil, nil, nil, nil
	for _, p := range ports {
		next.Endpoints = append(next.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p))
		next.Weights = append(next.Weights, 1)
		next.Hostnames, next.found = append(next.Hostnames, "a"), append(next.found, "a:1")
	}
	return &next
}

func TestHostsThatStay(t *testing.T) {
	h := health(0, func(c *CompiledCluster, o *OutlierDetection) { o.Consecutive5xx, o.MaxPercent = 1, 100 })
	h.Follow(grown(h.c, 1, 2, 3), 1)
	one, two, three := h.hosts[0], h.hosts[1], h.hosts[2]
	h.Answered(one, 500, 2, never)
	h.Answered(two, 500, 3, never)
	require.Equal(t, []int{0, 1, 2}, indices(h.View().hosts), "the merge window is not over")
	h.Follow(grown(h.c, 4, 3, 2), 4)
	require.Equal(t, []int{3, 2, 1}, indices(h.Hosts()))
	require.Equal(t, []*Host{three, two}, h.Hosts()[1:])
	require.Equal(t, []int{3, 2}, indices(h.View().hosts), "but what joins, or goes, does not wait")
	require.True(t, two.Ejected())
	require.EqualValues(t, 1, h.detector.counters.Active, "one is gone")
	require.False(t, new(h.Answered(one, 500, 5, never)).Any(), "and what it answers is nobody's business")

	h.Follow(grown(h.c, 1, 2), 6)
	require.NotSame(t, one, h.Hosts()[0], "who comes back is new")
	require.Same(t, two, h.Hosts()[1])
	was := h.View()
	h.Follow(grown(h.c, 1, 2), 7)
	require.Same(t, was, h.View(), "nothing has changed")
	h.Follow(grown(h.c), 8)
	require.Zero(t, h.detector.counters.Active)
	require.Nil(t, NewBalancer(h.View(), 1).Next(0, false))
}

func TestWhoIsWellStays(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	h := health(0, func(c *CompiledCluster, _ *OutlierDetection) {
		c.Outliers, c.Check, c.MergeWindow, c.Panic = nil, asked(), 0, 0
	})
	h.Follow(grown(h.c, 1), time.Second)
	x := h.Hosts()[0]
	require.Empty(t, h.Stay("a:1", nil), "it was not asked yet")
	h.Checked(x, CheckGood, true, 0, never)
	require.Empty(t, h.Stay("b:1", nil), "somebody else's")
	require.False(t, x.Leaving())
	require.Equal(t, []netip.Addr{addr}, h.Stay("a:1", nil))
	require.True(t, x.Leaving())
	require.Empty(t, h.Stay("a:1", []netip.Addr{addr}))
	require.False(t, x.Leaving(), "its name stands for it again")
	h.Checked(x, CheckBad, true, 0, never)
	require.Empty(t, h.Stay("a:1", nil))
	h.Follow(grown(h.c), time.Second)
	_, c := h.Checked(x, CheckGood, true, 0, never)
	require.False(t, c.Any(), "it is gone")
	require.True(t, x.Down())
}
