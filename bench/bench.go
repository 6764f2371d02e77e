// Package bench runs meshnic's experiments: the same work through different
// systems, interleaved in one run, and writes one document per experiment.
package bench

// Schema is the "schema" field of every Document.
const Schema = "meshnic.bench/1"

// Document is what one experiment prints with -o json.
type Document struct {
	Schema     string   `json:"schema"`
	Experiment string   `json:"experiment"`     // "curl", "link", "hop", "bookinfo"
	Work       string   `json:"work,omitempty"` // bookinfo: "polyglot", "native", "paper"
	Manifest   Manifest `json:"manifest"`
	Systems    []System `json:"systems"`
	// ModelCheck is the card's account of one stretch of the traffic; nil without
	// a card, and in experiments that have none.
	ModelCheck *ModelCheck `json:"model_check,omitempty"`
	Warnings   []string    `json:"warnings,omitempty"` // why a figure is not to be trusted (exit code 8)
}

// Manifest says what ran where, so that a run can be repeated and compared.
type Manifest struct {
	Started string   `json:"started"` // RFC 3339
	Command []string `json:"command"`
	Seed    uint64   `json:"seed"`
	Version string   `json:"version"`
	Kernel  string   `json:"kernel"`
	// TCPCongestion is the congestion control of every connection: the host's, which
	// namespaces inherit. Bulk figures depend on it.
	TCPCongestion string            `json:"tcp_congestion_control,omitempty"`
	CPU           string            `json:"cpu"`
	Cores         int               `json:"cores"`
	MemoryMiB     int               `json:"memory_mib"`
	Load1         float64           `json:"load1"` // load average over one minute when the run began
	Root          bool              `json:"root"`
	Repeats       int               `json:"repeats"`
	Binaries      map[string]Binary `json:"binaries"`  // by program name
	Files         map[string]string `json:"files"`     // configuration files in the run folder: name to sha256
	Placement     map[string]string `json:"placement"` // process to cores, "0" or "0,1"
	Notes         []string          `json:"notes,omitempty"`
}

// Binary identifies a program that took part.
type Binary struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"`
}

// System is one system at one number of connections: a row of the table.
type System struct {
	Name        string `json:"name"`
	Connections int    `json:"connections"`
	Hops        int    `json:"hops"`   // proxies or NICs in the path of one request
	N           uint64 `json:"n"`      // requests measured
	Errors      uint64 `json:"errors"` // requests that failed or were answered wrongly
	// Varies is what is different from system VariantOf, for a system that shows what
	// one cause does; it is in no chart.
	Varies    string `json:"varies,omitempty"`
	VariantOf string `json:"variant_of,omitempty"`
	// Conditions are what the proxies or NICs do with a request; empty without one.
	Conditions string `json:"conditions,omitempty"`

	WallUS *Quantiles `json:"wall_us"` // measured here, the emulation's own cost included
	// Ratio is to the first system of the experiment at the same connections:
	// the median over repeats of the ratio within a repeat.
	Ratio *Ratio `json:"ratio"`
	// ToBaseline is the same to Baseline, for a system that has one of its own: that
	// of the paper's for its Kubernetes systems.
	Baseline   string  `json:"baseline,omitempty"`
	ToBaseline *Ratio  `json:"ratio_to_baseline,omitempty"`
	Spread     *Spread `json:"spread,omitempty"` // of p50 and p90 over the repeats
	RPS        float64 `json:"requests_per_s"`
	Gbps       float64 `json:"gbit_per_s,omitempty"` // link: bulk TCP payload; hop: bodies of 4 MiB; median over the repeats that have it
	CPU        *CPU    `json:"cpu_us_per_request"`
	// Opened is how many TCP connections the hosts opened a request, the generator's
	// among them; a NIC's are not hosts'.
	Opened *float64 `json:"connections_opened_per_request,omitempty"`
	// ProxyKiB is null where it was not looked at: hop looks in the rows of one
	// proxy and its fewest connections.
	ProxyKiB *ProxyMemory `json:"proxy_memory_kib,omitempty"`
	ModelNS  *ModelNS     `json:"model_ns"` // cycles of the modelled card over its clock; nil if no card is in the path
	// Unmodelled says why model_ns is null though a NIC is in the path.
	Unmodelled string `json:"model_ns_null,omitempty"`
	EmuUS      *Emu   `json:"emu_us,omitempty"`
	// ProjectedUS is nil without a card, or without its like-for-like system.
	ProjectedUS *Projected `json:"projected_us,omitempty"`
	Added       *Added     `json:"added,omitempty"` // hop: beyond the path without a proxy or NIC

	CDF    []Point `json:"cdf,omitempty"` // wall_us against cumulative share
	Absent *string `json:"absent"`        // why there are no figures
}

// Quantiles of a latency distribution; the key of the enclosing field has the unit.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Ratio of quantiles to those of the baseline.
type Ratio struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// Spread is the smallest and largest of a quantile over the repeats, in us.
type Spread struct {
	P50Min float64 `json:"p50_min_us"`
	P50Max float64 `json:"p50_max_us"`
	P90Min float64 `json:"p90_min_us"`
	P90Max float64 `json:"p90_max_us"`
}

// CPU is host CPU time a request, microseconds, by who spent it.
type CPU struct {
	Generator float64 `json:"generator"`
	Proxy     float64 `json:"proxy"`
	NIC       float64 `json:"nic"` // the kernel threads in which hosts receive from it included
	Services  float64 `json:"services"`
}

// ProxyMemory is a proxy's resident memory, KiB.
type ProxyMemory struct {
	Idle1000 int64 `json:"idle_1000"` // with 1,000 idle connections, each of which had a request
}

// ModelNS is time on the modelled card, ns.
type ModelNS struct {
	P50        float64 `json:"p50"`                // of a frame
	PerRequest float64 `json:"per_request"`        // all frames of a request, one after the other; the median over the repeats
	Frames     float64 `json:"frames_per_request"` // crossings of the card
	Lost       uint64  `json:"lost_frames"`        // that the card had no room for, over all repeats
	Share      float64 `json:"share"`              // of the frames that were counted, and stand for all; the median over the repeats
}

// Point of a cumulative distribution.
type Point struct {
	WallUS float64 `json:"wall_us"`
	Share  float64 `json:"share"` // 0 to 1
}
