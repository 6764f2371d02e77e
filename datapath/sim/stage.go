package sim

// Stage is one block of hardware between wires.
//
// In one cycle the engine calls Offer of every stage, then Accept of every
// stage, and then, at the edge, Edge of every stage that has a clock among
// those whose edges fall together.
type Stage interface {
	// Ports returns the wires the stage consumes and produces. They never
	// change.
	Ports() (in, out []*Wire)
	// Offer drives Valid and Beat of the stage's outputs.
	Offer()
	// Accept drives Ready of the stage's inputs. A beat, once offered, stands
	// unchanged until it is accepted, and nothing in a stage depends on an
	// output's Ready while it offers no beat there.
	Accept()
	// Edge loads the registers of the domains in at from what is on the wires,
	// and changes no wire. It reports whether anything changed: a network in
	// which nothing changes is skipped over.
	Edge(at Edges) bool
}

// Comb is implemented by a stage with a combinational path through it: from an
// input's Valid or Beat to an output's Valid or Beat, or from an output's Ready
// to an input's Ready. A stage that does not implement it drives its outputs'
// Valid, and its inputs' Ready, from its registers and its own inputs' Valid
// alone.
type Comb interface {
	Comb() (valid, ready bool)
}

// Waker is implemented by a stage that acts at a time of its own: sources,
// sinks with a pattern, timers.
type Waker interface {
	// Wake is the time of the next edge at which the stage would do something
	// although nothing around it changes, or Never.
	Wake() Picos
}

// Hasty is implemented by a stage whose outputs wait for nobody: a beat that is
// not accepted at its edge is gone.
type Hasty interface{ Hasty() }

// Leveller is implemented by a stage that stores bytes.
type Leveller interface {
	// Level is how many bytes the stage's memory holds as its hardware counts
	// them (status_depth).
	Level() int
}

// Loss is why a stage dropped a frame.
type Loss uint8

// Reasons for which frames are lost, each at a named place, whole.
const (
	LossNone     Loss = iota
	LossFull          // no room when it came
	LossBad           // marked bad (wrong FCS, cut short)
	LossOversize      // longer than the memory of a frame FIFO
	LossNoRoute       // no output for its destination
	LossVerdict       // a stage that acts on packets decided so
	NumLosses
)

var lossNames = [NumLosses]string{"none", "full", "bad_frame", "oversize", "no_route", "verdict"}

func (l Loss) String() string { return lossNames[l] }

// Lossy is implemented by a stage that can drop frames.
type Lossy interface{ Lost() *Losses }

// Losses counts the frames that a stage dropped. A stage embeds it.
type Losses struct {
	Count [NumLosses]uint64
	// set by the engines
	now  *Picos // of the machine that clocks the stage
	seen func(t Picos, frame uint32, why Loss)
}

// tell makes losses known to one more, as those of a stage.
func (l *Losses) tell(stage int, to func(stage int, t Picos, frame uint32, why Loss)) {
	before := l.seen
	l.seen = func(t Picos, frame uint32, why Loss) {
		if before != nil {
			before(t, frame, why)
		}
		to(stage, t, frame, why)
	}
}

// Lost makes a stage that embeds l Lossy.
func (l *Losses) Lost() *Losses { return l }

// Drop counts a frame as lost. Call it in Edge, at the edge that decides it.
func (l *Losses) Drop(frame uint32, why Loss) {
	var t Picos
	if l.now != nil {
		t = *l.now
	}
	l.DropAt(t, frame, why)
}

// Observer sees what moves in a network. Cycles are those of the wire's own
// clock. Events come in the order of time; within one edge in the order of
// wires.
type Observer interface {
	// Offered: from this edge on the beat stands on the wire.
	Offered(w *Wire, at Cycle, b Beat)
	// Accepted: the beat moved at this edge.
	Accepted(w *Wire, at Cycle, b Beat)
	// Dropped: the stage with that index decided at time t to drop the frame.
	Dropped(stage int, t Picos, frame uint32, why Loss)
}
