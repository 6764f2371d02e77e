package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// Phases of the IP and UDP stages.
const (
	idle = int8(iota)
	inHeader
	lastOfHeader // IPTx: the header's last word, which takes payload with it
	inPayload
)

// IPRx takes the IPv4 header off an Ethernet payload. It takes the Ethernet
// header first. The IP header is offered one cycle after its last word, when its
// checksum has been verified. Packets without payload are lost.
//
// Source: verilog-ethernet rtl/ip_eth_rx_64.v. First latency 5 from the header,
// 4 from the first payload beat; 5 beats are absorbed with the sink frozen.
type IPRx struct {
	in, out *sim.Wire
	sim.Losses
	output output
	save   sim.Beat
	got    sim.Header // of the Ethernet frame
	hdr    header
	ipRxState
}

type ipRxState struct {
	state           int8
	ptr             int8 // bytes of the header read
	hdrReady, ready bool // s_eth_hdr_ready_reg, s_eth_payload_axis_tready_reg
	check           bool // check_hdr_reg
	first           bool // no payload beat yet
	extra           bool // shift_eth_payload_extra_cycle_reg
}

// NewIPRx returns the stage between two wires of one clock, 64 bit wide.
func NewIPRx(in, out *sim.Wire) *IPRx {
	return &IPRx{in: in, out: out, output: output{ready: true}, ipRxState: ipRxState{hdrReady: true}}
}

func (r *IPRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *IPRx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

func (r *IPRx) Offer() {
	r.out.Put(r.output.valid, r.output.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

func (r *IPRx) Edge(sim.Edges) bool {
	const offset = ipBytes % wide
	in, came, fire, hdrFire := &r.in.Beat, r.in.Valid, r.in.Fire(), r.in.HdrFire()
	n := r.ipRxState
	early := r.output.early(r.out.Ready)
	last := ends(in, offset) // shift_eth_payload_axis_tlast
	if r.extra {
		last = r.save.Last
	}
	valid, flush, transfer := false, false, false
	pending, found := r.hdr.valid && !r.out.HdrReady, false
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.ptr, flush = 0, true
		n.hdrReady = !pending
		if hdrFire {
			n.hdrReady, n.ready, n.state = false, true, inHeader
		}
	case inHeader:
		transfer = came
		n.ready = r.again(transfer, flush)
		if !came {
			break
		}
		n.ptr += wide
		if r.ptr == 2*wide {
			n.check, n.first, n.state = true, true, inPayload
			n.ready = n.ready && early
		}
		if last {
			r.Drop(in.Frame, sim.LossBad)
			pending, n.hdrReady, n.ready, n.state = false, true, false, idle
		}
	case inPayload:
		transfer = r.output.ready && (came || r.extra)
		flush = transfer && last
		n.ready = early && r.again(transfer, flush)
		if transfer {
			valid, n.first = true, false
		}
		if flush {
			n.ready, n.hdrReady, n.state = false, !r.hdr.valid && !r.check, idle
		}
		found, n.check = r.check, false
	}
	b, changed := r.output.load(r.out.Ready, valid)
	if b != nil {
		if r.extra {
			after(b, &r.save, offset)
		} else {
			joined(b, &r.save, in, offset)
		}
		b.First = r.first
	}
	if transfer && !r.extra {
		r.save = *in
	}
	n.extra = !flush && (n.extra && !transfer || transfer && in.Last && in.Bytes > offset)
	changed = changed || fire || hdrFire || found || pending != r.hdr.valid || n != r.ipRxState
	if r.hdr.valid = pending; found {
		r.hdr = header{true, inner(r.got, ipBytes)}
	}
	if hdrFire {
		r.got = r.in.Hdr
	}
	r.ipRxState = n
	return changed
}

// inner is the header of what is left of a payload without its first n bytes.
func inner(h sim.Header, n int) sim.Header {
	h.Bytes -= uint16(n)
	h.Off += int32(n)
	return h
}

// again is shift_eth_payload_s_tready: another word may come.
func (r *IPRx) again(transfer, flush bool) bool {
	if r.extra {
		return flush
	}
	return !(r.in.Beat.Last && transfer)
}
