package pipeline

import (
	"math"
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Result is what a run measured, with the field names of the records of real
// RTL. A cycle is a clock edge; an event carries the number of the edge at
// which it is sampled. Where input and output have different clocks, cycles are
// nanoseconds over the output clock's period.
type Result struct {
	Schema   string  `json:"schema"`
	Pipeline string  `json:"pipeline,omitempty"`
	Traffic  Traffic `json:"-"`

	FrameBytes   int    `json:"frame_bytes"`
	NFrames      int    `json:"n_frames"`
	Gap          int    `json:"gap"`
	Backpressure string `json:"backpressure"`
	Engine       string `json:"engine"`
	Dest         string `json:"dest,omitempty"` // as Dests prints it
	Output       string `json:"output"`         // the followed one, of which all that is of one output is told: the first that gives a frame
	Finished     bool   `json:"finished"`       // the network came to rest

	// First input beat accepted to first output beat valid, to last output beat
	// accepted; last input beat accepted to last output beat accepted: of the
	// first frame. Where the first stage has a header side channel, from header
	// and first beat presented.
	FirstLatency     *float64 `json:"first_latency_cycles"`
	LastLatency      *float64 `json:"last_latency_cycles"`
	TailLatency      *float64 `json:"tail_latency_cycles"`
	LastFrameLatency *float64 `json:"last_frame_latency_cycles,omitempty"` // LastLatency of the last frame
	PayloadAccepted  *float64 `json:"first_payload_beat_accepted_at,omitempty"`
	CyclesPerFrame   *float64 `json:"cycles_per_frame"` // spacing of last output beats over the last three quarters of a train of 8 or more
	Total            *float64 `json:"total_cycles"`     // first input beat accepted to last output beat of the last frame

	FirstLatencyNS     *float64 `json:"first_latency_ns,omitempty"`
	LastLatencyNS      *float64 `json:"last_latency_ns,omitempty"`
	FirstLatencyNSMin  *float64 `json:"first_latency_ns_min,omitempty"` // over the phases
	FirstLatencyNSMean *float64 `json:"first_latency_ns_mean,omitempty"`
	FirstLatencyNSMax  *float64 `json:"first_latency_ns_max,omitempty"`
	LastLatencyNSMean  *float64 `json:"last_latency_ns_mean,omitempty"`
	TotalNS            *float64 `json:"total_ns,omitempty"`

	InBeats      int  `json:"in_beats"`  // of one frame
	OutBeats     int  `json:"out_beats"` // of one frame
	InStall      int  `json:"in_stall_cycles"`
	OutBubbles   int  `json:"out_bubbles"`
	Drops        int  `json:"drops"`
	MaxOccupancy *int `json:"max_occupancy,omitempty"` // bytes, of the FIFO if there is one
	Absorbed     int  `json:"in_beats_accepted"`       // over all inputs
	BytesLost    int  `json:"bytes_lost"`              // offered on all inputs and not delivered; where no stage strips or extends
	Bad          int  `json:"bad"`                     // as MarkedBad, the name of the MAC records
	MarkedBad    int  `json:"frames_marked_bad"`       // delivered with tuser set on the last beat
	Delivered    int  `json:"delivered"`               // frames, over all outputs

	Order         string    `json:"order,omitempty"`           // input of each frame in the order of leaving
	OutLast       []float64 `json:"out_last_cycles,omitempty"` // of each frame in that order: last output beat accepted, from the first input beat presented
	InStartLanes  string    `json:"in_start_lanes,omitempty"`
	OutStartLanes string    `json:"out_start_lanes,omitempty"`

	InCyclesPerFrame *float64 `json:"in_cycles_per_frame,omitempty"` // spacing of the TERMINATE words on an XGMII line

	// Lines is how the test bench would go on after the run of each phase: what a
	// frame that followed at once would start with.
	Lines []Line `json:"-"`

	Inputs  []InputResult  `json:"inputs,omitempty"`
	Outputs []OutputResult `json:"outputs,omitempty"` // if there are several
	Losses  []LossResult   `json:"losses,omitempty"`
	Levels  []LevelResult  `json:"levels,omitempty"`
	period  sim.Picos      // of the output's clock

	Clocks []ClockResult `json:"clocks"`
}

// InputResult is one input's share.
type InputResult struct {
	Input        int      `json:"input"`
	Offered      int      `json:"offered"`   // frames the source has presented
	Delivered    int      `json:"delivered"` // frames that left whole
	Drops        int      `json:"drops"`
	InStall      int      `json:"in_stall_cycles"`
	MaxOccupancy *int     `json:"max_occupancy_bytes"` // of the FIFO on this input alone; null without one
	LastAccept   *float64 `json:"last_accept_cycle"`   // last beat accepted
}

// OutputResult is one output's share, the followed one's first.
type OutputResult struct {
	Output    string    `json:"output"`
	Delivered int       `json:"delivered"`
	Order     string    `json:"order"`
	OutLast   []float64 `json:"out_last_cycles"`
}

// LossResult counts the frames that a stage dropped for a reason.
type LossResult struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
	Frames int    `json:"frames"`
}

