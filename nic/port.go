package nic

import (
	"github.com/meshnic/meshnic/hostif"
)

// frameOverhead is what a frame adds to the MTU: Ethernet header and two VLAN tags.
const frameOverhead = 14 + 2*4

// batch is how many frames are taken from a port at once: enough to spread the
// cost of a transmit call, few enough to stay in the first-level cache.
const batch = 64

// port is one port with its frames under way.
type port struct {
	name string
	link hostif.Link
	rx   []*hostif.Frame // filled by Recv
	tx   []*hostif.Frame // waiting for the end of the batch
	done bool            // the link said that nothing more will come
}

func newPort(p Port) *port {
	return &port{name: p.Name, link: p.Link, rx: make([]*hostif.Frame, batch), tx: make([]*hostif.Frame, 0, 4*batch)}
}
