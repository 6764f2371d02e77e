package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func TestTableGolden(t *testing.T) {
	for _, d := range loadSynthetic(t).Documents {
		var b bytes.Buffer
		require.NoError(t, Table(&b, d))
		golden(t, "table-"+slug(d)+".txt", b.Bytes())
		for line := range strings.Lines(b.String()) {
			require.LessOrEqual(t, utf8.RuneCountInString(line), 150, line)
		}
	}
}

// Every column of figures says unit and kind, and no column holds two kinds of time.
func TestColumnsSayTheirUnit(t *testing.T) {
	unit := regexp.MustCompile(`^(conns|hops|n|errors|wall_us .+|ratio p\d\d to \w+|requests/s|gbit/s|cpu_us/request \w+|model_ns .+|emu_us .+|projected_us .+)$`)
	for _, d := range loadSynthetic(t).Documents {
		v := newView(d)
		for _, c := range columns(v)[1:] {
			require.Regexp(t, unit, c.heading())
		}
	}
}

func TestTerminalIsNotSteered(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Table(&b, hostile("\x1b[2J\x07\r\n\u009b")))
	for _, r := range strings.ReplaceAll(b.String(), "\n", "") {
		require.True(t, r >= ' ' && (r < 0x7f || r > 0x9f), "control character %q", r)
	}
}

func TestCSVReadsBack(t *testing.T) {
	for _, d := range loadSynthetic(t).Documents {
		var b bytes.Buffer
		require.NoError(t, CSV(&b, d))
		rows, err := csv.NewReader(&b).ReadAll()
		require.NoError(t, err)
		require.Equal(t, CSVHeader(), rows[0])
		require.Len(t, rows, 1+len(d.Systems), "a row a system, absent ones included")
		for i, s := range d.Systems {
			require.Equal(t, s, readRow(t, rows[i+1]), "%s", label(d))
		}
	}
}

// readRow is the inverse of csvRow, but for the CDF.
func readRow(t *testing.T, row []string) bench.System {
	t.Helper()
	cell := map[string]string{}
	for i, name := range CSVHeader() {
		cell[name] = row[i]
	}
	num := func(name string) float64 {
		if cell[name] == "" {
			return 0
		}
		v, err := strconv.ParseFloat(cell[name], 64)
		require.NoError(t, err, name)
		return v
	}
	want := bench.System{Name: cell["system"], Connections: int(num("connections")), Hops: int(num("hops")),
		N: uint64(num("n")), Errors: uint64(num("errors")), RPS: num("requests_per_s"), Gbps: num("gbit_per_s"),
		Unmodelled: cell["model_ns_null"], Conditions: cell["conditions"]}
	if cell["absent"] != "" {
		reason := cell["absent"]
		want.Absent = &reason
		return want
	}
	want.WallUS = &bench.Quantiles{P50: num("wall_us_p50"), P90: num("wall_us_p90"), P99: num("wall_us_p99"), P999: num("wall_us_p999"), Max: num("wall_us_max")}
	want.Spread = &bench.Spread{P50Min: num("wall_us_p50_min"), P50Max: num("wall_us_p50_max"), P90Min: num("wall_us_p90_min"), P90Max: num("wall_us_p90_max")}
	want.Ratio = &bench.Ratio{P50: num("ratio_p50"), P90: num("ratio_p90")}
	if want.Baseline = cell["own_baseline"]; want.Baseline != "" {
		want.ToBaseline = &bench.Ratio{P50: num("ratio_to_own_baseline_p50"), P90: num("ratio_to_own_baseline_p90")}
	}
	if cell["cpu_us_per_request_services"] != "" {
		want.CPU = &bench.CPU{Generator: num("cpu_us_per_request_generator"), Proxy: num("cpu_us_per_request_proxy"), NIC: num("cpu_us_per_request_nic"), Services: num("cpu_us_per_request_services")}
	}
	if cell["model_ns_p50"] != "" {
		want.ModelNS = &bench.ModelNS{P50: num("model_ns_p50"), PerRequest: num("model_ns_per_request"), Frames: num("frames_per_request"), Lost: uint64(num("model_lost_frames")), Share: num("model_share")}
	}
	if to := cell["like_for_like"]; to != "" {
		want.EmuUS = &bench.Emu{P50: num("emu_us_p50"), P90: num("emu_us_p90"), To: to}
		if cell["projected_us_p50"] != "" {
			want.ProjectedUS = &bench.Projected{P50: num("projected_us_p50"), Low: num("projected_us_low"), High: num("projected_us_high"), To: to, Rule: syntheticRule}
		}
	}
	// The table has no room for a distribution: take it as given.
	for _, d := range syntheticRun() {
		for _, s := range d.Systems {
			if d.Experiment == cell["experiment"] && d.Work == cell["work"] && s.Name == want.Name && s.Connections == want.Connections && s.Hops == want.Hops {
				want.CDF = s.CDF
				if a := s.Added; a != nil {
					want.Added = a
					require.InDelta(t, a.P50US, num("added_us_p50"), 1e-9)
					require.Equal(t, a.Beside["nginx"].RPS, num("requests_per_s_x_nginx"))
					if e, ok := a.Beside["envoy"]; ok {
						require.Equal(t, []float64{*e.AddedP50, e.RPS, *e.CPU}, []float64{num("added_p50_x_envoy"), num("requests_per_s_x_envoy"), num("hop_cpu_x_envoy")})
					}
				}
			}
		}
	}
	return want
}

func TestCSVGolden(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, CSV(&b, syntheticPaths("link", 14, 5)))
	golden(t, "link.csv", b.Bytes())
}

// The keys of "meshnic.bench/1" are a contract: a change of this file that
// removes or renames a line is a new schema.
func TestSchemaIsStable(t *testing.T) {
	d := syntheticPaths("link", 14, 5)
	reason := "SYNTHETIC"
	s := d.Systems[2]
	s.CPU, s.Absent, s.CDF = &bench.CPU{Generator: 1, Proxy: 2, NIC: 3, Services: 4}, &reason, s.CDF[:1]
	d.Systems, d.Work, d.Warnings = []bench.System{s}, "polyglot", []string{"SYNTHETIC"}
	data, err := json.MarshalIndent(d, "", "  ")
	require.NoError(t, err)
	golden(t, "schema.json", append(data, '\n'))

	var back bench.Document
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, d, back)

	var empty map[string]any
	data, err = json.Marshal(bench.System{})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &empty))
	for _, key := range []string{"wall_us", "ratio", "cpu_us_per_request", "model_ns", "absent"} {
		value, ok := empty[key]
		require.True(t, ok && value == nil, "%s is null where there is none, not left out", key)
	}
}
