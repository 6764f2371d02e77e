package card

import "github.com/meshnic/meshnic/datapath/sim"

// Seen is a frame whose headers a stage has seen.
type Seen struct {
	Frame uint32
	Bytes int // of the frame as it came into the stage
	Dest  uint8
	At    sim.Cycle // edge at which the last byte needed was sampled
}

// Verdict is what a stage does with a frame. The zero Verdict passes it.
type Verdict struct {
	Loss  sim.Loss // if not LossNone, the frame is dropped whole, for this reason
	Route bool     // set Dest on all the frame's beats
	Dest  uint8
	Push  int // bytes put in front of the frame; negative: taken off
	Reads int // accesses to the stage's memory; 0 leaves it to the configuration, negative: none
}

// Actor decides about frames: the functional side of a stage. The engine calls
// it once a frame, in the frames' order, for the edge Seen.At; maxplus may be
// further ahead there than at other stages, so two Actors share no state that
// depends on who comes first.
type Actor interface {
	// Head is how many bytes of the frame the stage must see, whatever the
	// configuration says; 0 leaves it to the configuration, negative: none.
	Head(frame uint32) int
	Decide(s Seen) Verdict
}

// ActFunc is an Actor that leaves the number of bytes to the configuration.
type ActFunc func(s Seen) Verdict

// Head returns 0.
func (ActFunc) Head(uint32) int { return 0 }

// Decide calls f.
func (f ActFunc) Decide(s Seen) Verdict { return f(s) }
