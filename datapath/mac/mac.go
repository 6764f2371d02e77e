// Package mac models the two ends of the pipeline: the receive side, from the
// wire's clock into the core's, and the transmit side, back onto the wire.
// Both pass every packet; what they add is time and the largest frame.
package mac

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// BeatBytes is the width of the datapath: 512 bits.
const BeatBytes = 64

// rxCycles is the crossing from the receive MAC into the core, first beat in to
// first beat out: 3 to 4 core periods, mean 3.5, taken as 4.
//
// Source: RTL simulation of Corundum's mqnic_port_rx, 512 bit, 322 to 250 MHz.
const rxCycles = 4

// txCycles is what the transmit port adds beyond gathering the frame: it is
// store and forward, 13.8 ns at one beat and 105.8 ns at 24 (322 MHz out), or
// b + 3 core periods of 4 ns within one period.
//
// Source: RTL simulation of Corundum's mqnic_port_tx, 512 bit, 250 to 322 MHz.
const txCycles = 3

// Beats returns how many beats a frame of n bytes takes.
func Beats(n int) sim.Cycle { return sim.Cycle((n + BeatBytes - 1) / BeatBytes) }

// Receive is the receive side of a port. It drops frames longer than MaxFrame.
type Receive struct{ MaxFrame int }

// Name returns "mac_rx".
func (*Receive) Name() string { return "mac_rx" }

// Process passes p, or drops it with DropOverlong. A frame that stands for
// several segments (GSOSize > 0) is measured by none of them: its segments are
// cut to the MTU where they leave.
func (r *Receive) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	if len(p.Data) > r.MaxFrame && p.GSOSize == 0 {
		p.Reason = datapath.DropOverlong
		return datapath.Drop
	}
	return datapath.Continue
}

// Cycles returns the crossing's latency.
func (*Receive) Cycles(*datapath.Packet) sim.Cycle { return rxCycles }

// Transmit is the transmit side of a port.
type Transmit struct{}

// Name returns "mac_tx".
func (Transmit) Name() string { return "mac_tx" }

// Process passes p.
func (Transmit) Process(sim.Cycle, *datapath.Packet) datapath.Verdict { return datapath.Continue }

// Cycles returns the latency of gathering the frame and crossing to the wire's
// clock. A GSO frame counts its first segment.
func (Transmit) Cycles(p *datapath.Packet) sim.Cycle {
	n := len(p.Data)
	if p.GSOSize > 0 {
		n = min(n, int(p.PHV.PayloadOff)+int(p.GSOSize))
	}
	return Beats(n) + txCycles
}
