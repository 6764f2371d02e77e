package trace

import "github.com/meshnic/meshnic/datapath/sim"

// crossing is how one frame went over one wire.
type crossing struct {
	wire         *sim.Wire
	frame        uint32
	off          int32     // of the first byte, as Beat.Off counts
	bytes        int       // of the frame on this wire
	moved        int       // bytes accepted so far
	beats        int       // accepted so far
	offered      sim.Cycle // first beat
	first        sim.Cycle // first beat accepted
	lastOffered  sim.Cycle // latest beat
	lastAccepted sim.Cycle
	waited       sim.Cycle // sum over the beats, from offer to accept
	dest         uint8
	bad          bool // tuser on the last beat
	whole        bool // the last beat was accepted

	open  bool
	stood bool      // a beat stands on the wire
	prev  sim.Picos // when the wire's previous frame ended
}

func (c *crossing) at(n sim.Cycle) sim.Picos { return c.wire.Clock.At(n) }

// lanes follows the frames over every wire. Frames do not mix on a wire, so
// what it holds is one crossing a wire.
type lanes struct {
	wires []crossing
	begin func(*crossing)                             // its first beat was offered
	beat  func(c *crossing, b sim.Beat, to sim.Cycle) // a beat, offered at c.lastOffered, was accepted
	end   func(*crossing)                             // its last beat was accepted, or it was cut off
}

func newLanes(net *sim.Net) lanes { return lanes{wires: make([]crossing, len(net.Wires))} }

func (l *lanes) offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if b.Frame == 0 {
		return
	}
	c := &l.wires[w.Index()]
	if !c.open || c.frame != b.Frame || b.First {
		l.close(c)
		prev := c.prev
		*c = crossing{wire: w, frame: b.Frame, off: b.Off, bytes: int(b.Left), offered: at, dest: b.Dest, open: true, prev: prev}
		if l.begin != nil {
			l.begin(c)
		}
	}
	c.lastOffered, c.stood = at, true
}

func (l *lanes) accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	if b.Frame == 0 {
		return
	}
	c := &l.wires[w.Index()]
	if !c.open || !c.stood || c.frame != b.Frame {
		l.offered(w, at, b) // it was offered before the trace began
	}
	if c.beats == 0 {
		c.first = at
	}
	c.beats++
	c.moved += int(b.Bytes)
	c.waited += at - c.lastOffered
	c.lastAccepted, c.stood = at, false
	if l.beat != nil {
		l.beat(c, b, at)
	}
	if b.Last {
		c.bad, c.whole = b.Bad, true
		c.prev = w.Clock.At(at)
		l.close(c)
	}
}

func (l *lanes) close(c *crossing) {
	if !c.open {
		return
	}
	c.open = false
	if l.end != nil {
		l.end(c)
	}
}

// find returns how a frame that is or was the latest on one of some wires went
// over it, or nil.
func (l *lanes) find(frame uint32, wires []*sim.Wire) *crossing {
	for _, w := range wires {
		if c := &l.wires[w.Index()]; c.frame == frame && c.wire != nil {
			return c
		}
	}
	return nil
}
