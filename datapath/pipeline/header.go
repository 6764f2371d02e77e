package pipeline

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A stage that takes a header beside its stream gets it from the last stage
// before it that gives one, or from the source. Stages without headers that
// stand between pass the stream only: the header is wired round them, as in the
// designs that the records of whole datapaths were taken from.

// ask finds the stages without headers whose stream goes on, through others
// like them, to a stage that takes one. A line has none beside it.
func (b *builder) ask(places []*place, producer map[string]*place) {
	for _, p := range places {
		if len(p.in) != 1 || !p.in[0].Header {
			continue
		}
		for at := p; len(at.from) == 1; {
			stage, _, _ := split(at.from[0])
			before := producer[stage]
			if before == nil || len(before.in) != 1 || before.in[0].Header || before.in[0].XGMII || len(before.out) > 0 && before.out[0].Header || b.asked[before.name] != nil {
				break
			}
			b.asked[before.name] = p
			at = before
		}
	}
}

// headers returns the wire that a stage takes of e, and the header that goes
// round it.
func (b *builder) headers(p *place, e end, port module.Port) (w, beside *sim.Wire) {
	switch {
	case port.Header && e.port.Header:
		return e.wire, nil
	case port.Header && e.hdr != nil && e.hdr.Clock == e.wire.Clock:
		w := b.b.Net.Wire(p.name+".header", e.wire.Clock, e.wire.Width)
		b.b.Net.Add(p.name+".header", &headerIn{stream: e.wire, hdr: e.hdr, out: w})
		return w, nil
	case port.Header:
		if e.hdr != nil { // it does not cross the clocks; what comes out behind them gets a new one
			b.b.Net.Add(e.hdr.Name+".end", &sim.Sink{In: e.hdr, Pattern: always})
		}
		w := b.b.Net.Wire(p.name+".header", e.wire.Clock, e.wire.Width)
		b.b.Net.Add(p.name+".header", &headed{in: e.wire, out: w})
		return w, nil
	case e.port.Header && b.asked[p.name] != nil:
		return b.beside(p, e.wire)
	}
	return e.wire, e.hdr
}

// beside takes the header off a wire.
func (b *builder) beside(p *place, in *sim.Wire) (stream, hdr *sim.Wire) {
	stream = b.b.Net.Wire(p.name+".stream", in.Clock, in.Width)
	hdr = b.b.Net.Wire(p.name+".beside", in.Clock, in.Width)
	b.b.Net.Add(p.name+".beside", &headerOut{in: in, stream: stream, hdr: hdr})
	return stream, hdr
}

// headerOut takes the header off a wire: the stream goes one way, the header
// another.
type headerOut struct{ in, stream, hdr *sim.Wire }

func (h *headerOut) Ports() (in, out []*sim.Wire) {
	return []*sim.Wire{h.in}, []*sim.Wire{h.stream, h.hdr}
}
func (h *headerOut) Comb() (valid, ready bool) { return true, true }
func (h *headerOut) Edge(sim.Edges) bool       { return h.in.Fire() || h.in.HdrFire() }

func (h *headerOut) Offer() {
	h.stream.Put(h.in.Valid, h.in.Beat)
	h.hdr.PutHdr(h.in.HdrValid, h.in.Hdr)
}

func (h *headerOut) Accept() { h.in.Ready, h.in.HdrReady = h.stream.Ready, h.hdr.HdrReady }

// headerIn puts a header back beside a stream.
type headerIn struct{ stream, hdr, out *sim.Wire }

func (h *headerIn) Ports() (in, out []*sim.Wire) {
	return []*sim.Wire{h.stream, h.hdr}, []*sim.Wire{h.out}
}
func (h *headerIn) Comb() (valid, ready bool) { return true, true }
func (h *headerIn) Edge(sim.Edges) bool       { return h.out.Fire() || h.out.HdrFire() }

func (h *headerIn) Offer() {
	h.out.Put(h.stream.Valid, h.stream.Beat)
	h.out.PutHdr(h.hdr.HdrValid, h.hdr.Hdr)
}

func (h *headerIn) Accept() {
	h.stream.Take(h.out.Ready)
	h.hdr.Ready, h.hdr.HdrReady = true, h.out.HdrReady
}

// headed puts a header on the side channel of a stream that has none, and none
// to be had: beside the first beat of each frame, and until it is taken.
type headed struct {
	in, out *sim.Wire
	taken   bool       // the header of the beat on the wire
	late    bool       // the first beat went before its header
	hdr     sim.Header // the late header
}

func (h *headed) Ports() (in, out []*sim.Wire) { return []*sim.Wire{h.in}, []*sim.Wire{h.out} }
func (h *headed) Comb() (valid, ready bool)    { return true, true }
func (h *headed) Accept()                      { h.in.Take(h.out.Ready) }

func (h *headed) Offer() {
	b := h.in.Beat
	h.out.Put(h.in.Valid, b)
	if h.late {
		h.out.PutHdr(true, h.hdr)
		return
	}
	h.out.PutHdr(h.in.Valid && b.First && !h.taken, sim.Header{Frame: b.Frame, Bytes: b.Left, Dest: b.Dest})
}

func (h *headed) Edge(sim.Edges) bool {
	hdr, beat := h.out.HdrFire(), h.out.Fire()
	switch first := beat && h.in.Beat.First; {
	case h.late && hdr:
		h.late = false
	case first && !h.taken && !hdr && !h.late:
		h.late, h.hdr = true, h.out.Hdr
	case first:
		h.taken = false
	case hdr:
		h.taken = true
	}
	return hdr || beat
}
