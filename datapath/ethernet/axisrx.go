package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// AxisRx takes the Ethernet header off a frame and aligns the payload to the
// bus. The header is offered from the cycle after its last byte came; the next
// frame's header waits in the input until it is taken. Frames without payload
// are lost.
//
// Source: verilog-ethernet rtl/eth_axis_rx.v. First latency 3 at 64 bit, 2 at
// 512; a frame takes one cycle more than it has beats when its tail does not
// fit; 4 beats are absorbed with the sink frozen.
type AxisRx struct {
	in, out *sim.Wire
	offset  int // by which the payload is out of place on the bus
	sim.Losses
	axisRxState
}

type axisRxState struct {
	out_    output
	ready   bool // s_axis_tready_reg
	payload bool // read_eth_payload_reg; its complement is read_eth_header_reg
	first   bool // no payload beat yet
	extra   bool // shift_axis_extra_cycle_reg
	ptr     int  // beats of the header read
	save    sim.Beat
	hdr     header
}

// NewAxisRx returns the stage between two wires of one clock and width.
func NewAxisRx(in, out *sim.Wire) *AxisRx {
	return &AxisRx{in: in, out: out, offset: ethBytes % in.Width,
		axisRxState: axisRxState{ready: true, out_: output{ready: true}}}
}

func (r *AxisRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *AxisRx) Accept()                      { r.in.Take(r.ready) }

func (r *AxisRx) Offer() {
	r.out.Put(r.out_.valid, r.out_.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

// shifted is the payload word at hand.
func (s *axisRxState) shifted(in sim.Beat, offset int) sim.Beat {
	switch {
	case offset == 0:
		return in
	case s.extra:
		return after(s.save, offset)
	}
	return joined(s.save, in, offset)
}

func (r *AxisRx) Edge(sim.Edges) bool {
	in, fire, width := r.in.Beat, r.in.Fire(), r.in.Width
	n := r.axisRxState
	word := r.shifted(in, r.offset)
	valid, flush := false, false
	n.hdr.valid = r.hdr.valid && !r.out.HdrReady
	if fire || r.out_.ready && r.extra {
		const end = ethBytes - 1
		if r.payload {
			valid, n.first, word.First = true, false, r.first
		} else if n.ptr++; r.ptr == end/width && int(in.Bytes) > end%width && !word.Last {
			came := r.ptr * width
			n.hdr = header{true, sim.Header{Frame: in.Frame, Dest: in.Dest,
				Bytes: in.Left + uint16(came) - ethBytes, Off: in.Off - int32(came) + ethBytes}}
			n.payload, n.first = true, true
		}
		if word.Last {
			if !n.payload {
				r.Drop(in.Frame, sim.LossBad)
			}
			flush, n.ptr, n.payload = true, 0, false
		}
	}
	again := true // shift_axis_input_tready
	switch {
	case r.offset == 0:
	case r.extra:
		again = flush
	default:
		again = !(in.Last && fire)
	}
	n.ready = r.out_.early(r.out.Ready) && again && (!r.hdr.valid || r.out.HdrReady)
	if fire {
		n.save = in
		n.extra = r.offset != 0 && in.Last && int(in.Bytes) > r.offset
	}
	n.extra = n.extra && !flush
	n.out_.load(r.out.Ready, valid, word)
	if !fire && !r.out.Fire() && n == r.axisRxState {
		return false
	}
	r.axisRxState = n
	return true
}
