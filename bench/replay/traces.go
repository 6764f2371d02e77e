package replay

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// Traces are where a replay writes what moved; nil: nowhere.
type Traces struct {
	VCD, Perfetto, Pcapng io.Writer
	Frames                func(*trace.Frame) // each row, see trace.Frames
	Waterfall             bool
}

func (t *Traces) none() bool {
	return t.VCD == nil && t.Perfetto == nil && t.Pcapng == nil && t.Frames == nil && !t.Waterfall
}

// writers are the traces of a run.
type writers struct {
	now    sim.Observer // takes events as they come, or nil
	sorted sim.Observer // wants them in the order of time, or nil
	ends   []func() error
	falls  *trace.Waterfall

	sort    bool // the engine's order is not that of time
	pending []trace.Event

	data  bool // somebody asks for bytes
	bytes map[uint32][]byte
	gone  []ended

	reasons map[uint32]string // of the frames that the program dropped
}

// ended is a frame that is over.
type ended struct {
	id uint32
	at sim.Picos
}

// open makes the writers of a network; nil if there are none.
func (t *Traces) open(b *pipeline.Built, r *replay) *writers {
	if t.none() {
		return nil
	}
	w := &writers{sort: r.Engine != "tick", bytes: map[uint32][]byte{}, reasons: map[uint32]string{}}
	if t.Waterfall {
		names := map[int]string{}
		for _, st := range b.Stages {
			for _, i := range st.Parts {
				names[i] = st.Name
			}
		}
		w.falls = trace.NewWaterfall(b.Net, trace.WaterfallConfig{Name: func(stage int) string {
			return cmp.Or(names[stage], b.Net.Name(stage))
		}})
		w.now = trace.Tee(w.now, w.falls)
		w.ends = append(w.ends, func() error { w.falls.Close(); return nil })
	}
	if t.Frames != nil {
		rows := trace.NewFrames(b.Net, func(f *trace.Frame) {
			if f.Drop == sim.LossVerdict.String() {
				f.Drop = cmp.Or(w.reasons[f.ID], f.Drop)
			}
			t.Frames(f)
		})
		w.now = trace.Tee(w.now, rows)
		w.ends = append(w.ends, func() error { rows.Close(); return nil })
	}
	if t.VCD != nil {
		v := trace.NewVCD(t.VCD, b.Net, w.of)
		w.sorted, w.data = trace.Tee(w.sorted, v), true
		w.ends = append(w.ends, v.Close)
	}
	if t.Perfetto != nil {
		p := trace.NewPerfetto(t.Perfetto, b.Net, r.Pipeline.Name)
		w.sorted = trace.Tee(w.sorted, p)
		w.ends = append(w.ends, p.Close)
	}
	if t.Pcapng != nil {
		p := trace.NewPcapng(t.Pcapng, b.Net, trace.PcapngConfig{Data: w.of, Epoch: r.epoch, Reason: func(_ int, frame uint32) string {
			return w.reasons[frame]
		}})
		w.sorted, w.data = trace.Tee(w.sorted, p), true
		w.ends = append(w.ends, p.Close)
	}
	return w
}

// of is a trace.Data.
func (w *writers) of(_ *sim.Wire, frame uint32) []byte { return w.bytes[frame] }

// keep remembers a frame's bytes for as long as somebody may ask.
func (w *writers) keep(id uint32, data []byte) {
	if w.data {
		w.bytes[id] = append(make([]byte, 0, len(data)), data...)
	}
}

// over says that nothing more happens to a frame after a time.
func (w *writers) over(id uint32, at sim.Picos) {
	if w.data {
		w.gone = append(w.gone, ended{id, at})
	}
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (w *writers) Offered(x *sim.Wire, at sim.Cycle, b sim.Beat) {
	if w.now != nil {
		w.now.Offered(x, at, b)
	}
	switch {
	case w.sorted == nil:
	case w.sort:
		w.pending = append(w.pending, trace.Event{Kind: trace.Offer, Time: x.Clock.At(at), Wire: x, Cycle: at, Beat: b})
	default:
		w.sorted.Offered(x, at, b)
	}
}

func (w *writers) Accepted(x *sim.Wire, at sim.Cycle, b sim.Beat) {
	if w.now != nil {
		w.now.Accepted(x, at, b)
	}
	switch {
	case w.sorted == nil:
	case w.sort:
		w.pending = append(w.pending, trace.Event{Kind: trace.Accept, Time: x.Clock.At(at), Wire: x, Cycle: at, Beat: b})
	default:
		w.sorted.Accepted(x, at, b)
	}
}

func (w *writers) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if w.now != nil {
		w.now.Dropped(stage, at, frame, why)
	}
	switch {
	case w.sorted == nil:
	case w.sort:
		w.pending = append(w.pending, trace.Event{Kind: trace.Drop, Time: at, Stage: stage, Frame: frame, Why: why})
	default:
		w.sorted.Dropped(stage, at, frame, why)
	}
}

// late is more than the half period by which a waveform is behind.
const late sim.Picos = 1_000_000

// flush shows what happened before a time, of which all is known, and forgets the
// frames that were over then.
func (w *writers) flush(until sim.Picos) {
	if w.sort && w.sorted != nil {
		w.show(until)
	}
	if w.sort {
		w.gone = slices.DeleteFunc(w.gone, func(e ended) bool {
			over := e.at+late < until
			if over {
				delete(w.bytes, e.id)
			}
			return over
		})
	}
}

// show gives the events before a time to the writers that want them sorted, as
// trace.Recorder does.
func (w *writers) show(until sim.Picos) {
	slices.SortStableFunc(w.pending, func(a, b trace.Event) int {
		if a.Kind == trace.Drop || b.Kind == trace.Drop {
			return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Kind/trace.Drop, b.Kind/trace.Drop),
				cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Frame, b.Frame))
		}
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Wire.Index(), b.Wire.Index()), cmp.Compare(a.Kind, b.Kind))
	})
	n := 0
	for _, e := range w.pending {
		if e.Time >= until {
			break
		}
		n++
		switch e.Kind {
		case trace.Offer:
			w.sorted.Offered(e.Wire, e.Cycle, e.Beat)
		case trace.Accept:
			w.sorted.Accepted(e.Wire, e.Cycle, e.Beat)
		case trace.Drop:
			w.sorted.Dropped(e.Stage, e.Time, e.Frame, e.Why)
		}
	}
	w.pending = w.pending[:copy(w.pending, w.pending[n:])]
}

// close ends all traces.
func (w *writers) close() error {
	if w.sort && w.sorted != nil {
		w.show(sim.Never)
	}
	var errs []error
	for _, end := range w.ends {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// waterfall is nil if nobody asked for one.
func (w *writers) waterfall() *trace.WaterfallResult {
	if w.falls == nil {
		return nil
	}
	return w.falls.Result()
}

// relay shows everything to the meter, and to the writers if there are any.
type relay struct {
	meter *meter
	out   *writers
}

func (y *relay) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	y.meter.Offered(w, at, b)
	if y.out != nil {
		y.out.Offered(w, at, b)
	}
}

func (y *relay) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) {
	y.meter.Accepted(w, at, b)
	if y.out != nil {
		y.out.Accepted(w, at, b)
	}
}

func (y *relay) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if y.out != nil {
		y.out.Dropped(stage, at, frame, why)
	}
}
