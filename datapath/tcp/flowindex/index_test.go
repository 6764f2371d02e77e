package flowindex

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The hash does not care who speaks, spreads, and depends on the seed.
func TestHash(t *testing.T) {
	tab, other := New(1<<14, 1), New(1<<14, 2)
	used := map[int]int{}
	for i := range uint64(1 << 14) {
		k := Key{SrcLo: 0xffff<<16 | (10+i>>8)<<32, DstLo: 0xffff<<16 | 99<<56, SrcPort: uint16(i), DstPort: 80}
		back := k.Reverse()
		h := tab.Hash(&k)
		if h != tab.Hash(&back) {
			t.Fatal("both directions must hash alike")
		}
		if h == other.Hash(&k) {
			t.Fatal("the seed must matter")
		}
		used[tab.Place(h)]++
		swapped := k
		swapped.SrcPort, swapped.DstPort = k.DstPort, k.SrcPort
		if k.SrcPort != k.DstPort && h == tab.Hash(&swapped) {
			t.Fatal("ports belong to their address")
		}
	}
	most := 0
	for _, n := range used {
		most = max(most, n)
	}
	if most > 8 {
		t.Fatalf("%d of 2^14 flows share one of 2^15 places", most)
	}
}

// Numbers are found as long as they are there, whatever else comes and goes.
func TestIndex(t *testing.T) {
	const n = 256
	x, draw := New(n, 1), rand.New(rand.NewPCG(1, 1))
	hashes := map[uint32]uint64{}
	has := func(number uint32) bool {
		p := x.Probe(hashes[number])
		for at, ok := x.Next(&p); ok; at, ok = x.Next(&p) {
			if at == number {
				return true
			}
		}
		return false
	}
	for range 20_000 {
		number := draw.Uint32N(n)
		if _, there := hashes[number]; there {
			x.Remove(hashes[number], number, func(n uint32) uint64 { return hashes[n] })
			require.False(t, has(number))
			delete(hashes, number)
		} else {
			hashes[number] = draw.Uint64() >> draw.Uint32N(3) // some parts are crowded
			x.Insert(hashes[number], number)
		}
		if draw.Uint32N(100) == 0 {
			for number := range hashes {
				require.True(t, has(number))
			}
		}
	}
}
