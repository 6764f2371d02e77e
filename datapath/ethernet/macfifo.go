package ethernet

import (
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// MACFIFOConfig is fixed when a MAC with a FIFO is built.
type MACFIFOConfig struct {
	Tx   TxConfig
	FIFO axis.FIFOConfig
}

// NewMACFIFORx adds the receive side of a 10G MAC and the FIFO that takes its
// frames to another clock and width: in is an XGMII wire of the MAC's clock.
//
// Source: verilog-ethernet rtl/eth_mac_10g_fifo.v.
func NewMACFIFORx(s *module.Site, in, out *sim.Wire, c MACFIFOConfig) {
	from := s.Wire("frames", in.Clock, in.Width)
	NewMACRx(s, in, from, MACConfig{})
	addFIFO(s, from, out, c.FIFO)
}

// NewMACFIFOTx adds the FIFO that takes frames to the clock and width of the
// transmit side of a 10G MAC, and the MAC: out is an XGMII wire of its clock.
//
// Source: verilog-ethernet rtl/eth_mac_10g_fifo.v.
func NewMACFIFOTx(s *module.Site, in, out *sim.Wire, c MACFIFOConfig) {
	to := s.Wire("frames", out.Clock, out.Width)
	addFIFO(s, in, to, c.FIFO)
	NewMACTx(s, to, out, MACConfig{Tx: c.Tx})
}

// addFIFO is axis_async_fifo_adapter: the FIFO on the wider side, the adapter in
// the clock of the narrow one. The FIFO stands for the module.
func addFIFO(s *module.Site, in, out *sim.Wire, c axis.FIFOConfig) {
	switch {
	case in.Width < out.Width:
		words := s.Wire("words", in.Clock, out.Width)
		s.Add("adapter", axis.NewUpsizer(in, words))
		in = words
	case in.Width > out.Width:
		words := s.Wire("words", out.Clock, in.Width)
		s.Add("adapter", axis.NewDownsizer(words, out))
		out = words
	}
	s.Add("", axis.NewAsyncFIFO(c, in, out))
}

// fifoParams are the parameters of one side's FIFO, with the RTL's defaults;
// full is that of DROP_WHEN_FULL.
func fifoParams(side string, full func(module.Args) float64) []module.Param {
	like := func(name string) func(module.Args) float64 {
		return func(a module.Args) float64 { return a.Float(side + name) }
	}
	follows := func(name string, from func(module.Args) float64, doc string) module.Param {
		return module.Param{Name: side + name, Allowed: []float64{0, 1}, From: from, Doc: doc}
	}
	return []module.Param{
		module.Count(side+"FIFO_DEPTH", 4096, 2, 1<<24, "RAM in bytes, rounded up to a power of two of bus words"),
		module.Count(side+"FIFO_RAM_PIPELINE", 1, 0, 16, "registers behind the RAM"),
		module.Flag(side+"FRAME_FIFO", 1, "store a frame whole before passing it on"),
		follows("DROP_OVERSIZE_FRAME", like("FRAME_FIFO"), "drop frames larger than the RAM; default "+side+"FRAME_FIFO"),
		follows("DROP_BAD_FRAME", like("DROP_OVERSIZE_FRAME"), "drop frames marked bad; default "+side+"DROP_OVERSIZE_FRAME"),
		follows("DROP_WHEN_FULL", full, "drop frames that find no room"),
	}
}

func fifoConfig(a module.Args, side string) axis.FIFOConfig {
	return axis.FIFOConfig{
		Depth:        a.Int(side + "FIFO_DEPTH"),
		Pipeline:     a.Int(side + "FIFO_RAM_PIPELINE"),
		Frame:        a.Bool(side + "FRAME_FIFO"),
		DropOversize: a.Bool(side + "DROP_OVERSIZE_FRAME"),
		DropBad:      a.Bool(side + "DROP_BAD_FRAME"),
		DropWhenFull: a.Bool(side + "DROP_WHEN_FULL"),
	}
}

// fifoStage describes a MAC with a FIFO, 64 bit wide on the line's side; other are
// the parameters of its other half.
func fifoStage(name, doc, side string, rx bool, params, other []module.Param, build func(*module.Site)) module.Module {
	width := module.Param{Name: "AXIS_DATA_WIDTH", Default: 64, Min: 8, Max: 1024, Power: true, Doc: "bus width in bits"}
	return module.Module{
		Name: name, Source: source + "eth_mac_10g_fifo.v", Doc: doc, Stores: true,
		Params: append([]module.Param{onlyWidth(64), width, module.MHz("MAC_MHZ"), module.MHz("LOGIC_MHZ")}, params...),
		Beside: append(module.Beside("CTRL_WIDTH", "AXIS_KEEP_ENABLE", "AXIS_KEEP_WIDTH", "TX_USER_WIDTH", "RX_USER_WIDTH"), other...),
		Ports: func(a module.Args) (in, out []module.Port) {
			line := []module.Port{{Width: wide, MHz: a.Float("MAC_MHZ"), XGMII: true}}
			logic := []module.Port{{Width: a.Int("AXIS_DATA_WIDTH") / 8, MHz: a.Float("LOGIC_MHZ")}}
			if rx {
				return line, logic
			}
			return logic, line
		},
		Check: func(a module.Args) error {
			return fifoConfig(a, side).CheckAs(side, max(a.Int("AXIS_DATA_WIDTH")/8, wide))
		},
		Build: build,
	}
}

var (
	rxFIFO = fifoParams("RX_", func(a module.Args) float64 { return a.Float("RX_DROP_OVERSIZE_FRAME") })
	txFIFO = append(fifoParams("TX_", nil), dic, padding, ifg, minFrame)
)

var fifoModules = []module.Module{
	fifoStage("eth_mac_10g_fifo(rx)", "receive side of a 10G MAC with a FIFO between two clocks", "RX_", true, rxFIFO, txFIFO,
		func(s *module.Site) {
			NewMACFIFORx(s, s.In[0], s.Out[0], MACFIFOConfig{FIFO: fifoConfig(s.Args, "RX_")})
		}),
	fifoStage("eth_mac_10g_fifo(tx)", "transmit side of a 10G MAC with a FIFO between two clocks", "TX_", false, txFIFO, rxFIFO,
		func(s *module.Site) {
			NewMACFIFOTx(s, s.In[0], s.Out[0], MACFIFOConfig{Tx: txConfig(s.Args), FIFO: fifoConfig(s.Args, "TX_")})
		}),
}
