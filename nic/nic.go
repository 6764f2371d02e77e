// Package nic is the device: ports, a pipeline put together top to bottom in
// one list, counters, and the loop that runs it.
package nic

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/mac"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// CoreHz is the modelled card's core clock: 250 MHz, the user clock of a PCIe
// gen3 x16 NIC with a 512-bit datapath (Corundum's).
const CoreHz = 250_000_000

// Program says what the card is loaded with.
type Program string

// The programs.
const (
	// Null is a wire between two ports, with no pipeline: what is left is the
	// emulation's own cost.
	Null Program = "null"
	// Passthrough is a learning switch that watches TCP and rewrites nothing.
	Passthrough Program = "passthrough"
)

// Programs lists the programs, for messages and flags.
func Programs() []Program { return []Program{Null, Passthrough} }

// Config is fixed when the NIC is built.
type Config struct {
	Program Program
	Flows   int  // TCP flows the tracker has room for, a power of two
	MACs    int  // addresses the eSwitch can learn
	Hairpin bool // may a frame leave by the port it came in on?
	// SkipChecksums passes frames with wrong IP, TCP, UDP or ICMP checksums on
	// for their receiver to refuse. By default the NIC drops and counts them.
	SkipChecksums bool
	Static        []StaticMAC // eSwitch entries that are never learned over
}

// DefaultConfig is a passthrough NIC: 65,536 flows, 4,096 addresses.
func DefaultConfig() Config {
	return Config{Program: Passthrough, Flows: 1 << 16, MACs: 4096}
}

// Port is one port of the NIC: a name and the link behind it.
type Port struct {
	Name string
	Link hostif.Link
}

// NIC is the device. All its methods except Snapshot are for the one goroutine
// that runs it.
type NIC struct {
	cfg     Config
	ports   []*port
	ingress []datapath.Stage // wire to verdict
	egress  []datapath.Stage // for packets that leave, to the wire

	sw      *eswitch     // nil in program null
	tracker *tcp.Tracker // nil in program null
	pkt     datapath.Packet
	hints   []tcp.Hint
	nextID  uint64

	housekept sim.Cycle // when
	ended     int       // ports that will bring no more frames
	counts    counts
	snap      snapshots
}

// New builds a NIC from cfg with one port a link.
func New(cfg Config, ports []Port) (*NIC, error) {
	if len(ports) < 2 || len(ports) > datapath.MaxPorts {
		return nil, failure.Usagef("nic: %d ports, want 2 to %d", len(ports), datapath.MaxPorts)
	}
	n := &NIC{cfg: cfg, snap: newSnapshots()}
	maxFrame := 0
	for _, p := range ports {
		if n.portNamed(p.Name) != nil {
			return nil, failure.Usagef("nic: two ports are named %q", p.Name)
		}
		n.ports = append(n.ports, newPort(p))
		maxFrame = max(maxFrame, p.Link.MTU()+frameOverhead)
	}
	switch cfg.Program {
	case Null:
		if len(ports) != 2 {
			return nil, failure.Usagef("nic: program null is a wire between two ports, not %d", len(ports))
		}
		n.ingress = []datapath.Stage{patch{}}
	case Passthrough:
		if err := n.passthrough(maxFrame); err != nil {
			return nil, err
		}
	default:
		return nil, failure.Usagef("nic: unknown program %q, want one of %v", cfg.Program, Programs())
	}
	return n, nil
}

// passthrough puts the pipeline together.
func (n *NIC) passthrough(maxFrame int) (err error) {
	if n.tracker, err = tcp.New(tcp.Config{Flows: n.cfg.Flows, Clock: sim.Clock{Hz: CoreHz}}); err != nil {
		return fmt.Errorf("nic: %w", err)
	}
	if n.sw, err = newESwitch(n.cfg, n.ports); err != nil {
		return fmt.Errorf("nic: %w", err)
	}
	n.ingress = []datapath.Stage{
		&mac.Receive{MaxFrame: maxFrame},                                 // off the wire, into the core's clock
		parser.New(parser.Config{VerifyChecksums: !n.cfg.SkipChecksums}), // bytes to PHV; malformed frames end here
		n.tracker, // watches every TCP flow, changes nothing
		n.sw,      // learns the source, looks the destination up, floods the unknown
	}
	n.egress = []datapath.Stage{
		deparser.New(), // PHV back to bytes, where a table changed it
		mac.Transmit{}, // gathers the frame and sends it
	}
	return nil
}

// patch, a patch cable, is the whole of program null: what enters port 0 leaves port 1.
type patch struct{}

func (patch) Name() string { return "patch" }

func (patch) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	p.Egress = datapath.PortSet(0).Add(p.In ^ 1)
	return datapath.Forward
}

func (patch) Cycles(*datapath.Packet) sim.Cycle { return 0 }
