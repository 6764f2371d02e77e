package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// Phases of the receive and transmit MACs.
const (
	macIdle = iota
	macPreamble
	macPayload
	macPad
	macLast // receive: one more word
	macFCS1
	macFCS2
	macFCS3
	macError
	macIFG
)

// receiver is the receive MACs' side of the frames. It waits for nobody: a beat
// that is not taken in its cycle is lost, and the frame with it.
type receiver struct {
	in, out *sim.Wire
	sim.Losses
}

func (r *receiver) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *receiver) Accept()                      { r.in.Take(true) }

// Hasty makes it a sim.Hasty.
func (r *receiver) Hasty() {}

// received is what the receive MACs have in common.
type received struct {
	state   int
	coming  sim.Beat // its START has been seen
	packet  sim.Beat // START of the packet that is being received
	given   int      // bytes of it given out
	valid   bool     // m_axis_tvalid_reg
	beat    sim.Beat
	lost    uint32 // frame that has lost a beat
	term    int8   // term_lane_reg
	present bool   // term_present_reg
	framing bool   // framing_error_reg
	bad     bool   // the FCS before TERMINATE is wrong
	term0   int8   // term_lane_d0_reg
	bad0    bool
}

// begin takes up the packet whose START has passed the pipeline.
func (s *received) begin() { s.packet, s.given = s.coming, 0 }

// give drives the next n bytes of the frame.
func (s *received) give(n int, last, bad bool) {
	p := s.packet
	s.valid = true
	s.beat = sim.Beat{Frame: p.Frame, Dest: p.Dest, Off: p.Off + preambleBytes + int32(s.given), Bytes: uint16(n),
		Left: p.Left - preambleBytes - fcsBytes - uint16(s.given), First: s.given == 0, Last: last, Bad: last && bad}
	s.given += n
}

// detect loads what a word says about the packet's end.
func (s *received) detect(lo, hi half, width int) {
	s.term0, s.bad0 = s.term, s.bad
	s.term, s.present, s.bad = 0, false, false
	upper := int8(width - lanes)
	switch {
	case lo.term > 0:
		s.term, s.present, s.bad = lo.term-1, true, lo.bad
		s.framing = lo.control(s.term)
	case hi.term > 0:
		s.term, s.present, s.bad = hi.term-1+lanes, true, hi.bad
		s.framing = lo.control(lanes) || hi.control(hi.term-1)
	default:
		s.framing = lo.control(lanes) || hi.control(upper)
	}
}

// untaken counts the frame whose beat nobody takes.
func (r *receiver) untaken(s, n *received) {
	if s.valid && !r.out.Ready && s.lost != s.beat.Frame {
		n.lost = s.beat.Frame
		r.Drop(n.lost, sim.LossFull)
	}
}

// RX64 is the 64-bit receive MAC: it strips preamble and FCS, aligns frames
// whose START is in lane 4, and marks those with a wrong FCS.
//
// Source: verilog-ethernet rtl/axis_xgmii_rx_64.v. START word to first beat 4
// cycles, 5 from lane 4; last beat 2 to 3 cycles after TERMINATE.
type RX64 struct {
	receiver
	rx64State
}

type rx64State struct {
	received
	swapped                   bool // lanes_swapped
	held                      half // swap_rxd, swap_rxc
	startSwap, start0, start1 bool
	framing0                  bool // framing_error_d0_reg
}

// NewRX64 returns the MAC between an XGMII wire and a wire of one clock, both
// 64 bit wide.
func NewRX64(in, out *sim.Wire) *RX64 { return &RX64{receiver: receiver{in: in, out: out}} }

func (r *RX64) Offer() { r.out.Put(r.valid, r.beat) }

func (r *RX64) Edge(sim.Edges) bool {
	n := r.rx64State
	n.valid = false
	switch r.state {
	case macIdle:
		if r.start1 {
			n.begin()
			n.state = macPayload
		}
	case macPayload:
		switch {
		case r.framing || r.framing0:
			n.give(wide, true, true)
			n.state = macIdle
		case r.present && r.term <= lanes:
			n.give(lanes+int(r.term), true, r.bad)
			n.state = macIdle
		default:
			n.give(wide, false, false)
			if r.present {
				n.state = macLast
			}
		}
	case macLast:
		n.give(int(r.term0)-lanes, true, r.bad0)
		if n.state = macIdle; r.start1 {
			n.begin()
			n.state = macPayload
		}
	}
	var lo, hi half
	if r.in.Valid {
		lo, hi = split(r.in.Beat, wide)
	}
	n.start1, n.start0, n.startSwap = r.start0, r.startSwap, false
	n.held, n.framing0 = hi, r.framing
	switch {
	case lo.start || hi.start:
		n.detect(packet(lanes), packet(lanes), wide)
		n.coming, n.swapped = r.in.Beat, hi.start
		n.startSwap, n.start0 = hi.start, n.start0 || lo.start
	case r.swapped:
		n.detect(r.held, lo, wide)
		n.swapped = !n.present
	default:
		n.detect(lo, hi, wide)
	}
	r.untaken(&r.received, &n.received)
	if n == r.rx64State {
		return r.valid || r.in.Valid
	}
	r.rx64State = n
	return true
}

// RX32 is the 32-bit receive MAC; START is always in lane 0.
//
// Source: verilog-ethernet rtl/axis_xgmii_rx_32.v. START word to first beat 6
// cycles; last beat 2 to 3 cycles after TERMINATE.
type RX32 struct {
	receiver
	rx32State
}

type rx32State struct {
	received
	start [3]bool // xgmii_start_d0 … d2
}

// NewRX32 returns the MAC between an XGMII wire and a wire of one clock, both
// 32 bit wide.
func NewRX32(in, out *sim.Wire) *RX32 { return &RX32{receiver: receiver{in: in, out: out}} }

func (r *RX32) Offer() { r.out.Put(r.valid, r.beat) }

func (r *RX32) Edge(sim.Edges) bool {
	n := r.rx32State
	n.valid = false
	switch r.state {
	case macIdle:
		if r.start[2] {
			n.begin()
			n.state = macPreamble
			if r.framing {
				n.give(1, true, true)
				n.state = macIdle
			}
		}
	case macPreamble:
		n.state = macPayload
	case macPayload:
		switch {
		case r.framing:
			n.give(lanes, true, true)
			n.state = macIdle
		case r.present && r.term == 0:
			n.give(lanes, true, r.bad)
			n.state = macIdle
		default:
			n.give(lanes, false, false)
			if r.present {
				n.state = macLast
			}
		}
	case macLast:
		n.give(int(r.term0), true, r.bad0)
		n.state = macIdle
	}
	var lo half
	if r.in.Valid {
		lo, _ = split(r.in.Beat, lanes)
	}
	if lo.start {
		n.coming = r.in.Beat
	}
	n.start = [3]bool{lo.start, r.start[0], r.start[1]}
	n.detect(lo, half{}, lanes)
	r.untaken(&r.received, &n.received)
	if n == r.rx32State {
		return r.valid || r.in.Valid
	}
	r.rx32State = n
	return true
}