// LevelResult is the highest level of a stage that stores.
type LevelResult struct {
	Stage        string `json:"stage"`
	MaxOccupancy int    `json:"max_occupancy_bytes"`
}

// ClockResult is one clock.
type ClockResult struct {
	Name     string  `json:"name"`
	PeriodNS float64 `json:"period_ns"`
	PhaseNS  float64 `json:"phase_ns"`
}

// ResultSchema is the version of the result's format.
const ResultSchema = "meshnic.sim/1"

func round(v float64, digits int) *float64 {
	p := math.Pow10(digits)
	v = math.Round(v*p) / p
	return &v
}

func (b *bench) measure(t Traffic, rest bool) *Result {
	r := &Result{Schema: ResultSchema, FrameBytes: t.Bytes, NFrames: t.Frames, Gap: t.Gap, Backpressure: t.Sink, Engine: t.Engine, Finished: rest, Dest: t.Dest.String(), Output: b.outputs[0].Wire.Name}
	for _, d := range b.Net.Domains {
		r.Clocks = append(r.Clocks, ClockResult{d.Name, d.Period.Nanos(), d.Phase.Nanos()})
	}
	in, out := b.inputs[0], b.outputs[0]
	r.inputs(b, t)
	r.levels(b)
	r.Drops = len(b.lost)
	r.InStall = in.stall()
	if len(in.beats) == 0 {
		return r
	}
	r.InBeats = len(in.frame(in.beats[0].beat.Frame))
	outs := out.beats
	if out.open {
		outs = outs[:len(outs)-1]
	}
	if len(outs) == 0 {
		return r
	}
	r.OutBeats = len(out.frame(outs[0].beat.Frame))
	for i := 1; i < len(outs); i++ {
		if !outs[i].beat.First {
			r.OutBubbles += int(outs[i].offered - outs[i-1].accepted - 1)
		}
	}
	r.InStartLanes, r.OutStartLanes = in.lanes(), out.lanes()
	next := Line{Late: in.beats[len(in.beats)-1].accepted + 1 - start}
	if in.line != nil {
		next.Lane, next.Deficit, next.Late = in.line.Next()
		next.Late -= start
		r.InCyclesPerFrame = in.spacing(func(b sim.Beat) bool { return b.Last })
	}
	r.Lines = []Line{next}
	r.period = out.Wire.Clock.Period
	c := scale{in.Wire.Clock, out.Wire.Clock}
	zero := in.beats[0].accepted
	if in.Header {
		r.PayloadAccepted = round(float64(zero-in.beats[0].offered), 0)
		zero = in.beats[0].offered
	}
	// The first frame is the first that leaves: with several inputs it need not be
	// of the first.
	first, from := out.frame(outs[0].beat.Frame), zero
	last := first[len(first)-1]
	tailIn := b.inputs[b.inputOf(outs[0].beat.Frame)].frame(outs[0].beat.Frame)
	if !in.Header {
		from = tailIn[0].accepted
	}
	r.FirstLatency = c.cycles(from, first[0].offered)
	r.FirstLatencyNS = c.nanos(from, first[0].offered)
	r.LastLatency = c.cycles(from, last.accepted)
	r.LastLatencyNS = c.nanos(from, last.accepted)
	r.TailLatency = c.cycles(tailIn[len(tailIn)-1].accepted, last.accepted)
	final := outs[len(outs)-1]
	r.Total = c.cycles(zero, final.accepted)
	r.TotalNS = c.nanos(zero, final.accepted)
	if began := in.frame(final.beat.Frame); t.Frames > 1 && len(began) > 0 {
		r.LastFrameLatency = c.cycles(began[0].accepted, final.accepted)
	}
	for _, o := range b.outputs {
		x := OutputResult{Output: o.Wire.Name, OutLast: []float64{}}
		c := scale{in.Wire.Clock, o.Wire.Clock}
		for i, e := range o.beats {
			if o.open && i == len(o.beats)-1 {
				continue
			}
			if e.beat.Last {
				x.Delivered++
				x.Order += strconv.Itoa(b.inputOf(e.beat.Frame) % 10)
				x.OutLast = append(x.OutLast, *c.cycles(in.beats[0].offered, e.accepted))
			}
			r.BytesLost -= int(e.beat.Bytes)
			if e.beat.Last && e.beat.Bad {
				r.MarkedBad++
			}
		}
		r.Delivered += x.Delivered
		r.Outputs = append(r.Outputs, x)
	}
	r.Order, r.OutLast = r.Outputs[0].Order, r.Outputs[0].OutLast
	if len(r.Outputs) == 1 {
		r.Outputs = nil
	}
	r.CyclesPerFrame = out.spacing(func(b sim.Beat) bool { return b.Last })
	r.Bad = r.MarkedBad
	return r
}

