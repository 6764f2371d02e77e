package axis

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// aroundFIFO puts a width adapter and a FIFO in a row between the wires of a
// site: the FIFO on the wider side, the adapter in its narrow side's clock.
func aroundFIFO(s *module.Site, fifo func(c FIFOConfig, in, out *sim.Wire) sim.Stage) {
	in, out := s.In[0], s.Out[0]
	c, _ := adapterArgs(s.Args)
	switch {
	case out.Width > in.Width:
		pre := s.Wire("pre", in.Clock, out.Width)
		s.Add("adapter", NewUpsizer(in, pre))
		s.Add("", fifo(c, pre, out))
	case out.Width < in.Width:
		post := s.Wire("post", out.Clock, in.Width)
		s.Add("", fifo(c, in, post))
		s.Add("adapter", NewDownsizer(post, out))
	default:
		s.Add("", fifo(c, in, out))
	}
}

// adapterArgs is the FIFO's configuration and width.
func adapterArgs(a module.Args) (c FIFOConfig, width int) {
	width = max(a.Int("S_DATA_WIDTH"), a.Int("M_DATA_WIDTH")) / 8
	return fifoConfig(a, width, true), width
}

func checkAdapter(a module.Args) error {
	c, width := adapterArgs(a)
	return c.Check(width)
}

var fifoAdapter = module.Module{
	Name:   "axis_fifo_adapter",
	Source: source + "axis_fifo_adapter.v",
	Doc:    "FIFO with a bus width adapter",
	Params: fifoParams(twoWidths()...),
	Beside: slices.Concat(twoKeeps, module.Beside("FRAME_PAUSE"), sides, marks),
	Stores: true,
	Ports:  adapter.Ports,
	Check:  checkAdapter,
	Build: func(s *module.Site) {
		aroundFIFO(s, func(c FIFOConfig, in, out *sim.Wire) sim.Stage { return NewFIFO(c, in, out) })
	},
}

var asyncFIFOAdapter = module.Module{
	Name:   "axis_async_fifo_adapter",
	Source: source + "axis_async_fifo_adapter.v",
	Doc:    "FIFO between two clocks with a bus width adapter",
	Params: append(fifoParams(twoWidths()...), twoClocks()...),
	Beside: slices.Concat(twoKeeps, module.Beside("FRAME_PAUSE"), sides, marks),
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		in, out = adapter.Ports(a)
		in[0].MHz, out[0].MHz = a.Float("S_CLK_MHZ"), a.Float("M_CLK_MHZ")
		return in, out
	},
	Check: checkAdapter,
	Build: func(s *module.Site) {
		aroundFIFO(s, func(c FIFOConfig, in, out *sim.Wire) sim.Stage { return NewAsyncFIFO(c, in, out) })
	},
}
