package ethernet

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// headerModules are the modules that take headers off or put them in front.
var headerModules = []module.Module{
	headerStage("eth_axis_rx", "takes the Ethernet header off", 0, anyWidth, false, true,
		func(s *module.Site) sim.Stage { return NewAxisRx(s.In[0], s.Out[0]) }),
	headerStage("eth_axis_tx", "puts the Ethernet header in front", ethBytes, anyWidth, true, false,
		func(s *module.Site) sim.Stage { return NewAxisTx(s.In[0], s.Out[0]) }),
	headerStage("ip_eth_rx_64", "takes the IPv4 header off and verifies its checksum", ethBytes, nil, true, true,
		func(s *module.Site) sim.Stage { return NewIPRx(s.In[0], s.Out[0]) }),
	headerStage("udp_ip_rx_64", "takes the UDP header off", ethBytes+ipBytes, nil, true, true,
		func(s *module.Site) sim.Stage { return NewUDPRx(s.In[0], s.Out[0]) }),
	headerStage("ip_eth_tx_64", "puts the IPv4 header in front", ethBytes+ipBytes, nil, true, true,
		func(s *module.Site) sim.Stage { return NewIPTx(s.In[0], s.Out[0]) }),
	headerStage("udp_ip_tx_64", "puts the UDP header in front", ethBytes+ipBytes+udpBytes, nil, true, true,
		func(s *module.Site) sim.Stage { return NewUDPTx(s.In[0], s.Out[0]) }),
	headerStage("udp_checksum_gen_64", "sums UDP datagrams: payload FIFO and header FIFO", ethBytes+ipBytes+udpBytes,
		[]module.Param{
			module.Count("PAYLOAD_FIFO_DEPTH", 2048, 16, 1<<24, "payload FIFO in bytes"),
			module.Count("HEADER_FIFO_DEPTH", 8, 1, 1<<16, "header FIFO in headers"),
		}, true, true,
		func(s *module.Site) sim.Stage {
			return NewChecksumGen(s.In[0], s.Out[0], ChecksumGenConfig{
				PayloadBytes: s.Args.Int("PAYLOAD_FIFO_DEPTH"), Headers: s.Args.Int("HEADER_FIFO_DEPTH")})
		}),
}

// anyWidth is the parameter of the modules that are not bound to 64 bit.
var anyWidth = []module.Param{module.Width("DATA_WIDTH")}

// headerStage describes a module with one input and one output of the same
// width, 64 bit unless it has a parameter for it; inner bytes of the Ethernet
// frame are not on its input.
func headerStage(name, doc string, inner int, params []module.Param, hdrIn, hdrOut bool, build func(*module.Site) sim.Stage) module.Module {
	var beside []module.Param
	if slices.ContainsFunc(params, func(p module.Param) bool { return p.Name == "DATA_WIDTH" }) {
		beside = append(module.Beside("KEEP_WIDTH"), module.Always("KEEP_ENABLE", 1, "beats that are not full have their tkeep"))
	}
	return module.Module{
		Name: name, Source: source + name + ".v", Doc: doc, Params: params, Beside: beside, Inner: inner,
		Ports: func(a module.Args) (in, out []module.Port) {
			width := wide
			if _, ok := a["DATA_WIDTH"]; ok {
				width = a.Int("DATA_WIDTH") / 8
			}
			return []module.Port{{Width: width, Header: hdrIn}}, []module.Port{{Width: width, Header: hdrOut}}
		},
		Build: func(s *module.Site) { s.Add("", build(s)) },
	}
}
