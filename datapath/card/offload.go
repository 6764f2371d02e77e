package card

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Memories, values of MEMORY of what has tables of its own.
const (
	OnChip = iota
	DDR4
	HBM
	BySize // on chip if it fits there, else HBM
)

// updateCycles is what the state of a connection costs a segment beside the
// memory: it is read, computed with and written back. Two 32-bit sums one after
// the other (a number and its translation), a comparison, the register in front of
// the memory's write port: 4.
//
// Source: an estimate, by construction, 3 to 10: no open RTL of a splice exists, and
// what open TCP engines have (fpga-network-stack's rx_engine, in HLS) is for more
// than this one does.
const updateCycles = 4

// entryBytes is the state of a connection: addresses and ports 36, neighbour 14, eight
// numbers 32, timestamps 16, windows, flags and links 30.
//
// Source: datapath/tcp/splice's conn, without what only software needs.
const entryBytes = 128

// onChipKiB is what a table may take of a card's UltraRAM: half of an Alveo U280's
// (XCVU37P: 960 blocks of 288 Kbit, AMD DS890), the rest being for what else is on
// the card. An estimate, 8 to 32 MiB.
const onChipKiB = 16 << 10

// AccessCycles is what an access to a table in a memory takes at clock d, the hash
// and the comparison included; ns, if it is not 0, is the memory's latency.
//
// On the card's own memory it is that of match_action's exact table: hash, two for
// the RAM with its output register (AMD UG573), compare, select.
func AccessCycles(memory int, ns float64, d *sim.Domain) int {
	switch {
	case ns == 0 && memory == OnChip:
		return exactCycles
	case ns == 0 && memory == HBM:
		ns = hbmNanos
	case ns == 0:
		ns = ddr4Nanos
	}
	return flowFixed + cycles(picos(ns), d)
}

// memoryParams are the parameters of a table in one of the memories.
func memoryParams(memory, entry, reads float64, doc string) []module.Param {
	return []module.Param{
		{Name: "MEMORY", Default: memory, Allowed: []float64{OnChip, DDR4, HBM, BySize}, Doc: "0 on chip, 1 DDR4, 2 HBM, 3 on chip if the table fits into ONCHIP_KIB, else HBM"},
		module.Count("ENTRY_BYTES", entry, 1, 4096, "bytes of an entry"),
		module.Count("ONCHIP_KIB", onChipKiB, 1, 1<<20, "KiB on chip that there are for the table"),
		{Name: "ACCESS_NS", Default: 0, Min: 0, Max: 100_000, Doc: "latency of one access, in ns; 0: by MEMORY"},
		module.Count("ACCESSES", reads, 0, 64, doc),
		module.Count("MAX_ACCESSES", 16, 1, 64, "most that a frame waits for"),
		module.Count("OUTSTANDING", 64, 1, 4096, "frames whose accesses may be under way"),
		module.Count("INTERVAL", 1, 1, 1024, "cycles between two accesses at least (random access rate of the memory)"),
	}
}

// accesses is the Pipe of a stage in which frames wait for a table.
func accesses(s *module.Site, entries, latency int) sim.Stage {
	a := s.Args
	memory := a.Int("MEMORY")
	if memory == BySize {
		if memory = OnChip; entries*a.Int("ENTRY_BYTES") > a.Int("ONCHIP_KIB")<<10 {
			memory = HBM
		}
	}
	return NewPipe(Config{
		Latency: latency, Read: AccessCycles(memory, a.Float("ACCESS_NS"), s.In[0].Clock),
		Reads: a.Int("ACCESSES"), MaxReads: a.Int("MAX_ACCESSES"), Frames: a.Int("OUTSTANDING"), Interval: a.Int("INTERVAL"),
	}, s.In[0], s.Out[0])
}

