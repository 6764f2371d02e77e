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
	output  output
	save    sim.Beat
	hdr     sim.Header
	sent    int // bytes sent
	axisTxState
}

type axisTxState struct {
	hdrReady, ready bool // s_eth_hdr_ready_reg, s_eth_payload_axis_tready_reg
	header, payload bool // send_eth_header_reg, send_eth_payload_reg
	extra           bool // shift_eth_payload_axis_extra_cycle_reg
	ptr             int8 // beats of the header sent
}

// NewAxisTx returns the stage between two wires of one clock and width.
func NewAxisTx(in, out *sim.Wire) *AxisTx {
	return &AxisTx{in: in, out: out, offset: ethBytes % in.Width, words: sim.Beats(ethBytes, in.Width),
		output: output{ready: true}, axisTxState: axisTxState{hdrReady: true}}
}

func (r *AxisTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *AxisTx) Offer()                       { r.out.Put(r.output.valid, r.output.beat) }
func (r *AxisTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

func (r *AxisTx) Edge(sim.Edges) bool {
	in, fire, hdrFire, width := &r.in.Beat, r.in.Fire(), r.in.HdrFire(), r.in.Width
	n := r.axisTxState
	early := r.output.early(r.out.Ready)
	room := width - r.offset
	bytes, last, bad := int(in.Bytes), in.Last, in.Bad // of the word at hand
	switch {
	case r.offset == 0:
	case r.extra:
		bytes, last, bad = int(r.save.Bytes)-room, r.save.Last, r.save.Bad
	default:
		bytes, last = r.offset+min(bytes, room), ends(in, room)
		bad = bad && last
	}
	again := r.offset == 0 || !r.extra && !(in.Last && fire) // shift_…_input_tready
	valid, flush := false, false
	n.ready = false
	if hdrFire {
		n.ptr, n.header = 0, true
		n.payload = r.offset != 0 && r.words == 1
		n.ready = n.payload && early
	}
	if r.payload {
		n.ready = early && again
		if fire || r.output.ready && r.extra {
			valid = true
			if last {
				flush, n.ready, n.ptr, n.payload = true, false, 0, false
			}
		}
	}
	if r.header && r.output.ready && (r.offset == 0 || !r.payload || valid) {
		n.ptr = r.ptr + 1
		if !r.payload {
			bytes, last, bad = width, false, false
			if r.offset != 0 && int(n.ptr) == r.words-1 {
				n.payload, n.ready = true, early && again
			}
		}
		valid = true
		if int(r.ptr) == (ethBytes-1)/width {
			if !r.payload {
				n.payload, n.ready = true, early
			}
			n.header = false
		}
	}
	n.hdrReady = !n.header && !n.payload
	b, changed := r.output.load(r.out.Ready, valid)
	if b != nil {
		prepended(b, &r.hdr, ethBytes, r.sent, bytes, last, bad)
		r.sent += bytes
	}
	if hdrFire {
		r.hdr, r.sent = r.in.Hdr, 0
	}
	if fire {
		r.save = *in
		n.extra = r.offset != 0 && in.Last && int(in.Bytes) > room
	}
	n.extra = n.extra && !flush
	changed = changed || fire || hdrFire || n != r.axisTxState
	r.axisTxState = n
	return changed
}
