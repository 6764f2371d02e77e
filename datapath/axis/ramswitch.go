package axis

import "github.com/meshnic/meshnic/datapath/sim"

// RAMSwitchConfig is fixed when a switch is built.
type RAMSwitchConfig struct {
	Route
	Arbitration
	Words        int  // of the shared memory, for each input (FIFO_DEPTH); a power of two
	Commands     int  // frames an input may have in the memory (CMD_FIFO_DEPTH); a power of two
	Pipeline     int  // registers behind the memory (RAM_PIPELINE)
	DropWhenFull bool // an input is always ready
	DropBad      bool // frames marked bad are not forwarded
}

// RAMSwitch stores frames in a memory that all ports share and forwards them
// when they are complete. The memory has one write and one read port, which the
// inputs and outputs share round robin; its words are wide enough for all of
// them together. An input that has stored a frame passes a command to the
// output; the output reads the words into a FIFO of 32 and, having asked for
// the last, tells the input, which frees the space.
//
// Source: verilog-axis rtl/axis_ram_switch.v without the adapters between the
// ports' width and the memory's.
type RAMSwitch struct {
	sim.Losses
	c     RAMSwitchConfig
	in    []*sim.Wire
	out   []*sim.Wire
	from  []ramIn
	to    []ramOut
	write arbiter
	read  arbiter
	pipe  []int // mem_read_data_valid_reg: the output whose word is in each register, or -1
}

// sharing is how the ports share the memory, whatever ARB_* say.
var sharing = Arbitration{RoundRobin: true, LSBFirst: true}

// NewRAMSwitch returns a switch whose ports are as wide as its memory, for at
// most 16 inputs and outputs.
func NewRAMSwitch(c RAMSwitchConfig, in, out []*sim.Wire) *RAMSwitch {
	s := &RAMSwitch{c: c, in: in, out: out, from: make([]ramIn, len(in)), to: make([]ramOut, len(out)),
		write: newArbiter(len(in), sharing), read: newArbiter(len(out), sharing), pipe: make([]int, c.Pipeline)}
	for i := range s.from {
		s.from[i] = ramIn{s: s, wire: in[i], index: i, table: make([]ramCommand, c.Commands),
			status: newArbiter(len(out), c.Arbitration)}
	}
	for o := range s.to {
		s.to[o] = ramOut{s: s, wire: out[o], index: o, command: newArbiter(len(in), c.Arbitration)}
	}
	for i := range s.pipe {
		s.pipe[i] = -1
	}
	return s
}

func (s *RAMSwitch) Ports() (in, out []*sim.Wire) { return s.in, s.out }

func (s *RAMSwitch) Offer() {
	for o, w := range s.out {
		w.Put(s.to[o].valid, s.to[o].beat)
	}
}

func (s *RAMSwitch) Accept() {
	for i, w := range s.in {
		w.Take(s.from[i].ready())
	}
}

// Edge first looks at what the registers of all ports show each other, then
// loads them.
func (s *RAMSwitch) Edge(sim.Edges) bool {
	var writes, reads uint32
	for i := range s.from {
		f := &s.from[i]
		if f.look(); f.writing && !f.wrote {
			writes |= 1 << i
		}
	}
	for o := range s.to {
		t := &s.to[o]
		if t.look(); t.reading && !t.read {
			reads |= 1 << o
		}
	}
	issued := s.read.grant // the read port's address register
	if len(s.out) == 1 {
		issued = -1
		if s.to[0].reading {
			issued = 0
		}
	}
	changed := false
	for i := range s.from {
		if s.from[i].edge() {
			changed = true
		}
	}
	arrived := s.pipe[len(s.pipe)-1]
	for o := range s.to {
		if s.to[o].edge(arrived == o) {
			changed = true
		}
	}
	if s.shift(issued) {
		changed = true
	}
	if len(s.in) > 1 && s.write.next(writes, false) {
		changed = true
	}
	if len(s.out) > 1 && s.read.next(reads, false) {
		changed = true
	}
	return changed
}

// shift moves the registers behind the memory.
func (s *RAMSwitch) shift(word int) bool {
	busy := word >= 0
	for i := range s.pipe {
		busy = busy || s.pipe[i] >= 0
		s.pipe[i], word = word, s.pipe[i]
	}
	return busy
}

// Level is the words that the inputs' frames occupy, in bytes.
func (s *RAMSwitch) Level() int {
	n := 0
	for i := range s.from {
		n += int(s.from[i].cur - s.from[i].freed)
	}
	return n * s.in[0].Width
}
