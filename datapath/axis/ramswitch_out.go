package axis

import "github.com/meshnic/meshnic/datapath/sim"

// ramFIFO is how many words an output has behind the memory.
const ramFIFO = 32

// ramOut is an output of a RAMSwitch: it takes a command, reads the frame's
// words into a FIFO, and sends them.
type ramOut struct {
	s       *RAMSwitch
	wire    *sim.Wire
	index   int
	command arbiter // among inputs that have a frame for this output
	fifo    [ramFIFO]sim.Beat
	frame   ramCommand // what is being read
	ramOutRegs

	// What the registers show in this cycle.
	read    bool   // ram_rd_ack
	heard   bool   // the input knows that all was read
	take    int    // input whose command is taken, or -1
	offer   uint32 // that command's entry in the input's table
	request uint32 // inputs that have a command and are not granted
}

// ramOutRegs are the registers that count.
type ramOutRegs struct {
	busy   bool   // cmd_valid_reg
	source int    // src_reg
	entry  uint32 // id_reg
	left   uint32 // len_reg: words to read, less one
	done   int32  // words that were read

	reading bool // ram_rd_en_reg

	told       bool // cmd_status_valid_reg
	toldSource int
	toldEntry  uint32 // cmd_status_id_reg

	asked, came, sent uint32 // out_fifo_ctrl_wr_ptr_reg, out_fifo_data_wr_ptr_reg, out_fifo_rd_ptr_reg

	valid bool // out_axis_tvalid_reg
	beat  sim.Beat
}

// look latches what the other ports' registers show.
func (t *ramOut) look() {
	if t.read = t.s.read.grant == t.index; len(t.s.out) == 1 {
		t.read = t.reading
	}
	f := &t.s.from[t.toldSource]
	t.heard = t.told && f.status.grant == t.index && f.answer
	t.take, t.request = -1, 0
	for i := range t.s.from {
		switch f := &t.s.from[i]; {
		case !f.asks || f.table[f.entry].to != t.index:
		case i != t.command.grant:
			t.request |= 1 << i
		case !t.busy:
			t.take, t.offer, t.frame = i, f.entry, f.table[f.entry]
		}
	}
}

// edge loads the registers. word says that a word of this output has come
// through the memory.
func (t *ramOut) edge(word bool) bool {
	old := t.ramOutRegs
	changed := t.command.next(t.request, t.command.grant >= 0 && t.take < 0)
	if t.take >= 0 {
		t.busy, t.source, t.entry = true, t.take, t.offer
		t.left, t.done = t.frame.last, 0
	}
	t.reading = old.reading && !t.read
	t.told = old.told && !t.heard
	if old.busy && !t.told && (!old.reading || t.read) && old.asked-old.sent < ramFIFO {
		t.ask()
	}
	if word {
		t.came++
	}
	t.valid = old.valid && !t.wire.Ready
	if !t.valid && old.sent != old.asked && old.sent != old.came {
		t.valid, t.beat = true, t.fifo[old.sent%ramFIFO]
		t.sent++
	}
	return changed || t.ramOutRegs != old
}

// ask reads the next word of the frame.
func (t *ramOut) ask() {
	width := int32(t.wire.Width)
	b := t.frame.first
	b.Off += t.done * width
	b.First = b.First && t.done == 0
	b.Last = t.left == 0
	b.Bad = b.Last && t.frame.bad
	if b.Bytes = uint16(width); b.Last {
		b.Bytes = t.frame.bytes
	}
	b.Left = uint16(min(int32(t.left)*width+int32(t.frame.bytes), 1<<16-1))
	t.fifo[t.asked%ramFIFO] = b
	t.asked++
	t.done++
	t.reading = true
	if b.Last {
		t.told, t.toldSource, t.toldEntry = true, t.source, t.entry
		t.busy = false
	}
	t.left--
}
