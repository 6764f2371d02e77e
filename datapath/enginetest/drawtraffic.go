package enginetest

import (
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath/sim"
)

// traffic draws what the sources send.
func (d *drawer) traffic(n *network) {
	budget := pick(d.dice, 40, 80, 80, 150, 150, 300) // beats on the narrowest bus
	if d.chance(3) {
		budget = 5000
	}
	id := uint32(0)
	for k := range d.inputs {
		s := Source{Name: "in" + strconv.Itoa(k)}
		w := n.Wires[slices.IndexFunc(n.Wires, func(w *sim.Wire) bool { return w.Name == s.Name })]
		if d.xgmii(n, w) && d.chance(50) {
			s.Lane, s.Deficit, s.IFG = 4*d.n(w.Width/4), d.n(4), 12+d.spread(0, 40)
		}
		s.Frames = d.frames(w, budget/d.inputs, &id)
		if len(s.Frames) > 0 || s.Lane+s.Deficit+s.IFG > 0 {
			d.c.Sources = append(d.c.Sources, s)
		}
	}
}

// xgmii reports whether a wire is a line.
func (d *drawer) xgmii(n *network, w *sim.Wire) bool {
	for _, s := range n.Stages {
		if _, out := s.Ports(); slices.Contains(out, w) {
			_, plain := s.(*sim.Source)
			return !plain
		}
	}
	return false
}

// frames draws the frames of a source: sizes around the bus width, of packets,
// and jumbo ones; back to back, with gaps, or at times.
func (d *drawer) frames(w *sim.Wire, budget int, id *uint32) (f []sim.Frame) {
	cycle := w.Clock.Period
	at := cycle * sim.Picos(d.spread(0, 200)*d.n(2))
	gap, pause := d.n(2)*d.spread(1, 60), d.n(2)*d.spread(1, 300)
	dests := pick(d.dice, 1, 2, 4, 4, 16, 256)
	bad := pick(d.dice, 0, 0, 12, 50)
	size := d.n(5)
	for n := d.n(40); n > 0; n-- {
		bytes := d.spread(1, 1514)
		switch size {
		case 0:
			bytes = 1 + d.n(2*w.Width)
		case 1:
			bytes = max(1, w.Width*(1+d.n(6))+d.n(3)-1)
		case 2:
			bytes = 60 + d.spread(0, 1454)
		case 3:
			if d.chance(10) {
				bytes = 1515 + d.n(8000)
			}
		}
		beats := 1 + bytes/d.narrow
		if beats > budget {
			if bytes = budget * d.narrow / 2; bytes < 1 {
				break
			}
			beats = budget
		}
		budget -= beats
		*id++
		at += cycle * sim.Picos(d.upTo(pause)) / 2
		f = append(f, sim.Frame{ID: *id, Bytes: bytes, Dest: uint8(d.n(dests)), Bad: d.chance(bad), At: at, Gap: sim.Cycle(d.upTo(gap))})
	}
	return f
}

// sinks draws when the outputs are ready.
func (d *drawer) sinks(n *network) {
	for _, e := range d.ends {
		s := Sink{Wire: e.from, Pattern: pick(d.dice, Patterns...)}
		switch {
		case s.Pattern == "frozen" && d.chance(50):
			s.Pattern, s.Thaw = "none", sim.Cycle(d.spread(1, 4000))
		case d.chance(10):
			s.Thaw = sim.Cycle(d.spread(1, 1000))
		}
		if s.Pattern == "runs" {
			s.Seed = uint64(d.n(1000))
		}
		if d.chance(50) {
			s.From = sim.Cycle(d.n(40))
		}
		if s != (Sink{Wire: e.from, Pattern: "none"}) {
			d.c.Sinks = append(d.c.Sinks, s)
		}
	}
}

// how draws how the engines run the case.
func (d *drawer) how(n *network) {
	d.c.Order = uint64(d.n(1 << 30))
	if d.chance(60) {
		d.c.Acts = 1 + uint64(d.n(1<<30))
	}
	share := pick(d.dice, 0, 10, 30, 60, 90)
	for i := range n.Stages {
		if !slices.Contains(n.plain, i) && d.chance(share) {
			d.c.Clocked = append(d.c.Clocked, n.Name(i))
		}
	}
	if d.chance(70) {
		at := sim.Picos(0)
		for range d.n(16) {
			at += sim.Picos(d.spread(1, pick(d.dice, 20_000, 200_000, 2_000_000)))
			d.c.Steps = append(d.c.Steps, at)
		}
	}
}
