package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// IPTx puts the IPv4 header in front of a payload. Header and payload leave
// with the Ethernet header, which is offered from the cycle after the IP header
// was taken.
//
// Source: verilog-ethernet rtl/ip_eth_tx_64.v. First latency 1 from the header,
// the payload moves from cycle 2; nothing of it is absorbed with the sink frozen.
type IPTx struct {
	in, out *sim.Wire
	output  output
	save    sim.Beat
	sent    int        // bytes sent
	got     sim.Header // of the IP packet
	hdr     header
	ipTxState
}

type ipTxState struct {
	state           int8
	ptr             int8 // hdr_ptr_reg
	hdrReady, ready bool // s_ip_hdr_ready_reg, s_ip_payload_axis_tready_reg
	extra           bool // shift_ip_payload_extra_cycle_reg
	last            bool // save_ip_payload_axis_tlast_reg
}

// NewIPTx returns the stage between two wires of one clock, 64 bit wide.
func NewIPTx(in, out *sim.Wire) *IPTx {
	return &IPTx{in: in, out: out, output: output{ready: true}, ipTxState: ipTxState{hdrReady: true}}
}

func (r *IPTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *IPTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

func (r *IPTx) Offer() {
	r.out.Put(r.output.valid, r.output.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

func (r *IPTx) Edge(sim.Edges) bool {
	const offset = ipBytes % wide
	in, came, fire, hdrFire := &r.in.Beat, r.in.Valid, r.in.Fire(), r.in.HdrFire()
	n := r.ipTxState
	early := r.output.early(r.out.Ready)
	bytes, last := offset+min(int(in.Bytes), offset), ends(in, offset) // of the word at hand
	bad := in.Bad && last
	if r.extra {
		bytes, last, bad = int(r.save.Bytes)-offset, r.save.Last, r.save.Bad
	}
	valid, flush, transfer := false, false, false
	pending := r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.ptr, flush = 0, true
		n.hdrReady = !pending
		if hdrFire {
			r.got, r.sent = r.in.Hdr, 0
			n.hdrReady, n.state = false, inHeader
			if r.output.ready {
				valid, bytes, last, bad, n.ptr = true, wide, false, false, wide
			}
		}
	case inHeader:
		if r.output.ready {
			valid, bytes, last, bad = true, wide, false, false
			n.ptr += wide
			if r.ptr == wide {
				n.ready, n.state = early, lastOfHeader
			}
		}
	case lastOfHeader:
		transfer = fire
		n.ready = early && r.again(transfer, flush)
		if fire {
			valid, n.state = true, inPayload
			if last {
				n.hdrReady, n.ready, n.state = !pending, false, idle
			}
		}
	case inPayload:
		transfer = r.output.ready && (came || r.extra)
		flush = transfer && last
		n.ready = early && r.again(transfer, flush)
		valid = transfer
		if flush {
			n.ready, n.hdrReady, n.state = false, !pending, idle
		}
	}
	b, changed := r.output.load(r.out.Ready, valid)
	if b != nil {
		prepended(b, &r.got, ipBytes, r.sent, bytes, last, bad)
		r.sent += bytes
	}
	if transfer && !r.extra {
		r.save = *in
	}
	switch {
	case flush:
		n.extra, n.last = false, false
	case transfer:
		n.extra, n.last = in.Last && in.Bytes > offset, in.Last
	}
	changed = changed || fire || hdrFire || pending != r.hdr.valid || n != r.ipTxState
	if r.hdr.valid = pending; hdrFire {
		r.hdr = header{true, inner(r.got, -ipBytes)}
	}
	r.ipTxState = n
	return changed
}

// again is shift_ip_payload_s_tready: another word may come.
func (r *IPTx) again(transfer, flush bool) bool {
	if r.extra {
		return flush
	}
	return !(r.in.Beat.Last && transfer) && !r.last
}
