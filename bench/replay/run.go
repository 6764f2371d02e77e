package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// Options say how a capture is replayed.
type Options struct {
	Pipeline *pipeline.Description
	Engine   string // one of pipeline.Engines; empty: maxplus
	Ports    string // one of PortModes; empty: auto
	Pace     Pace
	Skip     uint64 // records that are left out at the beginning
	Limit    uint64 // frames that are replayed at most; 0: all

	// Proxy, if set, makes the proxy that answered when the capture was made, as its comment
	// says: the program is then nic.Offload, and does the same again.
	Proxy func(nic.Origin) (nic.Proxy, error)

	NoProgram     bool // every frame passes, through port 0 to port 0 or from port k to the next
	SkipChecksums bool // frames with wrong checksums pass
	Hairpin       bool // frames may leave by the port they came in on, as they always may where there is one

	Traces Traces
}

// batch is how many frames arrive before the card moves on.
const batch = 256

// replay is a run.
type replay struct {
	Options
	c      *Capture
	ports  ports
	epoch  int64 // ns since 1970, of model time 0
	clock  clock
	card   *timing.Card
	logic  *nic.Logic // or nil
	proxy  *proxied   // with a Proxy
	shift  int        // of a port number in tdest
	meter  meter
	out    *writers
	flight ring
	lat    dist
	wait   dist
	res    *Result
	lost   map[loss]*Drop
	buf    []byte // a truncated frame with its zeros
}

type loss struct {
	stage string
	why   string
}

// Run replays a capture.
func Run(ctx context.Context, c *Capture, o Options) (*Result, error) {
	return newReplay(c, o).run(ctx)
}

func newReplay(c *Capture, o Options) *replay {
	return &replay{Options: o, c: c, flight: make(ring, 1024), lost: map[loss]*Drop{}}
}

func (r *replay) run(ctx context.Context) (*Result, error) {
	o, c := &r.Options, r.c
	var rec Record
	more := r.next(&rec)
	if more && rec.Timed {
		r.epoch = rec.At
	}
	if err := r.build(); err != nil {
		return nil, err
	}
	n := uint64(0)
	for ; more; more = (o.Limit == 0 || n < o.Limit) && r.next(&rec) {
		if !r.place(&rec) {
			c.NoPort++
			c.Frames--
			continue
		}
		at := r.clock.arrival(&rec, &c.Counts)
		if n++; n%batch == 0 {
			if err := r.advance(ctx, at); err != nil {
				return nil, err
			}
		}
		r.arrive(&rec, at)
	}
	if n == 0 && c.OtherLink > 0 {
		return nil, notEthernet(c.name, c.LinkTypes[0])
	}
	return r.finish(ctx)
}

// next is the next record that is not to be skipped.
func (r *replay) next(rec *Record) bool {
	for r.c.Next(rec) {
		if uint64(rec.Number) > r.Skip {
			return true
		}
		r.c.Frames--
	}
	return false
}

