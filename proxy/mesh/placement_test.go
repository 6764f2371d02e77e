package mesh

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

func placements(weights ...uint32) map[string]placement {
	c := &CompiledCluster{Weights: weights}
	for i := range weights {
		c.Endpoints = append(c.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 9080))
	}
	return map[string]placement{"ring": newRing(newHosts(c), DefaultMinRing, DefaultMaxRing), "maglev": newMaglev(newHosts(c))}
}

// Shares follow weights: exactly in the table, about in a ring of 1024 points.
func TestPlacementByWeight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, p := range placements(1, 2, 5) {
		counts := make([]float64, 3)
		const n = 80000
		for range n {
			counts[p.at(r.Uint64(), 0)] += 8. / n
		}
		require.InDeltaSlice(t, []float64{1, 2, 5}, counts, 0.45, name)
	}
	counts := make([]int, 3)
	for _, e := range placements(1, 2, 5)["maglev"].(maglev) {
		counts[e]++
	}
	require.InDelta(t, maglevSize/8., counts[0], 2)
	require.InDelta(t, maglevSize/4., counts[1], 2)
}

// When the last endpoint goes, most of what was not its stays where it is. On a
// ring the others get its points too (a fifth more each), so that some moves.
func TestPlacementWhenAnEndpointGoes(t *testing.T) {
	before, after := placements(1, 1, 1, 1, 1), placements(1, 1, 1, 1)
	for name, most := range map[string]int{"ring": 3200, "maglev": 1000} {
		moved, stayed := 0, 0
		r := rand.New(rand.NewPCG(3, 4))
		for range 20000 {
			h := r.Uint64()
			was, is := before[name].at(h, 0), after[name].at(h, 0)
			require.Less(t, is, 4)
			if was == 4 {
				continue
			}
			if stayed++; was != is {
				moved++
			}
		}
		require.Greater(t, stayed, 12000)
		require.LessOrEqual(t, moved, most, name)
	}
}

// Maglev's table fills in the order of addresses, and a file's order means nothing.
func TestMaglevDoesNotDependOnOrder(t *testing.T) {
	c := &CompiledCluster{Weights: []uint32{1, 7, 3}}
	for i := range c.Weights {
		c.Endpoints = append(c.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 9080))
	}
	table := newMaglev(newHosts(c))
	slices.Reverse(c.Weights)
	slices.Reverse(c.Endpoints)
	for i, e := range newMaglev(newHosts(c)) {
		require.Equal(t, table[i], 2-e, i)
	}
}

func TestRing(t *testing.T) {
	r := placements(1)["ring"].(*ring)
	require.Len(t, r.hashes, 1024)
	require.Zero(t, r.at(^uint64(0), 0), "beyond the last point is the first")
	require.Len(t, placements(1, 3)["ring"].(*ring).hashes, 1024)
	require.Len(t, placements(1, 2)["ring"].(*ring).hashes, 1026, "a whole number of points for the least: 342")
}

func TestHash(t *testing.T) {
	of := func(fields string, policies ...HashPolicy) (uint64, bool) {
		r := RouteEntry{hash: lowered(policies)}
		return r.Hash(head(t, "GET / HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n"), nil)
	}
	user, last, session := HashPolicy{Header: "X-User"}, HashPolicy{Header: "last"}, HashPolicy{Cookie: "s"}
	_, ok := of("other: x\r\n", user, last, session)
	require.False(t, ok)
	a, ok := of("x-user: a\r\n", user)
	require.True(t, ok)
	b, _ := of("x-user: b\r\n", user)
	require.NotEqual(t, a, b)
	twice, _ := of("x-user: a\r\n", user, user)
	require.NotZero(t, twice, "the same twice does not cancel out")
	user.Terminal = true
	same, _ := of("x-user: a\r\nlast: 1\r\ncookie: s=1\r\n", user, last, session)
	require.Equal(t, a, same, "the rest is not looked at")
	other, _ := of("last: 1\r\ncookie: s=1\r\n", user, last, session)
	require.NotEqual(t, a, other)
	q, _ := of("cookie: x=1; s=\"v\"; y\r\n", session)
	_, ok = of("cookie: s=\r\n", session)
	require.False(t, ok, "an empty one is none")
	plain, ok := of("cookie: s=v\r\n", session)
	require.True(t, ok)
	require.Equal(t, plain, q)
}

func TestHashDoesNotAllocate(t *testing.T) {
	r := RouteEntry{hash: []HashPolicy{{Header: "x-user"}, {Cookie: "s"}}}
	h := head(t, "GET / HTTP/1.1\r\nHost: a\r\nx-user: b\r\nx-user: a\r\ncookie: s=1\r\n\r\n")
	p := placements(1, 2, 3)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		x, _ := r.Hash(h, nil)
		p["ring"].at(x, 0)
		p["maglev"].at(x, 0)
	}))
}

func TestHashIsValidated(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`hash_policy[0]: has 0 of header, cookie, query_parameter and source_ip, want one of them`: func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{}} },
		`hash_policy[1]: has 2 of header, cookie`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{SourceIP: true}, {Header: "a", Query: "b"}}
		},
		`hash_policy: has 65 entries, want at most 64`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = slices.Repeat([]HashPolicy{{SourceIP: true}}, 65)
		},
		`hash_policy[0]: gives a cookie without a name`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{Header: "a", Give: &GivenCookie{}}}
		},
		`hash_policy[0].cookie.ttl: is -1s, want 0`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{Cookie: "a", Give: &GivenCookie{TTL: -time.Second}}}
		},
		`hash_policy[0].cookie: "a/\r\n" has a control character`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{Cookie: "a", Give: &GivenCookie{Path: "/\r\n"}}}
		},
		`hash_policy[0].cookie.attributes: has one without a name`: func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0].Hash = []HashPolicy{{Cookie: "a", Give: &GivenCookie{Attributes: []CookieAttribute{{Value: "x"}}}}}
		},
		`maximum_ring_size are for RING_HASH, and the policy is not`: func(c *Config) { c.Clusters[0].MinRing = 5 },
		`is 2000 and the maximum 1000`: func(c *Config) {
			c.Clusters[0].Policy, c.Clusters[0].MinRing, c.Clusters[0].MaxRing = RingHash, 2000, 1000
		},
		`want at most that and that at most 8388608`: func(c *Config) { c.Clusters[0].Policy, c.Clusters[0].MaxRing = RingHash, 1<<24 },
	} {
		cfg := config()
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// FuzzCookie: no cookie header makes the look-up fail, and what it finds is a part of it,
// as it is sent on: without CR and LF.
func FuzzCookie(f *testing.F) {
	written := strings.NewReplacer("\r", "", "\n", "")
	for _, s := range []string{"", "s", "s=", "s=1; s=2", ";;s=\"\"", "s=\"", " s = 1", ";;;s=\"\r\"s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var h http1.Head
		h.Reset(false)
		if n, err := h.Parse([]byte(fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\ncookie: %s\r\n\r\n", value))); err != nil || n == 0 {
			return
		}
		if v, ok := cookie(&h, "s"); ok {
			value = written.Replace(value)
			require.True(t, strings.Contains(value, "s="+string(v)) || strings.Contains(value, "s=\""+string(v)+"\""), "%q of %q", v, value)
		}
	})
}

func BenchmarkPlacement(b *testing.B) {
	for name, p := range placements(1, 1, 1, 1, 1, 1, 1, 1, 1, 1) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for x := uint64(1); b.Loop(); x *= 0x9e3779b97f4a7c15 {
				p.at(x, 0)
			}
		})
	}
}
