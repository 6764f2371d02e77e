package card

import "github.com/meshnic/meshnic/datapath/module"

// Cycles of the header stages at 512 bit, first beat in to first beat out.
//
// parseCycles and deparseCycles: alexforencich/verilog-ethernet@77320a9471d1
// rtl/eth_axis_rx.v and rtl/eth_axis_tx.v, simulated: 2 cycles to strip, 2 to
// prepend a header of 14 bytes. A parser for more headers does the same a beat
// at a time: by construction.
//
// verifyCycles: corundum/corundum@1ca0151b97af fpga/common/rtl/mqnic_ingress.v,
// simulated: data waits 6 cycles in a FIFO beside the checksum's pipeline.
const (
	parseCycles   = 2
	deparseCycles = 2
	verifyCycles  = 6
)

// Its functional twin, datapath/parser, has the same constants.
var parser = module.Module{
	Name:   "parser",
	Source: "verilog-ethernet@77320a9471d1 eth_axis_rx.v (2 cycles), corundum@1ca0151b97af mqnic_ingress.v (6 with VERIFY)",
	Doc:    "header parser: streams, and holds a frame until HEADERS bytes are in",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		module.Count("HEADERS", 54, 1, 512, "bytes of headers that make up the header vector (54: Ethernet, IPv4, TCP without options)"),
		module.Flag("VERIFY", 0, "verify checksums beside the stream"),
		module.Count("LATENCY", parseCycles, 1, 1024, "cycles from the header's last beat in to the first beat out, without VERIFY"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		latency := s.Args.Int("LATENCY")
		if s.Args.Bool("VERIFY") {
			latency += verifyCycles
		}
		s.Add("", NewPipe(Config{Latency: latency, Head: s.Args.Int("HEADERS")}, s.In[0], s.Out[0]))
	},
}

var deparser = module.Module{
	Name:   "deparser",
	Source: "verilog-ethernet@77320a9471d1 eth_axis_tx.v (2 cycles)",
	Doc:    "writes headers back; PUSH bytes more, or less, in front of every frame",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		module.Count("PUSH", 0, -256, 256, "bytes put in front of every frame; negative: taken off"),
		module.Count("LATENCY", deparseCycles, 1, 1024, "cycles"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		s.Add("", NewPipe(Config{Latency: s.Args.Int("LATENCY"), Push: s.Args.Int("PUSH")}, s.In[0], s.Out[0]))
	},
}

// scanCycles is what the scanner adds behind the last byte of the head: a
// register for the class of each byte, one for the state, one for the verdict.
//
// Source: by construction; no open RTL of such a scanner was simulated.
const scanCycles = 3

// maxHead is the longest head the offload gathers (docs: TCP on the NIC).
const maxHead = 60 << 10

var scanner = module.Module{
	Name:   "l7_scanner",
	Source: "by construction: one pass, BYTES_PER_CYCLE a cycle, 3 registers",
	Doc:    "HTTP/1 head scanner: holds a frame until its head is scanned, passes what follows",
	Stores: true,
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		module.Count("BYTES_PER_CYCLE", 8, 1, 128, "bytes scanned in a cycle"),
		module.Count("HEADERS", 0, 0, 512, "bytes at a frame's front that are no head and need no scan"),
		module.Count("HEAD_BYTES", 256, 1, maxHead, "bytes of headers and head in a frame that begins a request; a shorter frame is all head"),
		module.Count("HEAD_MAX", maxHead, 1, maxHead, "bytes after which the scanner gives up and lets the frame go"),
		module.Power("BUFFER", 2048, 64, 1<<20, "bytes of memory for what comes while a head is scanned, beyond the longest head"),
		module.Count("LATENCY", scanCycles, 1, 1024, "cycles from the head's last byte scanned to the first beat out"),
	},
	Ports: same,
	Build: func(s *module.Site) { s.Add("", NewPipe(ScannerConfig(s.Args, s.In[0].Width), s.In[0], s.Out[0])) },
}

// ScannerConfig is the Pipe of an l7_scanner on a bus of width bytes.
func ScannerConfig(a module.Args, width int) Config {
	return Config{
		Latency: a.Int("LATENCY"), Rate: a.Int("BYTES_PER_CYCLE"), Known: a.Int("HEADERS"),
		Head: min(a.Int("HEAD_BYTES"), a.Int("HEAD_MAX")), MaxHead: a.Int("HEAD_MAX"), Places: a.Int("BUFFER") / width,
	}
}
