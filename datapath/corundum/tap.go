package corundum

import "github.com/meshnic/meshnic/datapath/sim"

// A tap watches a stream and has one result a frame, some registers later. It
// never holds the stream up.
type tap interface {
	// edge clocks the tap; moved says that b was accepted. It reports whether
	// anything changed.
	edge(moved bool, b sim.Beat) bool
	// result is the frame whose result is valid in this cycle.
	result() (frame sim.Beat, valid bool)
}

// delay is a row of registers that a result moves down, a place a cycle.
type delay []sim.Beat // Frame 0 is no result

func (d delay) edge(in sim.Beat) bool {
	changed := in.Frame != 0
	for i := len(d) - 1; i > 0; i-- {
		changed = changed || d[i].Frame != 0 || d[i-1].Frame != 0
		d[i] = d[i-1]
	}
	changed = changed || d[0].Frame != 0
	d[0] = in
	return changed
}

func (d delay) result() (sim.Beat, bool) {
	b := d[len(d)-1]
	return b, b.Frame != 0
}

// TapConfig is how a tap stands in a pipeline.
type TapConfig struct {
	// Pass lets the stream go on to the output, by wire; the result goes to
	// Result alone. Without it the output carries the results, one beat a frame,
	// each for one cycle whether it is taken or not, and the stream ends here.
	Pass bool
	// Result, if set, is called with each frame's result, at the edge at which it
	// is valid.
	Result func(frame uint32, at sim.Cycle)
	// Kind, if set, says what rx_hash will find in a frame. Without it a frame
	// that begins with its Ethernet header has ports, any other is Other.
	Kind func(frame uint32) Kind
}

// newTap returns a stage around a tap, whose results have so many bytes.
func newTap(cfg TapConfig, t tap, bytes uint16, in, out *sim.Wire) sim.Stage {
	w := watch{in, out, t, cfg.Result}
	if cfg.Pass {
		return &passing{w}
	}
	return &results{w, bytes}
}

// watch is a stage with a tap on its input.
type watch struct {
	in, out *sim.Wire
	tap     tap
	report  func(frame uint32, at sim.Cycle)
}

func (w *watch) Ports() (in, out []*sim.Wire) { return []*sim.Wire{w.in}, []*sim.Wire{w.out} }

func (w *watch) Edge(sim.Edges) bool {
	if b, valid := w.tap.result(); valid && w.report != nil {
		w.report(b.Frame, w.in.Clock.Now)
	}
	return w.tap.edge(w.in.Fire(), w.in.Beat)
}

// results is a tap at which the stream ends. Its results wait for nobody.
type results struct {
	watch
	bytes uint16
}

func (r *results) Hasty()  {}
func (r *results) Accept() { r.in.Take(true) }

func (r *results) Offer() {
	b, valid := r.tap.result()
	r.out.Put(valid, sim.Beat{Frame: b.Frame, Dest: b.Dest, Bytes: r.bytes, Left: r.bytes, First: true, Last: true})
}

// passing is a tap on a stream that goes on by wire.
type passing struct{ watch }

func (p *passing) Comb() (valid, ready bool) { return true, true }
func (p *passing) Accept()                   { p.in.Ready, p.in.HdrReady = p.out.Ready, p.out.HdrReady }

func (p *passing) Offer() {
	p.out.Put(p.in.Valid, p.in.Beat)
	p.out.PutHdr(p.in.HdrValid, p.in.Hdr)
}
