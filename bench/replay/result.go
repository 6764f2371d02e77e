package replay

import (
	"cmp"
	"maps"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
	"github.com/meshnic/meshnic/datapath/trace"
)

// Schema names the document of a replay.
const Schema = "meshnic.replay/1"

// Result is what a replay measured. All times are model time.
type Result struct {
	Schema   string    `json:"schema"`
	Pipeline string    `json:"pipeline"`
	Engine   string    `json:"engine"`
	Program  string    `json:"program"` // that decided about the frames; empty: none did
	File     string    `json:"file"`
	Format   string    `json:"format"`
	Capture  Counts    `json:"capture"`
	Problems []Problem `json:"problems,omitempty"` // the first of the records that are not replayed as they stand

	Offered      Load   `json:"offered"`                   // back to back without times and rates
	Carried      Load   `json:"carried"`                   // copies count each
	Dropped      uint64 `json:"dropped_frames"`            // whole, or copies of them
	ProgramDrops uint64 `json:"program_drops_frames"`      // that the program decided, also where no stage of the pipeline can act on it
	Consumed     uint64 `json:"consumed_frames,omitempty"` // that were for the program itself
	Requests     uint64 `json:"requests,omitempty"`        // that a proxy carried
	Diverged     uint64 `json:"diverged_frames,omitempty"` // that the proxy made then and not now, or now and not then, at times of its own
	UnderWay     int    `json:"under_way_frames"`
	Finished     bool   `json:"finished"` // the card came to rest
	Drops        []Drop `json:"drops"`

	Latency *Spread `json:"latency"` // from the first offer of a frame's first beat to the accept of its last where it left
	Wait    *Spread `json:"wait"`    // from its arrival to that offer: behind frames before it on its line; none back to back
	Stages  []Stage `json:"stages"`
	Ports   []Port  `json:"ports"`

	Waterfall *trace.WaterfallResult `json:"waterfall,omitempty"`
}

// Load is frames at one side of the card. Rates are of the frames after the
// first, over the time from the first to the last; bits are those of frames
// without preamble, FCS and gap.
type Load struct {
	Frames       uint64      `json:"frames"`
	Bytes        uint64      `json:"bytes"`
	FirstNs      trace.Nanos `json:"first_ns"`
	LastNs       trace.Nanos `json:"last_ns"`
	BitsPerS     *float64    `json:"bit_per_s"`
	FramesPerS   *float64    `json:"frames_per_s"`
	edge         uint64      // bytes of the frame that is not in the rates
	first, until sim.Picos
}

// add counts a frame at a time.
func (l *Load) add(bytes int, t sim.Picos) {
	if l.Frames == 0 || t < l.first {
		l.first, l.edge = t, uint64(bytes)
	}
	l.until = max(l.until, t)
	l.Frames++
	l.Bytes += uint64(bytes)
}

func (l *Load) rates() {
	l.FirstNs, l.LastNs = trace.Nanos(l.first), trace.Nanos(l.until)
	if span := float64(l.until-l.first) / 1e12; span > 0 {
		bits, frames := 8*float64(l.Bytes-l.edge)/span, float64(l.Frames-1)/span
		l.BitsPerS, l.FramesPerS = &bits, &frames
	}
}

// Drop is the frames that a stage dropped for a reason: the card's, or if the
// program decided so, the program's.
type Drop struct {
	Stage  string `json:"stage"`
	Reason string `json:"reason"`
	Frames uint64 `json:"frames"`
	First  uint32 `json:"first_id"`
}

// Stage is a stage of the pipeline; the first are the lines that frames come in on.
type Stage struct {
	Stage   string  `json:"stage"`
	Frames  uint64  `json:"frames"` // that went through
	Latency *Spread `json:"latency"`
	Peak    *int    `json:"max_occupancy_bytes,omitempty"` // of a stage that stores
	Dropped uint64  `json:"dropped_frames"`
}

// Port is the frames at a port.
type Port struct {
	Port     int    `json:"port"`
	Name     string `json:"name"`
	In       uint64 `json:"in_frames"`
	InBytes  uint64 `json:"in_bytes"`
	Out      uint64 `json:"out_frames"`
	OutBytes uint64 `json:"out_bytes"`
}

func (r *Result) addPorts(names []string) {
	for _, name := range names {
		r.Ports = append(r.Ports, Port{Port: len(r.Ports), Name: name})
	}
}

func (r *Result) arrived(f *frame) {
	r.Offered.add(int(f.bytes), f.at)
	p := &r.Ports[f.in]
	p.In++
	p.InBytes += uint64(f.bytes)
}

func (r *Result) left(f *frame, x timing.Crossing) {
	bytes := int(f.bytes)
	if x.Own {
		bytes = x.Bytes
	}
	r.Carried.add(bytes, x.Left)
	for len(r.Ports) <= x.Out { // of a pipeline with more outputs
		r.Ports = append(r.Ports, Port{Port: len(r.Ports)})
	}
	p := &r.Ports[x.Out]
	p.Out++
	p.OutBytes += uint64(bytes)
}

// last is when the last frame arrived.
func (r *Result) last() sim.Picos { return r.Offered.until }

// measure fills the result in at the end of a run.
func (r *Result) measure(y *replay) {
	r.File, r.Format, r.Capture, r.Problems = y.c.name, y.c.Format, y.c.Counts, y.c.Problems()
	if y.Pace.BackToBack { // it comes as it is taken
		r.Offered.first, r.Offered.until = 0, 0
	}
	if y.proxy != nil {
		r.Requests = y.logic.ProxyCounters()["splice.exchanges"]
	}
	r.Offered.rates()
	r.Carried.rates()
	r.Latency = y.lat.spread()
	if !y.Pace.BackToBack {
		r.Wait = y.wait.spread()
	}
	r.Drops, r.Stages = []Drop{}, []Stage{}
	at := map[string]uint64{}
	for _, d := range y.lost {
		r.Drops = append(r.Drops, *d)
		r.Dropped += d.Frames
		at[d.Stage] += d.Frames
	}
	slices.SortFunc(r.Drops, func(a, b Drop) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Reason, b.Reason))
	})
	peaks := map[string]int{}
	for _, p := range y.card.Peaks() {
		peaks[p.Stage] = p.Bytes
	}
	for i := range y.meter.rows {
		m := &y.meter.rows[i]
		s := Stage{Stage: m.name, Frames: m.dist.n, Latency: m.dist.spread(), Dropped: at[m.name]}
		if p, ok := peaks[m.name]; ok {
			s.Peak = &p
		}
		if s.Frames > 0 || s.Dropped > 0 || s.Peak != nil && *s.Peak > 0 {
			r.Stages = append(r.Stages, s)
		}
	}
}

// Reasons are the reasons of all drops with their numbers, sorted.
func (r *Result) Reasons() (names []string, frames map[string]uint64) {
	frames = map[string]uint64{}
	for _, d := range r.Drops {
		frames[d.Reason] += d.Frames
	}
	return slices.Sorted(maps.Keys(frames)), frames
}
