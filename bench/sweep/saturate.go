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
	Steady  bool `json:"steady"`         // a longer train would not change the rate

	// At the last stage's first output; Gbit/s of frames as offered, without FCS,
	// preamble and gap.
	CyclesPerFrame *float64 `json:"cycles_per_frame"`
	Gbps           *float64 `json:"gbit_per_s"`
	Mfps           *float64 `json:"mframe_per_s"`
}

// Trains double until one has the rate of the one before, within alike, and lasts
// turns times as long as its last frame stays inside: by then buffers have filled,
// and what is lost because they are full is lost. A train has no more than
// longest frames an input, and memory bytes.
const (
	alike   = 0.005
	turns   = 2
	longest = 32768
	memory  = 8 << 20
)

// trains returns the shortest and the longest train of frames of so many bytes.
func trains(bytes, inputs int) (first, last int) {
	first, last = 64, min(longest, memory/(bytes*inputs))
	if last < 4*first {
		first = 8
	}
	return first, max(last, 4*first)
}

// saturate measures by trains of doubling length. What the second half of a
// train takes is the rate: what the first half took to fill the buffers, and its
// end to drain them, cancels out.
func saturate(d *pipeline.Description, t pipeline.Traffic, period float64) (*Rate, error) {
	t.Gap, t.Phases = 0, 1
	first, last := trains(t.Bytes, t.Inputs)
	var rate Rate
	var before *pipeline.Result
	for t.Frames = first; t.Frames <= last && !rate.Steady; t.Frames *= 2 {
		r, err := d.Run(t)
		if err != nil {
			return nil, err
		}
		rate.Frames, rate.Dropped = t.Frames, r.Drops
		if before != nil {
			old := rate.CyclesPerFrame
			rate.CyclesPerFrame = between(before.OutLast, r.OutLast)
			rate.Steady = agree(old, rate.CyclesPerFrame) && turned(r)
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

func agree(a, b *float64) bool { return a != nil && b != nil && math.Abs(*a-*b) <= alike**b }

// turned reports whether a train lasted long against the stay of its last frame.
func turned(r *pipeline.Result) bool {
	return r.LastFrameLatency != nil && r.OutLast[len(r.OutLast)-1] >= turns**r.LastFrameLatency
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
