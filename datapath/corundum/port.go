package corundum

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// portBeats is how many beats of the core's width a port's FIFO holds.
//
// Source: mqnic_port_rx.v and mqnic_port_tx.v: DEPTH(AXIS_SYNC_KEEP_WIDTH*32),
// RAM_PIPELINE(0), whatever AXIS_RX_FIFO_PIPELINE and MAX_RX_SIZE are.
const portBeats = 32

// portRxFIFO is the FIFO of a port's receive side, sync the core's bus width in
// bytes. A MAC cannot wait, so by default it never makes the MAC wait either: a
// frame that finds it full is cut and marked bad, or lost whole.
func portRxFIFO(sync int, useReady bool) axis.FIFOConfig {
	return axis.FIFOConfig{Depth: portBeats * sync, MarkWhenFull: !useReady}
}

// portTxFIFO is the FIFO of a port's transmit side. A MAC cannot pause within a
// frame, so frames are gathered whole; one that is longer than the FIFO leaves
// in pieces.
func portTxFIFO(sync int) axis.FIFOConfig {
	return axis.FIFOConfig{Depth: portBeats * sync, Frame: true}
}

// NewPortRx returns the FIFO of a port's receive side between wires of one
// width, from the MAC's clock to the core's.
func NewPortRx(useReady bool, in, out *sim.Wire) *axis.AsyncFIFO {
	return axis.NewAsyncFIFO(portRxFIFO(out.Width, useReady), in, out)
}

// NewPortTx returns the FIFO of a port's transmit side between wires of one
// width, from the core's clock to the MAC's.
func NewPortTx(in, out *sim.Wire) *axis.AsyncFIFO {
	return axis.NewAsyncFIFO(portTxFIFO(in.Width), in, out)
}

// portParams are what both sides take; side is RX or TX.
func portParams(side string, more ...module.Param) []module.Param {
	mac := module.Width("AXIS_DATA_WIDTH")
	mac.Min, mac.Doc = 16, "bus width of the MAC in bits"
	core := module.Param{
		Name: "AXIS_SYNC_DATA_WIDTH", From: func(a module.Args) float64 { return a["AXIS_DATA_WIDTH"] },
		Min: 16, Max: 1024, Power: true, Doc: "bus width of the core in bits",
	}
	return append([]module.Param{
		mac, core, module.MHz("S_CLK_MHZ"), module.MHz("M_CLK_MHZ"),
		module.Count("AXIS_"+side+"_PIPELINE", 0, 0, 63, "registers of the pipeline in the core's clock"),
		module.Count("AXIS_"+side+"_FIFO_PIPELINE", 2, 0, 16, "not used by the RTL"),
		module.Count("MAX_"+side+"_SIZE", 9214, 1, 1<<20, "bytes of the longest frame; not used by the RTL"),
		module.Flag("PTP_TS_ENABLE", 1, "timestamps beside the stream; does not change the timing"),
		none("APP", "application block in the stream: not modelled"),
		none("MAC_CTRL_ENABLE", "MAC control frames: not modelled"),
		none("PFC_ENABLE", "priority flow control: not modelled"),
		none("LFC_ENABLE", "link flow control: not modelled"),
	}, more...)
}

// none is a parameter that the model has only as 0.
func none(name, doc string) module.Param {
	return module.Param{Name: name, Allowed: []float64{0}, Doc: doc}
}

// portWidths are the bus widths at a port's MAC and at its core, in bytes.
func portWidths(a module.Args) (mac, core int) {
	return a.Int("AXIS_DATA_WIDTH") / 8, a.Int("AXIS_SYNC_DATA_WIDTH") / 8
}

// crossPort puts a port's FIFO on the wider of two wires, with an adapter on
// the narrower's side.
func crossPort(s *module.Site, c axis.FIFOConfig, in, out *sim.Wire) {
	switch {
	case in.Width < out.Width:
		w := s.Wire("wide", in.Clock, out.Width)
		s.Add("adapter", axis.NewUpsizer(in, w))
		in = w
	case in.Width > out.Width:
		w := s.Wire("wide", out.Clock, in.Width)
		s.Add("adapter", axis.NewDownsizer(w, out))
		out = w
	}
	s.Add("", axis.NewAsyncFIFO(c, in, out))
}

