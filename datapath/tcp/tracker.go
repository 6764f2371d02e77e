package tcp

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
	"github.com/meshnic/meshnic/datapath/wire"
)

// maxAway is how far a sequence number may lie from where a flow is: the largest
// window (RFC 7323 §2.3).
const maxAway = 1 << 30

// Tracker is the stage. It passes every packet.
type Tracker struct {
	table    table
	timeouts [NumStates]sim.Cycle
	sweep    int // next entry that Expire looks at
	hand     int // next entry that evict looks at
	side     int // that sent what Process saw last; -1: it was not tracked
	packet   uint64
	counters Counters
}

// New returns a tracker with all its memory.
func New(cfg Config) (*Tracker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Tracker{
		table:    newTable(cfg.Flows, cfg.Seed),
		timeouts: cfg.Timeouts.withDefaults(cfg.Clock).byState(),
	}, nil
}

// Name returns "tcp".
func (*Tracker) Name() string { return "tcp" }

// Process takes note of p, if it is TCP. The verdict is always Continue.
func (t *Tracker) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	t.side, t.packet = -1, p.ID
	if p.PHV.Headers&datapath.HdrTCP != 0 {
		t.side = t.segment(now, p)
	}
	return datapath.Continue
}

// Last is the flow of packet p, if Process saw it last: its place, which is less
// than Config.Flows and another flow's when this one is forgotten, and the side
// that sent the packet, client 0. ok is false if it was not tracked.
func (t *Tracker) Last(p *datapath.Packet) (place uint32, side int, ok bool) {
	return t.table.number, t.side, t.side >= 0 && t.packet == p.ID
}

const synAck = wire.SYN | wire.ACK

// segment returns the side that sent p, or -1 if it is not tracked.
func (t *Tracker) segment(now sim.Cycle, p *datapath.Packet) int {
	h := &p.PHV
	t.counters.Segments++
	t.counters.Bytes += uint64(h.PayloadLen)
	if h.Headers&datapath.HdrMoreFragments != 0 {
		t.counters.Untracked++
		return -1
	}
	k := flowindex.Of(h)
	hash := t.table.index.Hash(&k)
	e, side := t.table.find(&k, hash)
	if e == nil {
		if e, side = t.open(now, p, &k, hash); e == nil {
			t.counters.Untracked++
			return -1
		}
		t.count(e, side, p)
		t.begin(now, e, side, p)
		return side
	}
	if t.startsOver(now, e, side, h) {
		t.counters.Restarted++
		if h.TCPFlags&wire.ACK != 0 {
			k = k.Reverse()
			side = 1
		} else {
			side = 0
		}
		e.init(&k, now)
		t.count(e, side, p)
		t.begin(now, e, side, p)
		return side
	}
	t.count(e, side, p)
	e.last = now
	t.update(now, e, side, p)
	return side
}

// open makes the entry of a flow that p is the first of, nil if p cannot be.
func (t *Tracker) open(now sim.Cycle, p *datapath.Packet, k *flowindex.Key, hash uint64) (e *entry, side int) {
	f := p.PHV.TCPFlags
	if f&wire.RST != 0 || f&synAck == 0 {
		return nil, 0
	}
	t.Expire(now, 2)
	if t.table.full() {
		t.evict()
	}
	client := *k
	if f&synAck == synAck { // it answers a SYN: its receiver is the client
		client, side = k.Reverse(), 1
	}
	e = t.table.insert(&client, hash, now)
	t.counters.Opened++
	return e, side
}

// begin sets up a fresh entry from its first segment.
func (t *Tracker) begin(now sim.Cycle, e *entry, side int, p *datapath.Packet) {
	h := &p.PHV
	e.last = now
	me, peer := &e.dir[side], &e.dir[1-side]
	me.next = h.TCPSeq.Add(length(h))
	peer.ack = h.TCPSeq
	if h.TCPFlags&wire.ACK != 0 {
		me.ack = h.TCPAck
		peer.next = h.TCPAck
		e.flags |= flagReplied
	}
	switch h.TCPFlags & synAck {
	case wire.SYN:
		e.state = SynSent
	case synAck:
		e.state = SynReceived
		e.flags |= flagMidstream
	default:
		e.state = Established
		e.flags |= flagMidstream
	}
	if h.TCPFlags&wire.FIN != 0 && e.state == Established {
		e.flags |= flagFin << side
		e.state = FinWait
	}
	if e.flags&flagMidstream != 0 {
		t.counters.Midstream++
	}
	if length(h) > 0 {
		t.startProbe(now, e, side, p)
	}
}

// length is how much of the sequence space a segment takes.
func length(h *datapath.PHV) uint32 {
	n := h.PayloadLen
	if h.TCPFlags&wire.SYN != 0 {
		n++
	}
	if h.TCPFlags&wire.FIN != 0 {
		n++
	}
	return n
}

// startsOver reports whether a segment begins a new connection between the
// addresses of e.
func (t *Tracker) startsOver(now sim.Cycle, e *entry, side int, h *datapath.PHV) bool {
	switch h.TCPFlags & (synAck | wire.RST | wire.FIN) {
	case wire.SYN:
		if e.state.over() || now-e.last > t.timeouts[e.state] {
			return true
		}
		// The client has given up and tries another initial sequence number.
		return e.state == SynSent && side == 0 && h.TCPSeq != e.dir[1].ack
	case synAck:
		// The server has accepted a SYN that looked out of place: it knows better.
		return e.state >= Established && !e.ownSyn(side, h)
	}
	return false
}

// ownSyn reports whether a SYN,ACK can be the one that opened the flow, sent
// again: its sequence number lies as far back as the side has sent bytes.
func (e *entry) ownSyn(side int, h *datapath.PHV) bool {
	me, peer := &e.dir[side], &e.dir[1-side]
	back := h.TCPSeq.Distance(me.next)
	return back > 0 && uint64(back) <= me.bytes+2 && h.TCPAck.AtOrBefore(peer.next) && !away(h.TCPAck, peer.next)
}

// away reports whether two sequence numbers cannot belong to one window.
func away(a, b wire.Seq) bool {
	d := a.Distance(b)
	return d >= maxAway || d <= -maxAway
}

func (t *Tracker) count(e *entry, side int, p *datapath.Packet) {
	d := &e.dir[side]
	d.bytes += uint64(p.PHV.PayloadLen)
	d.segments += segments(p)
}

// segments is how many segments a frame stands for.
func segments(p *datapath.Packet) uint64 {
	n, size := uint64(p.PHV.PayloadLen), uint64(p.GSOSize)
	if size == 0 || n <= size {
		return 1
	}
	return (n + size - 1) / size
}
