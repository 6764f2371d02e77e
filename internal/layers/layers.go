// Package layers is the table of who may import whom. ARCHITECTURE.md prints
// it, and its test holds the source to it.
package layers

// Module is the module's path.
const Module = "github.com/meshnic/meshnic"

// Layer is one row: a package, the packages of the module it may import, and
// what it is.
type Layer struct {
	Package string   // path below the module; "/..." covers what is below it
	May     []string // paths below the module; "/..." covers what is below it
	Is      string   // what it is, in a few words
}

// Table lists the layers from the bottom up. A package that is not in it may
// not exist.
var Table = []Layer{
	{"datapath/wire", nil, "header views over bytes, checksums, sequence numbers"},
	{"datapath/sim", nil, "cycles and clocks, wires and stages, the two engines"},
	{"datapath/module", []string{"datapath/sim"}, "what a hardware module is: name, parameters, ports, construction"},
	{"datapath", []string{"datapath/wire", "datapath/sim"}, "the words all stages share: Packet, PHV, Stage, Verdict, DropReason"},
	{"datapath/mac", stage, "receive and transmit side of a port"},
	{"datapath/parser", stage, "parse graph: bytes to PHV"},
	{"datapath/matchaction", stage, "exact, LPM and ternary tables; actions"},
	{"datapath/tcp/flowindex", []string{"datapath", "datapath/wire"}, "finds a packet's connection by its addresses"},
	{"datapath/tcp", append([]string{"datapath/tcp/flowindex"}, stage...), "connection tracker"},
	{"datapath/tcp/splice", append([]string{"datapath/tcp/flowindex"}, stage...), "carries requests between connections it answers itself, by their headers alone"},
	{"datapath/deparser", stage, "PHV back to bytes"},
	{"datapath/axis", block, "AXI-Stream plumbing: registers, FIFOs, adapters, crossings, multiplexers, switches"},
	{"datapath/ethernet", append([]string{"datapath/axis"}, block...), "header strip and prepend, IPv4, UDP, checksums, XGMII MACs"},
	{"datapath/corundum", append([]string{"datapath/axis"}, block...), "receive hash and checksum, transmit checksum, ingress, egress and port FIFOs of Corundum"},
	{"datapath/netfpga", block, "input arbiter, port lookups and output queues of the NetFPGA reference designs"},
	{"datapath/card", append([]string{"datapath/axis"}, block...), "modules without an RTL of their own: parser, tables, deparser, DMA, PCIe, MACs by rate, a proxy's: head scanner, flow state, decision tables, head writer"},
	{"datapath/area", []string{"datapath/module"}, "LUT, FF and BRAM of a module as ranges, with their source"},
	{"datapath/pipeline", []string{"datapath/sim", "datapath/module", "datapath/axis", "datapath/ethernet", "datapath/corundum", "datapath/netfpga", "datapath/card", "internal/failure"}, "a pipeline as data: description, YAML, construction, synthetic runs"},
	{"datapath/timing", []string{"datapath", "datapath/sim", "datapath/axis", "datapath/card", "datapath/ethernet", "datapath/pipeline"}, "what a functional pipeline decided, in the cycles of a timed one"},
	{"datapath/trace", []string{"datapath", "datapath/sim", "datapath/pipeline"}, "what moved, as waveform, timeline, capture and waterfall"},
	{"datapath/datapathtest", []string{"datapath", "datapath/wire", "datapath/sim", "datapath/module", "datapath/parser", "datapath/deparser", "datapath/trace"}, "frames and two harnesses for tests of stages: what they decide, and in which cycles"},
	{"datapath/enginetest", []string{"datapath/sim", "datapath/module", "datapath/pipeline", "datapath/axis", "datapath/card", "datapath/ethernet"}, "random pipelines on which the two engines must agree; shrinking, and a failure as a Go test"},

	{"internal/failure", nil, "errors with an exit code, a reason and a next step"},
	{"internal/layers", nil, "this table"},
	{"internal/spawn", []string{"hostif/netns", "internal/failure"}, "starts a process inside namespaces, on given cores"},

	{"hostif", []string{"datapath/wire", "internal/failure"}, "Link: batches of frames in and out"},
	{"hostif/ethtool", host, "offload settings of an interface and its peer, with undo"},
	{"hostif/segment", host, "segmentation and checksums in software"},
	{"hostif/mem", host, "Link in memory"},
	{"hostif/pcap", host, "Link over capture files"},
	{"hostif/fault", append([]string{"hostif/segment"}, host...), "Link with seeded loss, duplication, reordering, corruption, delay"},
	{"hostif/packet", append([]string{"hostif/ethtool", "hostif/segment"}, host...), "Link over AF_PACKET"},
	{"hostif/tap", append([]string{"hostif/ethtool"}, host...), "Link over TAP"},
	{"hostif/xdp", append([]string{"hostif/ethtool"}, host...), "Link over AF_XDP"},
	{"hostif/netns", host, "namespaces, veth, nftables; journalled and undone"},
	{"hostif/tcx", host, "frames that pass one interface, on by another"},
	{"hostif/container", append([]string{"hostif/ethtool"}, host...), "finds running containers and pods, and their veths"},
	{"hostif/attach", []string{"hostif", "hostif/ethtool", "hostif/fault", "hostif/netns", "hostif/packet", "hostif/probe", "hostif/tap", "hostif/tcx", "hostif/xdp", "internal/failure"}, "opens the links of a NIC's ports, and puts them in the way of a veth"},
	{"hostif/probe", nil, "what this host lets us do"},
	{"hostif/hostiftest", []string{"hostif", "hostif/mem", "internal/failure"}, "contract suite of Link; gate for tests with namespaces"},

	{"proxy/http1", []string{"internal/failure"}, "head parser and rewriter, message framing"},
	{"proxy/mesh", []string{"proxy/http1", "internal/failure"}, "what a proxy decides: routes, clusters, endpoints"},
	{"proxy/envoyconf", []string{"proxy/mesh", "internal/failure"}, "Envoy bootstrap files to and from mesh.Config"},
	{"proxy/conformance", nil, "conversations with a proxy in text files, held with any of them"},
	{"proxy/accesslog", []string{"proxy/mesh", "internal/failure"}, "files of access logs, written off the threads that serve"},
	{"proxy/admin", []string{"proxy/mesh", "proxy/envoyconf"}, "the admin listener of a proxy"},
	{"proxy/sidecar", []string{"proxy/accesslog", "proxy/admin", "proxy/http1", "proxy/mesh", "proxy/envoyconf", "internal/failure"}, "the host proxy: mesh over sockets"},

	{"nic", []string{"datapath/...", "datapath", "hostif", "hostif/segment", "internal/failure"}, "the device: pipelines, ports, counters, loop"},

	{"nic/nictest", []string{"datapath/wire"}, "netstacks, lossy cables and HTTP conversations in virtual time, around a card under test"},
	{"nic/offload", []string{"datapath", "datapath/wire", "datapath/sim", "datapath/tcp/splice", "proxy/accesslog", "proxy/admin", "proxy/http1", "proxy/mesh", "internal/failure"}, "the NIC's proxy: mesh over spliced connections"},
	{"nic/control", []string{"nic", "internal/failure"}, "a running NIC's counters over a Unix socket"},

	{"bench/load", []string{"internal/failure"}, "load generator, null server, ping-pong"},
	{"bench/clusterdns", []string{"internal/failure"}, "the name server of a lab's cluster"},
	{"bench/istio", []string{"proxy/mesh", "proxy/envoyconf"}, "sidecars of a cluster's pods: configurations and certificates"},
	{"bench/lab", []string{"bench/clusterdns", "hostif", "hostif/netns", "internal/failure", "internal/spawn"}, "topologies in network namespaces"},
	{"bench/reference", []string{"datapath/module", "datapath/pipeline"}, "the figures of the paper, the cycles of real RTL"},
	{"bench/sweep", []string{"datapath/pipeline", "datapath/module", "datapath/area", "datapath/sim", "internal/failure"}, "a pipeline at many points: plans, shards, resumption, Pareto fronts"},
	{"bench/replay", []string{"datapath", "datapath/card", "datapath/pipeline", "datapath/sim", "datapath/timing", "datapath/trace", "hostif", "nic", "internal/failure"}, "the frames of a capture through a pipeline"},
	{"bench", []string{"bench/clusterdns", "bench/istio", "bench/lab", "bench/load", "bench/replay", "hostif/netns", "hostif/probe", "nic", "nic/control", "proxy/mesh", "proxy/envoyconf", "internal/failure"}, "experiments"},
	{"bench/breakeven", []string{"bench", "datapath", "datapath/module", "datapath/pipeline", "datapath/sim", "datapath/timing", "internal/failure"}, "where a proxy on the card loses against one on a host"},
	{"bench/report", []string{"bench", "bench/reference", "internal/failure"}, "report, tables, figures"},

	{"examples/...", []string{"datapath", "datapath/...", "hostif", "hostif/...", "nic", "bench/lab", "internal/failure", "internal/spawn"}, "one folder, one idea"},
	{"cmd/meshnic", []string{"bench", "bench/...", "datapath/pipeline", "datapath/sim", "datapath/trace", "examples/bookinfo", "hostif", "hostif/...", "nic", "nic/...", "proxy/...", "internal/..."}, "flags, wiring, exit code"},
}

var (
	stage = []string{"datapath", "datapath/wire", "datapath/sim"}
	block = []string{"datapath/sim", "datapath/module"}
	host  = []string{"hostif", "datapath/wire", "internal/failure"}
)
