package timing

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Decision is what the functional pipeline did with a frame.
type Decision struct {
	Drop string           // name of the functional stage that dropped it; empty: it went on
	To   datapath.PortSet // ports it left by, if it was not dropped
	Tag  uint32           // the caller's own: see Card.Tag
	Dest uint8            // tdest, where Options.AsIs leaves the way to the pipeline

	Work datapath.Work // what a stage has done for it
	Grow int           // bytes that it leaves longer than it came
	Own  []Own         // frames of the program's own that leave because of it, before it
}

// Own is a frame that the program made. A card without head_rewrite has none.
type Own struct {
	Bytes int
	To    datapath.Port
}

// Crossing is one copy of a frame that went through the card, or a frame of the
// program's own: that takes from when the frame came that is the reason for it.
type Crossing struct {
	Frame   uint32    // that came in
	Own     bool      // what left is a frame of the program's own because of it
	Bytes   int       // of that
	In, Out int       // ports; see Card.OwnPort
	Entered sim.Picos // the frame's first beat stood at the receiving port's first stage
	Left    sim.Picos // its last beat left the sending port's last stage
}

// Loss is copies of a frame that a stage dropped. With a frame go those of the program's
// own that it is the reason for, if they are not made yet.
type Loss struct {
	Frame  uint32
	Own    bool // it was a frame of the program's own because of that one
	In     int
	Stage  string
	At     sim.Picos
	Why    sim.Loss
	Copies int
}

// Observer is told what becomes of frames. A frame's own events come in the
// order of time, those of different ports do not.
type Observer interface {
	Crossed(Crossing)
	Lost(Loss)
}

// Options are how a Card is built.
type Options struct {
	Ports  int    // at least 1; more than one are made with Description.Ports
	AsIs   bool   // the description has its inputs itself, Ports of them in use, and leads frames to its outputs by their tdest
	Engine string // one of pipeline.Engines; empty: maxplus
	// Beats, if set, sees every beat; it makes a run slow.
	Beats sim.Observer
	// Built, if set, is called before the first cycle: for a Beats that wants to
	// know the network.
	Built func(*pipeline.Built)
}

// Card is a timed pipeline that frames arrive at. Neither it nor its parts are
// for more than one goroutine.
type Card struct {
	see    Observer
	built  *pipeline.Built
	engine engine
	ticks  bool
	asIs   bool
	own    int  // input for frames that no frame is the reason for, or -1
	line   bool // a port is an XGMII line
	feeds  []*feed
	ports  []port      // by place of the network's stages
	stages []stageRole // by place of the network's stages
	flight flight
	now    sim.Picos // what has been simulated, and the earliest arrival possible
}

type engine interface {
	Run(limit sim.Picos) bool
	Highest(stage int) int
}

// port is a source or a sink of the network: the number of its port, or -1.
type port struct{ source, sink int }

// stageRole is which stage of the description a part of the network belongs to.
type stageRole struct {
	name   string
	copies bool // behind the replicator: what is lost here is one copy
}

// New builds a card.
func New(d *pipeline.Description, o Options, see Observer) (*Card, error) {
	var err error
	inputs := o.Ports
	if !o.AsIs {
		if d, err = d.Ports(o.Ports); err != nil {
			return nil, err
		}
		inputs = 1
	}
	built, err := d.Build(pipeline.Setup{Inputs: inputs})
	if err != nil {
		return nil, err
	}
	c := &Card{see: see, built: built, asIs: o.AsIs, own: -1}
	if !o.AsIs && o.Ports > 1 && d.Writes() {
		c.own = o.Ports
	}
	c.roles()
	if err := c.ends(o.Ports); err != nil {
		return nil, fmt.Errorf("pipeline %s: %w", d.Name, err)
	}
	c.act()
	if o.Built != nil {
		o.Built(built)
	}
	if o.Engine == "tick" {
		c.ticks = true
		c.engine, err = sim.NewTicker(built.Net, newTap(c, o.Beats))
		return c, err
	}
	if o.Beats != nil || c.line {
		c.engine, err = sim.NewMaxPlus(built.Net, newTap(c, o.Beats))
		return c, err
	}
	m, err := sim.NewMaxPlus(built.Net, nil)
	if err != nil {
		return nil, err
	}
	m.Watch(c)
	c.engine = m
	return c, nil
}

// roles finds out which stage each part of the network belongs to.
func (c *Card) roles() {
	c.stages = make([]stageRole, len(c.built.Net.Stages))
	behind := false
	for _, st := range c.built.Stages {
		for _, i := range st.Parts {
			c.stages[i] = stageRole{st.Name, behind}
		}
		behind = behind || st.Module.Name == "replicator"
	}
}