func checkPort(c func(module.Args) axis.FIFOConfig) func(module.Args) error {
	return func(a module.Args) error {
		mac, core := portWidths(a)
		if err := c(a).Check(max(mac, core)); err != nil {
			return &module.ParamError{Param: "AXIS_SYNC_DATA_WIDTH", Why: fmt.Sprintf(
				"AXIS_SYNC_DATA_WIDTH is %d: the FIFO behind the MAC, %d bytes, holds less than two words of %d bytes", 8*core, c(a).Depth, max(mac, core))}
		}
		return nil
	}
}

var portRx = module.Module{
	Name:   "mqnic_port_rx",
	Source: source + "mqnic_port_rx.v",
	Doc:    "receive side of a port: FIFO from the MAC's clock to the core's, which ignores ready and cuts frames when full",
	Params: portParams("RX", module.Flag("AXIS_RX_USE_READY", 0, "1: the MAC waits when the FIFO is full; 0: frames are cut and marked, or lost")),
	Beside: module.Beside("PTP_TS_WIDTH", "AXIS_KEEP_WIDTH", "AXIS_RX_USER_WIDTH", "AXIS_SYNC_KEEP_WIDTH", "AXIS_SYNC_RX_USER_WIDTH"),
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		mac, core := portWidths(a)
		return []module.Port{{Width: mac, MHz: a.Float("S_CLK_MHZ")}}, []module.Port{{Width: core, MHz: a.Float("M_CLK_MHZ")}}
	},
	Check: checkPort(portRxConfig),
	Build: func(s *module.Site) {
		out := s.Out[0]
		if n := s.Args.Int("AXIS_RX_PIPELINE"); n > 0 {
			out = s.Wire("pipeline", out.Clock, out.Width)
			s.Add("pipeline", axis.NewPipelineFIFO(n, out, s.Out[0]))
		}
		crossPort(s, portRxConfig(s.Args), s.In[0], out)
	},
}

func portRxConfig(a module.Args) axis.FIFOConfig {
	_, core := portWidths(a)
	return portRxFIFO(core, a.Bool("AXIS_RX_USE_READY"))
}

var portTx = module.Module{
	Name:   "mqnic_port_tx",
	Source: source + "mqnic_port_tx.v",
	Doc:    "transmit side of a port: FIFO of whole frames from the core's clock to the MAC's",
	Params: portParams("TX", module.Flag("TX_CPL_ENABLE", 1, "completions beside the stream; does not change the timing")),
	Beside: module.Beside("PTP_TS_WIDTH", "TX_TAG_WIDTH", "AXIS_KEEP_WIDTH", "AXIS_TX_USER_WIDTH", "AXIS_SYNC_KEEP_WIDTH", "AXIS_SYNC_TX_USER_WIDTH"),
	Stores: true,
	Ports: func(a module.Args) (in, out []module.Port) {
		mac, core := portWidths(a)
		return []module.Port{{Width: core, MHz: a.Float("S_CLK_MHZ")}}, []module.Port{{Width: mac, MHz: a.Float("M_CLK_MHZ")}}
	},
	Check: checkPort(portTxConfig),
	Build: func(s *module.Site) {
		in := s.In[0]
		if n := s.Args.Int("AXIS_TX_PIPELINE"); n > 0 {
			in = s.Wire("pipeline", in.Clock, in.Width)
			s.Add("pipeline", axis.NewPipelineFIFO(n, s.In[0], in))
		}
		crossPort(s, portTxConfig(s.Args), in, s.Out[0])
	},
}

func portTxConfig(a module.Args) axis.FIFOConfig {
	_, core := portWidths(a)
	return portTxFIFO(core)
}
