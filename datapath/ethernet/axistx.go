package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// AxisTx puts the Ethernet header in front of a payload. It takes the header
// first, then the payload, and no header before the last payload beat has gone.
//
// Source: verilog-ethernet rtl/eth_axis_tx.v. First latency 2 from the header;
// a frame takes one cycle more than it has beats.
type AxisTx struct {
	in, out *sim.Wire
	offset  int // bytes of the header in its last beat, 0 if it fills it
	words   int // beats of the header
	axisTxState
}

type axisTxState struct {
	out_            output
	hdrReady, ready bool // s_eth_hdr_ready_reg, s_eth_payload_axis_tready_reg
	header, payload bool // send_eth_header_reg, send_eth_payload_reg
	extra           bool // shift_eth_payload_axis_extra_cycle_reg
	ptr             int  // beats of the header sent
	sent            int  // bytes sent
	save            sim.Beat
	hdr             sim.Header
}

// NewAxisTx returns the stage between two wires of one clock and width.
func NewAxisTx(in, out *sim.Wire) *AxisTx {
	return &AxisTx{in: in, out: out, offset: ethBytes % in.Width, words: sim.Beats(ethBytes, in.Width),
		axisTxState: axisTxState{hdrReady: true, out_: output{ready: true}}}
}

func (r *AxisTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *AxisTx) Offer()                       { r.out.Put(r.out_.valid, r.out_.beat) }
func (r *AxisTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

// prepended is the next beat of a frame of which bytes of a header of size
// bytes and a payload are sent: n bytes of it, ending with end.
func prepended(h sim.Header, size, sent, n int, end sim.Beat) sim.Beat {
	return sim.Beat{Frame: h.Frame, Dest: h.Dest, Off: h.Off - int32(size) + int32(sent), Bytes: uint16(n),
		Left: h.Bytes + uint16(size) - uint16(sent), First: sent == 0, Last: end.Last, Bad: end.Bad}
}

// shifted is the payload's part of the word at hand: how many bytes, and with
// the marks of the word.
func (s *axisTxState) shifted(in sim.Beat, width, offset int) (n int, end sim.Beat) {
	room := width - offset
	switch {
	case offset == 0:
		return int(in.Bytes), in
	case s.extra:
		return int(s.save.Bytes) - room, s.save
	}
	in.Last = in.Last && int(in.Bytes) <= room
	in.Bad = in.Bad && in.Last
	return offset + min(int(in.Bytes), room), in
}

func (r *AxisTx) Edge(sim.Edges) bool {
	in, fire, hdrFire, width := r.in.Beat, r.in.Fire(), r.in.HdrFire(), r.in.Width
	n := r.axisTxState
	early := r.out_.early(r.out.Ready)
	bytes, end := r.shifted(in, width, r.offset)
	again := r.offset == 0 || !r.extra && !(in.Last && fire) // shift_…_input_tready
	valid, flush := false, false
	n.ready = false
	if hdrFire {
		n.hdr, n.ptr, n.sent, n.header = r.in.Hdr, 0, 0, true
		n.payload = r.offset != 0 && r.words == 1
		n.ready = n.payload && early
	}
	if r.payload {
		n.ready = early && again
		if fire || r.out_.ready && r.extra {
			valid = true
			if end.Last {
				flush, n.ready, n.ptr, n.payload = true, false, 0, false
			}
		}
	}
	if r.header && r.out_.ready && (r.offset == 0 || !r.payload || valid) {
		n.ptr = r.ptr + 1
		if !r.payload {
			bytes, end = width, sim.Beat{}
			if r.offset != 0 && n.ptr == r.words-1 {
				n.payload, n.ready = true, early && again
			}
		}
		valid = true
		if r.ptr == (ethBytes-1)/width {
			if !r.payload {
				n.payload, n.ready = true, early
			}
			n.header = false
		}
	}
	n.hdrReady = !n.header && !n.payload
	if fire {
		n.save = in
		n.extra = r.offset != 0 && in.Last && int(in.Bytes) > width-r.offset
	}
	n.extra = n.extra && !flush
	var b sim.Beat
	if valid {
		b = prepended(r.hdr, ethBytes, r.sent, bytes, end)
		n.sent += bytes
	}
	n.out_.load(r.out.Ready, valid, b)
	if !fire && !hdrFire && !r.out.Fire() && n == r.axisTxState {
		return false
	}
	r.axisTxState = n
	return true
}
