package tcp

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// update takes a segment of a known flow into account.
func (t *Tracker) update(now sim.Cycle, e *entry, side int, p *datapath.Packet) {
	h := &p.PHV
	switch {
	case h.TCPFlags&wire.RST != 0:
		t.reset(e, side, h)
		return
	case e.state == Reset:
		return
	case h.TCPFlags&wire.SYN != 0:
		if !t.syn(now, e, side, p) {
			t.counters.Invalid++
			return
		}
	case side == 1 && e.flags&flagReplied == 0:
		// The server's first segment is no SYN: a challenge to a SYN that an old
		// connection of the server's does not like (RFC 5961 §4).
		t.counters.Invalid++
		return
	default:
		if n := length(h); n > 0 && !t.data(now, e, side, p, n) {
			t.counters.Invalid++
			return
		}
	}
	if h.TCPFlags&wire.ACK != 0 {
		t.ack(now, e, side, p)
	}
	e.close()
}

// reset ends a flow if the RST's sequence number is one that its receiver may
// take: from what it has acknowledged up to what it was sent (RFC 5961 §3 wants
// the first exactly; a card does not know which the receiver is at).
func (t *Tracker) reset(e *entry, side int, h *datapath.PHV) {
	me, peer := &e.dir[side], &e.dir[1-side]
	ok := h.TCPSeq.AtOrAfter(peer.ack) && h.TCPSeq.AtOrBefore(me.next)
	if side == 1 && e.flags&flagReplied == 0 { // refused: RFC 9293 §3.10.7.3
		ok = h.TCPFlags&wire.ACK != 0 && h.TCPAck.After(me.ack) && h.TCPAck.AtOrBefore(peer.next)
	}
	if !ok {
		t.counters.Invalid++
		return
	}
	if e.state != Reset {
		e.state = Reset
		t.counters.Resets++
	}
}

// syn takes a SYN of a known flow into account. It reports whether it has a
// place in the flow's state.
func (t *Tracker) syn(now sim.Cycle, e *entry, side int, p *datapath.Packet) bool {
	h := &p.PHV
	me, peer := &e.dir[side], &e.dir[1-side]
	first := side == 1 && e.flags&flagReplied == 0
	if h.TCPFlags&wire.ACK != 0 && first && !(h.TCPAck.After(me.ack) && h.TCPAck.AtOrBefore(peer.next)) {
		return false // answers another SYN
	}
	if first {
		// The answer, or a SYN that crossed the client's.
		e.flags |= flagReplied
		e.state = SynReceived
		me.next = h.TCPSeq.Add(length(h))
		me.holeLow, me.holeHigh = me.next, me.next
		peer.ack = h.TCPSeq
		t.startProbe(now, e, side, p)
		return true
	}
	// Sent again, or the answer to a SYN that crossed ours.
	if h.TCPSeq.After(me.next) || away(h.TCPSeq, me.next) || e.state > Established || h.TCPSeq.Add(1).Before(peer.ack) {
		return false
	}
	if h.TCPSeq.Add(1).AtOrBefore(me.next) {
		t.retransmitted(e, side, p, h.TCPSeq)
		return true
	}
	return false
}

// data takes the n > 0 bytes, or the FIN, of a segment into account. It reports
// whether they lie in the flow's window.
func (t *Tracker) data(now sim.Cycle, e *entry, side int, p *datapath.Packet, n uint32) bool {
	h := &p.PHV
	me := &e.dir[side]
	seq, end := h.TCPSeq, h.TCPSeq.Add(n)
	if away(seq, me.next) || away(end, me.next) {
		return false
	}
	switch {
	case seq == me.next:
		me.next = end
		t.startProbe(now, e, side, p)
	case seq.After(me.next):
		t.counters.Gaps++
		if me.holeLow == me.holeHigh {
			me.holeLow = me.next
		}
		me.holeHigh = seq
		me.next = end
		e.flags &^= flagProbe << side // its acknowledgement waits for the hole
	case end.After(me.next):
		t.retransmitted(e, side, p, seq)
		me.next = end
	case me.holeLow != me.holeHigh && seq.Before(me.holeHigh) && end.After(me.holeLow):
		me.disorder++
		t.counters.OutOfOrder++
		me.fill(seq, end)
	case n == 1 && h.TCPFlags&wire.FIN == 0 && end == me.next && e.dir[1-side].ack == me.next:
		t.counters.KeepAlives++
	default:
		t.retransmitted(e, side, p, seq)
	}
	if h.TCPFlags&wire.FIN != 0 && end == me.next {
		e.flags |= flagFin << side
	}
	return true
}

// fill takes [from, to) out of the hole. From the middle of it nothing is taken,
// because there is one hole only.
func (d *direction) fill(from, to wire.Seq) {
	if from.AtOrBefore(d.holeLow) {
		d.holeLow = to
	}
	if to.AtOrAfter(d.holeHigh) {
		d.holeHigh = from
	}
	if d.holeLow.AtOrAfter(d.holeHigh) {
		d.holeLow = d.holeHigh
	}
}

// retransmitted counts a segment that was seen before, and makes what is timed
// ambiguous if it lies at or behind seq.
func (t *Tracker) retransmitted(e *entry, side int, p *datapath.Packet, seq wire.Seq) {
	d := &e.dir[side]
	d.retrans++
	t.counters.Retransmissions++
	if e.flags&(flagProbe<<side) == 0 || !seq.Before(d.probe) {
		return
	}
	val, _, ok := timestamps(p)
	if !ok || e.tsval[side] == 0 || e.tsval[side] == val {
		e.flags &^= flagProbe << side
		return
	}
	e.flags |= flagAmbiguous << side
}

// ack takes an acknowledgement into account: a sample, and the end of holes.
func (t *Tracker) ack(now sim.Cycle, e *entry, side int, p *datapath.Packet) {
	h := &p.PHV
	me, peer := &e.dir[side], &e.dir[1-side]
	ack := h.TCPAck
	if e.flags&flagReplied == 0 && side == 0 {
		return // the client cannot acknowledge what the card does not know
	}
	if away(ack, peer.next) || away(ack, me.ack) {
		t.counters.Invalid++
		return
	}
	if ack.After(peer.next) { // bytes that took another way
		t.counters.AckedUnseen++
		peer.next = ack
	}
	if !ack.After(me.ack) {
		return
	}
	me.ack = ack
	if e.state == SynReceived && side == 0 {
		e.state = Established
	}
	if peer.holeLow != peer.holeHigh && ack.After(peer.holeLow) {
		peer.fill(peer.holeLow, ack)
	}
	if e.flags&(flagProbe<<(1-side)) != 0 && ack.AtOrAfter(peer.probe) {
		t.sample(now, e, 1-side, p)
	}
}

// close moves the state on as FINs are seen and acknowledged.
func (e *entry) close() {
	fins := e.flags & (flagFin | flagFin<<1)
	if fins == 0 || e.state.over() {
		return
	}
	acked := func(side int) bool {
		return e.flags&(flagFin<<side) != 0 && e.dir[1-side].ack.AtOrAfter(e.dir[side].next)
	}
	switch {
	case acked(0) && acked(1):
		e.state = Closed
	case fins == flagFin|flagFin<<1:
		e.state = LastAck
	case acked(0) || acked(1):
		e.state = CloseWait
	default:
		e.state = FinWait
	}
}
