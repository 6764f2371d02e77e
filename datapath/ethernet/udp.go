package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// UDPRx takes the UDP header off an IP payload. It takes the IP header first;
// the UDP header is offered from the cycle after its word came. Datagrams
// without payload are lost.
//
// Source: verilog-ethernet rtl/udp_ip_rx_64.v. First latency 3 from the header,
// 2 from the first payload beat; 3 beats are absorbed with the sink frozen.
type UDPRx struct {
	in, out *sim.Wire
	sim.Losses
	udpState
}

// udpState is what both UDP stages hold.
type udpState struct {
	out_            output
	state           int
	hdrReady, ready bool // s_…_hdr_ready_reg, s_…_payload_axis_tready_reg
	first           bool // UDPRx: no payload beat yet
	sent            int  // UDPTx: bytes sent
	got             sim.Header
	hdr             header
}

// NewUDPRx returns the stage between two wires of one clock, 64 bit wide.
func NewUDPRx(in, out *sim.Wire) *UDPRx {
	return &UDPRx{in: in, out: out, udpState: udpState{hdrReady: true, out_: output{ready: true}}}
}

func (r *UDPRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *UDPRx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }
func (r *UDPRx) Offer()                       { r.offer(r.out) }

func (s *udpState) offer(w *sim.Wire) {
	w.Put(s.out_.valid, s.out_.beat)
	w.PutHdr(s.hdr.valid, s.hdr.Header)
}

func (r *UDPRx) Edge(sim.Edges) bool {
	in, fire, hdrFire := r.in.Beat, r.in.Fire(), r.in.HdrFire()
	n := r.udpState
	early := r.out_.early(r.out.Ready)
	valid := false
	n.hdr.valid = r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.hdrReady = !n.hdr.valid
		if hdrFire {
			n.got, n.hdrReady, n.ready, n.state = r.in.Hdr, false, true, inHeader
		}
	case inHeader:
		n.ready = true
		switch {
		case !fire:
		case in.Last:
			r.Drop(in.Frame, sim.LossBad)
			n.hdr.valid, n.hdrReady, n.ready, n.state = false, true, false, idle
		default:
			n.hdr = header{true, sim.Header{Frame: r.got.Frame, Dest: r.got.Dest, Bytes: r.got.Bytes - udpBytes, Off: r.got.Off + udpBytes}}
			n.ready, n.first, n.state = early, true, inPayload
		}
	case inPayload:
		n.ready = early
		if fire {
			valid, in.First, n.first = true, r.first, false
			if in.Last {
				n.ready, n.hdrReady, n.state = false, !n.hdr.valid, idle
			}
		}
	}
	n.out_.load(r.out.Ready, valid, in)
	if !fire && !hdrFire && !r.out.Fire() && n == r.udpState {
		return false
	}
	r.udpState = n
	return true
}

// UDPTx puts the UDP header in front of a payload; the IP header is offered from
// the cycle after the UDP header was taken.
//
// Source: verilog-ethernet rtl/udp_ip_tx_64.v. First latency 1 from the header,
// the payload moves from cycle 1; 1 beat is absorbed with the sink frozen.
type UDPTx struct {
	in, out *sim.Wire
	udpState
}

// NewUDPTx returns the stage between two wires of one clock, 64 bit wide.
func NewUDPTx(in, out *sim.Wire) *UDPTx {
	return &UDPTx{in: in, out: out, udpState: udpState{hdrReady: true, out_: output{ready: true}}}
}

func (r *UDPTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *UDPTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }
func (r *UDPTx) Offer()                       { r.offer(r.out) }

func (r *UDPTx) Edge(sim.Edges) bool {
	in, fire, hdrFire := r.in.Beat, r.in.Fire(), r.in.HdrFire()
	n := r.udpState
	early := r.out_.early(r.out.Ready)
	var b sim.Beat
	valid := false
	n.hdr.valid = r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	word := func() {
		valid, b, n.sent = true, prepended(n.got, udpBytes, 0, udpBytes, sim.Beat{}), udpBytes
		n.ready, n.state = early, inPayload
	}
	switch r.state {
	case idle:
		n.hdrReady = !n.hdr.valid
		if hdrFire {
			h := r.in.Hdr
			n.got, n.hdrReady, n.state = h, false, inHeader
			n.hdr = header{true, sim.Header{Frame: h.Frame, Dest: h.Dest, Bytes: h.Bytes + udpBytes, Off: h.Off - udpBytes}}
			if r.out_.ready {
				word()
			}
		}
	case inHeader:
		if r.out_.ready {
			word()
		}
	case inPayload:
		n.ready = early
		if r.out_.ready && r.in.Valid {
			valid, b = true, prepended(r.got, udpBytes, r.sent, int(in.Bytes), in)
			n.sent += int(in.Bytes)
			if in.Last {
				n.ready, n.hdrReady, n.state = false, !n.hdr.valid, idle
			}
		}
	}
	n.out_.load(r.out.Ready, valid, b)
	if !fire && !hdrFire && !r.out.Fire() && n == r.udpState {
		return false
	}
	r.udpState = n
	return true
}
