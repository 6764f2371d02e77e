package nic

import (
	"fmt"
	"slices"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/mac"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/timing"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Logic is the program a card is loaded with: what becomes of a frame, without
// links that bring it or cycles that it takes. A capture that is replayed has the
// same Logic as the traffic it was made of.
type Logic struct {
	ingress []datapath.Stage // wire to verdict
	egress  []datapath.Stage // for packets that leave, to the wire

	sw      *eswitch     // nil in program null
	tracker *tcp.Tracker // nil in program null
	proxy   Proxy        // nil but in program offload
	taken   int          // of the frames that it has made since Flushed
	pkt     datapath.Packet
	nextID  uint64
	counts  counts
}

// Outcome is what became of a frame.
type Outcome struct {
	Verdict datapath.Verdict
	Reason  datapath.DropReason // if it was dropped
	Stage   string              // that decided
	To      datapath.PortSet    // ports it leaves by, mirrors included
	Data    []byte              // the frame as it leaves
	Offload hostif.Offload      // what is left to do of it
	Work    datapath.Work       // of the proxy for it
	Own     []splice.Frame      // that the proxy made because of it; they leave before it, and hold until Flushed
}

// Decision is the outcome for the timed half of the card, of a frame that came in with so
// many bytes. Frames of the proxy's own are appended to own.
func (o *Outcome) Decision(size int, own []timing.Own) timing.Decision {
	d := timing.Decision{To: o.To, Work: o.Work}
	if o.To == 0 {
		d.Drop = o.Stage
	} else if o.Work.Told {
		d.Grow = len(o.Data) - size
	}
	for _, f := range o.Own {
		own = append(own, timing.Own{Bytes: len(f.Data), To: f.Port})
	}
	d.Own = own
	return d
}

// NewLogic puts a program together for ports of these names, whose longest frame
// is maxFrame bytes.
func NewLogic(cfg Config, ports []string, maxFrame int) (*Logic, error) {
	if len(ports) < 2 || len(ports) > datapath.MaxPorts {
		return nil, failure.Usagef("nic: %d ports, want 2 to %d", len(ports), datapath.MaxPorts)
	}
	for i, name := range ports {
		if slices.Contains(ports[:i], name) {
			return nil, failure.Usagef("nic: two ports are named %q", name)
		}
	}
	l := &Logic{}
	switch cfg.Program {
	case Null:
		if len(ports) != 2 {
			return nil, failure.Usagef("nic: program null is a wire between two ports, not %d", len(ports))
		}
		l.ingress = []datapath.Stage{patch{}}
	case Offload:
		if cfg.Proxy == nil {
			return nil, failure.Usagef("nic: program offload has no proxy: it needs the configuration of one")
		}
		l.proxy = cfg.Proxy
		fallthrough
	case Passthrough:
		if err := l.passthrough(cfg, ports, maxFrame); err != nil {
			return nil, err
		}
	default:
		return nil, failure.Usagef("nic: unknown program %q, want one of %v", cfg.Program, Programs())
	}
	return l, nil
}

// passthrough puts the pipeline together.
func (l *Logic) passthrough(cfg Config, ports []string, maxFrame int) (err error) {
	if l.tracker, err = tcp.New(tcp.Config{Flows: cfg.Flows, Clock: sim.Clock{Hz: CoreHz}}); err != nil {
		return fmt.Errorf("nic: %w", err)
	}
	if l.sw, err = newESwitch(cfg, ports); err != nil {
		return fmt.Errorf("nic: %w", err)
	}
	l.ingress = []datapath.Stage{
		&mac.Receive{MaxFrame: maxFrame},                               // frames no port can send on end here
		parser.New(parser.Config{VerifyChecksums: !cfg.SkipChecksums}), // bytes to PHV; malformed frames end here
		l.tracker, // watches every TCP flow, changes nothing
		l.sw,      // learns the source, looks the destination up, floods the unknown
	}
	if l.proxy != nil {
		l.ingress = slices.Insert(l.ingress, 2, datapath.Stage(l.proxy)) // what is for its addresses ends here
	}
	l.egress = []datapath.Stage{
		deparser.New(), // PHV back to bytes, where a table changed it
	}
	return nil
}

// Process runs a frame that came in at a port through the program. It may write
// to data.
func (l *Logic) Process(now sim.Cycle, in datapath.Port, data []byte, offload hostif.Offload) Outcome {
	l.nextID++
	p := &l.pkt
	p.ID, p.Data, p.In = l.nextID, data, in
	p.CsumPartial, p.GSOSize = offload.CsumPartial, offload.GSOSize
	p.Egress, p.Mirror, p.Reason = 0, 0, datapath.DropNone

	verdict, stage := through(l.ingress, now, p)
	if verdict == datapath.Forward || p.Mirror != 0 {
		through(l.egress, now, p)
	}
	l.counts.verdict(verdict, p)
	if verdict != datapath.Forward {
		p.Egress = 0
	}
	o := Outcome{Verdict: verdict, Reason: p.Reason, Stage: stage, To: p.Egress | p.Mirror, Data: p.Data, Offload: offload}
	if l.proxy != nil {
		if o.To != 0 && stage == l.proxy.Name() && offload != (hostif.Offload{}) {
			o.Offload = reframed(p)
		}
		o.Own = l.made()
		if w, ok := l.proxy.(datapath.Worker); ok && (stage == l.proxy.Name() || passed(l.ingress, stage, l.proxy)) {
			o.Work = w.Work()
		}
	}
	return o
}

// passed reports whether a packet that stage by decided about had been through s.
func passed(stages []datapath.Stage, by string, s datapath.Stage) bool {
	for _, x := range stages {
		if x == s {
			return true
		}
		if x.Name() == by {
			return false
		}
	}
	return false
}

// through takes p through stages until one of them decides.
func through(stages []datapath.Stage, now sim.Cycle, p *datapath.Packet) (v datapath.Verdict, by string) {
	for _, s := range stages {
		v := s.Process(now, p)
		if v != datapath.Continue {
			return v, s.Name()
		}
	}
	return datapath.Continue, ""
}

// patch, a patch cable, is the whole of program null: what enters port 0 leaves port 1.
type patch struct{}

func (patch) Name() string { return "patch" }

func (patch) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	p.Egress = datapath.PortSet(0).Add(p.In ^ 1)
	return datapath.Forward
}
