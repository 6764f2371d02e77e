package tcp

import (
	"encoding/binary"
	"math/bits"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// key is a packet's addresses as it carries them, in whatever byte order is
// cheapest to load.
type key struct {
	srcHi, srcLo, dstHi, dstLo uint64
	srcPort, dstPort           uint16
	vlan                       uint16
}

func keyOf(h *datapath.PHV) key {
	return key{
		binary.LittleEndian.Uint64(h.IPSrc[0:8]), binary.LittleEndian.Uint64(h.IPSrc[8:16]),
		binary.LittleEndian.Uint64(h.IPDst[0:8]), binary.LittleEndian.Uint64(h.IPDst[8:16]),
		h.SrcPort, h.DstPort, h.VLAN,
	}
}

func (k key) reverse() key {
	return key{k.dstHi, k.dstLo, k.srcHi, k.srcLo, k.dstPort, k.srcPort, k.vlan}
}

// direction is what is known about one side's bytes: one cache line.
type direction struct {
	next     wire.Seq // behind the last byte seen
	ack      wire.Seq // what this side has acknowledged
	probe    wire.Seq // behind the segment that is being timed
	holeLow  wire.Seq // bytes not seen between these two; equal if there are none
	holeHigh wire.Seq
	retrans  uint32
	disorder uint32
	srtt     uint32 // cycles; RFC 6298 §2

	probeAt  sim.Cycle
	bytes    uint64
	segments uint64
	rttMin   uint32 // cycles
	samples  uint32
}

// Flags of an entry. Those in pairs are bit d for side d, client 0.
const (
	flagFin       = 1 << 0 // and 1<<1: has sent FIN
	flagProbe     = 1 << 2 // and 1<<3: a segment is being timed
	flagAmbiguous = 1 << 4 // and 1<<5: and was sent again
	flagReplied   = 1 << 6 // the server's sequence numbers are known
	flagMidstream = 1 << 7 // the first SYN was not seen
)

// entry is one flow, three cache lines: who and when, then a line a side. A
// packet needs all three, but their loads do not wait for each other.
type entry struct {
	srcHi, srcLo, dstHi, dstLo uint64 // as in key, of a packet of the client's
	srcPort, dstPort           uint16
	vlan                       uint16
	state                      State
	flags                      uint8

	last  sim.Cycle
	start sim.Cycle
	tsval [2]uint32 // timestamp of the segment being timed; 0 if it has none

	dir [2]direction // client, server
}

func (e *entry) key() key {
	return key{e.srcHi, e.srcLo, e.dstHi, e.dstLo, e.srcPort, e.dstPort, e.vlan}
}

// init makes e the flow of a client of addresses k, with nothing known yet.
func (e *entry) init(k *key, now sim.Cycle) {
	*e = entry{
		srcHi: k.srcHi, srcLo: k.srcLo, dstHi: k.dstHi, dstLo: k.dstLo,
		srcPort: k.srcPort, dstPort: k.dstPort, vlan: k.vlan,
		start: now,
	}
}

// table finds entries. The index holds for each flow its number plus one and
// the upper bits of its hash in four bytes, is twice as long as there are flows,
// and is probed linearly: it is what fits in a cache (8 MB at 1 M flows) when
// the entries do not.
type table struct {
	entries []entry
	index   []uint32
	free    []uint32 // entries that were used once and are not now
	fresh   int      // entries from here on were never used
	shift   uint     // of a hash, to its place in the index
	numbits uint     // bits of an index element that hold the number
	seed    [2]uint64
	number  uint32 // of the entry that was found or inserted last
}

func newTable(flows int, seed uint64) table {
	numbits := uint(bits.Len(uint(flows))) // flows+1 numbers, 0 for none
	return table{
		entries: make([]entry, flows),
		index:   make([]uint32, 2*flows),
		free:    make([]uint32, 0, flows),
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

// hash returns the same for k and k.reverse().
func (t *table) hash(k *key) uint64 {
	src := mix(k.srcLo^t.seed[0], (k.srcHi^uint64(k.srcPort))*hashA^t.seed[1])
	dst := mix(k.dstLo^t.seed[0], (k.dstHi^uint64(k.dstPort))*hashA^t.seed[1])
	return mix((src+dst)^uint64(k.vlan)<<48, hashC)
}

func (t *table) tag(hash uint64) uint32 { return uint32(hash) << t.numbits }

// find returns the flow of k, nil if there is none, and which side sent k.
func (t *table) find(k *key, hash uint64) (e *entry, side int) {
	mask := uint64(len(t.index) - 1)
	tag, number := t.tag(hash), uint32(1)<<t.numbits-1
	for i := hash >> t.shift; ; i++ {
		v := t.index[i&mask]
		if v == 0 {
			return nil, 0
		}
		if v&^number != tag {
			continue
		}
		e := &t.entries[v&number-1]
		t.number = v&number - 1
		if e.srcLo == k.srcLo && e.dstLo == k.dstLo && e.srcPort == k.srcPort && e.dstPort == k.dstPort {
			if e.srcHi == k.srcHi && e.dstHi == k.dstHi && e.vlan == k.vlan {
				return e, 0
			}
		}
		if e.srcLo == k.dstLo && e.dstLo == k.srcLo && e.srcPort == k.dstPort && e.dstPort == k.srcPort {
			if e.srcHi == k.dstHi && e.dstHi == k.srcHi && e.vlan == k.vlan {
				return e, 1
			}
		}
	}
}

// insert makes an entry for a client of addresses k. There must be room.
func (t *table) insert(k *key, hash uint64, now sim.Cycle) *entry {
	var n uint32
	if last := len(t.free) - 1; last >= 0 {
		n = t.free[last]
		t.free = t.free[:last]
	} else {
		n = uint32(t.fresh)
		t.fresh++
	}
	mask := uint64(len(t.index) - 1)
	i := hash >> t.shift
	for t.index[i&mask] != 0 {
		i++
	}
	t.index[i&mask] = t.tag(hash) | (n + 1)
	t.number = n
	e := &t.entries[n]
	e.init(k, now)
	return e
}

func (t *table) len() int { return t.fresh - len(t.free) }

func (t *table) full() bool { return t.len() == len(t.entries) }

// remove takes entry n out. Elements of the index that were pushed past its
// place move back, so that there are no gaps to skip.
func (t *table) remove(n uint32) {
	e := &t.entries[n]
	mask := uint64(len(t.index) - 1)
	number := uint32(1)<<t.numbits - 1
	k := e.key()
	i := t.hash(&k) >> t.shift
	for t.index[i&mask]&number != n+1 {
		i++
	}
	for hole := i; ; {
		i++
		v := t.index[i&mask]
		if v == 0 {
			t.index[hole&mask] = 0
			break
		}
		k := t.entries[v&number-1].key()
		home := t.hash(&k) >> t.shift
		if (i-home)&mask >= (i-hole)&mask {
			t.index[hole&mask] = v
			hole = i
		}
	}
	e.state = None
	t.free = append(t.free, n)
}
