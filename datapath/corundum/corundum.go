// Package corundum is the datapath of the Corundum NIC: the receive hash and
// checksum, the transmit checksum, ingress and egress processing, and the port
// FIFOs between MAC clock and core clock. Each stage holds the registers of the
// RTL it cites and moves beats in the same cycles; the values that the RTL
// computes on the way (Toeplitz hash, checksums) are functions beside it.
package corundum

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/module"
)

// source is where the cycles of this package's modules are from.
const source = "corundum/corundum@1ca0151b97af fpga/common/rtl/"

// Modules are the modules of this package.
var Modules = []module.Module{rxHash, rxChecksum, txChecksum, ingress, egress, portRx, portTx}

// width is the ports of a module with one input and one output of one width.
func width(name string) func(module.Args) (in, out []module.Port) {
	return func(a module.Args) (in, out []module.Port) {
		p := []module.Port{{Width: a.Int(name) / 8}}
		return p, p
	}
}

// command is width for a module that takes a command beside its input.
func command(name string) func(module.Args) (in, out []module.Port) {
	return func(a module.Args) (in, out []module.Port) {
		n := a.Int(name) / 8
		return []module.Port{{Width: n, Header: true}}, []module.Port{{Width: n}}
	}
}

// log2 is $clog2: how many bits count to n.
func log2(n int) int { return bits.Len(uint(max(n, 1) - 1)) }
