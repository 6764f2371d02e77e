package trace

import (
	"io"
	"strconv"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Perfetto writes a timeline: TrackEvent packets of Perfetto's own protobuf
// format, for ui.perfetto.dev and trace_processor.
//
// A stage is a track, and below it each of its outputs: a slice is a frame on
// that output, from the cycle in which its first beat was offered to the end of
// that in which its last was accepted. Frames do not overlap on a wire, so
// slices never do. Flow arrows lead from slice to slice of one frame; their id
// is the frame's number. A stage that stores has a counter, level_bytes: what
// its inputs accepted and its outputs have not yet. A dropped frame is an
// instant on the track of the stage that dropped it.
//
// Timestamps are nanoseconds, rounded down; begin_ps, end_ps, begin_cycle and
// end_cycle say it exactly. begin_cycle and end_cycle are of the wire's clock:
// the edge that sampled the first offer, and that of the last accept.
type Perfetto struct {
	out    protoOut
	top    *topology
	lanes  lanes
	levels levels
	last   sim.Picos // of the latest event
}

// NewPerfetto writes the tracks of net; name is what the run is called. Call
// Close at the end of the run.
func NewPerfetto(w io.Writer, net *sim.Net, name string) *Perfetto {
	p := &Perfetto{out: newProtoOut(w), top: newTopology(net), lanes: newLanes(net)}
	p.lanes.end = p.slice
	p.levels = newLevels(p.top, p.count)
	p.out.track(rootTrack, 0, name, 0, false)
	for i := range net.Stages {
		p.out.track(stageTrack(i), rootTrack, net.Name(i), i+1, false)
		for j, w := range p.top.out[i] {
			p.out.track(wireTrack(w), stageTrack(i), w.Name, j+1, false)
		}
		if p.levels.stages[i].counts {
			p.out.track(levelTrack(i), stageTrack(i), "level_bytes", len(p.top.out[i])+1, true)
		}
	}
	return p
}

// Tracks are numbered from 1: the run, then four numbers apart by what they
// are.
const rootTrack = 1

func stageTrack(i int) uint64      { return uint64(i)*4 + 4 }
func levelTrack(i int) uint64      { return uint64(i)*4 + 5 }
func wireTrack(w *sim.Wire) uint64 { return uint64(w.Index())*4 + 6 }

// Offered, Accepted and Dropped make it a sim.Observer.
func (p *Perfetto) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	p.last = w.Clock.At(at)
	p.levels.until(p.last)
	p.lanes.offered(w, at, b)
}

func (p *Perfetto) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	p.last = w.Clock.At(at)
	p.levels.until(p.last)
	p.levels.moved(w, p.last, b)
	p.lanes.accepted(w, at, b)
}

func (p *Perfetto) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	p.last = at
	p.levels.until(at)
	p.levels.dropped(stage, at, frame)
	o := &p.out
	o.begin(stageTrack(stage), typeInstant)
	o.event = o.iid(o.event, fieldNameIID, eventNames, "drop "+why.String())
	o.id(frame)
	o.text("reason", why.String())
	o.int("at_ps", int64(at))
	o.flow(frame, true)
	o.finish(at)
}

// slice writes a frame that has gone over a wire.
func (p *Perfetto) slice(c *crossing) {
	o := &p.out
	last := max(c.lastOffered, c.lastAccepted)
	from, to := c.at(c.offered), c.at(last+1)
	track := wireTrack(c.wire)
	o.begin(track, typeBegin)
	o.event = o.str(o.event, fieldName, "frame "+strconv.FormatUint(uint64(c.frame), 10))
	o.id(c.frame)
	o.int("bytes", int64(c.bytes))
	o.int("beats", int64(c.beats))
	o.int("dest", int64(c.dest))
	o.int("waited_cycles", int64(c.waited))
	o.int("begin_cycle", int64(c.offered))
	o.int("end_cycle", int64(last))
	o.int("begin_ps", int64(from))
	o.int("end_ps", int64(to))
	if c.bad {
		o.int("bad", 1)
	}
	if !c.whole {
		o.int("cut", 1)
	}
	o.flow(c.frame, c.whole && p.top.leaves(c.wire.Index()) && !p.top.branches)
	o.finish(from)
	o.begin(track, typeEnd)
	o.finish(to)
}

func (p *Perfetto) count(stage int, at sim.Picos, bytes int) {
	o := &p.out
	o.begin(levelTrack(stage), typeCounter)
	o.event = o.uint(o.event, fieldCounter, uint64(bytes))
	o.finish(at)
}

// Close writes what is still to be written: frames under way end where they
// were last seen, marked cut. It does not close the io.Writer.
func (p *Perfetto) Close() error {
	for i := range p.lanes.wires {
		p.lanes.close(&p.lanes.wires[i])
	}
	p.levels.until(sim.Never)
	return p.out.flush()
}