// build makes the card. The first record has been read, and so have the
// interfaces before it.
func (r *replay) build() error {
	var err error
	if r.ports, err = newPorts(r.Options.Ports, r.c); err != nil {
		return err
	}
	var origin nic.Origin
	if r.Proxy != nil {
		if origin, err = r.origin(); err != nil {
			return err
		}
	}
	n := len(r.ports.names)
	asIs, err := r.takes(n)
	if err != nil {
		return err
	}
	if r.Engine == "" {
		r.Engine = "maxplus"
	}
	r.res = &Result{Schema: Schema, Pipeline: r.Pipeline.Name, Engine: r.Engine}
	beats := &relay{meter: &r.meter}
	opt := timing.Options{Ports: n, AsIs: asIs, Engine: r.Engine, Beats: beats}
	if r.Traces.none() {
		opt.Beats = &r.meter
	}
	acts := false
	opt.Built = func(b *pipeline.Built) {
		r.meter.of(b)
		acts = actors(b)
		r.clock = clock{pace: r.Pace, epoch: r.epoch}
		for _, in := range b.In {
			r.clock.lines = append(r.clock.lines, line{period: in.Wire.Clock.Period, width: in.Wire.Width})
		}
		r.out = r.Traces.open(b, r)
		beats.out = r.out
	}
	if r.card, err = timing.New(r.Pipeline, opt, r); err != nil {
		return refused(r.Pipeline, err)
	}
	r.res.addPorts(r.ports.names)
	if r.proxy != nil {
		r.res.addPorts([]string{nic.OwnFrames})
	}
	if r.NoProgram || !acts && n == 1 && !asIs {
		return nil
	}
	cfg := nic.DefaultConfig()
	if r.Proxy != nil {
		cfg.Program = nic.Offload
		if cfg.Proxy, err = r.Proxy(origin); err != nil {
			return err
		}
	}
	cfg.Hairpin, cfg.SkipChecksums = r.Hairpin || n == 1, r.SkipChecksums
	names := slices.Clone(r.ports.names)
	for len(names) < 2 {
		names = append(names, "out"+strconv.Itoa(len(names)))
	}
	r.res.Program = string(cfg.Program)
	r.logic, err = nic.NewLogic(cfg, names, maxFrame)
	return err
}

// takes finds out whether n ports are inputs that the pipeline has itself.
func (r *replay) takes(n int) (asIs bool, err error) {
	b, err := r.Pipeline.Build(pipeline.Setup{Inputs: n})
	if err != nil {
		return false, refused(r.Pipeline, err)
	}
	graph := slices.ContainsFunc(r.Pipeline.Stages, func(s pipeline.Stage) bool { return len(s.From) > 0 })
	joined := slices.ContainsFunc(b.Stages, func(s pipeline.BuiltStage) bool { return len(s.In) > 1 })
	if !graph && !joined {
		return false, nil
	}
	if len(b.In) < n {
		return false, failure.New(failure.Usage, "replay through pipeline "+r.Pipeline.Name,
			fmt.Sprintf("it has %d inputs, the capture's frames come in at %d", len(b.In), n), "--ports one, or --ports mac, which makes two")
	}
	for _, s := range b.Stages {
		if v, ok := s.Args["M_DEST_WIDTH"]; ok && s.Args["S_DEST_WIDTH"] > v {
			r.shift = int(v)
		}
	}
	return true, nil
}

// refused is a description that cannot be built, or a run that it does not allow.
func refused(d *pipeline.Description, err error) error {
	var p pipeline.Problems
	if errors.As(err, &p) {
		return pipeline.Refused(d.Name, p)
	}
	return failure.Wrap(failure.Usage, err, "replay through pipeline "+d.Name, "--ports one, or another pipeline; meshnic sim --modules lists what there is")
}

// arrive lets the program decide about a frame and gives it to the card.
func (r *replay) arrive(rec *Record, at sim.Picos) {
	if r.out != nil {
		r.out.keep(rec.Number, rec.Data)
	}
	d, reason := timing.Decision{To: 1}, datapath.DropNone
	switch own := r.proxy != nil && rec.Port == r.proxy.port; {
	case own:
		var ok bool
		if d, ok = r.made(rec, at); !ok {
			return
		}
	case r.logic != nil:
		var o nic.Outcome
		if d, o = r.decide(rec, at); o.Verdict == datapath.Consume {
			r.res.Consumed++
			break
		}
		if reason = o.Reason; d.Drop != "" {
			r.res.ProgramDrops++
			if r.out != nil {
				r.out.reasons[rec.Number] = reason.String()
			}
		}
	}
	d.Dest = uint8(lowest(d.To) << r.shift)
	f := frame{id: rec.Number, bytes: uint16(rec.Length), in: uint8(rec.Port), copies: 1, reason: reason, at: at}
	if n := popcount(d.To); n > 1 && len(r.ports.names) > 1 {
		f.copies = uint16(n)
	}
	if f.consumed = d.Drop != "" && reason == datapath.DropNone; r.card.Writes() {
		f.copies += uint16(len(d.Own))
	}
	l := &r.clock.lines[rec.Port]
	f.beats = l.sent
	l.sent += uint64((max(rec.Length, minFrame) + l.width - 1) / l.width)
	r.flight.put(f, r.card.InFlight())
	r.res.arrived(&f)
	r.card.Arrive(rec.Number, rec.Port, at, rec.Length, d)
}

