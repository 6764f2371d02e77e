// Package netfpga models the reference pipeline of NetFPGA: input arbiter,
// output port lookup of a NIC or of a learning switch, and output queues, each
// cycle by cycle as its RTL.
//
// On hardware a frame carries its ports in a metadata word; here they are in
// tdest: the source port in front of a NIC's lookup, behind it the number of an
// output queue, or Several with a set of queues.
package netfpga

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// source is where the cycles of this package's modules are from.
const source = "NetFPGA/NetFPGA-PLUS@70b333fa269c hw/lib/std/"

// Modules are the modules of this package.
var Modules = []module.Module{
	inputArbiter,
	nicLookup,
	switchLiteLookup,
	outputQueues,
}

// Source ports, the tdest of a frame in front of a NIC's lookup. Any other is a
// metadata word without a source port.
const (
	PortMAC0  = 0
	PortMAC1  = 1
	PortHost0 = 2 // the host's interface of MAC 0
	PortHost1 = 3
)

// Several in a tdest says that its lower bits are a set of queues, not the
// number of one.
const Several = 0x80

// Queues is the tdest for a metadata word's destination ports: the MACs are the
// even bits, the host's queues the odd ones, and the three output queues are
// MAC 0, MAC 1 and the host (output_queues.v, oq).
func Queues(ports uint8) (dest uint8) {
	return Several | ports&1 | ports>>2&1<<1 | (ports>>1|ports>>3)&1<<2
}

// width is the bus width: the RTL's master and slave side are equally wide.
var width = module.Param{Name: "C_S_AXIS_DATA_WIDTH", Default: 512, Min: 64, Max: 1024, Power: true, Doc: "bus width in bits, of both sides"}

// numQueues cannot be changed: the RTL's ports are written out.
var numQueues = module.Param{Name: "NUM_QUEUES", Default: 3, Allowed: []float64{3}, Doc: "ports: two MACs and the host"}

func bus(a module.Args) module.Port { return module.Port{Width: a.Int(width.Name) / 8} }

func same(a module.Args) (in, out []module.Port) {
	p := []module.Port{bus(a)}
	return p, p
}

// pair are the ports of a stage with one input and one output.
type pair struct {
	in, out   *sim.Wire
	ins, outs [1]*sim.Wire
}

func newPair(in, out *sim.Wire) pair {
	return pair{in, out, [1]*sim.Wire{in}, [1]*sim.Wire{out}}
}

func (p *pair) Ports() (in, out []*sim.Wire) { return p.ins[:], p.outs[:] }
