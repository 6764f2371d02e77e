package trace

import (
	"bufio"
	"io"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// VCD writes a waveform (IEEE 1364-2005, 18). One scope a wire holds its clock
// and the signals of AXI-Stream: tvalid, tready, tlast, tkeep, tdata (byte 0 in
// the low bits), tuser (bad), tdest, and frame, the frame's number. A stage
// that can drop has a scope with the event drop, and the frame and the reason
// (sim.Loss) of the latest.
//
// A rising edge of a clock is at the time of the model's edge of that number,
// and signals change half a period before: what stands at a rising edge is what
// is sampled there. A signal that means nothing, as tdata without tvalid, is x,
// and so is every byte that Data does not know. An observer is told of ready
// only where there is something to accept: tready is x elsewhere.
//
// Clocks are drawn where something changes; a clock that is x was not drawn for
// a while, and nothing changed on its edges.
type VCD struct {
	w    *bufio.Writer
	data Data
	err  error

	clocks  []vcdClock
	wires   []vcdWire
	drops   []vcdDrop // by stage
	pending []change  // by time, then as they came
	slowest sim.Picos // longest period
	now     sim.Picos // of the latest #
	stamped bool
	text    []byte
}

type vcdClock struct {
	*sim.Domain
	id   string
	next sim.Cycle // edge that is drawn next
	high bool      // it is the fall that is drawn next
	off  bool      // not drawn now
}

// change is what happens at one time to a wire, or to a stage that drops.
type change struct {
	t     sim.Picos
	wire  int // -1: a drop
	cell  cell
	stage int
	frame uint32
	why   sim.Loss
}

// cell is what a wire shows.
type cell struct {
	valid, ready bool
	beat         sim.Beat
}

// NewVCD writes the head of a waveform of net. Call Close at the end of the
// run.
func NewVCD(w io.Writer, net *sim.Net, data Data) *VCD {
	v := &VCD{w: bufio.NewWriterSize(w, 1<<16), data: data}
	for _, d := range net.Domains {
		v.slowest = max(v.slowest, d.Period)
	}
	v.head(net)
	return v
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (v *VCD) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	v.flush(w.Clock.At(at))
	v.add(change{t: before(w.Clock, at), wire: w.Index(), cell: cell{valid: true, beat: b}})
}

func (v *VCD) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	v.flush(w.Clock.At(at))
	v.add(change{t: before(w.Clock, at), wire: w.Index(), cell: cell{valid: true, ready: true, beat: b}})
	v.add(change{t: before(w.Clock, at+1), wire: w.Index()})
}

// Withdrawn says that from this edge on nothing stands on the wire, although the
// beat on it was not accepted: no engine reports it, and no stage may do it.
func (v *VCD) Withdrawn(w *sim.Wire, at sim.Cycle) {
	v.flush(w.Clock.At(at))
	v.add(change{t: before(w.Clock, at), wire: w.Index()})
}

func (v *VCD) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	v.flush(at)
	v.add(change{t: at, wire: -1, stage: stage, frame: frame, why: why})
}

// before is when what is sampled at edge n begins to stand.
func before(d *sim.Domain, n sim.Cycle) sim.Picos { return max(0, d.At(n)-d.Period/2) }

// add puts a change behind those of its time.
func (v *VCD) add(c change) {
	i := len(v.pending)
	for i > 0 && v.pending[i-1].t > c.t {
		i--
	}
	v.pending = slices.Insert(v.pending, i, c)
}

// flush writes what nothing that happens at now or later can precede.
func (v *VCD) flush(now sim.Picos) {
	n := 0
	for n < len(v.pending) && v.pending[n].t < now-v.slowest {
		n++
	}
	v.write(v.pending[:n])
	v.pending = append(v.pending[:0], v.pending[n:]...)
}

// write writes changes, those of one time together.
func (v *VCD) write(changes []change) {
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].t == changes[0].t {
			n++
		}
		t := changes[0].t
		v.tick(t)
		for _, c := range changes[:n] {
			if c.wire < 0 {
				v.drop(t, c)
				continue
			}
			v.wires[c.wire].next, v.wires[c.wire].due = c.cell, true // the last of one time counts
		}
		for _, c := range changes[:n] {
			if c.wire >= 0 {
				v.show(t, &v.wires[c.wire])
			}
		}
		changes = changes[n:]
	}
}

// around is how many of the slowest clock's periods before and after a change
// clocks are drawn.
const around = 4

// tick draws the clocks up to and with time t, at which something changes.
func (v *VCD) tick(t sim.Picos) {
	if t-v.now > 2*around*v.slowest {
		v.run(v.now + around*v.slowest)
		v.stop()
		from := t - around*v.slowest
		for i := range v.clocks {
			c := &v.clocks[i]
			c.next, c.high, c.off = c.First(from+1), false, false
			v.at(from)
			v.bit('0', c.id)
		}
	}
	v.run(t)
}

// run draws the edges of all clocks up to and with time t.
func (v *VCD) run(t sim.Picos) {
	for {
		var first *vcdClock
		for i := range v.clocks {
			if c := &v.clocks[i]; first == nil || c.edge() < first.edge() {
				first = c
			}
		}
		if first == nil || first.edge() > t {
			return
		}
		v.at(first.edge())
		if first.high {
			v.bit('0', first.id)
			first.next++
		} else {
			v.bit('1', first.id)
		}
		first.high = !first.high
	}
}

// edge is when the clock changes next.
func (c *vcdClock) edge() sim.Picos {
	if c.high {
		return before(c.Domain, c.next+1)
	}
	return c.At(c.next)
}

// stop shows that the clocks are not drawn for a while.
func (v *VCD) stop() {
	v.at(v.now + 1)
	for i := range v.clocks {
		v.bit('x', v.clocks[i].id)
	}
}

// Close writes what is still to be written. It does not close the io.Writer.
func (v *VCD) Close() error {
	v.write(v.pending)
	v.pending = v.pending[:0]
	v.run(v.now + around*v.slowest)
	v.at(v.now + 1)
	if err := v.w.Flush(); v.err == nil {
		v.err = err
	}
	return v.err
}
