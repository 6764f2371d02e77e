package nic

import (
	"github.com/meshnic/meshnic/datapath"
)

// counts are the NIC's own counters. One goroutine writes them.
type counts struct {
	packets, forwarded, flooded, mirrored, punted, consumed uint64

	drops [datapath.NumDropReasons]uint64
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
	case datapath.Punt:
		c.punted++
		c.drops[datapath.DropNoHost]++
	case datapath.Consume:
		c.consumed++
	case datapath.Drop:
		c.drops[p.Reason]++
	default: // a pipeline whose last stage decides nothing loses the packet
		c.drops[datapath.DropNoEgress]++
	}
}
