package sim

// Flowing is implemented by a stage that the maxplus engine need not clock.
type Flowing interface {
	// Flow returns the stage's (max,+) form between the channels of its
	// wires, which are in the order of Ports; nil if there is none for its
	// configuration. It starts where the stage does.
	Flow(in, out []*Chan) Flow
}

// Flow is a stage as recurrences over its channels: in each cycle it does what
// the stage does. A stage that has one ignores headers, and acts on an output's
// Ready only while it shows a beat there.
type Flow interface {
	// Run accepts and puts all beats whose cycles follow from what is known,
	// as far as the channels have room. It reports whether there were any.
	Run() bool
}

// Decider is a Flow with steps that depend on what has not happened by then: a
// memory that drops what finds it full, an arbiter that sees no other request.
type Decider interface {
	Flow
	// Due is the time of the next such step, or Never.
	Due() Picos
	// Decide takes the step. All that happens before its time is known, and
	// so is every beat that is shown at that time.
	Decide()
}

// Peak is implemented by the Flow of a Leveller.
type Peak interface {
	// Highest is the highest level so far, in bytes: see Leveller.
	Highest() int
}

// DropAt counts a frame as lost at time t: for the Flow of a stage.
func (l *Losses) DropAt(t Picos, frame uint32, why Loss) {
	l.Count[why]++
	if l.seen != nil {
		l.seen(t, frame, why)
	}
}
