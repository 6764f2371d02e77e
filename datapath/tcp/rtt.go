package tcp

import (
	"math"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

// timestamps returns the timestamps option of a TCP packet.
func timestamps(p *datapath.Packet) (val, ecr uint32, ok bool) {
	return wire.TCP(p.Data[p.PHV.L4Off:p.PHV.PayloadOff]).Timestamps()
}

// startProbe times p, unless a segment of its side is being timed or the
// acknowledgement would have to wait for a hole to be filled.
func (t *Tracker) startProbe(now sim.Cycle, e *entry, side int, p *datapath.Packet) {
	d := &e.dir[side]
	if e.flags&(flagProbe<<side) != 0 || d.holeLow != d.holeHigh {
		return
	}
	e.flags |= flagProbe << side
	e.flags &^= flagAmbiguous << side
	d.probe = d.next
	d.probeAt = now
	e.tsval[side], _, _ = timestamps(p)
}

// sample ends the timing of side with the acknowledgement p.
func (t *Tracker) sample(now sim.Cycle, e *entry, side int, p *datapath.Packet) {
	ambiguous := e.flags&(flagAmbiguous<<side) != 0
	e.flags &^= (flagProbe | flagAmbiguous) << side
	if ambiguous {
		if _, ecr, ok := timestamps(p); !ok || ecr != e.tsval[side] {
			return
		}
	}
	d := &e.dir[side]
	r := uint32(min(now-d.probeAt, math.MaxUint32))
	if d.samples == 0 {
		d.srtt, d.rttMin = r, r
	} else {
		d.srtt = uint32((7*uint64(d.srtt) + uint64(r)) / 8) // RFC 6298 §2.3
		d.rttMin = min(d.rttMin, r)
	}
	d.samples++
	t.counters.RTTSamples++
}
