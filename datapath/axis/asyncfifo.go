package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// AsyncFIFO is a FIFO between two clocks.
//
// Source: verilog-axis rtl/axis_async_fifo.v. The pointers cross as gray code
// through two flops each; the simulated hardware has no metastability, so they
// cross as numbers here. In frame mode the commit pointer crosses by itself: it
// is held while a bit toggles to the read side (three flops) and back (two), and
// commits that come meanwhile are sent together afterwards. First latency: the
// next output edge and 3+RAM_PIPELINE more.
type AsyncFIFO struct {
	writer
	reader
	in, out *sim.Wire

	// In the input's clock.
	rdSync  [2]uint32 // rd_ptr_gray_sync1_reg, sync2
	rdConv  uint32    // rd_ptr_conv_reg
	depth   uint32    // s_depth_reg
	pending bool      // wr_ptr_update_valid_reg
	update  bool      // wr_ptr_update_reg
	sent    uint32    // wr_ptr_sync_commit_reg
	ackSync [2]bool   // wr_ptr_update_ack_sync1_reg, sync2

	// In the output's clock.
	wrSync     [2]uint32 // wr_ptr_gray_sync1_reg, sync2
	updateSync [3]bool   // wr_ptr_update_sync1_reg to sync3
	commitSync uint32    // wr_ptr_commit_sync_reg
}

// NewAsyncFIFO returns a FIFO between two wires of one width.
func NewAsyncFIFO(c FIFOConfig, in, out *sim.Wire) *AsyncFIFO {
	return &AsyncFIFO{writer: newWriter(c, in.Width), reader: newReader(c), in: in, out: out}
}

func (f *AsyncFIFO) Ports() (in, out []*sim.Wire) { return []*sim.Wire{f.in}, []*sim.Wire{f.out} }
func (f *AsyncFIFO) full() bool                   { return f.wr-f.rdSync[1] == f.words }
func (f *AsyncFIFO) Offer()                       { f.offer(f.out) }
func (f *AsyncFIFO) Accept()                      { f.in.Take(f.ready(f.full())) }

// Level is s_status_depth: the words in the RAM as the write side knows them,
// an edge ago.
func (f *AsyncFIFO) Level() int { return int(f.depth) * f.in.Width }

// Edge clocks the side or the sides whose edge it is. What crosses is what the
// other side had before the edge.
func (f *AsyncFIFO) Edge(at sim.Edges) (changed bool) {
	rd, seen := f.rd, f.updateSync[2]
	wr, sent, update := f.wr, f.sent, f.update
	if at.Has(f.out.Clock) {
		changed = f.readSide(wr, sent, update)
	}
	if at.Has(f.in.Clock) {
		changed = f.writeSide(rd, seen) || changed
	}
	return changed
}

// readSide clocks the output's domain: wr, sent and update are registers of the
// input's.
func (f *AsyncFIFO) readSide(wr, sent uint32, update bool) (changed bool) {
	available := f.wrSync[1]
	if f.c.Frame {
		available = f.commitSync
		was := f.updateSync
		f.updateSync = [3]bool{update, was[0], was[1]}
		if was[1] != was[2] {
			f.commitSync = sent
		}
		changed = f.updateSync != was
	}
	was := f.wrSync
	f.wrSync = [2]uint32{wr, was[0]}
	changed = changed || f.wrSync != was
	return f.reader.edge(f.out, &f.writer, available == f.rd) || changed
}

// writeSide clocks the input's domain: rd and seen are registers of the
// output's.
func (f *AsyncFIFO) writeSide(rd uint32, seen bool) (changed bool) {
	idle := f.update == f.ackSync[1]
	depth, full := f.wr-f.rdConv, f.full()
	if f.pending && idle {
		f.cross()
		changed = true
	}
	wrote, committed := f.writer.edge(f.in, full)
	switch {
	case committed && idle:
		f.cross()
	case committed:
		f.pending = true
	}

	sync, ack, conv, was := f.rdSync, f.ackSync, f.rdConv, f.depth
	f.rdConv, f.depth = sync[1], depth
	f.rdSync = [2]uint32{rd, sync[0]}
	f.ackSync = [2]bool{seen, ack[0]}
	return changed || wrote || f.rdSync != sync || f.ackSync != ack || f.rdConv != conv || f.depth != was
}

// cross starts the crossing of the commit pointer.
func (f *AsyncFIFO) cross() {
	f.pending = false
	f.sent = f.commit
	f.update = !f.ackSync[1]
}

// twoClocks are the clocks at a module's input and output.
func twoClocks() []module.Param {
	return []module.Param{module.MHz("S_CLK_MHZ"), module.MHz("M_CLK_MHZ")}
}

var asyncFIFO = module.Module{
	Name:   "axis_async_fifo",
	Source: source + "axis_async_fifo.v",
	Doc:    "FIFO between two clocks, cut-through or by frames",
	Params: append(fifoParams(module.Width("DATA_WIDTH"), keepEnable("KEEP_ENABLE", "DATA_WIDTH")), twoClocks()...),
	Beside: slices.Concat(module.Beside("KEEP_WIDTH", "FRAME_PAUSE"), lasts, sides, marks),
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		width := a.Int("DATA_WIDTH") / 8
		return []module.Port{{Width: width, MHz: a.Float("S_CLK_MHZ")}}, []module.Port{{Width: width, MHz: a.Float("M_CLK_MHZ")}}
	},
	Check: checkFIFO,
	Build: func(s *module.Site) {
		c, _ := fifoArgs(s.Args)
		s.Add("", NewAsyncFIFO(c, s.In[0], s.Out[0]))
	},
}
