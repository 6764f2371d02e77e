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
	udp
	first bool // no payload beat yet
}

// udp is what both UDP stages hold.
type udp struct {
	output output
	got    sim.Header
	hdr    header
	udpState
}

type udpState struct {
	state           int8
	hdrReady, ready bool // s_…_hdr_ready_reg, s_…_payload_axis_tready_reg
}

func newUDP() udp { return udp{output: output{ready: true}, udpState: udpState{hdrReady: true}} }

// NewUDPRx returns the stage between two wires of one clock, 64 bit wide.
func NewUDPRx(in, out *sim.Wire) *UDPRx { return &UDPRx{in: in, out: out, udp: newUDP()} }

func (r *UDPRx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *UDPRx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }
func (r *UDPRx) Offer()                       { r.offer(r.out) }

func (s *udp) offer(w *sim.Wire) {
	w.Put(s.output.valid, s.output.beat)
	w.PutHdr(s.hdr.valid, s.hdr.Header)
}

func (r *UDPRx) Edge(sim.Edges) bool {
	in, fire, hdrFire := &r.in.Beat, r.in.Fire(), r.in.HdrFire()
	n := r.udpState
	early := r.output.early(r.out.Ready)
	valid, found := false, false
	pending := r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	switch r.state {
	case idle:
		n.hdrReady = !pending
		if hdrFire {
			n.hdrReady, n.ready, n.state = false, true, inHeader
		}
	case inHeader:
		n.ready = true
		switch {
		case !fire:
		case in.Last:
			r.Drop(in.Frame, sim.LossBad)
			pending, n.hdrReady, n.ready, n.state = false, true, false, idle
		default:
			found, n.ready, n.state = true, early, inPayload
		}
	case inPayload:
		n.ready = early
		if fire {
			valid = true
			if in.Last {
				n.ready, n.hdrReady, n.state = false, !pending, idle
			}
		}
	}
	b, changed := r.output.load(r.out.Ready, valid)
	if b != nil {
		*b = *in
		b.First, r.first = r.first, false
	}
	changed = changed || fire || hdrFire || pending != r.hdr.valid || n != r.udpState
	if r.hdr.valid = pending; found {
		r.hdr, r.first = header{true, inner(r.got, udpBytes)}, true
	}
	if hdrFire {
		r.got = r.in.Hdr
	}
	r.udpState = n
	return changed
}

// UDPTx puts the UDP header in front of a payload; the IP header is offered from
// the cycle after the UDP header was taken.
//
// Source: verilog-ethernet rtl/udp_ip_tx_64.v. First latency 1 from the header,
// the payload moves from cycle 1; 1 beat is absorbed with the sink frozen.
type UDPTx struct {
	in, out *sim.Wire
	udp
	sent int // bytes sent
}

// NewUDPTx returns the stage between two wires of one clock, 64 bit wide.
func NewUDPTx(in, out *sim.Wire) *UDPTx { return &UDPTx{in: in, out: out, udp: newUDP()} }

func (r *UDPTx) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *UDPTx) Accept()                      { r.in.Ready, r.in.HdrReady = r.ready, r.hdrReady }
func (r *UDPTx) Offer()                       { r.offer(r.out) }

func (r *UDPTx) Edge(sim.Edges) bool {
	in, fire, hdrFire := &r.in.Beat, r.in.Fire(), r.in.HdrFire()
	n := r.udpState
	early := r.output.early(r.out.Ready)
	bytes, last, bad := int(in.Bytes), in.Last, in.Bad // of the word at hand
	valid := false
	pending := r.hdr.valid && !r.out.HdrReady
	n.hdrReady, n.ready = false, false
	if hdrFire {
		r.got, r.sent = r.in.Hdr, 0
	}
	switch {
	case hdrFire || r.state == inHeader:
		n.state = inHeader
		if r.output.ready {
			valid, bytes, last, bad = true, udpBytes, false, false
			n.ready, n.state = early, inPayload
		}
	case r.state == idle:
		n.hdrReady = !pending
	case r.state == inPayload:
		n.ready = early
		if valid = r.output.ready && r.in.Valid; valid && last {
			n.ready, n.hdrReady, n.state = false, !pending, idle
		}
	}
	b, changed := r.output.load(r.out.Ready, valid)
	if b != nil {
		prepended(b, &r.got, udpBytes, r.sent, bytes, last, bad)
		r.sent += bytes
	}
	changed = changed || fire || hdrFire || pending != r.hdr.valid || n != r.udpState
	if r.hdr.valid = pending; hdrFire {
		r.hdr = header{true, inner(r.got, -udpBytes)}
	}
	r.udpState = n
	return changed
}
