package tcp

import (
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
	"github.com/meshnic/meshnic/datapath/wire"
)

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
	srcHi, srcLo, dstHi, dstLo uint64 // as in flowindex.Key, of a packet of the client's
	srcPort, dstPort           uint16
	vlan                       uint16
	state                      State
	flags                      uint8

	last  sim.Cycle
	start sim.Cycle
	tsval [2]uint32 // timestamp of the segment being timed; 0 if it has none

	dir [2]direction // client, server
}

func (e *entry) key() flowindex.Key {
	return flowindex.Key{
		SrcHi: e.srcHi, SrcLo: e.srcLo, DstHi: e.dstHi, DstLo: e.dstLo, SrcPort: e.srcPort, DstPort: e.dstPort, VLAN: e.vlan,
	}
}

// init makes e the flow of a client of addresses k, with nothing known yet.
func (e *entry) init(k *flowindex.Key, now sim.Cycle) {
	*e = entry{
		srcHi: k.SrcHi, srcLo: k.SrcLo, dstHi: k.DstHi, dstLo: k.DstLo,
		srcPort: k.SrcPort, dstPort: k.DstPort, vlan: k.VLAN,
		start: now,
	}
}

// table finds entries.
type table struct {
	entries []entry
	index   flowindex.Index
	free    []uint32 // entries that were used once and are not now
	fresh   int      // entries from here on were never used
	number  uint32   // of the entry that was found or inserted last
}

func newTable(flows int, seed uint64) table {
	return table{entries: make([]entry, flows), index: flowindex.New(flows, seed), free: make([]uint32, 0, flows)}
}

// find returns the flow of k, nil if there is none, and which side sent k.
func (t *table) find(k *flowindex.Key, hash uint64) (e *entry, side int) {
	for p := t.index.Probe(hash); ; {
		n, ok := t.index.Next(&p)
		if !ok {
			return nil, 0
		}
		e := &t.entries[n]
		t.number = n
		if e.srcLo == k.SrcLo && e.dstLo == k.DstLo && e.srcPort == k.SrcPort && e.dstPort == k.DstPort {
			if e.srcHi == k.SrcHi && e.dstHi == k.DstHi && e.vlan == k.VLAN {
				return e, 0
			}
		}
		if e.srcLo == k.DstLo && e.dstLo == k.SrcLo && e.srcPort == k.DstPort && e.dstPort == k.SrcPort {
			if e.srcHi == k.DstHi && e.dstHi == k.SrcHi && e.vlan == k.VLAN {
				return e, 1
			}
		}
	}
}

// insert makes an entry for a client of addresses k. There must be room.
func (t *table) insert(k *flowindex.Key, hash uint64, now sim.Cycle) *entry {
	var n uint32
	if last := len(t.free) - 1; last >= 0 {
		n = t.free[last]
		t.free = t.free[:last]
	} else {
		n = uint32(t.fresh)
		t.fresh++
	}
	t.index.Insert(hash, n)
	t.number = n
	e := &t.entries[n]
	e.init(k, now)
	return e
}

func (t *table) len() int { return t.fresh - len(t.free) }

func (t *table) full() bool { return t.len() == len(t.entries) }

func (t *table) hashOf(n uint32) uint64 {
	k := t.entries[n].key()
	return t.index.Hash(&k)
}

// remove takes entry n out.
func (t *table) remove(n uint32) {
	t.index.Remove(t.hashOf(n), n, t.hashOf)
	t.entries[n].state = None
	t.free = append(t.free, n)
}
