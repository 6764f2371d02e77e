// Package flowindex finds the number of a packet's connection by its addresses. Whose
// numbers they are, and what lies under them, is its users' business: they keep the
// connections and compare.
package flowindex

import (
	"math/bits"
	"unsafe"
)

// Index holds for each connection its number plus one and the upper bits of its hash in
// four bytes, is twice as long as there may be connections, and is probed linearly: it is
// what fits in a cache (8 MB at 1 M connections) when they do not.
type Index struct {
	places  []uint32
	mask    uint64
	number  uint32 // bits of a place that hold the number
	shift   uint   // of a hash, to its place
	numbits uint
	seed    [2]uint64
}

// New returns an Index for numbers below n, a power of two.
func New(n int, seed uint64) Index {
	numbits := uint(bits.Len(uint(n))) // n+1 numbers, 0 for none
	return Index{
		places:  make([]uint32, 2*n),
		mask:    uint64(2*n - 1),
		number:  1<<numbits - 1,
		shift:   64 - numbits,
		numbits: numbits,
		seed:    [2]uint64{mix(seed^hashA, hashB), mix(seed^hashB, hashC)},
	}
}

// Odd constants with as many ones as zeros, from the fraction of the golden
// ratio and of the square roots of 2 and 3.
const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0x6a09e667f3bcc909
	hashC = 0xbb67ae8584caa73b
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Hash returns the same for k and k.Reverse().
func (x *Index) Hash(k *Key) uint64 {
	src := mix(k.SrcLo^x.seed[0], (k.SrcHi^uint64(k.SrcPort))*hashA^x.seed[1])
	dst := mix(k.DstLo^x.seed[0], (k.DstHi^uint64(k.DstPort))*hashA^x.seed[1])
	return mix((src+dst)^uint64(k.VLAN)<<48, hashC)
}

// Place is where in the index a hash begins.
func (x *Index) Place(hash uint64) int { return int(hash >> x.shift) }

func (x *Index) tag(hash uint64) uint32 { return uint32(hash) << x.numbits }

// Probe is a search for the connections of a hash.
type Probe struct {
	at  uint64
	tag uint32
}

// Probe begins a search.
func (x *Index) Probe(hash uint64) Probe { return Probe{hash >> x.shift, x.tag(hash)} }

// Next returns the number of the next connection whose hash may be p's. ok is false if
// there are no more.
func (x *Index) Next(p *Probe) (n uint32, ok bool) {
	for {
		v := x.places[p.at&x.mask]
		p.at++
		if v == 0 {
			return 0, false
		}
		if v&^x.number == p.tag {
			return v&x.number - 1, true
		}
	}
}

// Insert adds number n. There must be room, and it must not be there.
func (x *Index) Insert(hash uint64, n uint32) {
	i := hash >> x.shift
	for x.places[i&x.mask] != 0 {
		i++
	}
	x.places[i&x.mask] = x.tag(hash) | (n + 1)
}

// Remove takes number n out, which is there. Those that were pushed past its place, whose
// hashes it asks for, move back, so that there are no gaps to skip.
func (x *Index) Remove(hash uint64, n uint32, hashOf func(n uint32) uint64) {
	i := hash >> x.shift
	for x.places[i&x.mask]&x.number != n+1 {
		i++
	}
	for hole := i; ; {
		i++
		v := x.places[i&x.mask]
		if v == 0 {
			x.places[hole&x.mask] = 0
			return
		}
		home := hashOf(v&x.number-1) >> x.shift
		if (i-home)&x.mask >= (i-hole)&x.mask {
			x.places[hole&x.mask] = v
			hole = i
		}
	}
}

// Prefetch asks for the part of the index where hash begins.
func (x *Index) Prefetch(hash uint64) { Prefetch(unsafe.Pointer(&x.places[hash>>x.shift])) }