// decide has the program decide about a frame that came in.
func (r *replay) decide(rec *Record, at sim.Picos) (timing.Decision, nic.Outcome) {
	data := rec.Data
	if len(data) < rec.Length {
		r.buf = append(append(r.buf[:0], data...), make([]byte, rec.Length-len(data))...)
		data = r.buf
	}
	if r.proxy != nil {
		return r.ask(rec, at, data)
	}
	o := r.logic.Process(r.cycle(rec, at), datapath.Port(rec.Port), data, offloaded(rec))
	return o.Decision(len(data), nil), o
}

// offloaded says of a truncated frame that nobody can verify it.
func offloaded(rec *Record) hostif.Offload {
	return hostif.Offload{CsumPartial: len(rec.Data) < rec.Length}
}

// corePeriod is a cycle of the program's clock.
const corePeriod = sim.Picos(1e12 / nic.CoreHz)

// minFrame is what a line's frames are padded to, without FCS.
const minFrame = 60

// advance moves the card on to the arrival of the next frame.
func (r *replay) advance(ctx context.Context, at sim.Picos) error {
	if ctx.Err() != nil {
		return failure.New(failure.Unexpected, "replay", context.Cause(ctx).Error(), "--limit N replays the first N frames only")
	}
	r.card.Advance(r.clock.known(at, len(r.ports.names)))
	if r.out != nil {
		r.out.flush(r.clock.known(at, len(r.ports.names)))
	}
	return nil
}

// patience is how long a card may take to come to rest after the last frame.
const patience sim.Picos = 1e12

// finish brings the card to rest and the figures together.
func (r *replay) finish(ctx context.Context) (*Result, error) {
	if ctx.Err() != nil {
		return nil, r.advance(ctx, 0)
	}
	rest := r.card.Finish(r.res.last() + patience + sim.Picos(r.c.Frames)*10_000_000)
	res := r.res
	res.Finished = rest && r.card.InFlight() == 0
	res.UnderWay = r.card.InFlight()
	if r.out != nil {
		if err := r.out.close(); err != nil {
			return nil, err
		}
		res.Waterfall = r.out.waterfall()
	}
	res.measure(r)
	return res, nil
}

// Crossed and Lost make a replay a timing.Observer.
func (r *replay) Crossed(x timing.Crossing) {
	f := r.flight.of(x.Frame)
	if r.lat.add(x.Left - x.Entered); f.id == x.Frame {
		r.wait.add(max(0, x.Entered-f.at))
		r.clock.lines[f.in].entered(f.beats, x.Entered)
		r.res.left(f, x)
		r.over(f, x.Left, 1, false)
	}
}

func (r *replay) Lost(l timing.Loss) {
	id := l.Frame
	f := r.flight.of(id)
	if f.id == id && f.consumed && !l.Own && l.Why == sim.LossVerdict {
		r.over(f, l.At, l.Copies, false)
		return
	}
	k := loss{l.Stage, l.Why.String()}
	if l.Why == sim.LossVerdict && f.id == id && f.reason != datapath.DropNone {
		k.why = f.reason.String()
	}
	d := r.lost[k]
	if d == nil {
		d = &Drop{Stage: k.stage, Reason: k.why, First: id}
		r.lost[k] = d
	}
	d.Frames++
	if f.id == id {
		r.over(f, l.At, l.Copies, true)
	}
}

// over takes copies of a frame away.
func (r *replay) over(f *frame, t sim.Picos, copies int, lost bool) {
	f.copies -= uint16(min(copies, int(f.copies)))
	if r.out != nil && (f.copies == 0 || lost) {
		r.out.over(f.id, t)
	}
}
