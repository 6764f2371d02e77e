// Package stage is a pipeline stage of one's own, the size a first one has: it
// ages packets as a router does, and loses those that are too old.
package stage

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Router lowers the TTL (IPv4) or hop limit (IPv6) by one and drops packets that
// would leave with zero. Everything else passes.
type Router struct{ Aged, Expired uint64 }

// Name returns "router".
func (*Router) Name() string { return "router" }

// Process ages p.
func (r *Router) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	switch {
	case !p.PHV.Has(datapath.HdrIPv4) && !p.PHV.Has(datapath.HdrIPv6):
		return datapath.Continue
	case p.PHV.TTL <= 1:
		r.Expired++
		p.Reason = datapath.DropTable
		return datapath.Drop
	}
	r.Aged++
	// The field is changed here, the bytes and the checksum by the deparser.
	p.SetField(datapath.FieldTTL, datapath.Uint(uint64(p.PHV.TTL-1)))
	return datapath.Continue
}

// Cycles is one: a subtraction between two registers, by construction.
func (*Router) Cycles(*datapath.Packet) sim.Cycle { return 1 }
