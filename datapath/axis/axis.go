// Package axis is the plumbing of AXI-Stream: register slices, FIFOs, width
// adapters, clock crossings, multiplexers and switches. Each stage moves beats
// in the very cycles in which the RTL it cites does; what a stage stores it
// stores as beats, not as bytes.
package axis

import "github.com/meshnic/meshnic/datapath/module"

// source is where the cycles of this package's modules are from.
const source = "alexforencich/verilog-axis@48ff7a7e2ef7 rtl/"

// Modules are the modules of this package.
var Modules = []module.Module{
	register,
	pipelineRegister,
	fifo,
	srlFIFO,
	pipelineFIFO,
	adapter,
	asyncFIFO,
	fifoAdapter,
	asyncFIFOAdapter,
	mux,
	arbMux,
	demux,
	broadcast,
	switchModule,
	ramSwitch,
}

// same is the ports of a module with one input and one output of DATA_WIDTH.
func same(a module.Args) (in, out []module.Port) {
	p := []module.Port{{Width: a.Int("DATA_WIDTH") / 8}}
	return p, p
}
