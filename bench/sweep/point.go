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

	// Of the first frame: its first beat in to its first and to its last beat out,
	// as pipeline.Result has them. Cycles are of the output's clock.
	FirstCycles *float64 `json:"first_latency_cycles"`
	FirstNS     *float64 `json:"first_latency_model_ns"`
	LastCycles  *float64 `json:"last_latency_cycles"`
	LastNS      *float64 `json:"last_latency_model_ns"`
	// LastCycles of the last frame, which meets what the others have filled.
	FinalCycles *float64 `json:"last_frame_latency_cycles"`
	FinalNS     *float64 `json:"last_frame_latency_model_ns"`

	CyclesPerFrame *float64 `json:"cycles_per_frame"` // at the followed output, under the point's traffic
	Saturation     *Rate    `json:"saturation"`       // under as much as the inputs take

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

// Gbps is the throughput at saturation; nil if there is none.
func (p *Point) Gbps() *float64 {
	if p.Saturation == nil {
		return nil
	}
	return p.Saturation.Gbps
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
	c := clocks{in: built.In[0].Wire.Clock.Period.Nanos(), out: map[string]float64{}}
	for _, o := range built.Out {
		c.out[o.Wire.Name] = o.Wire.Clock.Period.Nanos()
	}
	pt.measured(r, c.out[r.Output])
	if pt.Saturation, err = saturate(d, t, c); err != nil {
		pt.Error = reason(err)
	}
	return pt
}

// measured takes over a run's figures; period is of the followed
// output's clock, in ns.
func (p *Point) measured(r *pipeline.Result, period float64) {
	p.Finished = r.Finished
	p.FirstCycles, p.FirstNS = r.FirstLatency, r.FirstLatencyNS
	p.LastCycles, p.LastNS = r.LastLatency, r.LastLatencyNS
	if p.FinalCycles = r.LastFrameLatency; p.FinalCycles != nil {
		p.FinalNS = nano(*p.FinalCycles * period)
	}
	p.CyclesPerFrame = r.CyclesPerFrame
	p.Delivered, p.Dropped, p.Bad, p.Stall = r.Delivered, r.Drops, r.MarkedBad, r.InStall
	for _, l := range r.Losses {
		p.Losses = append(p.Losses, Loss{l.Stage, l.Reason, l.Frames})
	}
	for _, l := range r.Levels {
		p.Levels = append(p.Levels, Level{l.Stage, l.MaxOccupancy})
	}
}

// nano rounds a time in ns to picoseconds.
func nano(v float64) *float64 {
	v = math.Round(v*1e3) / 1e3
	return &v
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
