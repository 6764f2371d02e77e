package corundum

import (
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Egress is a transmit checksum with a FIFO for its commands: a command reaches
// the checksum 3 cycles after it was accepted.
//
// Source: mqnic_egress.v with TX_CHECKSUM_ENABLE.
type Egress struct {
	in, out  *sim.Wire
	commands fifo[struct{}]
	checksummer
}

// commandDepth is how many commands wait in front of the checksum.
//
// Source: mqnic_egress.v, tx_csum_cmd_fifo.
const commandDepth = 32

// NewEgress returns egress processing between two wires of one clock, with a
// data FIFO of size bytes: MAX_TX_SIZE.
func NewEgress(size int, in, out *sim.Wire) *Egress {
	return &Egress{in, out, newFIFO[struct{}](commandDepth), newChecksummer(in.Width, size, sumDepth)}
}

// Ports returns the input, with its commands, and the output.
func (e *Egress) Ports() (in, out []*sim.Wire) { return []*sim.Wire{e.in}, []*sim.Wire{e.out} }

// Offer drives the output register.
func (e *Egress) Offer() { e.out.Put(e.valid, e.regs.out) }

// Accept takes commands while there is room for them, and beats as the checksum
// does.
func (e *Egress) Accept() { e.in.HdrReady, e.in.Ready = e.commands.ready(), e.takesBeat() }

// Edge clocks both.
func (e *Egress) Edge(sim.Edges) bool {
	takes := e.takesCommand()
	changed := e.edge(takes && e.commands.some(), e.in.Fire(), e.in.Beat, e.out.Ready)
	return e.commands.edge(e.in.HdrFire(), struct{}{}, takes) || changed
}

// Level is what the data FIFO holds, in bytes.
func (e *Egress) Level() int { return int(e.data.depth) * e.in.Width }

var egress = module.Module{
	Name:   "mqnic_egress",
	Source: source + "mqnic_egress.v",
	Doc:    "egress processing: the transmit checksum behind a FIFO of commands",
	Stores: true,
	Params: []module.Param{
		wide("AXIS_DATA_WIDTH"),
		module.Flag("TX_CHECKSUM_ENABLE", 1, "0: a wire, which takes commands and ignores them"),
		module.Count("MAX_TX_SIZE", 2048, 8, 1<<20, "bytes in the data FIFO, rounded up to a power of two beats"),
	},
	Beside: module.Beside("AXIS_KEEP_WIDTH", "AXIS_ID_WIDTH", "AXIS_DEST_WIDTH", "AXIS_USER_WIDTH"),
	Check:  fifoHolds("MAX_TX_SIZE", "AXIS_DATA_WIDTH"),
	Ports:  command("AXIS_DATA_WIDTH"),
	Build: func(s *module.Site) {
		if !s.Args.Bool("TX_CHECKSUM_ENABLE") {
			s.Add("", axis.NewThrough(s.In[0], s.Out[0]))
			return
		}
		s.Add("", NewEgress(s.Args.Int("MAX_TX_SIZE"), s.In[0], s.Out[0]))
	},
}
