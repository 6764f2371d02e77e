package report

import (
	"math"
	"strconv"

	"github.com/meshnic/meshnic/bench"
)

// column is one figure of a row: the same list serves the terminal, the HTML
// tables and the CSV, so that a unit is written once.
type column struct {
	unit  string // unit and kind: "wall_us", "model_ns"; empty for counts and names
	name  string
	left  bool // text, not a number
	value func(*view, *row) float64
	text  func(*view, *row) string // instead of value
	cell  func(*view, float64) string
	part  part
	share float64          // of a quantile: 0.99; needs enough requests to mean something
	page  bool             // not in the terminal, which is narrow
	when  func(*view) bool // shown only if true; nil means always
}

// part says in which of a document's tables a column stands.
type part int

const (
	both part = iota
	latency
	cost
)

// heading is the column's header in one line: "wall_us p90".
func (c column) heading() string {
	switch {
	case c.unit == "":
		return c.name
	case c.name == "":
		return c.unit
	}
	return c.unit + " " + c.name
}

func (c column) display(v *view, r *row) string {
	if c.text != nil {
		return oneLine(c.text(v, r))
	}
	return c.cell(v, c.value(v, r))
}

// weak reports whether a quantile rests on less than one request beyond it in
// each repeat, so that it is little more than the maximum.
func (c column) weak(v *view, r *row) bool {
	return c.share > 0 && float64(r.N)/float64(max(v.Manifest.Repeats, 1))*(1-c.share) < 1
}

