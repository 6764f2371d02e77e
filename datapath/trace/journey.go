package trace

import (
	"cmp"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// journey is the way of one frame through the network.
type journey struct {
	frame   uint32
	hops    []hop // in the order in which it came to the wires
	waits   []wait
	open    int  // wires that it is on now
	left    bool // its last beat has left the network
	queued  bool // it is in the line of those that may be done
	dropped bool
	stage   int // that dropped it
	why     sim.Loss
	at      sim.Picos // of the drop
}

// hop is how a frame went over a wire.
type hop struct {
	crossing
	since sim.Picos // when the wire's previous frame ended
}

// wait is how long a beat stood on a wire.
type wait struct {
	wire     *sim.Wire
	from, to sim.Picos
}

// lateness is how many frames may end between two copies of a frame in a
// network that has stages with several outputs, which may copy.
const lateness = 4096

// journeys gathers what happens to each frame, and gives it away when the frame
// has left the network or was lost. It wants the events of each wire in the order
// of time, and a beat's accept where it enters a stage before its offer where it
// leaves.
type journeys struct {
	top   *topology
	lanes lanes
	all   map[uint32]*journey
	now   []*journey // by wire: whose frame is on it
	done  func(*journey)
	line  []*journey // ended, waiting for copies; from head
	head  int
	spare []*journey
}

func newJourneys(net *sim.Net, done func(*journey)) *journeys {
	j := &journeys{top: newTopology(net), lanes: newLanes(net), all: map[uint32]*journey{}, now: make([]*journey, len(net.Wires)), done: done}
	j.lanes.begin, j.lanes.beat, j.lanes.end = j.begin, j.beat, j.end
	return j
}

func (j *journeys) of(frame uint32) *journey {
	x := j.all[frame]
	if x == nil {
		if n := len(j.spare); n > 0 {
			x, j.spare = j.spare[n-1], j.spare[:n-1]
			*x = journey{hops: x.hops[:0], waits: x.waits[:0]}
		} else {
			x = &journey{}
		}
		x.frame = frame
		j.all[frame] = x
	}
	return x
}

func (j *journeys) begin(c *crossing) {
	x := j.of(c.frame)
	x.hops = append(x.hops, hop{crossing: *c, since: c.prev})
	x.open++
	j.now[c.wire.Index()] = x
}

func (j *journeys) beat(c *crossing, _ sim.Beat, to sim.Cycle) {
	if to > c.lastOffered {
		x := j.now[c.wire.Index()]
		x.waits = append(x.waits, wait{c.wire, c.at(c.lastOffered), c.at(to)})
	}
}

func (j *journeys) end(c *crossing) {
	x := j.now[c.wire.Index()]
	j.now[c.wire.Index()] = nil
	h := x.over(c.wire)
	h.crossing = *c
	x.open--
	x.left = x.left || c.whole && j.top.leaves(c.wire.Index())
	j.settle(x)
}

func (j *journeys) lost(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	x := j.of(frame)
	if !x.dropped {
		x.dropped, x.stage, x.at, x.why = true, stage, at, why
	}
	j.settle(x)
}

// over is the frame's latest hop on a wire.
func (x *journey) over(w *sim.Wire) *hop {
	for i := len(x.hops) - 1; i >= 0; i-- {
		if x.hops[i].wire == w {
			return &x.hops[i]
		}
	}
	return nil
}

// blocked is how long the frame's beats stood on a wire, from a time on.
func (x *journey) blocked(w *sim.Wire, from sim.Picos) (sum sim.Picos) {
	for i := range x.waits {
		if b := &x.waits[i]; b.wire == w {
			sum += max(0, b.to-max(b.from, from))
		}
	}
	return sum
}

// before is the frame's latest hop on one of some wires.
func (x *journey) before(in []*sim.Wire) *hop {
	for i := len(x.hops) - 1; i >= 0; i-- {
		if slices.Contains(in, x.hops[i].wire) {
			return &x.hops[i]
		}
	}
	return nil
}

// settle gives a frame away if nothing more can happen to it.
func (j *journeys) settle(x *journey) {
	if x.open > 0 || !x.left && !x.dropped || x.queued {
		return
	}
	if !j.top.branches {
		j.give(x)
		return
	}
	x.queued = true
	j.line = append(j.line, x)
	for len(j.line)-j.head > lateness {
		j.next()
	}
}

// next takes the first frame off the line; one that came to life again will
// queue again.
func (j *journeys) next() {
	x := j.line[j.head]
	j.line[j.head] = nil
	if j.head++; j.head > lateness {
		j.line = append(j.line[:0], j.line[j.head:]...)
		j.head = 0
	}
	if x.queued = false; x.open == 0 {
		j.give(x)
	}
}

func (j *journeys) give(x *journey) {
	j.done(x)
	delete(j.all, x.frame)
	j.spare = append(j.spare, x)
}

// close gives away the frames that still wait, and then those that are under
// way, by their numbers.
func (j *journeys) close() {
	for i := range j.lanes.wires {
		j.lanes.close(&j.lanes.wires[i])
	}
	for j.head < len(j.line) {
		j.next()
	}
	rest := make([]*journey, 0, len(j.all))
	for _, x := range j.all {
		rest = append(rest, x)
	}
	slices.SortFunc(rest, func(a, b *journey) int { return cmp.Compare(a.frame, b.frame) })
	for _, x := range rest {
		j.give(x)
	}
}

// path is the frame's way from where it entered to where it left, or to where
// it was dropped or was seen last: each hop's wire begins at the stage that the
// one before leads to. Of copies it is the way of the one that left last.
func (j *journeys) path(x *journey, path []*hop) []*hop {
	var last *hop
	for i := range x.hops {
		h := &x.hops[i]
		switch {
		case x.dropped && !x.left:
			if !slices.Contains(j.top.in[x.stage], h.wire) {
				continue
			}
		case x.left && !(h.whole && j.top.leaves(h.wire.Index())):
			continue
		}
		if last == nil || h.beats > 0 && h.at(h.lastAccepted) >= last.at(last.lastAccepted) {
			last = h
		}
	}
	path = path[:0]
	for h := last; h != nil && len(path) <= len(x.hops); h = x.before(j.top.in[j.top.producer[h.wire.Index()]]) {
		path = append(path, h)
	}
	slices.Reverse(path)
	return path
}
