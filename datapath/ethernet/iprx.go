package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// Phases of the IP and UDP stages.
const (
	idle = iota
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
	ipRxState
}

type ipRxState struct {
	out_            output
	state           int
	hdrReady, ready bool // s_eth_hdr_ready_reg, s_eth_payload_axis_tready_reg
	check           bool // check_hdr_reg
	first           bool // no payload beat yet
	extra           bool // shift_eth_payload_extra_cycle_reg
	ptr             int  // bytes of the header read
	save            sim.Beat
	got             sim.Header // of the Ethernet frame
	hdr             header
}

// NewIPRx returns the stage between two wires of one clock, 64 bit wide.
func NewIPRx(in, out *sim.Wire) *IPRx {
	return &IPRx{in: in, out: out, ipRxState: ipRxState{hdrReady: true, out_: output{ready: true}}}
}

func (r *IPRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *IPRx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }

func (r *IPRx) Offer() {
	r.out.Put(r.out_.valid, r.out_.beat)
	r.out.PutHdr(r.hdr.valid, r.hdr.Header)
}

func (r *IPRx) Edge(sim.Edges) bool {
	const offset = ipBytes % wide
	in, came, fire, hdrFire := r.in.Beat, r.in.Valid, r.in.Fire(), r.in.HdrFire()
	n := r.ipRxState
	early := r.out_.early(r.out.Ready)
	word := joined(r.save, in, offset)
	if r.extra {
		word = after(r.save, offset)
	}
	valid, flush, transfer := false, false, false
	n.hdr.valid = r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.ptr, flush = 0, true
		n.hdrReady = !n.hdr.valid
		if hdrFire {
			n.got, n.hdrReady, n.ready, n.state = r.in.Hdr, false, true, inHeader
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
		if word.Last {
			r.Drop(in.Frame, sim.LossBad)
			n.hdr.valid, n.hdrReady, n.ready, n.state = false, true, false, idle
		}
	case inPayload:
		transfer = r.out_.ready && (came || r.extra)
		flush = transfer && word.Last
		n.ready = early && r.again(transfer, flush)
		if transfer {
			valid, n.first, word.First = true, false, r.first
		}
		if flush {
			n.ready, n.hdrReady, n.state = false, !r.hdr.valid && !r.check, idle
		}
		if r.check {
			n.check = false
			n.hdr = header{true, sim.Header{Frame: r.got.Frame, Dest: r.got.Dest, Bytes: r.got.Bytes - ipBytes, Off: r.got.Off + ipBytes}}
		}
	}
	if transfer && !r.extra {
		n.save = in
	}
	n.extra = !flush && (n.extra && !transfer || transfer && in.Last && in.Bytes > offset)
	n.out_.load(r.out.Ready, valid, word)
	if !fire && !hdrFire && !r.out.Fire() && n == r.ipRxState {
		return false
	}
	r.ipRxState = n
	return true
}

// again is shift_eth_payload_s_tready: another word may come.
func (r *IPRx) again(transfer, flush bool) bool {
	if r.extra {
		return flush
	}
	return !(r.in.Beat.Last && transfer)
}
