package corundum

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// checksummer is tx_checksum without its ports. A command opens the input for
// one frame, whose beats go into a data FIFO and through an adder tree; a frame
// leaves the FIFO only when its sum stands at the output of the checksum FIFO.
// That holds with csum_enable 0 too: the sum is then there, but not inserted.
//
// Source: tx_checksum.v.
type checksummer struct {
	data fifo[sim.Beat]
	sums fifo[struct{}]
	regs
}

// regs are the module's registers outside its FIFOs.
type regs struct {
	transfer bool     // transfer_in_reg: a command is taken, its frame is coming in
	sum      [8]level // sum_valid_reg, sum_last_reg; the last level is top
	top      int
	result   bool // csum_in_valid_reg

	frame bool // frame_reg: the frame at the data FIFO's output may leave

	ready       bool // m_axis_tready_int_reg
	valid, temp bool // m_axis_tvalid_reg, temp_m_axis_tvalid_reg
	out, held   sim.Beat
}

// level is a level of the adder tree.
type level struct{ valid, last bool }

func newChecksummer(width, dataDepth, sumDepth int) checksummer {
	return checksummer{
		data: newFIFO[sim.Beat](dataDepth / width),
		sums: newFIFO[struct{}](sumDepth),
		regs: regs{top: log2(width) - 2, ready: true},
	}
}

// takesCommand and takesBeat are the ready signals of the two inputs.
func (c *checksummer) takesCommand() bool { return c.sums.ready() && !c.transfer }
func (c *checksummer) takesBeat() bool    { return c.sums.ready() && c.transfer && c.data.ready() }

// edge clocks the module: command and moved say what was accepted at its
// inputs, taken that its output is ready.
func (c *checksummer) edge(command, moved bool, b sim.Beat, taken bool) bool {
	old, free := c.regs, c.sums.ready()
	leaving := c.data.some() && old.ready && old.frame
	beat := c.data.head()

	if command {
		c.transfer = true
	} else if moved && b.Last {
		c.transfer = false
	}
	c.add(free, moved, b.Last)

	if old.frame {
		c.frame = !(leaving && beat.Last)
	} else {
		c.frame = c.sums.some()
	}

	c.ready = taken || !old.temp && !old.valid
	switch {
	case old.ready && (taken || !old.valid):
		c.valid, c.out = leaving, beat
	case old.ready:
		c.temp, c.held = leaving, beat
	case taken:
		c.valid, c.out, c.temp = old.temp, old.held, false
	}

	changed := c.data.edge(moved, b, old.ready && old.frame)
	changed = c.sums.edge(old.result, struct{}{}, !old.frame) || changed
	return changed || c.regs != old
}

// add clocks the adder tree, which stands while the checksum FIFO is full.
func (c *checksummer) add(free, moved, last bool) {
	c.result = free && c.sum[c.top].valid && c.sum[c.top].last
	if free {
		copy(c.sum[1:c.top+1], c.sum[:c.top])
		c.sum[0].valid = false
	}
	if moved {
		c.sum[0] = level{true, last}
	}
}

// TxChecksum is the transmit checksum. The command of a frame comes over the
// input's header side channel.
type TxChecksum struct {
	in, out *sim.Wire
	checksummer
}

// TxChecksumConfig are the depths of a transmit checksum's FIFOs.
type TxChecksumConfig struct {
	DataDepth int // bytes
	SumDepth  int // frames
}

// NewTxChecksum returns a transmit checksum between two wires of one clock and
// at least 4 bytes a beat.
func NewTxChecksum(cfg TxChecksumConfig, in, out *sim.Wire) *TxChecksum {
	return &TxChecksum{in, out, newChecksummer(in.Width, cfg.DataDepth, cfg.SumDepth)}
}

// Ports returns the input, with its commands, and the output.
func (t *TxChecksum) Ports() (in, out []*sim.Wire) { return []*sim.Wire{t.in}, []*sim.Wire{t.out} }

// Offer drives the output register.
func (t *TxChecksum) Offer() { t.out.Put(t.valid, t.regs.out) }

// Accept takes a command between frames, and beats within one.
func (t *TxChecksum) Accept() { t.in.HdrReady, t.in.Ready = t.takesCommand(), t.takesBeat() }

// Edge clocks the module.
func (t *TxChecksum) Edge(sim.Edges) bool {
	return t.edge(t.in.HdrFire(), t.in.Fire(), t.in.Beat, t.out.Ready)
}

// Level is what the data FIFO holds, in bytes.
func (t *TxChecksum) Level() int { return int(t.data.depth) * t.in.Width }

// sumDepth is tx_checksum's CHECKSUM_FIFO_DEPTH as it is by default and in
// mqnic_egress.
const sumDepth = 64

var txChecksum = module.Module{
	Name:   "tx_checksum",
	Source: source + "tx_checksum.v",
	Doc:    "transmit checksum: a command a frame, store and forward",
	Stores: true,
	Params: []module.Param{
		wide("DATA_WIDTH"),
		module.Flag("csum_enable", 1, "the command's csum_enable; does not change the timing"),
		module.Flag("USE_INIT_VALUE", 0, "start from the command's value; does not change the timing"),
		module.Count("DATA_FIFO_DEPTH", 4096, 8, 1<<20, "bytes in the data FIFO, rounded up to a power of two beats"),
		module.Count("CHECKSUM_FIFO_DEPTH", sumDepth, 2, 1<<16, "sums in the checksum FIFO, rounded up to a power of two"),
	},
	Beside: module.Beside("KEEP_WIDTH", "ID_ENABLE", "ID_WIDTH", "DEST_ENABLE", "DEST_WIDTH", "USER_ENABLE", "USER_WIDTH"),
	Check:  fifoHolds("DATA_FIFO_DEPTH", "DATA_WIDTH"),
	Ports:  command("DATA_WIDTH"),
	Build: func(s *module.Site) {
		cfg := TxChecksumConfig{DataDepth: s.Args.Int("DATA_FIFO_DEPTH"), SumDepth: s.Args.Int("CHECKSUM_FIFO_DEPTH")}
		s.Add("", NewTxChecksum(cfg, s.In[0], s.Out[0]))
	},
}

// fifoHolds refuses a FIFO of less than two beats.
func fifoHolds(depth, width string) func(module.Args) error {
	return func(a module.Args) error {
		if n := a.Int(width) / 8; a.Int(depth) < 2*n {
			return &module.ParamError{Param: depth, Why: fmt.Sprintf("%s is %d, want at least two beats of %d bytes", depth, a.Int(depth), n)}
		}
		return nil
	}
}
