package replay

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// frame is what is remembered of a frame while it is on the card.
type frame struct {
	id       uint32
	bytes    uint16
	in       uint8
	copies   uint16 // that have neither left nor got lost, frames because of it included
	consumed bool   // it was for the program itself
	reason   datapath.DropReason
	at       sim.Picos // of its arrival
	beats    uint64    // that arrived at its port before it
}

// ring is the frames on the card, by id. It grows with how many there are.
type ring []frame

func (r ring) of(id uint32) *frame { return &r[id&uint32(len(r)-1)] }

// put adds a frame; open is how many are on the card.
func (r *ring) put(f frame, open int) {
	for {
		old := r.of(f.id)
		if old.copies == 0 || len(*r) >= 4*(open+1024) { // or it is one that was lost with its copies
			*old = f
			return
		}
		grown := make(ring, 2*len(*r))
		for i := range *r {
			*grown.of((*r)[i].id) = (*r)[i]
		}
		*r = grown
	}
}
