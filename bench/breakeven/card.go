package breakeven

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
)

// Bytes of frames and heads: Ethernet, IPv4 and TCP with timestamps; hop's request and the
// head of its answer; what proxy/mesh adds to either, and hop's body.
const (
	headers  = 66
	request  = 230
	response = 170
	added    = 110
	addedTo  = 64
	body     = 198
)

// Flow is a connection as hard as one may be.
type Flow struct {
	Requests int // on it, from its handshake to its end
	Pieces   int // segments that a request's head comes in
	Segment  int // bytes of a frame of the body, headers included; 0: the body is with its head
}

// frames are what arrives because of a connection, one after the other.
func (f Flow) frames() (all []timing.Decision, in []int, bytes []int) {
	add := func(port, size int, d timing.Decision) {
		d.Work.Told = true
		if d.Drop == "" {
			d.To = datapath.PortSet(0).Add(datapath.Port(1 - port))
		}
		all, in, bytes = append(all, d), append(in, port), append(bytes, size)
	}
	ends := func(port, size int, reads uint8, own ...timing.Own) { // a segment that stays here
		add(port, size, timing.Decision{Drop: "offload", Own: own, Work: datapath.Work{Reads: reads}})
	}
	ends(0, 74, 1, timing.Own{Bytes: 74, To: 0}) // SYN; the answer
	ends(0, headers, 1)                          // the third of the handshake
	for i := range f.Requests {
		rest := request
		for k := range f.Pieces - 1 { // gathered
			n := rest / (f.Pieces - k)
			add(0, headers+n, timing.Decision{Drop: "offload", Work: datapath.Work{Reads: 1, Head: uint16(headers + n)}})
			rest -= n
		}
		work := datapath.Work{Reads: 3, Lookups: 4, Head: uint16(headers + rest)}
		whole := timing.Own{Bytes: headers + request + added, To: 1}
		switch {
		case i == 0: // to a server of which there is no connection: SYN, and the head behind its answer
			add(0, headers+rest, timing.Decision{Drop: "offload", Work: work, Own: []timing.Own{{Bytes: 74, To: 1}}})
			ends(1, 74, 2, whole)
		case f.Pieces > 1: // gathered, and written whole
			add(0, headers+rest, timing.Decision{Drop: "offload", Work: work, Own: []timing.Own{whole}})
		default:
			work.Written = request + added
			add(0, headers+rest, timing.Decision{Work: work, Grow: added})
		}
		with := body
		if f.Segment > 0 {
			with = 0
		}
		add(1, headers+response+with, timing.Decision{Grow: addedTo, Work: datapath.Work{Reads: 2, Head: headers + response, Written: response + addedTo}})
		for rest := body - with; rest > 0; {
			n := min(rest, max(1, f.Segment-headers))
			add(1, max(f.Segment, headers+n), timing.Decision{Work: datapath.Work{Reads: 2}})
			rest -= n
		}
		ends(0, headers, 2, timing.Own{Bytes: headers, To: 1}) // acknowledged, to both
	}
	ends(0, headers, 1, timing.Own{Bytes: headers, To: 0}) // FIN; ours
	ends(0, headers, 1)
	return all, in, bytes
}

// watch adds up the times of frames.
type watch struct{ sum sim.Picos }

func (w *watch) Crossed(c timing.Crossing) { w.sum += c.Left - c.Entered }
func (*watch) Lost(timing.Loss)            {}

// apart is between two frames: the card is at rest when one comes, at any clock of Axes.
const apart = sim.Picos(2e9)

// Time is model_ns a request: the times of all frames, one after the other.
func Time(d *pipeline.Description, f Flow) (float64, error) {
	w := &watch{}
	c, err := timing.New(d, timing.Options{Ports: 2}, w)
	if err != nil {
		return 0, fmt.Errorf("breakeven: %w", err)
	}
	all, in, bytes := f.frames()
	for i := range all {
		c.Arrive(uint32(i+1), in[i], sim.Picos(i)*apart, bytes[i], all[i])
	}
	if !c.Finish(sim.Picos(len(all)+1000) * apart) {
		return 0, fmt.Errorf("breakeven: pipeline %s does not come to rest", d.Name)
	}
	return w.sum.Nanos() / float64(f.Requests), nil
}

// with is d with other parameters of the stages of a name.
func with(d *pipeline.Description, set map[string]module.Args) *pipeline.Description {
	c := *d
	c.Stages = slices.Clone(d.Stages)
	for i := range c.Stages {
		s := &c.Stages[i]
		if args, ok := set[s.Name]; ok {
			s.Params = maps.Clone(s.Params)
			maps.Copy(s.Params, args)
		}
	}
	return &c
}
