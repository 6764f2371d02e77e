package card

import (
	"math/bits"

	"github.com/meshnic/meshnic/datapath/module"
)

// Kinds of match, values of KIND.
const (
	Exact = iota
	LPM
	Ternary
)

// Cycles of a lookup. Every kind takes one key a cycle.
//
// exactCycles: NetFPGA/NetFPGA-PLUS@70b333fa269c switch_lite_output_port_lookup,
// simulated at 512 bit: 5 cycles, a CAM of 16 entries whose answer joins the
// delayed data. A hash table takes as many by construction: hash, two for a
// block RAM read with its output register, compare, select.
//
// An LPM table is a trie with a memory a level, so 2 a level (block RAM with
// output register, AMD UG573), one for the key and two to read the result: by
// construction.
//
// A ternary table is the CAM with a longer priority encoder: one register more
// for every 64-fold beyond 16 entries (two levels of 6-input LUTs reduce 36
// lines, four-input carry steps the rest): by construction.
const (
	exactCycles = 5
	trieFixed   = 3
	trieLevel   = 2
	camEntries  = 16
)

// LookupCycles is the latency of a table of a kind.
func LookupCycles(kind, entries, keyBits, stride int) int {
	switch kind {
	case LPM:
		return trieFixed + trieLevel*((keyBits+stride-1)/stride)
	case Ternary:
		return exactCycles + (max(0, bits.Len(uint((entries-1)/camEntries)))+5)/6
	}
	return exactCycles
}

var matchAction = module.Module{
	Name:   "match_action",
	Source: "NetFPGA-PLUS@70b333fa269c switch_lite_output_port_lookup (exact, 5 cycles); LPM and ternary by construction",
	Doc:    "lookup and action, one frame a cycle",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		{Name: "KIND", Default: Exact, Allowed: []float64{Exact, LPM, Ternary}, Doc: "0 exact, 1 LPM, 2 ternary"},
		module.Count("ENTRIES", 4096, 1, 1<<24, "entries"),
		module.Count("KEY_BITS", 128, 1, 1024, "width of the key"),
		module.Count("STRIDE", 8, 1, 32, "LPM: bits of the key a level looks at"),
		module.Count("LATENCY", 0, 0, 1024, "cycles; 0: by KIND"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		a := s.Args
		latency := a.Int("LATENCY")
		if latency == 0 {
			latency = LookupCycles(a.Int("KIND"), a.Int("ENTRIES"), a.Int("KEY_BITS"), a.Int("STRIDE"))
		}
		s.Add("", NewPipe(Config{Latency: latency}, s.In[0], s.Out[0]))
	},
}

// Idle latency of a random read from a card's memory whose page is closed, on an
// Alveo U280: DDR4 89.9 ns (27 cycles of 300 MHz), HBM2 122.2 ns (55 cycles of
// 450 MHz), without the switch between channels.
//
// Source: Wang, Huang, Zhang, Alonso, "Shuhai: Benchmarking High Bandwidth Memory
// on FPGAs", FCCM 2020, table of idle latencies.
const (
	ddr4Nanos = 89.9
	hbmNanos  = 122.2
)

// flowFixed is what a lookup in external memory costs beside the memory: one
// register for the hash, one for the compare. Source: by construction.
const flowFixed = 2

var flowTable = module.Module{
	Name:   "flow_table",
	Source: "Shuhai, FCCM 2020 (DDR4 89.9 ns, HBM 122.2 ns, closed page); the rest by construction",
	Doc:    "table in external memory: every frame waits for its reads, many at a time",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		{Name: "MEMORY", Default: 0, Allowed: []float64{0, 1}, Doc: "0 DDR4, 1 HBM"},
		{Name: "LATENCY_NS", Default: 0, Min: 0, Max: 100_000, Doc: "of one read, in ns; 0: by MEMORY"},
		module.Count("READS", 1, 1, 8, "reads of a lookup, one after the other"),
		module.Count("OUTSTANDING", 64, 1, 4096, "frames whose reads may be under way"),
		module.Count("INTERVAL", 1, 1, 1024, "cycles between two lookups at least (random access rate of the memory)"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		a := s.Args
		ns := a.Float("LATENCY_NS")
		switch {
		case ns != 0:
		case a.Int("MEMORY") == 1:
			ns = hbmNanos
		default:
			ns = ddr4Nanos
		}
		s.Add("", NewPipe(Config{
			Latency:  flowFixed + a.Int("READS")*cycles(picos(ns), s.In[0].Clock),
			Interval: a.Int("INTERVAL"), Frames: a.Int("OUTSTANDING"),
		}, s.In[0], s.Out[0]))
	},
}

// trackCycles is one register where the header is tapped off: the tracker works
// beside the stream, which does not wait for it.
//
// Source: verilog-axis@48ff7a7e2ef7 rtl/axis_register.v, type 2, simulated: 1
// cycle; that taps cost the stream nothing: corundum@1ca0151b97af rx_hash.v.
const trackCycles = 1

var tcpTracker = module.Module{
	Name:   "tcp_tracker",
	Source: "verilog-axis@48ff7a7e2ef7 axis_register.v (1 cycle)",
	Doc:    "connection tracker beside the stream",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		module.Power("FLOWS", 1<<16, 1, 1<<24, "flows it has room for"),
		module.Count("LATENCY", trackCycles, 1, 1024, "cycles"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		s.Add("", NewPipe(Config{Latency: s.Args.Int("LATENCY")}, s.In[0], s.Out[0]))
	},
}