// ends puts sources and sinks at the network's ends.
func (c *Card) ends(ports int) error {
	in, out := c.built.In, c.built.Out
	switch {
	case c.asIs && len(in) < ports:
		return fmt.Errorf("%d inputs, want %d", len(in), ports)
	case c.asIs: // what nothing arrives at is idle
		ports = len(out)
	case len(in) != max(ports, c.own+1) || len(out) < ports || ports > 1 && len(out) > ports:
		return fmt.Errorf("%d inputs and %d outputs, want %d", len(in), len(out), ports)
	case ports > 1:
		slices.Reverse(out) // Built has the last stage's first
	}
	for k, p := range in {
		if p.Inner > 0 || p.Header {
			return fmt.Errorf("stage %s does not take whole Ethernet frames", c.built.Stages[p.Stage].Name)
		}
		f := &feed{}
		c.feeds = append(c.feeds, f)
		var s sim.Stage = &sim.Source{Out: p.Wire, Feed: f}
		if p.XGMII {
			s = &ethernet.LineSource{Out: p.Wire, Feed: f}
			c.line = true
		}
		c.add(port{source: k, sink: -1}, "source."+p.Wire.Name, s)
	}
	for k, p := range out {
		always, err := sim.NewPattern("none")
		if err != nil {
			return err
		}
		sink := k
		if k >= ports {
			sink = -1 // a tap's results
		}
		c.add(port{source: -1, sink: sink}, "sink."+p.Wire.Name, &sim.Sink{In: p.Wire, Pattern: always})
	}
	return nil
}

func (c *Card) add(p port, name string, s sim.Stage) {
	c.built.Net.Add(name, s)
	for len(c.ports) < len(c.built.Net.Stages) {
		c.ports = append(c.ports, port{-1, -1})
	}
	c.ports[len(c.ports)-1] = p
}

// twins are the functional stages' modules, where the names differ.
var twins = map[string]string{"tcp": "tcp_tracker", "eswitch": "match_action", "offload": "head_rewrite"}

// act makes the timed stages ask for the decisions.
func (c *Card) act() {
	var names []string
	for _, st := range c.built.Stages {
		for _, i := range st.Parts {
			switch s := c.built.Net.Stages[i].(type) {
			case *card.Pipe:
				s.Act(&actor{c, len(names), doneBy[st.Module.Name]})
				names = append(names, st.Module.Name)
			case *card.Rewriter:
				s.Author(&author{actor: actor{c: c, place: len(names)}})
				names = append(names, st.Module.Name)
				c.flight.writes = true
			case *axis.Broadcast:
				if st.Module.Name == "replicator" {
					s.Targets = func(b sim.Beat) uint32 { return uint32(c.flight.of(b.Frame).to) }
				}
			}
		}
	}
	c.flight.actors = names
}

// Arrive presents a frame at a port, at the first edge at or after at that comes
// after the frames before it. id counts up from 1, bytes is without preamble and
// FCS; a MAC pads a frame to 60 (IEEE 802.3 clause 4.2.3.3). id is less than 2^31 if the
// card writes frames of its own, and may begin anew when none is in flight. What was simulated by Advance is over: an earlier at counts as that time.
func (c *Card) Arrive(id uint32, in int, at sim.Picos, bytes int, d Decision) {
	at = max(at, c.now)
	to, dest := uint64(d.To), d.Dest
	if to == 0 || c.single() || c.asIs {
		to = 1
	}
	if !c.asIs {
		dest = uint8(bits.TrailingZeros64(to))
	}
	x := frame{tag: d.Tag, in: uint8(in), to: uint16(to), copies: uint16(bits.OnesCount64(to)), dropAt: c.flight.dropper(d.Drop), work: d.Work, grow: int32(d.Grow)}
	if c.flight.writes {
		x.own, x.owns = c.flight.made(id, &x, d.Own, c.single()), uint16(len(d.Own))
		x.copies += x.owns
	}
	c.flight.add(id, x)
	c.feeds[in].push(sim.Frame{ID: id, Bytes: max(bytes, minFrame), Dest: dest, At: at})
}

// single reports whether there is one port.
func (c *Card) single() bool { return len(c.feeds) == 1 }

// Advance simulates everything that is decided before until if no frame arrives
// earlier. The tick engine leaves it to Finish.
func (c *Card) Advance(until sim.Picos) {
	if until <= c.now {
		return
	}
	c.now = until
	if !c.ticks {
		c.engine.Run(until - 1)
	}
}

// Finish simulates until the card is at rest; it reports whether that came
// within limit.
func (c *Card) Finish(limit sim.Picos) bool {
	rest := c.engine.Run(limit)
	c.now = max(c.now, limit)
	return rest
}

// OwnPort is the number after the last port's: where those frames of the program's own
// arrive that no frame is the reason for. ok is false where they cannot.
func (c *Card) OwnPort() (in int, ok bool) { return c.own, c.own >= 0 }

// Writes reports whether the card writes frames of the program's own.
func (c *Card) Writes() bool { return c.flight.writes }

// Tag is what the caller gave with a frame. It is known until the observer has
// been told what became of the frame.
func (c *Card) Tag(id uint32) uint32 { return c.flight.of(id).tag }

// minFrame is the shortest frame on a line, without FCS.
const minFrame = 60

// InFlight is how many frames have arrived and neither left nor got lost.
func (c *Card) InFlight() int { return c.flight.open }

// Peak is the highest level of a stage's memory so far.
type Peak struct {
	Stage string
	Bytes int
}

// Peaks lists the stages that store bytes.
func (c *Card) Peaks() (peaks []Peak) {
	for _, st := range c.built.Stages {
		most, stores := 0, false
		for _, i := range st.Parts {
			if _, ok := c.built.Net.Stages[i].(sim.Leveller); ok {
				most, stores = max(most, c.engine.Highest(i)), true
			}
		}
		if stores {
			peaks = append(peaks, Peak{st.Name, most})
		}
	}
	return peaks
}
