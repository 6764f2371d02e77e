package nic

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif"
)

// learn has the host carry what goes where a frame has just gone. The frame came
// alone: those that wait behind it would be overtaken. Program passthrough changes
// no frame and looks at nothing but the Ethernet addresses to send it, so that they
// and the way are all there is to know.
func (n *NIC) learn(in datapath.Port, f *hostif.Frame, o *Outcome, alone bool) {
	if n.cfg.FlowTable == nil || !alone || o.Verdict != datapath.Forward || bits.OnesCount64(uint64(o.To)) != 1 || f.Offload != (hostif.Offload{}) {
		return
	}
	n.cfg.FlowTable.Learn(int(in), bits.TrailingZeros64(uint64(o.To)), f.Data)
}

// carried has the program see what the host has carried by itself since the last
// time.
func (n *NIC) carried(now sim.Cycle) {
	if n.cfg.FlowTable == nil {
		return
	}
	n.cycle = now
	got := n.cfg.FlowTable.Carried(batch, n.see)
	if u := n.cfg.FlowTable.Unseen(); u > n.unseen {
		if n.model != nil {
			n.model.miss(u - n.unseen)
		}
		n.unseen = u
	}
	if n.waiting = got == batch; !n.waiting {
		n.latest = now
	}
}

// carriedOne has the program see a frame that the host has carried. What it would not
// have sent where it went is forgotten.
func (n *NIC) carriedOne(c hostif.CarriedFrame) {
	n.latest = max(n.latest, n.cycle-min(n.cycle, cycleAt(c.Age)))
	n.seen = n.latest
	in, size := datapath.Port(c.In), len(c.Data)
	o := n.Process(n.seen, in, c.Data, hostif.Offload{CsumPartial: true}) // the payload is not here
	if n.model != nil {
		n.model.arrive(n.seen, in, size, 0, n.Logic, &o)
	}
	if o.To != datapath.PortSet(0).Add(datapath.Port(c.Out)) {
		n.strayed++
		n.cfg.FlowTable.Forget(c.In, c.Data)
	}
}

// collect has the program see all that the host has carried, when no more will be.
func (n *NIC) collect(now sim.Cycle) {
	for n.carried(now); n.waiting; {
		n.carried(now)
	}
}
