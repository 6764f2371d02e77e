package ethernet

import "github.com/meshnic/meshnic/datapath/sim"

// output is the pair of registers at the output of every header stage: one that
// drives the wire and one for the beat that is on its way when the sink stops.
// Its ready is decided a cycle early, without looking at what is on its way: it
// is withdrawn also when nothing comes, which a skid register does not do.
//
// Source: "output datapath logic" in eth_axis_rx.v and the other header stages.
type output struct {
	ready       bool // m_axis_tready_int_reg
	valid, kept bool // m_axis_tvalid_reg, temp_m_axis_tvalid_reg
	beat, temp  sim.Beat
}

// early is whether the registers will take a beat in the next cycle.
func (o *output) early(sink bool) bool { return sink || !o.kept && !o.valid }

// load clocks the registers; valid is what the datapath drives, sink the sink's
// ready. It returns where the beat is to be put, nil if there is none, and
// whether anything changed.
func (o *output) load(sink, valid bool) (b *sim.Beat, changed bool) {
	early := o.early(sink)
	changed = o.valid && sink || early != o.ready
	switch {
	case o.ready && (sink || !o.valid):
		if o.valid = valid; valid {
			b = &o.beat
		}
	case o.ready:
		if o.kept = valid; valid {
			b = &o.temp
		}
	case sink:
		o.valid, o.kept, o.beat = o.kept, false, o.temp
	}
	o.ready = early
	return b, changed || b != nil
}

// header is a register on the header channel.
type header struct {
	valid bool
	sim.Header
}
