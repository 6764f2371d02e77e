package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
)

// FramesSchema names what Frames writes as JSON: one object a line, the first
// of which has only schema and stands for the file.
const FramesSchema = "meshnic.frames/1"

// Nanos is a time or a duration that is written in nanoseconds, exactly: with
// three decimals where they are not zero.
type Nanos sim.Picos

func (n Nanos) String() string {
	p, sign := int64(n), ""
	if p < 0 {
		p, sign = -p, "-"
	}
	if p%1000 == 0 {
		return sign + strconv.FormatInt(p/1000, 10)
	}
	return fmt.Sprintf("%s%d.%03d", sign, p/1000, p%1000)
}

// MarshalJSON writes a number.
func (n Nanos) MarshalJSON() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalJSON reads what MarshalJSON has written, to the picosecond.
func (n *Nanos) UnmarshalJSON(b []byte) error {
	whole, frac, _ := strings.Cut(string(b), ".")
	ps, err := strconv.ParseInt(whole+(frac + "000")[:3], 10, 64)
	if err != nil || whole == "" || len(frac) > 3 {
		return fmt.Errorf("trace: %q is not a time in ns with up to three decimals", b)
	}
	*n = Nanos(ps)
	return nil
}

// Frame is one row: what became of a frame.
//
// Latencies count from the accept of the first beat where the frame entered, to
// the offer of the first (first_latency) and the accept of the last beat (last_latency)
// where it left. In cycles they are given where both wires have one clock.
type Frame struct {
	ID           uint32     `json:"id"`
	Bytes        int        `json:"bytes"`               // where it entered
	In           string     `json:"in,omitempty"`        // stage that brought it
	Out          string     `json:"out,omitempty"`       // stage that took it
	OutBytes     *int       `json:"out_bytes,omitempty"` // where it left
	OfferedNs    *Nanos     `json:"offered_ns,omitempty"`
	InNs         *Nanos     `json:"in_ns,omitempty"`
	OutNs        *Nanos     `json:"out_ns,omitempty"`
	FirstNs      *Nanos     `json:"first_latency_ns,omitempty"`
	LastNs       *Nanos     `json:"last_latency_ns,omitempty"`
	FirstCycles  *sim.Cycle `json:"first_latency_cycles,omitempty"`
	LastCycles   *sim.Cycle `json:"last_latency_cycles,omitempty"`
	InWaitCycles sim.Cycle  `json:"in_stall_cycles"`      // its beats waited where it entered
	Bad          bool       `json:"bad,omitempty"`        // marked bad where it left
	Drop         string     `json:"drop,omitempty"`       // why it was dropped
	DropStage    string     `json:"drop_stage,omitempty"` // where
	DropNs       *Nanos     `json:"drop_ns,omitempty"`    // when
	UnderWay     bool       `json:"under_way,omitempty"`  // the run ended before it left
	Partial      bool       `json:"partial,omitempty"`    // the trace begins after it entered
}

// Frames makes a row for every frame, in the order in which they left or were
// dropped.
type Frames struct {
	see  func(*Frame)
	j    *journeys
	path []*hop
	row  Frame
	ns   [6]Nanos
	n    [1]int
	cyc  [2]sim.Cycle
}

// NewFrames calls see for each row. The row is valid until see returns. Call
// Close at the end of the run.
func NewFrames(net *sim.Net, see func(*Frame)) *Frames {
	f := &Frames{see: see}
	f.j = newJourneys(net, f.done)
	return f
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (f *Frames) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat)  { f.j.lanes.offered(w, at, b) }
func (f *Frames) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) { f.j.lanes.accepted(w, at, b) }
func (f *Frames) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	f.j.lost(stage, at, frame, why)
}

// Close makes the rows of the frames that are under way.
func (f *Frames) Close() { f.j.close() }

func (f *Frames) done(x *journey) {
	r := &f.row
	*r = Frame{ID: x.frame, UnderWay: !x.left && !x.dropped}
	top := f.j.top
	if x.dropped {
		f.ns[0] = Nanos(x.at)
		r.Drop, r.DropStage, r.DropNs = x.why.String(), top.net.Name(x.stage), &f.ns[0]
	}
	f.path = f.j.path(x, f.path)
	if len(f.path) == 0 {
		r.Partial = true
		f.see(r)
		return
	}
	in, out := f.path[0], f.path[len(f.path)-1]
	r.Bytes = in.bytes
	if r.Partial = !top.enters(in.wire.Index()); !r.Partial {
		f.ns[1], f.ns[2] = Nanos(in.at(in.offered)), Nanos(in.at(in.first))
		r.In, r.OfferedNs, r.InWaitCycles = top.net.Name(top.producer[in.wire.Index()]), &f.ns[1], in.waited
		if in.beats > 0 {
			r.InNs = &f.ns[2]
		}
	}
	if !x.left {
		f.see(r)
		return
	}
	f.ns[3], f.n[0] = Nanos(out.at(out.lastAccepted)), out.bytes
	r.Out, r.OutNs, r.OutBytes, r.Bad = top.net.Name(top.consumer[out.wire.Index()]), &f.ns[3], &f.n[0], out.bad
	if r.InNs != nil {
		f.ns[4], f.ns[5] = max(0, Nanos(out.at(out.offered))-*r.InNs), *r.OutNs-*r.InNs
		r.FirstNs, r.LastNs = &f.ns[4], &f.ns[5]
		if in.wire.Clock == out.wire.Clock {
			f.cyc[0], f.cyc[1] = max(out.offered, in.first)-in.first, out.lastAccepted-in.first
			r.FirstCycles, r.LastCycles = &f.cyc[0], &f.cyc[1]
		}
	}
	f.see(r)
}

// FramesJSON returns what writes rows as lines of JSON, for NewFrames, and what
// ends the file and says what went wrong.
func FramesJSON(to io.Writer) (see func(*Frame), end func() error) {
	w := bufio.NewWriterSize(to, 1<<16)
	enc := json.NewEncoder(w)
	err := enc.Encode(struct {
		Schema string `json:"schema"`
	}{FramesSchema})
	return func(f *Frame) {
			if err == nil {
				err = enc.Encode(f)
			}
		}, func() error {
			if e := w.Flush(); err == nil {
				err = e
			}
			return err
		}
}
