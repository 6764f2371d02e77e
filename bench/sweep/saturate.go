package sweep

import (
	"math"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

// Rate is what a design carries when every input offers frames back to back
// for as long as it takes; bytes, inputs and sink are the point's.
type Rate struct {
	Frames  int  `json:"n_frames"`       // on each input, of the longest train
	Dropped int  `json:"dropped_frames"` // of that train
	Steady  bool `json:"steady"`         // twice the frames take twice as long

	// At the last stage's first output; Gbit/s of frames as offered, without FCS,
	// preamble and gap.
	CyclesPerFrame *float64 `json:"cycles_per_frame"`
	Gbps           *float64 `json:"gbit_per_s"`
	Mfps           *float64 `json:"mframe_per_s"`
}

// Trains grow from shortest to longest frames an input until the rate changes by
// no more than alike from one to the next.
const (
	shortest, longest = 64, 8192
	alike             = 0.001
)

// saturate measures by trains of doubling length. What the second half of a
// train takes is the rate: what the first half took to fill the buffers, and its
// end to drain them, cancels out.
func saturate(d *pipeline.Description, t pipeline.Traffic, period float64) (*Rate, error) {
	t.Gap, t.Phases = 0, 1
	var rate Rate
	var before *pipeline.Result
	for t.Frames = shortest; t.Frames <= longest && !rate.Steady; t.Frames *= 2 {
		r, err := d.Run(t)
		if err != nil {
			return nil, err
		}
		rate.Frames, rate.Dropped = t.Frames, r.Drops
		if before != nil {
			c := between(before.OutLast, r.OutLast)
			last := rate.CyclesPerFrame
			rate.Steady = last != nil && c != nil && math.Abs(*c-*last) <= alike**c
			rate.CyclesPerFrame = c
		}
		if !r.Finished || len(r.OutLast) == 0 {
			break
		}
		before = r
	}
	if c := rate.CyclesPerFrame; c != nil {
		mfps := 1000 / (*c * period)
		rate.Mfps, rate.Gbps = micro(mfps), micro(mfps*float64(t.Bytes)*8/1000)
	}
	return &rate, nil
}

// between is the mean distance of the frames by which a train is longer; nil if
// it is not.
func between(short, long []float64) *float64 {
	n := len(long) - len(short)
	if n <= 0 || len(short) == 0 {
		return nil
	}
	c := (long[len(long)-1] - short[len(short)-1]) / float64(n)
	if c <= 0 {
		return nil
	}
	return micro(c)
}
