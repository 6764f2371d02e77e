package nic

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// maxCycles bounds the histogram of model time; longer ones count as this long.
const maxCycles = 4096

// counts are the NIC's own counters. One goroutine writes them.
type counts struct {
	packets, forwarded, flooded, mirrored, punted uint64
	linkDown                                      uint64 // times a port's interface was found down

	drops [datapath.NumDropReasons]uint64
	// cycles[c] is how many forwarded packets spent c cycles on the card.
	cycles [maxCycles + 1]uint64
}

func (c *counts) verdict(v datapath.Verdict, p *datapath.Packet) {
	c.packets++
	if p.Mirror != 0 {
		c.mirrored++
	}
	switch v {
	case datapath.Forward:
		c.forwarded++
		if p.Egress&(p.Egress-1) != 0 {
			c.flooded++
		}
		c.cycles[min(p.Cycles, maxCycles)]++
	case datapath.Punt:
		c.punted++
		c.drops[datapath.DropNoHost]++
	case datapath.Drop:
		c.drops[p.Reason]++
	default: // a pipeline whose last stage decides nothing loses the packet
		c.drops[datapath.DropNoEgress]++
	}
}

// quantile returns the cycles that a share q (0 to 1) of the forwarded packets
// did not exceed.
func (c *counts) quantile(q float64) sim.Cycle {
	rank := max(uint64(q*float64(c.forwarded)), 1)
	for cycles, n := range c.cycles {
		if n >= rank {
			return sim.Cycle(cycles)
		}
		rank -= n
	}
	return maxCycles
}
