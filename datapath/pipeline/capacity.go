package pipeline

import "github.com/meshnic/meshnic/datapath/sim"

// Held is what a pipeline takes while its sinks are frozen.
type Held struct {
	Beats       int  `json:"beats_absorbed_with_sink_frozen"` // accepted on input 0
	WholeFrames int  `json:"whole_frames_absorbed"`           // whose last beat was accepted
	All         bool `json:"all_offered_beats_accepted"`
	Delivered   int  `json:"frames_delivered_after_release"`
}

// release is the cycle at which the sinks of Hold become ready: long after
// everything has come to rest.
const release = 1 << 24

// thaw is never ready before release and always after.
type thaw struct{}

func (thaw) Ready(c sim.Cycle) (sim.Cycle, bool) { return max(c, release), true }

// Hold offers traffic to a pipeline whose sinks are frozen, counts what it
// takes, releases the sinks and counts what comes out.
func (d *Description) Hold(t Traffic) (Held, error) {
	if err := t.normalise(); err != nil {
		return Held{}, err
	}
	b, err := d.newBench(t, 0, Line{}, thaw{}, 0)
	if err != nil {
		return Held{}, err
	}
	in, until := b.inputs[0], b.outputs[0].Wire.Clock.At(release)
	b.engine.Run(2 * until)
	var h Held
	for k, e := range in.beats {
		if in.open && k == len(in.beats)-1 || in.Wire.Clock.At(e.accepted) >= until {
			break
		}
		h.Beats++
		if e.beat.Last {
			h.WholeFrames++
		}
	}
	h.All = h.WholeFrames == t.Frames
	for _, e := range b.outputs[0].beats {
		if e.beat.Last {
			h.Delivered++
		}
	}
	return h, nil
}
