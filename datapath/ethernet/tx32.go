package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// TX32 is the 32-bit transmit MAC; START is always in lane 0. The START word
// leaves before the first beat is taken.
//
// Source: verilog-ethernet rtl/axis_xgmii_tx_32.v. First beat accepted to START
// word 0 cycles; a frame takes (bytes + 24) / 4 cycles.
type TX32 struct{ transmitter }

// NewTX32 returns the MAC between a wire and an XGMII wire of one clock, both
// 32 bit wide.
func NewTX32(in, out *sim.Wire, c TxConfig) *TX32 { return &TX32{newTransmitter(in, out, c)} }

func (t *TX32) Edge(sim.Edges) bool {
	in, fire := t.in.Beat, t.in.Fire()
	n := t.transmitted
	var lo half
	n.ready = false
	if fire {
		n.frame = !in.Last
	}
	switch t.state {
	case macIdle:
		n.failed = false
		n.minCount = t.cfg.MinFrame - fcsBytes - lanes
		if t.in.Valid {
			t.begin(&n, in)
			lo = half{bytes: lanes, start: true}
			n.ready, n.state = true, macPreamble
		} else {
			n.ifg, n.deficit = 0, 0
		}
	case macPreamble:
		lo = packet(lanes)
		n.empty = unused(in, lanes)
		n.ready, n.state = true, macPayload
	case macPayload:
		lo = packet(lanes)
		if t.payload(&n, lanes) {
			n.state = macFCS1
		}
	case macPad:
		lo = packet(lanes)
		if t.pad(&n, lanes) {
			n.state = macFCS1
		}
	case macFCS1:
		n.ready = n.frame
		lo = packet(lanes)
		offset := t.empty
		if offset == 0 {
			offset = lanes
		}
		n.ifg = t.gap(offset)
		if n.state = macFCS2; t.failed {
			n.state = macError
		}
	case macFCS2:
		n.ready = n.frame
		if n.state = macIFG; t.empty == 0 {
			lo, n.state = packet(lanes), macFCS3
		} else {
			lo, _ = ending(fcsBytes - t.empty)
		}
	case macFCS3:
		n.ready = n.frame
		lo, _ = ending(0)
		n.state = macIFG // 12 bytes of gap never fit in what is sent
	case macError:
		n.ready = n.frame
		lo, _ = ending(lanes - 1)
		lo.err = true
		n.ifg, n.state = 12, macIFG
	case macIFG:
		n.ready = n.frame
		n.count(lanes)
		switch {
		case t.frame || t.cfg.DIC && n.ifg >= lanes || !t.cfg.DIC && n.ifg > 0:
		case t.cfg.DIC:
			n.deficit, n.ifg, n.state = n.ifg, 0, macIdle
		default:
			n.state = macIdle
		}
	}
	n.drive(lo, half{})
	return t.load(&n)
}
