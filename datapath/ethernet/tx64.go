package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// TX64 is the 64-bit transmit MAC: preamble, padding, FCS and gap; with deficit
// idle count START alternates between lanes 0 and 4 as the gap asks.
//
// Source: verilog-ethernet rtl/axis_xgmii_tx_64.v. First beat to START word 1
// cycle; a frame takes (bytes + 24) / 8 cycles.
type TX64 struct{ transmitter }

// NewTX64 returns the MAC between a wire and an XGMII wire of one clock, both
// 64 bit wide.
func NewTX64(in, out *sim.Wire, c TxConfig) *TX64 {
	t := &TX64{newTransmitter(in, out, c)}
	t.ready = true
	return t
}

func (t *TX64) Edge(sim.Edges) bool {
	in, fire := t.in.Beat, t.in.Fire()
	n := t.transmitted
	var lo, hi half
	n.ready = false
	if fire {
		n.frame = !in.Last
	}
	switch t.state {
	case macIdle:
		n.failed, n.ready = false, true
		n.minCount = t.cfg.MinFrame - fcsBytes - wide
		if fire {
			t.begin(&n, in)
			n.state, n.empty = macPayload, unused(in, wide)
			lo, hi = packet(lanes), packet(lanes)
			lo.start = true
		} else {
			n.swap, n.ifg, n.deficit = false, 0, 0
		}
	case macPayload:
		lo, hi = packet(lanes), packet(lanes)
		if t.payload(&n, wide) {
			n.finish()
		}
	case macPad:
		lo, hi = packet(lanes), packet(lanes)
		if t.pad(&n, wide) {
			n.finish()
		}
	case macFCS1:
		n.ready = n.frame
		if t.empty > lanes {
			lo, hi = ending(wide + fcsBytes - t.empty)
			n.ifg, n.state = t.gap(t.empty-lanes), macIFG
		} else {
			lo, hi = packet(lanes), packet(lanes)
			n.ifg, n.state = t.gap(t.empty+lanes), macFCS2
		}
		if t.swap {
			n.ifg += lanes
		}
	case macFCS2:
		n.ready = n.frame
		lo, hi = ending(fcsBytes - t.empty)
		t.next(&n, false)
	case macError:
		n.ready = n.frame
		lo, hi = ending(wide - 1)
		lo.err, hi.err = true, true
		n.ifg, n.state = 12, macIFG
	case macIFG:
		n.ready = n.frame
		n.count(wide)
		t.next(&n, t.frame)
	}
	n.held = hi
	if t.swap {
		lo, hi = t.held, lo
	}
	n.drive(lo, hi)
	return t.load(&n)
}

// finish goes on to the end of the frame.
func (n *transmitted) finish() {
	if n.state = macFCS1; n.failed {
		n.state = macError
	}
}

// next decides whether the gap lasts another word, and else in which lane the
// next frame may start; more: beats of the last frame are still coming.
func (t *TX64) next(n *transmitted, more bool) {
	n.state = macIFG
	switch {
	case t.cfg.DIC && !more && n.ifg < wide:
		n.swap = n.ifg >= lanes
		n.deficit = n.ifg % lanes
		if !n.swap {
			n.ifg = 0
		}
	case !t.cfg.DIC && !more && n.ifg <= lanes:
		n.swap = n.ifg != 0
	default:
		return
	}
	n.ready, n.state = true, macIdle
}
