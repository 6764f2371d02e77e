package axis

import "github.com/meshnic/meshnic/datapath/sim"

// ramIn is an input of a RAMSwitch: it finds the output, writes words, and
// keeps a table of the frames that are in the memory.
type ramIn struct {
	s      *RAMSwitch
	wire   *sim.Wire
	index  int
	table  []ramCommand
	status arbiter // among outputs that are done with a frame
	ramInRegs

	// What the registers show in this cycle.
	wrote   bool   // ram_wr_ack
	passed  bool   // the output takes the command
	commit  int    // entry of the table that an output is done with, or -1
	request uint32 // outputs that are done with a frame and not granted
}

// ramInRegs are the registers that count. Pointers count on where the RTL's
// wrap.
type ramInRegs struct {
	to    int  // select_reg
	route bool // select_valid_reg
	drop  bool // drop_reg: no output for this frame

	stored uint32 // wr_ptr_reg: behind the last whole frame
	cur    uint32 // wr_ptr_cur_reg
	freed  uint32 // rd_ptr_reg
	words  uint32 // len_reg
	lost   bool   // drop_frame_reg
	first  sim.Beat

	writing bool // ram_wr_en_reg

	start, next, finish uint32 // cmd_table_start_ptr_reg, _read_, _finish_

	asks   bool   // cmd_valid_reg
	entry  uint32 // cmd_id_reg: what the command is about
	answer bool   // cmd_status_ready_reg
}

// ramCommand is an entry of the table.
type ramCommand struct {
	active, done bool // cmd_table_active, cmd_table_commit
	to           int
	end          uint32   // where the frame ends in the memory
	last         uint32   // cmd_table_len: words to read, less one
	first        sim.Beat // the first word
	bytes        uint16   // in the last word
	bad          bool
}

func (f *ramIn) full() bool     { return f.cur-f.freed == uint32(f.s.c.Words) }
func (f *ramIn) oversize() bool { return f.cur-f.stored == uint32(f.s.c.Words) }

func (f *ramIn) granted() bool {
	if len(f.s.in) == 1 {
		return f.writing
	}
	return f.s.write.grant == f.index
}

func (f *ramIn) ready() bool {
	return f.drop || f.route && (!f.writing || f.granted()) &&
		(!f.full() || f.oversize() || f.s.c.DropWhenFull) && f.start-f.finish < uint32(len(f.table))
}

// look latches what the other ports' registers show.
func (f *ramIn) look() {
	f.wrote = f.granted()
	f.passed = false
	if f.asks {
		t := &f.s.to[f.table[f.entry].to]
		f.passed = t.command.grant == f.index && !t.busy
	}
	f.commit, f.request = -1, 0
	for o := range f.s.to {
		switch t := &f.s.to[o]; {
		case !t.told || t.toldSource != f.index:
		case o == f.status.grant:
			f.commit = int(t.toldEntry)
		default:
			f.request |= 1 << o
		}
	}
}

func (f *ramIn) edge() bool {
	old := f.ramInRegs
	changed := f.status.next(f.request, f.status.grant >= 0 && !(f.commit >= 0 && old.answer))
	f.writing = old.writing && !f.wrote
	f.decode(&old)
	if f.wire.Fire() && old.route && !old.drop {
		f.store(&old)
	}
	f.asks = old.asks && !f.passed
	if e := &f.table[old.next%uint32(len(f.table))]; !old.asks && e.active && old.next != old.start && (!old.writing || f.wrote) {
		f.asks, f.entry = true, old.next%uint32(len(f.table))
		f.next++
	}
	free := &f.table[old.finish%uint32(len(f.table))]
	finished := free.active && free.done && old.finish != old.start
	if f.answer = f.commit >= 0; f.answer {
		f.table[f.commit].done = true
	}
	if finished {
		f.freed = free.end
		f.finish++
		free.active = false
	}
	return changed || f.ramInRegs != old
}

// decode finds the output of the frame whose first word stands there.
func (f *ramIn) decode(old *ramInRegs) {
	w := f.wire
	switch {
	case w.Fire() && w.Beat.Last:
		f.route, f.drop = false, false
	case w.Valid && !old.route && !old.drop:
		f.to = f.s.c.Output(w.Beat.Dest)
		if f.route = f.to < len(f.s.out); !f.route {
			f.to, f.drop = 0, true
			f.s.Drop(w.Beat.Frame, sim.LossNoRoute)
		}
	}
}

// store takes a word. A frame that does not fit is dropped; the RTL leaves
// len_reg as it is then, so the next frame is read longer by the words that had
// been stored of this one.
func (f *ramIn) store(old *ramInRegs) {
	b := f.wire.Beat
	if f.full() || f.oversize() || old.lost {
		if !old.lost {
			why := sim.LossFull
			if f.oversize() {
				why = sim.LossOversize
			}
			f.s.Drop(b.Frame, why)
		}
		if f.lost = !b.Last; b.Last {
			f.cur = f.stored
		}
		return
	}
	if f.cur == f.stored {
		f.first = b
	}
	f.cur++
	f.writing = true
	f.words++
	if !b.Last {
		return
	}
	f.words = 0
	if f.s.c.DropBad && b.Bad {
		f.cur = f.stored
		f.s.Drop(b.Frame, sim.LossBad)
		return
	}
	f.table[f.start%uint32(len(f.table))] = ramCommand{active: true, to: f.to, end: f.cur,
		last: old.words % uint32(f.s.c.Words), first: f.s.c.forward(f.first), bytes: b.Bytes, bad: b.Bad}
	f.stored = f.cur
	f.start++
}