// flowState's ACCESSES: the connection a segment came on and the one it goes on by.
var flowState = module.Module{
	Name:   "flow_state",
	Source: "Shuhai, FCCM 2020 (DDR4 89.9 ns, HBM 122.2 ns, closed page); on chip as match_action's exact table; UPDATE an estimate, 3 to 10",
	Doc:    "handshakes and the state of spliced connections: a segment waits for what is known of its connection, and of the one that it is joined to",
	Params: append(append([]module.Param{
		module.Width("DATA_WIDTH"),
		module.Power("FLOWS", 1<<16, 1, 1<<24, "connections it has room for"),
	}, memoryParams(BySize, entryBytes, 2, "to memory, of a frame of which no program says so, one after the other")...),
		module.Count("UPDATE", updateCycles, 1, 1024, "cycles from the last access to the first beat out")),
	Ports: same,
	Build: func(s *module.Site) { s.Add("", accesses(s, s.Args.Int("FLOWS"), s.Args.Int("UPDATE"))) },
}

// decideLookups are those of a request through one listener: virtual host by
// authority, route by path, cluster by weight, endpoint in the ring or Maglev table.
// Where each lies by its key in a hash table they take one access each. Source:
// proxy/mesh; that prefixes and regular expressions of routes are compiled into such a
// table is an estimate, 1 to 8 accesses.
const decideLookups = 4

// routeBytes is a key of up to 48 bytes and an answer of 16: an estimate, 4 (a place
// in a Maglev table) to 128.
const routeBytes = 64

// decideCycles is a register for the key and one for the verdict: by construction.
const decideCycles = 2

var routeTable = module.Module{
	Name:   "route_table",
	Source: "as match_action's exact table (NetFPGA-PLUS@70b333fa269c, 5 cycles) each; how many: proxy/mesh, an estimate of 1 to 8",
	Doc:    "decides where a request goes: lookups in the tables of virtual hosts, routes, clusters and endpoints, one after the other",
	Params: append(append([]module.Param{
		module.Width("DATA_WIDTH"),
		module.Power("ENTRIES", 1<<16, 1, 1<<24, "of the largest table: 65,537 places of a Maglev table need 2^17"),
	}, memoryParams(BySize, routeBytes, decideLookups, "of a frame of which no program says so, one after the other")...),
		module.Count("LATENCY", decideCycles, 1, 1024, "cycles beside the lookups")),
	Ports: same,
	Build: func(s *module.Site) { s.Add("", accesses(s, s.Args.Int("ENTRIES"), s.Args.Int("LATENCY"))) },
}

// Cycles and bytes of the stage that writes heads.
//
// rewriteCycles: verilog-ethernet@77320a9471d1 rtl/eth_axis_tx.v, simulated: 2 cycles to
// put a header in front; one more for the shifter that brings what follows a head of any
// length to its place: by construction.
//
// writeBytes is an estimate, 8 to 64: a head is put together field by field, a field or 16
// bytes of it a cycle; the fields that Envoy passes on have about 30 bytes.
//
// newHead, of a frame of which no program says so: the head of hop's request, 230 bytes,
// and x-forwarded-proto, x-request-id and x-envoy-expected-rq-timeout-ms, 110 bytes, which
// proxy/mesh adds.
const (
	rewriteCycles = 3
	writeBytes    = 16
	newHead       = 340
	growHead      = 110
)

var headRewrite = module.Module{
	Name:   "head_rewrite",
	Source: "verilog-ethernet@77320a9471d1 eth_axis_tx.v (2 cycles) and a shifter (1); BYTES_PER_CYCLE an estimate, 8 to 64",
	Doc:    "writes the new head of a message, and frames of the card's own in front of those that are the reason for them",
	Params: []module.Param{
		module.Width("DATA_WIDTH"),
		module.Count("BYTES_PER_CYCLE", writeBytes, 1, 1024, "bytes written in a cycle"),
		module.Count("WRITTEN", newHead, 0, maxHead, "bytes that are new of a frame of which no program says so"),
		module.Count("GROW", growHead, -4096, 4096, "bytes that such a frame leaves longer; negative: shorter"),
		module.Count("LATENCY", rewriteCycles, 1, 1024, "cycles"),
	},
	Ports: same,
	Build: func(s *module.Site) {
		a := s.Args
		s.Add("", NewRewriter(RewriterConfig{
			Latency: a.Int("LATENCY"), Rate: a.Int("BYTES_PER_CYCLE"), Written: a.Int("WRITTEN"), Grow: a.Int("GROW"), MaxGrow: maxHead,
		}, s.In[0], s.Out[0]))
	},
}
