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
	output output
	save   sim.Beat
	hdr    header
	axisRxState
}

type axisRxState struct {
	ready   bool // s_axis_tready_reg
	payload bool // read_eth_payload_reg; its complement is read_eth_header_reg
	first   bool // no payload beat yet
	extra   bool // shift_axis_extra_cycle_reg
	ptr     int8 // beats of the header read
}

// NewAxisRx returns the stage between two wires of one clock and width.
func NewAxisRx(in, out *sim.Wire) *AxisRx {
	return &AxisRx{in: in, out: out, offset: ethBytes % in.Width, output: output{ready: true}, axisRxState: axisRxState{ready: true}}
}

func (r *AxisRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *AxisRx) Accept()                      { r.in.Take(r.ready) }

func (r *AxisRx) Offer() {
	r.out.Put(r.output.valid, r.output.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

func (r *AxisRx) Edge(sim.Edges) bool {
	in, fire, width := &r.in.Beat, r.in.Fire(), r.in.Width
	n := r.axisRxState
	last := in.Last // shift_axis_tlast
	switch {
	case r.extra:
		last = r.save.Last
	case r.offset != 0:
		last = ends(in, r.offset)
	}
	valid, flush, found := false, false, false
	if fire || r.output.ready && r.extra {
		const end = ethBytes - 1
		if r.payload {
			valid, n.first = true, false
		} else if n.ptr++; int(r.ptr) == end/width && int(in.Bytes) > end%width && !last {
			found, n.payload, n.first = true, true, true
		}
		if last {
			if !n.payload {
				id := in.Frame
				if r.extra {
					id = r.save.Frame
				}
				r.Drop(id, sim.LossBad)
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
	n.ready = r.output.early(r.out.Ready) && again && (!r.hdr.valid || r.out.HdrReady)
	b, changed := r.output.load(r.out.Ready, valid)
	switch {
	case b == nil:
	case r.offset == 0:
		*b = *in
	case r.extra:
		after(b, &r.save, r.offset)
	default:
		joined(b, &r.save, in, r.offset)
	}
	if b != nil {
		b.First = r.first
	}
	if fire {
		r.save = *in
		n.extra = r.offset != 0 && in.Last && int(in.Bytes) > r.offset
	}
	n.extra = n.extra && !flush
	changed = changed || fire || r.out.HdrFire() || n != r.axisRxState
	r.hdr.valid = r.hdr.valid && !r.out.HdrReady
	if found {
		came := int(r.ptr) * width
		r.hdr = header{true, sim.Header{Frame: in.Frame, Dest: in.Dest,
			Bytes: in.Left + uint16(came) - ethBytes, Off: in.Off - int32(came) + ethBytes}}
	}
	r.axisRxState = n
	return changed
}
