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

// Tap is a stage around a tap.
type Tap struct {
	in, out *sim.Wire
	cfg     TapConfig
	bytes   uint16 // of a result
	tap     tap
}

// Ports returns the stream and the output.
func (t *Tap) Ports() (in, out []*sim.Wire) { return []*sim.Wire{t.in}, []*sim.Wire{t.out} }

// Comb reports the wire through a tap that lets the stream pass.
func (t *Tap) Comb() (valid, ready bool) { return t.cfg.Pass, t.cfg.Pass }

// Offer drives the stream or the result.
func (t *Tap) Offer() {
	if t.cfg.Pass {
		t.out.Put(t.in.Valid, t.in.Beat)
		t.out.PutHdr(t.in.HdrValid, t.in.Hdr)
		return
	}
	b, valid := t.tap.result()
	t.out.Put(valid, sim.Beat{Frame: b.Frame, Dest: b.Dest, Bytes: t.bytes, Left: t.bytes, First: true, Last: true})
}

// Accept drives ready: always, where the stream ends here.
func (t *Tap) Accept() {
	if t.cfg.Pass {
		t.in.Ready, t.in.HdrReady = t.out.Ready, t.out.HdrReady
		return
	}
	t.in.Take(true)
}

// Edge clocks the tap.
func (t *Tap) Edge(sim.Edges) bool {
	if b, valid := t.tap.result(); valid && t.cfg.Result != nil {
		t.cfg.Result(b.Frame, t.in.Clock.Now)
	}
	return t.tap.edge(t.in.Fire(), t.in.Beat)
}
