package corundum

import (
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Ingress is ingress processing with the receive hash: a tap on the input puts
// hashes into a FIFO, and a frame leaves the data FIFO beside it only with its
// hash. The receive checksum taps the same stream; its results leave on a
// channel of their own and never hold the frame up.
//
// Source: mqnic_ingress.v with RX_HASH_ENABLE.
type Ingress struct {
	in, out *sim.Wire
	cfg     IngressConfig
	hash    *hashTap
	sum     *sumTap // nil without RX_CHECKSUM_ENABLE
	data    fifo[sim.Beat]
	hashes  fifo[struct{}]
}

// IngressConfig is what the taps of an ingress report to.
type IngressConfig struct {
	Checksum bool                             // RX_CHECKSUM_ENABLE
	Kind     func(frame uint32) Kind          // as in TapConfig
	Hash     func(frame uint32, at sim.Cycle) // if set, called with each hash
	Sum      func(frame uint32, at sim.Cycle) // if set, called with each checksum
}

// ingressDepth is how many beats, and how many hashes, wait for each other.
//
// Source: mqnic_ingress.v, rx_hash_data_fifo and rx_hash_fifo.
const ingressDepth = 32

// NewIngress returns ingress processing between two wires of one clock.
func NewIngress(cfg IngressConfig, in, out *sim.Wire) *Ingress {
	g := &Ingress{in: in, out: out, cfg: cfg, hash: newHashTap(cfg.Kind), data: newFIFO[sim.Beat](ingressDepth), hashes: newFIFO[struct{}](ingressDepth)}
	if cfg.Checksum {
		g.sum = newSumTap(in.Width)
	}
	return g
}

// Ports returns the input and the output.
func (g *Ingress) Ports() (in, out []*sim.Wire) { return []*sim.Wire{g.in}, []*sim.Wire{g.out} }

// Offer drives the data FIFO's beat once there is a hash.
func (g *Ingress) Offer() { g.out.Put(g.data.some() && g.hashes.some(), g.data.head()) }

// Accept takes beats while the data FIFO has room.
func (g *Ingress) Accept() { g.in.Take(g.data.ready()) }

// Edge clocks the taps and the FIFOs.
func (g *Ingress) Edge(sim.Edges) bool {
	moved, b := g.in.Fire(), g.in.Beat
	take := g.out.Ready && g.hashes.some()
	done := take && g.data.some() && g.data.head().Last
	result, valid := g.hash.result()
	if valid && g.cfg.Hash != nil {
		g.cfg.Hash(result.Frame, g.in.Clock.Now)
	}
	changed := g.hashes.edge(valid, struct{}{}, done)
	changed = g.data.edge(moved, b, take) || changed
	changed = g.hash.edge(moved, b) || changed
	if g.sum == nil {
		return changed
	}
	if result, valid := g.sum.result(); valid && g.cfg.Sum != nil {
		g.cfg.Sum(result.Frame, g.in.Clock.Now)
	}
	return g.sum.edge(moved, b) || changed
}

// Level is what the data FIFO holds, in bytes.
func (g *Ingress) Level() int { return int(g.data.depth) * g.in.Width }

var ingress = module.Module{
	Name:   "mqnic_ingress",
	Source: source + "mqnic_ingress.v",
	Doc:    "ingress processing: receive hash and checksum, frames wait for their hash",
	Stores: true,
	Params: []module.Param{
		wide("AXIS_DATA_WIDTH"),
		module.Flag("RX_HASH_ENABLE", 1, "0: a wire"),
		module.Flag("RX_CHECKSUM_ENABLE", 1, "checksums on a side channel; does not change the timing"),
		module.Count("MAX_RX_SIZE", 2048, 1, 1<<20, "bytes of the longest frame; not used by the RTL"),
	},
	Beside: module.Beside("REQ_TAG_WIDTH", "RX_QUEUE_INDEX_WIDTH", "AXIS_KEEP_WIDTH", "AXIS_ID_WIDTH", "AXIS_DEST_WIDTH", "S_AXIS_USER_WIDTH", "M_AXIS_USER_WIDTH"),
	Ports:  width("AXIS_DATA_WIDTH"),
	Build: func(s *module.Site) {
		if !s.Args.Bool("RX_HASH_ENABLE") {
			s.Add("", axis.NewThrough(s.In[0], s.Out[0]))
			return
		}
		s.Add("", NewIngress(IngressConfig{Checksum: s.Args.Bool("RX_CHECKSUM_ENABLE")}, s.In[0], s.Out[0]))
	},
}
