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

	// Over all outputs; cycles are of the followed one's clock, Gbit/s of frames as
	// offered, without FCS, preamble and gap.
	CyclesPerFrame *float64 `json:"cycles_per_frame"`
	Gbps           *float64 `json:"gbit_per_s"`
	Mfps           *float64 `json:"mframe_per_s"`
}

// Trains double until one has the rate of the one before, within alike, and lasts
// turns times as long as what is inside at its end takes to leave: by then buffers
// have filled, and what is lost because they are full is lost. A train has no more than
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
func saturate(d *pipeline.Description, t pipeline.Traffic, c clocks) (*Rate, error) {
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
			old := rate.Mfps
			rate.Mfps = c.rate(before, r)
			rate.Steady = agree(old, rate.Mfps) && c.turned(r)
		}
		if !r.Finished || len(r.OutLast) == 0 {
			break
		}
		before = r
	}
	if v := rate.Mfps; v != nil {
		rate.CyclesPerFrame = micro(1000 / (*v * c.out[before.Output]))
		rate.Gbps, rate.Mfps = micro(*v*float64(t.Bytes)*8/1000), micro(*v)
	}
	return &rate, nil
}

// clocks are periods in ns: of the first input's clock, and by the outputs' names.
type clocks struct {
	in  float64
	out map[string]float64
}

// rate is by how many million frames a second the longer of two trains gave
// more; nil if it did not.
func (c clocks) rate(short, long *pipeline.Result) *float64 {
	sum := 0.0
	before := map[string][]float64{}
	for _, o := range outputs(short) {
		before[o.Output] = o.OutLast
	}
	for _, o := range outputs(long) {
		if cycles := between(before[o.Output], o.OutLast); cycles > 0 {
			sum += 1000 / (cycles * c.out[o.Output])
		}
	}
	if sum == 0 {
		return nil
	}
	return &sum
}

// outputs are a result's outputs, also if there is one alone.
func outputs(r *pipeline.Result) []pipeline.OutputResult {
	if len(r.Outputs) == 0 {
		return []pipeline.OutputResult{{Output: r.Output, OutLast: r.OutLast}}
	}
	return r.Outputs
}

func agree(a, b *float64) bool { return a != nil && b != nil && math.Abs(*a-*b) <= alike**b }

// turned reports whether a train lasted long against what came out behind its
// last beat.
func (c clocks) turned(r *pipeline.Result) bool {
	end := r.OutLast[len(r.OutLast)-1] * c.out[r.Output]
	accepted := 0.0
	for _, in := range r.Inputs {
		if in.LastAccept != nil {
			accepted = max(accepted, *in.LastAccept*c.in)
		}
	}
	return end >= turns*(end-accepted)
}

// between is the mean distance of the frames by which a train is longer; 0 if it
// is not.
func between(short, long []float64) float64 {
	n := len(long) - len(short)
	if n <= 0 || len(short) == 0 {
		return 0
	}
	return max(0, long[len(long)-1]-short[len(short)-1]) / float64(n)
}