// spacing is the mean distance of the beats that which picks, over the last
// three quarters of a train of 8 or more; nil if there is no distance.
func (e *side) spacing(which func(sim.Beat) bool) *float64 {
	var at []sim.Cycle
	for i, x := range e.beats {
		if which(x.beat) && !(e.open && i == len(e.beats)-1) {
			at = append(at, x.accepted)
		}
	}
	n, k := len(at), 0
	if n < 2 {
		return nil
	}
	if n >= 8 {
		k = n / 4
	}
	return round(float64(at[n-1]-at[k])/float64(n-1-k), 4)
}

// lanes lists the lanes of the first eight STARTs on an XGMII line.
func (e *side) lanes() (s string) {
	for _, x := range e.beats {
		if e.XGMII && x.beat.First && len(s) < 8 {
			s += strconv.Itoa(int(x.beat.Lane))
		}
	}
	return s
}

// inputOf is the input that a frame came in by.
func (b *bench) inputOf(frame uint32) int { return int(frame-1) / b.frames }

func (r *Result) inputs(b *bench, t Traffic) {
	for i, in := range b.inputs {
		if !in.active {
			continue
		}
		x := InputResult{Input: i, InStall: in.stall()}
		for k, e := range in.beats {
			if e.beat.First {
				x.Offered++
			}
			if !(in.open && k == len(in.beats)-1) {
				r.Absorbed++
				r.BytesLost += int(e.beat.Bytes)
				x.LastAccept = round(float64(e.accepted-start), 0)
			}
		}
		for _, l := range b.lost {
			if b.inputOf(l.frame) == i {
				x.Drops++
			}
		}
		out := map[uint32]bool{} // a broadcast frame counts once
		for _, o := range b.outputs {
			for k, e := range o.beats {
				if e.beat.Last && b.inputOf(e.beat.Frame) == i && !(o.open && k == len(o.beats)-1) {
					out[e.beat.Frame] = true
				}
			}
		}
		x.Delivered = len(out)
		var parts []int
		for _, st := range b.Stages {
			if st.Input != i && !(t.Inputs == 1 && st.Input < 0) {
				continue
			}
			parts = append(parts, st.Parts...)
		}
		x.MaxOccupancy = b.occupancy(parts)
		r.Inputs = append(r.Inputs, x)
	}
}

