// Package stage is a pipeline stage of one's own, the size a first one has: it
// gives frames another VLAN. Process decides, Timed does the same in hardware's
// time, Module gives it a name in pipeline files.
package stage

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Rewriter maps the VLAN a frame comes with to the one it leaves with; 0 is no
// tag. Frames of other VLANs are dropped.
type Rewriter map[uint16]uint16

// Name returns "vlan_rewriter".
func (Rewriter) Name() string { return "vlan_rewriter" }

// Process changes the VLAN in the header vector; the deparser writes the tag.
func (r Rewriter) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	to, ok := r[p.PHV.VLAN]
	switch {
	case !p.PHV.Has(datapath.HdrEthernet): // too short to have one
	case !ok:
		p.Reason = datapath.DropTable
		return datapath.Drop
	case to != p.PHV.VLAN:
		p.SetField(datapath.FieldVLAN, datapath.Uint(uint64(to)))
	}
	return datapath.Continue
}

// The table is a block RAM of 4,096 entries (1 cycle), and what is behind the tag
// is shifted by a multiplexer with a register (1 cycle): by construction.
const (
	latency = 2
	head    = 16 // bytes: two addresses, the tag's EtherType, the tag
)

// Timed is the stage between two wires; packet gives what is in a frame.
func (r Rewriter) Timed(in, out *sim.Wire, packet func(frame uint32) *datapath.Packet) sim.Stage {
	act := card.ActFunc(func(s card.Seen) card.Verdict {
		p := packet(s.Frame)
		came := len(p.Data)
		if r.Process(s.At, p) == datapath.Drop || deparser.New().Process(s.At, p) == datapath.Drop {
			return card.Verdict{Loss: sim.LossVerdict}
		}
		return card.Verdict{Push: len(p.Data) - came}
	})
	return card.NewPipe(card.Config{Latency: latency, Head: head, MaxPush: wire.VLANLen, Act: act}, in, out)
}

// Module is the stage as a pipeline file names it.
func (r Rewriter) Module(packet func(frame uint32) *datapath.Packet) module.Module {
	return module.Module{
		Name: r.Name(), Doc: "rewrites VLAN tags", Source: "by construction",
		Params: []module.Param{module.Width("DATA_WIDTH")},
		Ports:  module.Straight,
		Build:  func(s *module.Site) { s.Add("", r.Timed(s.In[0], s.Out[0], packet)) },
	}
}
