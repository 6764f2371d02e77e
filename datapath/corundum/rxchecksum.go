package corundum

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// sumTap is rx_checksum: a tree of adders with a register at each level and an
// accumulator behind them, which puts out with the last beat. The result is
// valid log2(bytes of the bus) cycles after the last beat.
//
// Source: rx_checksum.v: sum_reg, LEVELS-1 of them, and m_axis_csum_reg.
type sumTap struct{ delay }

func newSumTap(width int) *sumTap { return &sumTap{make(delay, log2(width))} }

func (s *sumTap) edge(moved bool, b sim.Beat) bool {
	if !moved || !b.Last {
		b = sim.Beat{}
	}
	return s.delay.edge(b) || moved
}

// NewRxChecksum returns a receive checksum on a stream of at least 4 bytes a
// beat.
func NewRxChecksum(cfg TapConfig, in, out *sim.Wire) sim.Stage {
	return newTap(cfg, newSumTap(in.Width), 2, in, out)
}

var rxChecksum = module.Module{
	Name:   "rx_checksum",
	Source: source + "rx_checksum.v",
	Doc:    "one's complement sum of received frames: watches a stream, one result a frame",
	Params: []module.Param{
		wide("DATA_WIDTH"),
		module.Count("START_OFFSET", 14, 0, 1024, "bytes that do not count; does not change the timing"),
		passThrough,
	},
	Beside: module.Beside("KEEP_WIDTH"),
	Ports:  tapPorts(2),
	Build: func(s *module.Site) {
		s.Add("", NewRxChecksum(TapConfig{Pass: s.Args.Bool("PASS_THROUGH")}, s.In[0], s.Out[0]))
	},
}

// wide is the width of a bus with an adder tree, whose first level takes 4
// bytes.
func wide(name string) module.Param {
	p := module.Width(name)
	p.Min = 32
	return p
}
