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
	ipTxState
}

type ipTxState struct {
	out_            output
	state           int
	hdrReady, ready bool // s_ip_hdr_ready_reg, s_ip_payload_axis_tready_reg
	extra           bool // shift_ip_payload_extra_cycle_reg
	last            bool // save_ip_payload_axis_tlast_reg
	ptr             int  // hdr_ptr_reg
	sent            int  // bytes sent
	save            sim.Beat
	got             sim.Header // of the IP packet
	hdr             header
}

// NewIPTx returns the stage between two wires of one clock, 64 bit wide.
func NewIPTx(in, out *sim.Wire) *IPTx {
	return &IPTx{in: in, out: out, ipTxState: ipTxState{hdrReady: true, out_: output{ready: true}}}
}

func (r *IPTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *IPTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

func (r *IPTx) Offer() {
	r.out.Put(r.out_.valid, r.out_.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

func (r *IPTx) Edge(sim.Edges) bool {
	const offset = ipBytes % wide
	in, came, fire, hdrFire := r.in.Beat, r.in.Valid, r.in.Fire(), r.in.HdrFire()
	n := r.ipTxState
	early := r.out_.early(r.out.Ready)
	end, bytes := in, offset+min(int(in.Bytes), offset)
	end.Last = in.Last && in.Bytes <= offset
	end.Bad = in.Bad && end.Last
	if r.extra {
		end, bytes = r.save, int(r.save.Bytes)-offset
	}
	valid, flush, transfer := false, false, false
	n.hdr.valid = r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.ptr, n.sent, flush = 0, 0, true
		n.hdrReady = !n.hdr.valid
		if !hdrFire {
			break
		}
		h := r.in.Hdr
		n.got, n.hdrReady, n.state = h, false, inHeader
		n.hdr = header{true, sim.Header{Frame: h.Frame, Dest: h.Dest, Bytes: h.Bytes + ipBytes, Off: h.Off - ipBytes}}
		if r.out_.ready {
			valid, bytes, end, n.ptr = true, wide, sim.Beat{}, wide
		}
	case inHeader:
		if r.out_.ready {
			valid, bytes, end = true, wide, sim.Beat{}
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
			if end.Last {
				n.hdrReady, n.ready, n.state = !n.hdr.valid, false, idle
			}
		}
	case inPayload:
		transfer = r.out_.ready && (came || r.extra)
		flush = transfer && end.Last
		n.ready = early && r.again(transfer, flush)
		valid = transfer
		if flush {
			n.ready, n.hdrReady, n.state = false, !n.hdr.valid, idle
		}
	}
	if transfer && !r.extra {
		n.save = in
	}
	switch {
	case flush:
		n.extra, n.last = false, false
	case transfer:
		n.extra, n.last = in.Last && in.Bytes > offset, in.Last
	}
	var b sim.Beat
	if valid {
		b = prepended(n.got, ipBytes, n.sent, bytes, end)
		n.sent += bytes
	}
	n.out_.load(r.out.Ready, valid, b)
	if !fire && !hdrFire && !r.out.Fire() && n == r.ipTxState {
		return false
	}
	r.ipTxState = n
	return true
}

// again is shift_ip_payload_s_tready: another word may come.
func (r *IPTx) again(transfer, flush bool) bool {
	if r.extra {
		return flush
	}
	return !(r.in.Beat.Last && transfer) && !r.last
}
