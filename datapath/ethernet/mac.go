package ethernet

import (
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// MACConfig is fixed when a MAC is built.
type MACConfig struct {
	Tx      TxConfig
	Control bool // PFC_ENABLE or PAUSE_ENABLE: one register each way
}

// NewMACRx adds the receive side of a 10G MAC between an XGMII wire and a wire
// of one clock, 64 or 32 bit wide.
//
// Source: verilog-ethernet rtl/eth_mac_10g.v; mac_ctrl_rx.v is a register that
// ignores ready.
func NewMACRx(s *module.Site, in, out *sim.Wire, c MACConfig) {
	to := out
	if c.Control {
		to = s.Wire("frames", out.Clock, out.Width)
		s.Add("control", &register{in: to, out: out})
	}
	if in.Width == wide {
		s.Add("mac", NewRX64(in, to))
	} else {
		s.Add("mac", NewRX32(in, to))
	}
}

// NewMACTx adds the transmit side of a 10G MAC between a wire and an XGMII wire
// of one clock, 64 or 32 bit wide.
//
// Source: verilog-ethernet rtl/eth_mac_10g.v; mac_ctrl_tx.v with no control
// frame to send is a skid register.
func NewMACTx(s *module.Site, in, out *sim.Wire, c MACConfig) {
	from := in
	if c.Control {
		from = s.Wire("frames", in.Clock, in.Width)
		s.Add("control", axis.NewSkid(in, from))
	}
	if out.Width == wide {
		s.Add("mac", NewTX64(from, out, c.Tx))
	} else {
		s.Add("mac", NewTX32(from, out, c.Tx))
	}
}

// register is a register that takes every beat and waits for nobody.
//
// Source: verilog-ethernet rtl/mac_ctrl_rx.v, USE_READY 0.
type register struct {
	in, out *sim.Wire
	sim.Losses
	valid bool
	beat  sim.Beat
	lost  uint32
}

func (r *register) Ports() (in, out []*sim.Wire) { return []*sim.Wire{r.in}, []*sim.Wire{r.out} }
func (r *register) Hasty()                       {}
func (r *register) Accept()                      { r.in.Take(true) }
func (r *register) Offer()                       { r.out.Put(r.valid, r.beat) }

func (r *register) Edge(sim.Edges) bool {
	if !r.valid && !r.in.Valid {
		return false
	}
	if r.valid && !r.out.Ready && r.lost != r.beat.Frame {
		r.lost = r.beat.Frame
		r.Drop(r.lost, sim.LossFull)
	}
	r.valid, r.beat = r.in.Valid, r.in.Beat
	return true
}

// Parameters of the MACs.
var (
	ifg       = module.Count("cfg_ifg", MinIFG, 0, 200, "inter-frame gap in bytes; 12 is the least")
	dic       = module.Flag("ENABLE_DIC", 1, "deficit idle count")
	padding   = module.Flag("ENABLE_PADDING", 1, "pad to MIN_FRAME_LENGTH")
	minFrame  = module.Count("MIN_FRAME_LENGTH", 64, 32, 1024, "bytes with FCS")
	pfc       = module.Flag("PFC_ENABLE", 0, "priority flow control: one register each way")
	pause     = module.Flag("PAUSE_ENABLE", 0, "pause frames: one register each way; PFC_ENABLE brings it along")
	macWidth  = module.Param{Name: "DATA_WIDTH", Default: 64, Allowed: []float64{32, 64}, Doc: "bus width in bits"}
	onlyWidth = func(bits float64) module.Param {
		return module.Param{Name: "DATA_WIDTH", Default: bits, Allowed: []float64{bits}, Doc: "bus width in bits"}
	}
)

func txConfig(a module.Args) TxConfig {
	return TxConfig{Padding: a.Bool("ENABLE_PADDING"), DIC: a.Bool("ENABLE_DIC"), MinFrame: a.Int("MIN_FRAME_LENGTH"), IFG: a.Int("cfg_ifg")}
}

func macConfig(a module.Args) MACConfig {
	return MACConfig{Tx: txConfig(a), Control: a.Bool("PFC_ENABLE") || a.Bool("PAUSE_ENABLE")}
}

// lineModules are the modules with XGMII on one side.
var lineModules = []module.Module{
	lineStage("axis_xgmii_rx_64", "axis_xgmii_rx_64.v", "64-bit receive MAC", true, []module.Param{onlyWidth(64)},
		func(s *module.Site) { s.Add("", NewRX64(s.In[0], s.Out[0])) }),
	lineStage("axis_xgmii_rx_32", "axis_xgmii_rx_32.v", "32-bit receive MAC", true, []module.Param{onlyWidth(32)},
		func(s *module.Site) { s.Add("", NewRX32(s.In[0], s.Out[0])) }),
	lineStage("axis_xgmii_tx_64", "axis_xgmii_tx_64.v", "64-bit transmit MAC", false,
		[]module.Param{onlyWidth(64), dic, padding, ifg, minFrame},
		func(s *module.Site) { s.Add("", NewTX64(s.In[0], s.Out[0], txConfig(s.Args))) }),
	lineStage("axis_xgmii_tx_32", "axis_xgmii_tx_32.v", "32-bit transmit MAC", false,
		[]module.Param{onlyWidth(32), dic, padding, ifg, minFrame},
		func(s *module.Site) { s.Add("", NewTX32(s.In[0], s.Out[0], txConfig(s.Args))) }),
	lineStage("eth_mac_10g(rx)", "eth_mac_10g.v", "receive side of a 10G MAC", true,
		[]module.Param{macWidth, pfc, pause},
		func(s *module.Site) {
			NewMACRx(s, s.In[0], s.Out[0], MACConfig{Control: s.Args.Bool("PFC_ENABLE") || s.Args.Bool("PAUSE_ENABLE")})
		}),
	lineStage("eth_mac_10g(tx)", "eth_mac_10g.v", "transmit side of a 10G MAC", false,
		[]module.Param{macWidth, pfc, pause, dic, padding, ifg, minFrame},
		func(s *module.Site) { NewMACTx(s, s.In[0], s.Out[0], macConfig(s.Args)) }),
}

// lineStage describes a MAC of DATA_WIDTH; rx: XGMII is its input.
func lineStage(name, file, doc string, rx bool, params []module.Param, build func(*module.Site)) module.Module {
	return module.Module{
		Name: name, Source: source + file, Doc: doc, Params: params, Beside: besideLine(name),
		Ports: func(a module.Args) (in, out []module.Port) {
			width := a.Int("DATA_WIDTH") / 8
			return []module.Port{{Width: width, XGMII: rx}}, []module.Port{{Width: width, XGMII: !rx}}
		},
		Build: build,
	}
}

// besideLine are a MAC's parameters that change no cycle of the half of that name.
func besideLine(name string) []module.Param {
	switch name {
	case "eth_mac_10g(rx)":
		return append(module.Beside("KEEP_WIDTH", "CTRL_WIDTH", "TX_USER_WIDTH", "RX_USER_WIDTH"), dic, padding, ifg, minFrame)
	case "eth_mac_10g(tx)":
		return module.Beside("KEEP_WIDTH", "CTRL_WIDTH", "TX_USER_WIDTH", "RX_USER_WIDTH")
	}
	return module.Beside("KEEP_WIDTH", "CTRL_WIDTH", "USER_WIDTH")
}
