// Package card has the modules of a card for which no open RTL was simulated:
// MACs by line rate, parser, tables, deparser, connection tracker, head scanner
// and the DMA crossings between card and host. They have the valid/ready
// behaviour of hardware and take one beat a cycle, but their latencies are from
// vendors' guides, papers or by construction: each constant says which, and each
// that is not measured is a parameter.
//
// Four stages make up all of them. Pipe is a pipeline with as many places as
// its latency, Rewriter writes heads and frames of the card's own, MACRx and MACTx pace
// beats by a line, DMAWrite and DMARead by a PCIe link.
package card

import (
	"math"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Modules are the modules of this package.
var Modules = []module.Module{
	macRx, macTx,
	parser, matchAction, flowTable, tcpTracker, scanner, deparser,
	flowState, routeTable, headRewrite,
	replicator, dmaWrite, dmaRead,
}

// never is later than every cycle.
const never = sim.Cycle(math.MaxUint64)

// same is the ports of a module with one input and one output of DATA_WIDTH.
func same(a module.Args) (in, out []module.Port) {
	p := []module.Port{{Width: a.Int("DATA_WIDTH") / 8}}
	return p, p
}

// picos is ns nanoseconds.
func picos(ns float64) sim.Picos { return sim.Picos(math.Round(ns * 1000)) }

// cycles is how many edges of d pass in t, at least one.
func cycles(t sim.Picos, d *sim.Domain) int {
	return int(max(1, (t+d.Period-1)/d.Period))
}

// wakeAt is the time of cycle c if it is still to come.
func wakeAt(d *sim.Domain, c sim.Cycle) sim.Picos {
	if c == never || c < d.Now {
		return sim.Never
	}
	return d.At(c)
}
