package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// TxConfig is fixed when a transmit MAC is built.
type TxConfig struct {
	Padding  bool // ENABLE_PADDING: to MinFrame
	DIC      bool // ENABLE_DIC: deficit idle count, a mean gap of IFG
	MinFrame int  // MIN_FRAME_LENGTH in bytes, FCS included
	IFG      int  // cfg_ifg in bytes, at least 12 is kept
}

// transmitter is a transmit MAC. A frame whose beats do not come in time, or
// that is marked bad, ends on the line with error characters and is lost; what
// still comes of it is taken and thrown away.
type transmitter struct {
	in, out *sim.Wire
	cfg     TxConfig
	sim.Losses
	transmitted
}

// transmitted is what the transmit MACs hold.
type transmitted struct {
	state    int
	ready    bool  // s_axis_tready_reg
	frame    bool  // frame_reg: more beats of it will come
	failed   bool  // frame_error_reg
	swap     bool  // swap_lanes_reg
	held     half  // swap_txd, swap_txc
	minCount int   // frame_min_count_reg
	empty    int   // s_empty_reg
	ifg      uint8 // ifg_count_reg
	deficit  uint8 // deficit_idle_count_reg
	packet   sim.Beat
	bytes    int // of the packet
	sent     int // of them on the line
	valid    bool
	beat     sim.Beat // xgmii_txd_reg
}

func newTransmitter(in, out *sim.Wire, c TxConfig) transmitter {
	return transmitter{in: in, out: out, cfg: c}
}

func (t *transmitter) Ports() (in, out []*sim.Wire) { return []*sim.Wire{t.in}, []*sim.Wire{t.out} }
func (t *transmitter) Accept()                      { t.in.Take(t.ready) }
func (t *transmitter) Offer()                       { t.out.Put(t.valid, t.beat) }
func (t *transmitter) Hasty()                       {}

// begin takes up the frame whose first beat is b.
func (t *transmitter) begin(n *transmitted, b sim.Beat) {
	frame := int(b.Left)
	if t.cfg.Padding {
		frame = max(frame, t.cfg.MinFrame-fcsBytes)
	}
	n.packet, n.bytes, n.sent = b, preambleBytes+frame+fcsBytes, 0
}

// drive loads the line's register with a word.
func (n *transmitted) drive(lo, hi half) {
	n.beat, n.valid = word(lo, hi)
	if !n.valid {
		return
	}
	p := n.packet
	n.beat.Frame, n.beat.Dest = p.Frame, p.Dest
	n.beat.Off, n.beat.Left = p.Off-preambleBytes+int32(n.sent), uint16(n.bytes-n.sent)
	n.sent += int(n.beat.Bytes)
}

// payload is the state in which the frame's words pass; width is the bus's. It
// reports whether the frame's last beat came, or none.
func (t *transmitter) payload(n *transmitted, width int) (ends bool) {
	in, came := t.in.Beat, t.in.Valid
	n.ready = true
	n.minCount = max(t.minCount-width, 0)
	n.empty = unused(in, width)
	if came && !in.Last {
		return false
	}
	n.ready = n.frame
	if n.failed = !came || in.Bad; n.failed {
		t.Drop(t.packet.Frame, sim.LossBad)
	}
	if t.cfg.Padding && t.minCount > 0 {
		if t.minCount > width {
			n.empty, n.state = 0, macPad
			return false
		}
		n.empty = min(n.empty, width-t.minCount)
	}
	return true
}

// pad is the state in which padding passes; it reports whether this is the last
// of it.
func (t *transmitter) pad(n *transmitted, width int) (ends bool) {
	n.ready = n.frame
	n.minCount, n.empty = max(t.minCount-width, 0), 0
	if t.minCount > width {
		return false
	}
	n.empty = width - t.minCount
	return true
}

// gap is the inter-frame gap that is left to wait for when offset bytes of it
// are already in the words of the FCS.
func (t *transmitter) gap(offset int) uint8 {
	return uint8(max(t.cfg.IFG, 12)-offset) + t.deficit
}

// count counts one word of the gap down.
func (n *transmitted) count(width uint8) {
	if n.ifg > width {
		n.ifg -= width
	} else {
		n.ifg = 0
	}
}

// unused is how many lanes of b hold nothing (keep2empty).
func unused(b sim.Beat, width int) int { return width - min(max(int(b.Bytes), 1), width) }

// load ends an edge: it reports whether anything changed.
func (t *transmitter) load(n *transmitted) bool {
	if *n == t.transmitted && !t.in.Fire() && !n.valid {
		return false
	}
	t.transmitted = *n
	return true
}