func us(_ *view, f float64) string { return fmtUS(f) }
func ratio(v *view, f float64) string {
	return fmtRatio(f, ratioDigits(v.Experiment))
}
func count(_ *view, f float64) string {
	if !finite(f) {
		return none
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

func wall(name string, share float64, q func(*bench.Quantiles) float64) column {
	return column{unit: "wall_us", name: name, share: share, part: latency, cell: us,
		value: func(_ *view, r *row) float64 { return q(r.WallUS) }}
}

func cpu(name string, q func(*bench.CPU) float64) column {
	return column{unit: "cpu_us/request", name: name, part: cost, cell: us,
		value: func(_ *view, r *row) float64 {
			if r.CPU == nil {
				return math.NaN()
			}
			return q(r.CPU)
		},
		when: func(v *view) bool { return v.any(func(r row) bool { return r.CPU != nil }) }}
}

// columns of a document's tables, in order.
func columns(v *view) []column {
	toBase := "to " + v.base
	list := []column{
		{name: "system", left: true, text: func(_ *view, r *row) string { return r.Name }},
		{name: "conns", cell: count, value: func(_ *view, r *row) float64 { return float64(r.Connections) }},
		{name: "hops", cell: count, value: func(_ *view, r *row) float64 { return float64(r.Hops) }},
		{name: "n", part: latency, cell: count, value: func(_ *view, r *row) float64 { return float64(r.N) }},
		{name: "errors", part: latency, cell: count, value: func(_ *view, r *row) float64 { return float64(r.Errors) }},
		wall("p50", .5, func(q *bench.Quantiles) float64 { return q.P50 }),
		wall("p90", .9, func(q *bench.Quantiles) float64 { return q.P90 }),
		wall("p99", .99, func(q *bench.Quantiles) float64 { return q.P99 }),
		wall("p99.9", .999, func(q *bench.Quantiles) float64 { return q.P999 }),
		wall("max", 0, func(q *bench.Quantiles) float64 { return q.Max }),
		{unit: "wall_us", name: "p50 min..max", part: latency, page: true, text: spread50, when: hasSpread},
		{unit: "wall_us", name: "p90 min..max", part: latency, text: spread90, when: hasSpread},
		{unit: "ratio p50", name: toBase, part: latency, cell: ratio, value: func(v *view, r *row) float64 { return v.ratioP50(r) }},
		{unit: "ratio p90", name: toBase, part: latency, cell: ratio, value: func(v *view, r *row) float64 { return v.ratioP90(r) }},
		{unit: "ratio p90", name: "to " + balancedBase, part: latency, cell: ratio, value: balanced90,
			when: func(v *view) bool { return v.any(func(r row) bool { return r.Balanced != nil }) }},
		{unit: "ratio p90", name: "to " + v.own, part: latency, page: true, cell: ratio, value: own90, when: func(v *view) bool { return v.own != "" }},
		{unit: "requests/s", part: cost, cell: us, value: func(_ *view, r *row) float64 { return r.RPS }},
		{unit: "gbit/s", part: cost, cell: us, value: gbps,
			when: func(v *view) bool { return v.any(func(r row) bool { return r.Gbps > 0 }) }},
		cpu("generator", func(c *bench.CPU) float64 { return c.Generator }),
		cpu("proxy", func(c *bench.CPU) float64 { return c.Proxy }),
		cpu("nic", func(c *bench.CPU) float64 { return c.NIC }),
		cpu("services", func(c *bench.CPU) float64 { return c.Services }),
		{unit: "proxy MiB", name: "at 1000 idle", part: cost, cell: us, value: idleMiB,
			when: func(v *view) bool { return v.any(func(r row) bool { return r.ProxyKiB != nil }) }},
	}
	return shown(v, append(list, modelColumns()...))
}

// modelColumns are the times that are not wall time; in HTML they have a table
// of their own.
func modelColumns() []column {
	return []column{
		card("a request", func(m *bench.ModelNS) float64 { return m.PerRequest }),
		{unit: "emu_us", name: "p50 a request", part: cost, cell: us, value: emuUS,
			when: func(v *view) bool { return v.any(func(r row) bool { return r.EmuUS != nil }) }},
		{unit: "projected_us", name: "p50 a request", part: cost, cell: us, value: projectedUS,
			when: func(v *view) bool { return v.any(func(r row) bool { return r.ProjectedUS != nil }) }},
	}
}

// card is a figure of the modelled card.
func card(name string, of func(*bench.ModelNS) float64) column {
	return column{unit: "model_ns", name: name, part: cost, cell: us,
		value: func(_ *view, r *row) float64 {
			if r.ModelNS == nil {
				return math.NaN()
			}
			return of(r.ModelNS)
		},
		when: func(v *view) bool { return v.any(func(r row) bool { return r.ModelNS != nil }) }}
}

func shown(v *view, list []column) []column {
	var out []column
	for _, c := range list {
		if c.when == nil || c.when(v) {
			out = append(out, c)
		}
	}
	return out
}

func balanced90(_ *view, r *row) float64 {
	if r.Balanced == nil {
		return math.NaN()
	}
	return r.Balanced.P90
}

func own90(v *view, r *row) float64 {
	if r.ToBaseline == nil || r.Baseline != v.own {
		return math.NaN()
	}
	return r.ToBaseline.P90
}

func gbps(_ *view, r *row) float64 {
	if r.Gbps == 0 {
		return math.NaN()
	}
	return r.Gbps
}

func idleMiB(_ *view, r *row) float64 {
	if r.ProxyKiB == nil {
		return math.NaN()
	}
	return float64(r.ProxyKiB.Idle1000) / 1024
}

func emuUS(_ *view, r *row) float64 {
	if r.EmuUS == nil {
		return math.NaN()
	}
	return r.EmuUS.P50
}

func projectedUS(_ *view, r *row) float64 {
	if r.ProjectedUS == nil {
		return math.NaN()
	}
	return r.ProjectedUS.P50
}

func hasSpread(v *view) bool {
	return v.any(func(r row) bool { return r.Spread != nil })
}

func spread50(_ *view, r *row) string {
	if r.Spread == nil {
		return none
	}
	return between(r.Spread.P50Min, r.Spread.P50Max)
}

func spread90(_ *view, r *row) string {
	if r.Spread == nil {
		return none
	}
	return between(r.Spread.P90Min, r.Spread.P90Max)
}

func between(low, high float64) string { return fmtUS(low) + ".." + fmtUS(high) }
