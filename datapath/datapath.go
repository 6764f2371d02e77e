package datapath

import "github.com/meshnic/meshnic/datapath/sim"

// Port numbers a NIC's ports from 0. It fits PortSet.
type Port uint8

// MaxPorts is the number of ports a PortSet can name.
const MaxPorts = 64

// PortSet is a set of ports, one bit each.
type PortSet uint64

// Add returns s with p.
func (s PortSet) Add(p Port) PortSet { return s | 1<<p }

// Remove returns s without p.
func (s PortSet) Remove(p Port) PortSet { return s &^ (1 << p) }

// Has reports whether p is in s.
func (s PortSet) Has(p Port) bool { return s>>p&1 == 1 }

// Verdict is what a stage decides about a packet.
type Verdict uint8

// The verdicts. Continue hands the packet to the next stage; the others end
// the pipeline.
const (
	Continue Verdict = iota
	Forward          // send to the ports in Packet.Egress
	Drop             // lost on purpose, with Packet.Reason
	Punt             // hand to the host (the slow path)
	Consume          // taken in by a stage that is an end of its own: no loss
)

// String returns the verdict's name.
func (v Verdict) String() string {
	switch v {
	case Continue:
		return "continue"
	case Forward:
		return "forward"
	case Drop:
		return "drop"
	case Punt:
		return "punt"
	case Consume:
		return "consume"
	}
	return "unknown"
}

// Packet is one frame on its way through the pipeline with everything the
// stages have found out about it. A NIC reuses Packets: a stage keeps no
// reference to one after Process returns.
type Packet struct {
	ID   uint64 // unique in one NIC, from 1
	Data []byte // the frame without FCS, destination MAC first
	In   Port   // where it came in

	// CsumPartial: the sender left the L4 checksum to a device, so the field
	// holds the pseudo-header sum and is not verified. GSOSize > 0: the frame
	// stands for several segments of that many payload bytes.
	CsumPartial bool
	GSOSize     uint16

	PHV PHV // what the parser extracted

	Egress PortSet    // where it goes, written by match-action stages
	Mirror PortSet    // where a copy goes, whatever the verdict
	Reason DropReason // why it was dropped
}

// Stage is one block of the pipeline. Process looks at or changes p and says
// what becomes of it; time is an argument. How long that takes is the business of its
// timed twin: see datapath/timing.
type Stage interface {
	Name() string
	Process(now sim.Cycle, p *Packet) Verdict
}
