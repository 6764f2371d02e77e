package tcp

import (
	"encoding/binary"
	"iter"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Flow is a copy of what is known about one connection.
type Flow struct {
	ClientIP, ServerIP     [16]byte // IPv4 mapped
	ClientPort, ServerPort uint16
	VLAN                   uint16
	State                  State
	Midstream              bool      // the first SYN was not seen: client may be the server
	Start, Last            sim.Cycle // of the first and the last segment
	Client, Server         Side
}

// Side is what one end of a connection has sent.
type Side struct {
	Bytes           uint64 // payload, retransmissions included
	Segments        uint64
	Retransmissions uint64   // segments with bytes already seen
	OutOfOrder      uint64   // segments that filled a hole
	Next            wire.Seq // behind the last byte seen
	Acked           wire.Seq // what the other end has acknowledged of it
	RTT             RTT
}

// RTT is the time from this side's segments passing the card to the other end's
// acknowledgements passing it, in cycles, 2^32-1 at most.
type RTT struct {
	Samples       uint64
	Min, Smoothed sim.Cycle // smoothed as in RFC 6298 §2
}

// Flows returns all flows in no particular order, but the same in each run. The
// table must not change meanwhile.
func (t *Tracker) Flows() iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		for i := range t.table.entries[:t.table.fresh] {
			if e := &t.table.entries[i]; e.state != None && !yield(e.flow()) {
				return
			}
		}
	}
}

// Len returns how many flows there are.
func (t *Tracker) Len() int { return t.table.len() }

// Find returns the flow between two ends, in either order. Addresses are IPv4
// mapped or IPv6.
func (t *Tracker) Find(srcIP, dstIP [16]byte, srcPort, dstPort, vlan uint16) (Flow, bool) {
	k := flowindex.Between(&srcIP, &dstIP, srcPort, dstPort, vlan)
	e, _ := t.table.find(&k, t.table.index.Hash(&k))
	if e == nil {
		return Flow{}, false
	}
	return e.flow(), true
}

func (e *entry) flow() Flow {
	return Flow{
		ClientIP: ip(e.srcHi, e.srcLo), ServerIP: ip(e.dstHi, e.dstLo),
		ClientPort: e.srcPort, ServerPort: e.dstPort,
		VLAN:      e.vlan,
		State:     e.state,
		Midstream: e.flags&flagMidstream != 0,
		Start:     e.start, Last: e.last,
		Client: side(&e.dir[0], &e.dir[1]), Server: side(&e.dir[1], &e.dir[0]),
	}
}

func ip(hi, lo uint64) (a [16]byte) {
	binary.LittleEndian.PutUint64(a[0:8], hi)
	binary.LittleEndian.PutUint64(a[8:16], lo)
	return a
}

func side(d, peer *direction) Side {
	return Side{
		Bytes: d.bytes, Segments: d.segments,
		Retransmissions: uint64(d.retrans), OutOfOrder: uint64(d.disorder),
		Next: d.next, Acked: peer.ack,
		RTT: RTT{Samples: uint64(d.samples), Min: sim.Cycle(d.rttMin), Smoothed: sim.Cycle(d.srtt)},
	}
}

// Counters are the tracker's totals. Each is monotonic.
type Counters struct {
	Segments        uint64 // frames with TCP
	Bytes           uint64 // of their payload
	Opened          uint64 // flows
	Midstream       uint64 // of them, whose first SYN was not seen
	Restarted       uint64 // flows whose addresses a new connection took over
	Expired         uint64 // flows forgotten because quiet
	Evicted         uint64 // flows forgotten for want of room
	Resets          uint64 // flows ended by RST
	Retransmissions uint64
	OutOfOrder      uint64
	Gaps            uint64 // segments that left a hole before them
	KeepAlives      uint64
	AckedUnseen     uint64 // acknowledgements of bytes the card has not seen
	RTTSamples      uint64
	Invalid         uint64 // segments that do not fit their flow
	Untracked       uint64 // segments without a flow
}

// Counters returns the totals so far.
func (t *Tracker) Counters() Counters { return t.counters }

// Each calls f for every counter with its name.
func (c *Counters) Each(f func(name string, value uint64)) {
	f("segments", c.Segments)
	f("bytes", c.Bytes)
	f("opened", c.Opened)
	f("midstream", c.Midstream)
	f("restarted", c.Restarted)
	f("expired", c.Expired)
	f("evicted", c.Evicted)
	f("resets", c.Resets)
	f("retransmissions", c.Retransmissions)
	f("out_of_order", c.OutOfOrder)
	f("gaps", c.Gaps)
	f("keep_alives", c.KeepAlives)
	f("acked_unseen", c.AckedUnseen)
	f("rtt_samples", c.RTTSamples)
	f("invalid", c.Invalid)
	f("untracked", c.Untracked)
}
