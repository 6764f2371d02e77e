package enginetest

import "math/bits"

// Bits gives the random bits that a case is drawn from: math/rand/v2's PCG.
type Bits interface{ Uint64() uint64 }

// dice draws whole numbers, in the same way on every machine.
type dice struct{ Bits }

// n is one of 0 … n-1.
func (d dice) n(n int) int {
	hi, _ := bits.Mul64(d.Uint64(), uint64(n))
	return int(hi)
}

// upTo is one of 0 … n.
func (d dice) upTo(n int) int { return d.n(n + 1) }

// chance is true so many times in 100.
func (d dice) chance(percent int) bool { return d.n(100) < percent }

// spread is one of lo … hi, small differences to lo as likely as large ones.
func (d dice) spread(lo, hi int) int {
	if hi <= lo {
		return lo
	}
	return min(hi, lo+d.n(1<<d.upTo(bits.Len(uint(hi-lo)))))
}

// pick is one of some.
func pick[T any](d dice, some ...T) T { return some[d.n(len(some))] }

// mix is a small generator of its own (splitmix64), for what a case says by a
// seed.
type mix struct{ state uint64 }

func (m *mix) Uint64() uint64 {
	m.state += 0x9e3779b97f4a7c15
	z := m.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
