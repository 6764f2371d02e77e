package mesh

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Sizes of a RingHash cluster's ring and of a Maglev cluster's table, as in
// Envoy. The table's is a prime, which makes every skip a permutation.
const (
	DefaultMinRing = 1024
	DefaultMaxRing = 8 << 20
	maglevSize     = 65537
)

// placement gives every hash an endpoint, so that a client keeps its endpoint
// while others come and go. again is how many were not wanted.
type placement interface {
	at(hash uint64, again int) int
}

// ring is consistent hashing: points on a circle, as many of an endpoint as it
// has weight; a hash belongs to the point at or after it.
type ring struct {
	hashes    []uint64
	endpoints []uint32
}

// newRing places endpoints as Envoy does: point i of an endpoint is the xxHash64
// of "address_i", and the least weight gets a whole number of points.
func newRing(hosts []*Host, least, most uint32) *ring {
	type point struct {
		hash     uint64
		endpoint uint32
	}
	var points []point
	shares, smallest, _ := normal(weights(hosts))
	scale := min(math.Ceil(smallest*float64(least))/smallest, float64(most))
	have, want := 0.0, 0.0
	for e, w := range shares {
		key := append([]byte(hosts[e].Addr.String()), '_')
		n := len(key)
		want += scale * w
		for i := int64(0); have < want; i++ {
			key = strconv.AppendInt(key[:n], i, 10)
			points = append(points, point{xxhash.Sum64(key), uint32(e)})
			have++
		}
	}
	slices.SortStableFunc(points, func(a, b point) int {
		if a.hash < b.hash {
			return -1
		}
		return 1
	})
	r := &ring{}
	for _, p := range points {
		r.hashes, r.endpoints = append(r.hashes, p.hash), append(r.endpoints, p.endpoint)
	}
	return r
}

func (r *ring) at(hash uint64, again int) int {
	i, _ := slices.BinarySearch(r.hashes, hash)
	if i == len(r.hashes) {
		i = 0
	}
	return int(r.endpoints[(i+again)%len(r.endpoints)])
}

// maglev is the table of Eisenbud et al., "Maglev: A Fast and Reliable Software
// Network Load Balancer" (NSDI'16) §3.4, in Envoy's weighted form.
type maglev []uint32

func newMaglev(hosts []*Host) maglev {
	type entry struct {
		endpoint     uint32
		offset, skip uint64
		next         uint64
		weight, due  float64
		key          string
	}
	var entries []entry
	shares, _, largest := normal(weights(hosts))
	for e, w := range shares {
		key := hosts[e].Addr.String()
		entries = append(entries, entry{
			endpoint: uint32(e), key: key, weight: w,
			offset: xxhash.Sum64String(key) % maglevSize, skip: seeded([]byte(key), 1)%(maglevSize-1) + 1,
		})
	}
	// In the order of their addresses, so that the order in the file means nothing.
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	const none = math.MaxUint32
	t := slices.Repeat(maglev{none}, maglevSize)
	for filled, round := 0, 1.0; filled < maglevSize; round++ {
		for i := range entries {
			e := &entries[i]
			if filled == maglevSize {
				break
			}
			// The heaviest has a turn in every round, the others as often as they weigh.
			if round*e.weight < e.due {
				continue
			}
			e.due += largest
			at := (e.offset + e.skip*e.next) % maglevSize
			for t[at] != none {
				e.next++
				at = (e.offset + e.skip*e.next) % maglevSize
			}
			t[at] = e.endpoint
			e.next++
			filled++
		}
	}
	return t
}

func (t maglev) at(hash uint64, again int) int {
	if again > 0 {
		hash ^= -uint64(again) // as Envoy does
	}
	return int(t[hash%maglevSize])
}

func weights(hosts []*Host) []uint32 {
	all := make([]uint32, len(hosts))
	for i, h := range hosts {
		all[i] = h.Weight
	}
	return all
}

// normal divides weights by their sum.
func normal(weights []uint32) (share []float64, least, most float64) {
	sum := 0.0
	for _, w := range weights {
		sum += float64(w)
	}
	for _, w := range weights {
		share = append(share, float64(w)/sum)
	}
	return share, slices.Min(share), slices.Max(share)
}

// seeded is xxHash64 with a seed.
func seeded(b []byte, seed uint64) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	_, _ = d.Write(b) // cannot fail
	return d.Sum64()
}
