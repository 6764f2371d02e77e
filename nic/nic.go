// Package nic is the device: ports, a pipeline put together top to bottom in
// one list, counters, and the loop that runs it.
package nic

import (
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/hostif"
)

// CoreHz is the modelled card's core clock: 250 MHz, the user clock of a PCIe
// gen3 x16 NIC with a 512-bit datapath (Corundum's).
const CoreHz = 250_000_000

var coreClock = sim.Clock{Hz: CoreHz}

// Program says what the card is loaded with.
type Program string

// The programs.
const (
	// Null is a wire between two ports, with no pipeline: what is left is the
	// emulation's own cost.
	Null Program = "null"
	// Passthrough is a learning switch that watches TCP and rewrites nothing.
	Passthrough Program = "passthrough"
	// Offload is Passthrough with a Proxy before it, which answers for addresses of
	// its own.
	Offload Program = "offload"
)

// Programs lists the programs, for messages and flags.
func Programs() []Program { return []Program{Null, Passthrough, Offload} }

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
	// Pipeline is the card whose cycles are counted: one port's way through it, of
	// which pipeline.Ports makes as many as there are. nil counts none.
	Pipeline *pipeline.Description
	// ModelShare is how much of the time counting them may take, 0 to 1: DefaultModelShare
	// is enough for some 6,000 frames a second. What is more is left out, whole stretches
	// of traffic at a time. 0 and 1 count every frame that there is memory for.
	ModelShare float64
	Proxy      Proxy // of program offload
	// Capture, if set, is given every frame as it arrives, finished: what a host
	// left to its device is done. A replay of the capture has the live figures.
	Capture Capture
	// FlowTable, if set, is where the program's decisions are put. What the host carries
	// by them goes through the program, and the model, when it has already left.
	FlowTable hostif.FlowTable
}

// Proxy is a stage that is an end of connections: it makes frames of its own, and
// does things when their time has come. See nic/offload.
type Proxy interface {
	datapath.Stage
	// Advance does what is due at now, and Next says when something will be.
	Advance(now sim.Cycle)
	Next() (at sim.Cycle, ok bool)
	// Out are the frames that Process and Advance have made since Flushed; they
	// leave before the packet that Process was given, and hold until Flushed.
	Out() []splice.Frame
	Flushed()
	// Hint and Warm are told the frames of a batch before the first is processed, to fetch
	// what is known of their connections.
	Hint(frame []byte)
	Warm()
	// PortDown says that a port's link is down.
	PortDown(now sim.Cycle, p datapath.Port)
	// Counters are the proxy's own, by name.
	Counters() map[string]uint64
}

// Capture keeps frames. at is since the first one.
type Capture interface {
	Frame(at time.Duration, port int, data []byte) error
}

// DefaultPipeline is the card that is modelled where nothing else is asked for.
const DefaultPipeline = "passthrough-100g"

// DefaultModelShare is the ModelShare of a NIC that carries live traffic.
const DefaultModelShare = 0.02

// OffloadPipeline is the same of program offload.
const OffloadPipeline = "offload-100g"

// DefaultConfig is a passthrough NIC: 65,536 flows, 4,096 addresses, a card of
// 100 Gbit/s ports.
func DefaultConfig() Config {
	d, _, _ := pipeline.Load(DefaultPipeline)
	return Config{Program: Passthrough, Flows: 1 << 16, MACs: 4096, Pipeline: d}
}

// Port is one port of the NIC: a name and the link behind it.
type Port struct {
	Name string
	Link hostif.Link
}

// NIC is the device: the program, the ports it serves, and the model that says in
// which cycles of a card all of it would happen. All its methods except Snapshot
// are for the one goroutine that runs it.
type NIC struct {
	*Logic
	cfg   Config
	ports []*port
	model *model // nil in program null, and where no pipeline is configured
	hints []tcp.Hint

	cycle     sim.Cycle                 // of the last Step
	housekept sim.Cycle                 // when
	ended     int                       // ports that will bring no more frames
	linkDown  uint64                    // times a port's interface was found down
	captured  int                       // frames
	see       func(hostif.CarriedFrame) // carriedOne, made once
	seen      sim.Cycle                 // when the last frame came that the host has carried
	latest    sim.Cycle                 // before which no frame can come any more: the model may have been there
	waiting   bool                      // there may be more that the host has carried
	unseen    uint64                    // frames that it has carried without a copy
	strayed   uint64                    // frames of learned flows that the program would have sent elsewhere
	first     sim.Cycle                 // the time in the capture counts from
	snap      snapshots
}

// New builds a NIC from cfg with one port a link.
func New(cfg Config, ports []Port) (*NIC, error) {
	n := &NIC{cfg: cfg, snap: newSnapshots()}
	n.see = n.carriedOne
	maxFrame := 0
	var names []string
	for _, p := range ports {
		names = append(names, p.Name)
		n.ports = append(n.ports, newPort(p))
		maxFrame = max(maxFrame, p.Link.MTU()+frameOverhead)
	}
	var err error
	if n.Logic, err = NewLogic(cfg, names, maxFrame); err != nil {
		return nil, err
	}
	if cfg.Program != Null && cfg.Pipeline != nil {
		if n.model, err = newModel(cfg.Pipeline, names, cfg.Flows, cfg.ModelShare); err != nil {
			return nil, err
		}
	}
	return n, nil
}
