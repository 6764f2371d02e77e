package report

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/meshnic/meshnic/bench"
)

// CSVHeader is the first row that CSV writes. The columns are part of the
// output contract: new ones are appended.
func CSVHeader() []string {
	return []string{
		"experiment", "work", "system", "connections", "hops", "n", "errors",
		"wall_us_p50", "wall_us_p90", "wall_us_p99", "wall_us_p999", "wall_us_max",
		"wall_us_p50_min", "wall_us_p50_max", "wall_us_p90_min", "wall_us_p90_max",
		"ratio_to", "ratio_p50", "ratio_p90", "requests_per_s", "gbit_per_s",
		"cpu_us_per_request_generator", "cpu_us_per_request_proxy", "cpu_us_per_request_nic", "cpu_us_per_request_services",
		"model_ns_p50", "absent",
		"model_ns_per_request", "frames_per_request", "model_lost_frames",
		"like_for_like", "emu_us_p50", "emu_us_p90", "projected_us_p50", "projected_us_low", "projected_us_high",
		"proxy_memory_kib_idle_1000",
		"added_us_p50", "added_p50_x_envoy", "added_p50_x_haproxy", "requests_per_s_x_envoy", "requests_per_s_x_haproxy", "requests_per_s_x_nginx", "hop_cpu_x_envoy",
		"model_ns_null", "conditions",
		"own_baseline", "ratio_to_own_baseline_p50", "ratio_to_own_baseline_p90",
		"model_share",
	}
}

// CSV writes one row a system in the document's order, absent systems
// included, figures in full precision and empty where there are none.
func CSV(w io.Writer, doc bench.Document) error {
	cw := csv.NewWriter(w)
	cw.Write(CSVHeader()) // an error stays in the writer
	base := newView(doc).base
	for _, s := range doc.Systems {
		cw.Write(csvRow(doc, base, s))
	}
	cw.Flush()
	return wrap("write CSV", cw.Error())
}

func csvRow(doc bench.Document, base string, s bench.System) []string {
	out := []string{doc.Experiment, doc.Work, s.Name, strconv.Itoa(s.Connections), strconv.Itoa(s.Hops)}
	measured := s.Absent == nil && s.WallUS != nil
	num := func(have bool, f ...float64) {
		for _, v := range f {
			text := ""
			if have && finite(v) {
				text = strconv.FormatFloat(v, 'f', -1, 64)
			}
			out = append(out, text)
		}
	}
	if measured {
		out = append(out, fmtUint(s.N), fmtUint(s.Errors))
	} else {
		out = append(out, "", "")
	}
	q, sp, c, ratio := orZero(s.WallUS), orZero(s.Spread), orZero(s.CPU), orZero(s.Ratio)
	num(measured, q.P50, q.P90, q.P99, q.P999, q.Max)
	num(s.Spread != nil, sp.P50Min, sp.P50Max, sp.P90Min, sp.P90Max)
	if s.Ratio != nil {
		out = append(out, base)
	} else {
		out = append(out, "")
	}
	num(s.Ratio != nil, ratio.P50, ratio.P90)
	num(measured, s.RPS)
	num(s.Gbps > 0, s.Gbps)
	num(s.CPU != nil, c.Generator, c.Proxy, c.NIC, c.Services)
	num(s.ModelNS != nil, orZero(s.ModelNS).P50)
	out = append(out, orZero(s.Absent))
	m, e, p := orZero(s.ModelNS), orZero(s.EmuUS), orZero(s.ProjectedUS)
	num(s.ModelNS != nil, m.PerRequest, m.Frames, float64(m.Lost))
	out = append(out, e.To)
	num(s.EmuUS != nil, e.P50, e.P90)
	num(s.ProjectedUS != nil, p.P50, p.Low, p.High)
	num(s.ProxyKiB != nil, float64(orZero(s.ProxyKiB).Idle1000))
	r := row{System: s}
	if s.Added == nil {
		r.Added = &bench.Added{}
	}
	num(s.Added != nil, r.Added.P50US, r.addedTo("envoy"), r.addedTo("haproxy"), r.rpsTo("envoy"), r.rpsTo("haproxy"), r.rpsTo("nginx"), r.hopCPUTo("envoy"))
	out = append(out, s.Unmodelled, s.Conditions, s.Baseline)
	own := orZero(s.ToBaseline)
	num(s.ToBaseline != nil, own.P50, own.P90)
	num(s.ModelNS != nil, m.Share)
	return out
}

func orZero[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
