//go:build linux

package xdp

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// twin is both sides of one ring over the same memory: ours and the kernel's.
func twin(size int, start uint32) (producer, consumer *ring[uint64]) {
	entries := make([]uint64, size)
	p, c, f := start, start, uint32(0)
	side := func() *ring[uint64] {
		return &ring[uint64]{entries: entries, mask: uint32(size - 1), producer: &p, consumer: &c, flags: &f, prod: start, cons: start}
	}
	return side(), side()
}

func TestRing(t *testing.T) {
	for _, start := range []uint32{0, 1, 1<<31 - 3, math.MaxUint32 - 2, math.MaxUint32} {
		p, c := twin(4, start)
		require.EqualValues(t, 4, p.free(4))
		require.Zero(t, c.avail(1))
		for i := range uint64(4) {
			p.put(i)
		}
		require.Zero(t, c.avail(1), "seen before it was submitted")
		require.Zero(t, p.free(1))
		p.submit()
		require.EqualValues(t, 4, p.pending())
		require.EqualValues(t, 4, c.avail(8))
		require.EqualValues(t, 2, c.peek(2))
		c.take(3)
		require.Zero(t, p.free(1), "room before it was released")
		c.release()
		require.EqualValues(t, 3, p.free(3))
		require.EqualValues(t, 1, p.pending())
		require.EqualValues(t, 3, c.peek(0))
		require.EqualValues(t, 1, c.avail(1))
	}
}

// Whatever the sizes of the batches, what goes in comes out, once, in order,
// across the wrap of the indices.
func TestRingWraps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		size := 1 << (1 + rnd.IntN(6))
		p, c := twin(size, math.MaxUint32-uint32(rnd.IntN(200)))
		in, out := uint64(0), uint64(0)
		for in < 1000 {
			for n := min(p.free(uint32(size)), uint32(rnd.IntN(size+1))); n > 0; n-- {
				p.put(in)
				in++
			}
			p.submit()
			n := min(c.avail(uint32(size)), uint32(rnd.IntN(size+1)))
			for i := range n {
				require.Equal(t, out, c.peek(i))
				out++
			}
			c.take(n)
			c.release()
			require.LessOrEqual(t, in-out, uint64(size))
			require.EqualValues(t, in-out, p.pending())
		}
	}
}

// What is inserted comes before the rest, and after what the kernel has taken,
// also where indices wrap.
func TestRingInsert(t *testing.T) {
	for _, start := range []uint32{0, 5, math.MaxUint32 - 2} {
		p, c := twin(8, start)
		for i := range uint64(5) {
			p.put(i)
		}
		p.submit()
		require.EqualValues(t, 5, c.avail(8))
		c.take(2)
		c.release()
		p.pending()
		p.insert(p.cons, 2)
		p.entries[p.cons&p.mask], p.entries[(p.cons+1)&p.mask] = 8, 9
		p.submit()
		c.avail(8)
		var got []uint64
		for i := range c.prod - c.cons {
			got = append(got, c.peek(i))
		}
		require.Equal(t, []uint64{8, 9, 2, 3, 4}, got)
	}
}
