package splice

import (
	"encoding/binary"
	"math/bits"
)

// table finds connections by their addresses. The index holds a connection's
// number plus one and the upper bits of its hash in four bytes, is twice as long
// as there are connections, and is probed linearly.
type table struct {
	conns   []conn
	index   []uint32
	free    []int32
	shift   uint // of a hash, to its place in the index
	numbits uint // bits of an index element that hold the number
	seed    [2]uint64
}

func newTable(n int, seed uint64) table {
	t := table{
		conns:   make([]conn, n),
		index:   make([]uint32, 2*n),
		free:    make([]int32, 0, n),
		numbits: uint(bits.Len(uint(n))),
	}
	t.shift = 64 - t.numbits
	t.seed = [2]uint64{mix(seed^hashA, hashB), mix(seed^hashB, hashC)}
	for i := n - 1; i >= 0; i-- {
		t.free = append(t.free, int32(i))
	}
	return t
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

func (t *table) hash(remote, local *Addr) uint64 {
	rh, rl := binary.LittleEndian.Uint64(remote.IP[:8]), binary.LittleEndian.Uint64(remote.IP[8:])
	lh, ll := binary.LittleEndian.Uint64(local.IP[:8]), binary.LittleEndian.Uint64(local.IP[8:])
	a := mix(rl^t.seed[0], (rh^uint64(remote.Port))*hashA^t.seed[1])
	b := mix(ll^t.seed[1], (lh^uint64(local.Port))*hashB^t.seed[0])
	return mix(a^bits.RotateLeft64(b, 32), hashC)
}

func (t *table) tag(hash uint64) uint32 { return uint32(hash) << t.numbits }

// find returns the number of a connection, none if there is no such.
func (t *table) find(remote, local *Addr) int32 {
	hash := t.hash(remote, local)
	mask := uint64(len(t.index) - 1)
	tag, number := t.tag(hash), uint32(1)<<t.numbits-1
	for i := hash >> t.shift; ; i++ {
		v := t.index[i&mask]
		if v == 0 {
			return none
		}
		if v&^number != tag {
			continue
		}
		n := int32(v&number - 1)
		if c := &t.conns[n]; c.remote == *remote && c.local == *local {
			return n
		}
	}
}

// insert makes a connection of these addresses; none if there is no room.
func (t *table) insert(remote, local Addr) int32 {
	last := len(t.free) - 1
	if last < 0 {
		return none
	}
	n := t.free[last]
	t.free = t.free[:last]
	hash := t.hash(&remote, &local)
	mask := uint64(len(t.index) - 1)
	i := hash >> t.shift
	for t.index[i&mask] != 0 {
		i++
	}
	t.index[i&mask] = t.tag(hash) | uint32(n+1)
	t.conns[n] = conn{remote: remote, local: local, peer: none, link: none}
	t.conns[n].timer.slot = none
	return n
}

// remove takes connection n out. Elements of the index that were pushed past its
// place move back, so that there are no gaps to skip.
func (t *table) remove(n int32) {
	mask := uint64(len(t.index) - 1)
	number := uint32(1)<<t.numbits - 1
	home := func(n int32) uint64 {
		c := &t.conns[n]
		return t.hash(&c.remote, &c.local) >> t.shift
	}
	i := home(n)
	for t.index[i&mask]&number != uint32(n+1) {
		i++
	}
	for hole := i; ; {
		i++
		v := t.index[i&mask]
		if v == 0 {
			t.index[hole&mask] = 0
			break
		}
		if (i-home(int32(v&number-1)))&mask >= (i-hole)&mask {
			t.index[hole&mask] = v
			hole = i
		}
	}
	t.free = append(t.free, n)
}

// used is how many connections there are.
func (t *table) used() int { return len(t.conns) - len(t.free) }
