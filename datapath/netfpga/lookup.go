package netfpga

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// NICLookup sends what comes from a MAC to the host and the other way round:
// tdest at its input is the port that the frame came in by, at its output the
// queue that the frame leaves by.
//
// Source: nic_output_port_lookup.v: a FIFO of 4 words. First latency 3, b
// cycles a frame, 6 words absorbed with the sink frozen.
type NICLookup struct {
	pair
	input fifo
}

// NewNICLookup returns the lookup of a NIC between two wires of one clock.
func NewNICLookup(in, out *sim.Wire) *NICLookup {
	return &NICLookup{pair: newPair(in, out), input: newFIFO(2)}
}

func (l *NICLookup) Offer() {
	b := l.input.out
	b.Dest = across(b.Dest)
	l.out.Put(l.input.shown, b)
}

// across is the output queue for a source port. The metadata word's bit of MAC n
// is 2n and that of its host interface 2n+1; the lookup sets the other of the two
// as destination, and MAC 0 if no port is set. Both host interfaces have one
// queue (output_queues.v, oq).
func across(port uint8) (queue uint8) {
	switch port {
	case PortMAC0, PortMAC1:
		return 2
	case PortHost1:
		return 1
	}
	return 0
}

func (l *NICLookup) Accept()    { l.in.Take(!l.input.nearlyFull()) }
func (l *NICLookup) Level() int { return int(l.input.depth) * l.in.Width }

func (l *NICLookup) Edge(sim.Edges) bool {
	return l.input.edge(l.in.Fire(), l.in.Beat, l.out.Fire())
}

var nicLookup = module.Module{
	Name:   "nf.nic_output_port_lookup",
	Source: source + "nic_output_port_lookup_v1_0_0/hdl/nic_output_port_lookup.v",
	Doc:    "output port of a NIC: MAC to host and back",
	Params: []module.Param{width},
	Stores: true,
	Ports:  same,
	Build:  func(s *module.Site) { s.Add("", NewNICLookup(s.In[0], s.Out[0])) },
}

// SwitchLookup finds the output ports of a frame by its destination address and
// learns where its source is. The frame waits in a FIFO of 16 words, the result
// of the lookup in one of 4.
//
// Source: switch_lite_output_port_lookup.v: first latency 5, b cycles a frame,
// 18 words absorbed with the sink frozen. Nothing guards the results: with more
// than 7 of them waiting they overwrite each other, and with the sink frozen
// for long enough 8 frames that have been taken never leave. In the RTL the
// result stands beside the first word for one cycle only, and is lost if the
// word waits there; the model keeps it for the frame.
type SwitchLookup struct {
	pair
	ends    Ends
	cam     *CAM
	input   fifo
	results fifo

	inFrame bool     // eth_parser.v: state WAIT_EOP
	parsed  uint32   // eth_done: the frame whose addresses stand in the registers, or 0
	found   bool     // lookup_done
	result  sim.Beat // dst_ports
	sending bool     // state SEND_STATE
	dest    uint8    // of the frame that is being sent
}

// Ends gives the addresses of a frame, and the port it came from as one bit of
// the metadata word (MACs the even bits, the host the odd ones).
type Ends func(frame uint32) (dst, src uint64, port uint8)

// NewSwitchLookup returns a learning lookup with a table of 2^bits addresses.
// Without ends it only takes its time: tdest stays as it is.
func NewSwitchLookup(bits int, ends Ends, in, out *sim.Wire) *SwitchLookup {
	return &SwitchLookup{pair: newPair(in, out), ends: ends, cam: NewCAM(bits), input: newFIFO(4), results: newFIFO(2)}
}

func (l *SwitchLookup) Accept() { l.in.Take(!l.input.nearlyFull()) }

func (l *SwitchLookup) Offer() {
	b := l.input.out
	if l.ends != nil {
		b.Dest = l.to()
	}
	l.out.Put(l.input.shown && (l.sending || l.results.shown), b)
}

// to is the destination of the frame at the output.
func (l *SwitchLookup) to() uint8 {
	if l.sending {
		return l.dest
	}
	return l.results.out.Dest
}

func (l *SwitchLookup) Edge(sim.Edges) bool {
	put, got := l.in.Fire(), l.out.Fire()
	take := !l.sending && l.results.shown
	l.dest = l.to()
	changed := l.results.edge(l.found, l.result, take)
	if l.input.edge(put, l.in.Beat, got) || l.found || l.parsed != 0 {
		changed = true
	}
	if l.sending || take {
		l.sending = !(got && l.out.Beat.Last)
	}
	if l.found = l.parsed != 0; l.found && l.ends != nil {
		l.result.Dest = Queues(l.cam.Lookup(l.ends(l.parsed)))
	}
	l.parsed = 0
	if put {
		if !l.inFrame {
			l.parsed = l.in.Beat.Frame
		}
		l.inFrame = !l.in.Beat.Last
	}
	return changed
}

// Level is the words in the FIFO's memory, in bytes.
func (l *SwitchLookup) Level() int { return int(l.input.depth) * l.in.Width }

var switchLiteLookup = module.Module{
	Name:   "nf.switch_lite_output_port_lookup",
	Source: source + "switch_lite_output_port_lookup_v1_0_0/hdl/switch_lite_output_port_lookup.v, eth_parser.v, mac_cam_lut.v",
	Doc:    "output port of a learning switch",
	Params: []module.Param{width, module.Count("C_LUT_DEPTH_BITS", 4, 1, 12, "addresses learnt, as a power of two")},
	Stores: true,
	Ports:  same,
	Build: func(s *module.Site) {
		s.Add("", NewSwitchLookup(s.Args.Int("C_LUT_DEPTH_BITS"), nil, s.In[0], s.Out[0]))
	},
}
