// Package mac is what a port's receive side decides: how long a frame may be.
package mac

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Receive is the receive side of a port. It drops frames longer than MaxFrame.
type Receive struct{ MaxFrame int }

// Name returns "mac_rx".
func (*Receive) Name() string { return "mac_rx" }

// Process passes p, or drops it with DropOverlong. A frame that stands for
// several segments (GSOSize > 0) is measured by none of them: its segments are
// cut to the MTU where they leave.
func (r *Receive) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	if len(p.Data) > r.MaxFrame && p.GSOSize == 0 {
		p.Reason = datapath.DropOverlong
		return datapath.Drop
	}
	return datapath.Continue
}
