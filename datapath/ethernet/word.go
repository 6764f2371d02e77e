package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// lanes of XGMII are what the 32-bit MACs see at once and what the 64-bit ones
// swap.
const lanes = 4

// half is four lanes of XGMII.
type half struct {
	bytes int8 // lanes that belong to the packet, START and errors included
	term  int8 // lane of TERMINATE plus 1, or 0
	start bool // lane 0 holds START
	err   bool // its bytes are error characters
	bad   bool // the packet that ends here has a wrong FCS
}

// control reports whether any of the lanes below n holds no data.
func (h half) control(n int8) bool { return h.err || h.start || h.bytes < n }

// packet is a half word of n bytes of a packet.
func packet(n int) half { return half{bytes: int8(min(max(n, 0), lanes))} }

// ending is a word of n bytes of a packet, followed by TERMINATE.
func ending(n int) (lo, hi half) {
	lo, hi = packet(n), packet(n-lanes)
	if n < lanes {
		lo.term = int8(n) + 1
	} else {
		hi.term = int8(n-lanes) + 1
	}
	return lo, hi
}

// split is what an XGMII beat of width bytes has in its lower and upper lanes.
func split(b sim.Beat, width int) (lo, hi half) {
	if b.Bytes == 0 && !b.Last {
		return lo, hi
	}
	full := width // lanes below TERMINATE
	lo, hi = packet(width), packet(width-lanes)
	if b.Last {
		full = b.Lane
		lo, hi = ending(full)
		lo.bad, hi.bad = b.Bad && full < lanes, b.Bad && full >= lanes
	}
	if b.First {
		if b.Lane == 0 {
			lo.start = true
		} else {
			full -= lanes
			lo, hi.start = half{}, true
		}
	}
	if int(b.Bytes) < full {
		lo.err = int8(b.Bytes) < lo.bytes
		hi.err = hi.bytes > 0
	}
	return lo, hi
}

// word is the beat that the halves make, without what tells whose it is.
func word(lo, hi half) (b sim.Beat, valid bool) {
	for i, h := range [2]half{lo, hi} {
		valid = valid || h != half{}
		if !h.err {
			b.Bytes += uint16(h.bytes)
		}
		if h.start {
			b.First, b.Lane = true, i*lanes
		}
		if h.term > 0 {
			b.Last, b.Bad, b.Lane = true, h.err, i*lanes+int(h.term)-1
		}
	}
	return b, valid
}