// occupancy is the highest level of the FIFO among the stages: of the first
// axis_fifo, which is what the records tell of, else of the first that stores.
func (b *bench) occupancy(stages []int) (level *int) {
	for _, i := range stages {
		_, stores := b.Net.Stages[i].(sim.Leveller)
		_, fifo := b.Net.Stages[i].(*axis.FIFO)
		if !stores || level != nil && !fifo {
			continue
		}
		h := b.engine.Highest(i)
		if level = &h; fifo {
			break
		}
	}
	return level
}

func (r *Result) levels(b *bench) {
	all := make([]int, len(b.Net.Stages))
	for i, s := range b.Net.Stages {
		all[i] = i
		if _, ok := s.(sim.Leveller); ok {
			h := b.engine.Highest(i)
			r.Levels = append(r.Levels, LevelResult{b.Net.Name(i), h})
		}
		var by [sim.NumLosses]int
		for _, l := range b.lost {
			if l.stage == i {
				by[l.why]++
			}
		}
		for why, n := range by {
			if n > 0 {
				r.Losses = append(r.Losses, LossResult{b.Net.Name(i), sim.Loss(why).String(), n})
			}
		}
	}
	r.MaxOccupancy = b.occupancy(all)
}

// stall is how many cycles beats were offered and not accepted.
func (e *side) stall() (n int) {
	for i, x := range e.beats {
		if !(e.open && i == len(e.beats)-1) {
			n += int(x.accepted - x.offered)
		}
	}
	return n
}

// frame returns the beats of one frame.
func (e *side) frame(id uint32) (beats []event) {
	for i, x := range e.beats {
		if x.beat.Frame == id && !(e.open && i == len(e.beats)-1) {
			beats = append(beats, x)
		}
	}
	return beats
}

// scale converts between an input's and an output's cycles.
type scale struct{ in, out *sim.Domain }

func (c scale) picos(from, to sim.Cycle) sim.Picos { return c.out.At(to) - c.in.At(from) }

// cycles is the time from an edge of the input to one of the output in cycles
// of the output clock.
func (c scale) cycles(from, to sim.Cycle) *float64 {
	if c.in == c.out {
		v := float64(int64(to - from))
		return &v
	}
	return round(float64(c.picos(from, to))/float64(c.out.Period), 3)
}

// nanos is the same in nanoseconds.
func (c scale) nanos(from, to sim.Cycle) *float64 { return round(c.picos(from, to).Nanos(), 3) }

// over fills in the means over the phases of the second clock.
func (r *Result) over(runs []*Result) {
	if len(r.Clocks) == 1 || r.FirstLatencyNS == nil {
		return
	}
	var first, last, tail []float64
	for _, x := range runs[1:] {
		r.Lines = append(r.Lines, x.Lines...)
	}
	for _, x := range runs {
		if x.FirstLatencyNS == nil {
			return
		}
		tail = append(tail, *x.TailLatency)
		first, last = append(first, *x.FirstLatencyNS), append(last, *x.LastLatencyNS)
		r.OutBubbles = x.OutBubbles
	}
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	r.FirstLatencyNSMin, r.FirstLatencyNSMax = round(slices.Min(first), 3), round(slices.Max(first), 3)
	r.FirstLatencyNSMean, r.LastLatencyNSMean = round(mean(first), 3), round(mean(last), 3)
	r.FirstLatency, r.LastLatency = round(mean(first)/r.period.Nanos(), 3), round(mean(last)/r.period.Nanos(), 3)
	r.TailLatency = round(mean(tail), 3)
	r.FirstLatencyNS, r.LastLatencyNS = r.FirstLatencyNSMean, r.LastLatencyNSMean
}
