package sweep

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/meshnic/meshnic/datapath/area"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

// Point is one point with its figures. A point that cannot be built or run has
// Error instead.
type Point struct {
	Index  int                `json:"point"`
	Vary   map[string]float64 `json:"vary"`
	Bytes  int                `json:"frame_bytes"` // without FCS
	Frames int                `json:"n_frames"`
	Gap    int                `json:"gap_cycles"`
	Sink   string             `json:"sink"`
	Inputs int                `json:"inputs"`

	Error    string `json:"error,omitempty"`
	Finished bool   `json:"finished"` // the network came to rest

	// As pipeline.Result has them: of the first frame; cycles of the output's clock.
	FirstCycles *float64 `json:"first_latency_cycles"`
	FirstNS     *float64 `json:"first_latency_ns"`
	LastCycles  *float64 `json:"last_latency_cycles"`
	LastNS      *float64 `json:"last_latency_ns"`

	// At the last stage's first output, from the spacing of frames: Gbit/s of
	// frames without FCS, preamble and gap.
	CyclesPerFrame *float64 `json:"cycles_per_frame"`
	Gbps           *float64 `json:"throughput_gbit_per_s"`
	Mfps           *float64 `json:"throughput_mframe_per_s"`

	Delivered int     `json:"delivered_frames"`
	Dropped   int     `json:"dropped_frames"`
	Losses    []Loss  `json:"drops,omitempty"`
	Bad       int     `json:"frames_marked_bad"`
	Stall     int     `json:"in_stall_cycles"` // on input 0
	Levels    []Level `json:"levels,omitempty"`

	Area *Area `json:"area"`
}

// Loss counts the frames that a stage dropped for a reason.
type Loss struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
	Frames int    `json:"frames"`
}

// Level is the highest level of a stage that stores.
type Level struct {
	Stage string `json:"stage"`
	Bytes int    `json:"max_occupancy_bytes"`
}

// Area is an estimate with its sources.
type Area = area.Estimate

// Highest is the fullest stage; nil if none stores.
func (p *Point) Highest() (best *Level) {
	for i := range p.Levels {
		if best == nil || p.Levels[i].Bytes > best.Bytes {
			best = &p.Levels[i]
		}
	}
	return best
}

// Point computes point i.
func (p *Plan) Point(i int) (pt Point) {
	s := p.Setting(i)
	t := s.Traffic
	pt = Point{Index: i, Vary: s.Vary, Bytes: t.Bytes, Frames: t.Frames, Gap: t.Gap, Sink: t.Sink, Inputs: t.Inputs}
	defer func() {
		if r := recover(); r != nil { // a fault of a model costs a point, not the night's sweep
			pt.Error = fmt.Sprintf("internal error: %v", r)
		}
	}()
	d := p.Describe(s)
	built, err := d.Build(pipeline.Setup{Inputs: t.Inputs})
	if err != nil {
		pt.Error = reason(err)
		return pt
	}
	var sum Area
	for _, st := range built.Stages {
		sum = sum.Plus(area.Of(st.Module.Name, st.Args))
	}
	pt.Area = &sum
	r, err := d.Run(t)
	if err != nil {
		pt.Error = reason(err)
		return pt
	}
	pt.measured(r, built.Out[0].Wire.Clock.Period.Nanos())
	return pt
}

// measured takes over a run's figures; period is of the output's clock, in ns.
func (p *Point) measured(r *pipeline.Result, period float64) {
	p.Finished = r.Finished
	p.FirstCycles, p.FirstNS = r.FirstLatency, r.FirstLatencyNS
	p.LastCycles, p.LastNS = r.LastLatency, r.LastLatencyNS
	p.CyclesPerFrame = r.CyclesPerFrame
	if c := r.CyclesPerFrame; c != nil && *c > 0 {
		mfps := 1000 / (*c * period)
		p.Mfps, p.Gbps = micro(mfps), micro(mfps*float64(p.Bytes)*8/1000)
	}
	p.Delivered, p.Dropped, p.Bad, p.Stall = r.Delivered, r.Drops, r.MarkedBad, r.InStall
	for _, l := range r.Losses {
		p.Losses = append(p.Losses, Loss{l.Stage, l.Reason, l.Frames})
	}
	for _, l := range r.Levels {
		p.Levels = append(p.Levels, Level{l.Stage, l.MaxOccupancy})
	}
}

// micro rounds to six decimals.
func micro(v float64) *float64 {
	v = math.Round(v*1e6) / 1e6
	return &v
}

// reason is an error on one line and without places in a file: the value that is
// to blame came from the sweep.
func reason(err error) string {
	var problems pipeline.Problems
	if !errors.As(err, &problems) {
		return err.Error()
	}
	var all []string
	for _, p := range problems {
		p.Line = 0
		all = append(all, p.String())
	}
	return strings.Join(all, "; ")
}
