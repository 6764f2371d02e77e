package sweep

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
)

// load knows what is built in, and nothing else.
func load(name string) (*pipeline.Description, error) {
	d, _, ok := pipeline.Load(name)
	if !ok {
		return nil, &NoPipeline{fs.ErrNotExist}
	}
	return d, nil
}

func parsePlan(t testing.TB, text string) *Plan {
	t.Helper()
	p, err := ParsePlan([]byte(text), "plan.yaml", load)
	require.NoError(t, err)
	return p
}

// inline is a plan over a pipeline given as YAML.
func inline(t testing.TB, stages, text string) *Plan {
	t.Helper()
	p, err := ParsePlan([]byte("pipeline: here\n"+text), "plan.yaml", func(string) (*pipeline.Description, error) {
		return pipeline.Parse([]byte(stages), "here")
	})
	require.NoError(t, err)
	return p
}

func TestPlan(t *testing.T) {
	p := parsePlan(t, `
schema: meshnic.sweep-plan/1
pipeline: passthrough-100g
vary:
  clock_mhz: [300, 322.265625]
  "rx_cross.M_CLK_MHZ, tx_cross.S_CLK_MHZ": 200..250:+50
traffic: {bytes: [60, 1514], gap: 0..4:+4, sink: [none, alt50]}
chart: latency:throughput
`)
	require.Equal(t, 2*2*2*2*2, p.Size())
	require.Equal(t, Chart{Y: "latency", X: "throughput"}, p.Chart)
	require.Equal(t, Traffic{
		Bytes: []int{60, 1514}, Frames: []int{64}, Gap: []int{0, 4}, Sink: []string{"none", "alt50"}, Inputs: []int{1}, Phases: 1, Engine: "maxplus", Dest: "0",
	}, p.Traffic, "defaults; maxplus unless told otherwise")

	// The first dimension changes slowest, traffic fastest.
	seen := map[string]bool{}
	for i := range p.Size() {
		row := strings.Join(p.Settings(&Point{
			Vary: p.Setting(i).Vary, Bytes: p.Setting(i).Traffic.Bytes, Gap: p.Setting(i).Traffic.Gap, Sink: p.Setting(i).Traffic.Sink,
		})[1:], " ")
		require.False(t, seen[row], "point %d is there twice: %s", i, row)
		seen[row] = true
	}
	require.Equal(t, 300.0, p.Setting(15).Vary["clock_mhz"])
	require.Equal(t, 322.265625, p.Setting(16).Vary["clock_mhz"])
	require.Equal(t, "alt50", p.Setting(1).Traffic.Sink)

	// Two targets take the same value; the clock of the input takes along what
	// says the same frequency.
	s := p.Setting(15)
	d := p.Describe(s)
	require.Equal(t, []float64{300, 250}, []float64{d.Stages[1].Params["S_CLK_MHZ"], d.Stages[1].Params["M_CLK_MHZ"]})
	require.Equal(t, 300.0, d.ClockMHz)
	require.Equal(t, []float64{250, 300}, []float64{d.Stages[6].Params["S_CLK_MHZ"], d.Stages[6].Params["M_CLK_MHZ"]})
	fresh, _, _ := pipeline.Load("passthrough-100g")
	require.Equal(t, fresh.Stages[1].Params, p.Pipeline.Stages[1].Params, "the plan's own pipeline stays as it is")
}

func TestWordsAreWordsOfTheHelp(t *testing.T) {
	for _, w := range wordNames() {
		require.Contains(t, Words(), "  "+w+"  ", "a word stands apart from what it says")
	}
}

func TestWords(t *testing.T) {
	const stages = `
stages:
  - {module: axis_fifo, name: a, DATA_WIDTH: 64, DEPTH: 512}
  - {module: axis_adapter, name: up, S_DATA_WIDTH: 64, M_DATA_WIDTH: 256}
  - {module: match_action, name: table, DATA_WIDTH: 256, ENTRIES: 16}
  - {module: dma_write, name: dma, DATA_WIDTH: 256}
  - {module: mac_tx, name: tx, DATA_WIDTH: 256, RATE_GBPS: 100}
`
	p := inline(t, stages, "vary: {width: 128, fifo_depth: 4096, table_size: 1024, pcie_latency_ns: 700, table.ENTRIES: 32}")
	d := p.Describe(p.Setting(0))
	get := func(stage int, name string) float64 { return d.Stages[stage].Params[name] }
	require.Equal(t, 128.0, get(0, "DATA_WIDTH"))
	require.Equal(t, 4096.0, get(0, "DEPTH"))
	require.Equal(t, 128.0, get(1, "S_DATA_WIDTH"), "as wide as the first stage")
	require.Equal(t, 256.0, get(1, "M_DATA_WIDTH"), "what is wider on purpose stays so")
	require.Equal(t, 256.0, get(2, "DATA_WIDTH"))
	require.Equal(t, 32.0, get(2, "ENTRIES"), "what names a stage wins")
	require.Equal(t, 700.0, get(3, "LATENCY_NS"))
	require.NotContains(t, d.Stages[4].Params, "LATENCY_NS", "a MAC is no PCIe")
}

func TestBadPlans(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"no YAML":             {"pipeline: [", "plan.yaml:1:1: did not find expected node content"},
		"half-written":        {"pipeline: switch\nvary: {a: [1\ntraffic: {}\n", "plan.yaml:2:1: did not find expected ',' or ']'"},
		"no mapping":          {"- 1", "plan.yaml:1:1: is not a mapping with schema, pipeline, vary, traffic, chart"},
		"empty":               {"", "plan.yaml:1:1: is not a mapping"},
		"schema":              {"schema: 2\npipeline: switch", `plan.yaml:1:9: schema is "2", want "meshnic.sweep-plan/1"`},
		"no pipeline":         {"vary: {}", "plan.yaml:1:1: has no pipeline, want one of offload-100g, offload-10g, offload-host, passthrough-100g, passthrough-10g, reference-nic, switch"},
		"unknown pipeline":    {"pipeline: switsh", `plan.yaml:1:11: pipeline "switsh": file does not exist, want one of offload-100g, offload-10g, offload-host, passthrough-100g`},
		"pipeline is a list":  {"pipeline: [a]", "plan.yaml:1:11: pipeline is not a name"},
		"unknown field":       {"pipeline: switch\nvarry: {}", `plan.yaml:2:1: unknown field "varry", want schema, pipeline, vary`},
		"field twice":         {"pipeline: switch\npipeline: switch", `plan.yaml:2:1: field "pipeline" comes twice`},
		"vary is a list":      {"pipeline: switch\nvary: [a]", "plan.yaml:2:7: vary is not a mapping"},
		"unknown parameter":   {"pipeline: switch\nvary:\n  DEPHT: 1", `plan.yaml:3:3: no stage has a parameter "DEPHT", want clock_mhz, width, fifo_depth, table_size, scan_bytes, memory_latency_ns, pcie_latency_ns, or DATA_WIDTH, KEEP_ENABLE, DEPTH,`},
		"unknown stage":       {"pipeline: switch\nvary:\n  q9.DEPTH: 1", `plan.yaml:3:3: there is no stage "q9", want q0, q1, q2, q3, crossbar`},
		"not of this stage":   {"pipeline: switch\nvary:\n  crossbar.DEPTH: 1", `plan.yaml:3:3: stage crossbar (axis_switch) has no parameter "DEPTH", want S_COUNT`},
		"word about nothing":  {"pipeline: switch\nvary:\n  table_size: 1", "plan.yaml:3:3: no stage of pipeline switch has anything that table_size is about"},
		"wrong step":          {"pipeline: switch\nvary:\n  DEPTH: 512..4096", `plan.yaml:3:10: "512..4096" has no step: write 512..4096:+STEP or 512..4096:xFACTOR`},
		"no value":            {"pipeline: switch\nvary:\n  DEPTH: []", `plan.yaml:3:10: "" is not a number`},
		"mapping as value":    {"pipeline: switch\nvary:\n  DEPTH: [{}]", "plan.yaml:3:11: is not a value or a list of values"},
		"varied twice":        {"pipeline: switch\nvary:\n  DEPTH: 512\n  \"width,DEPTH\": 64", "plan.yaml:4:3: DEPTH is varied twice"},
		"word and parameter":  {"pipeline: switch\nvary:\n  DEPTH: 512\n  fifo_depth: 64", "plan.yaml:4:3: DEPTH and fifo_depth both set DEPTH"},
		"unknown traffic":     {"pipeline: switch\ntraffic: {byts: 60}", `plan.yaml:2:11: unknown field "byts", want bytes, frames, gap`},
		"traffic is a number": {"pipeline: switch\ntraffic: 7", "plan.yaml:2:10: traffic is not a mapping"},
		"short frames":        {"pipeline: switch\ntraffic:\n  bytes: [60, 14]", "plan.yaml:3:10: bytes is 14, want 15 to 65535"},
		"half a frame":        {"pipeline: switch\ntraffic: {frames: 1.5}", "plan.yaml:2:19: 1.5 is not a whole number"},
		"unknown sink":        {"pipeline: switch\ntraffic: {sink: often}", `plan.yaml:2:17: unknown sink "often", want none, alt50`},
		"sink twice":          {"pipeline: switch\ntraffic: {sink: [none, none]}", "plan.yaml:2:17: sink none comes twice"},
		"dest":                {"pipeline: switch\ntraffic: {dest: 300}", "plan.yaml:2:17: dest 300 of input 0, want 0 to 255"},
		"dest is a word":      {"pipeline: switch\ntraffic: {dest: [0, x]}", `plan.yaml:2:17: dest "x" of input 1 is not a number`},
		"unknown engine":      {"pipeline: switch\ntraffic: {engine: warp}", `plan.yaml:2:19: unknown engine "warp", want tick, maxplus`},
		"phases":              {"pipeline: switch\ntraffic: {phases: many}", `plan.yaml:2:19: "many" is not a whole number`},
		"chart":               {"pipeline: switch\nchart: speed:lut", `plan.yaml:2:8: chart of "speed", want latency, first_latency`},
		"chart of one":        {"pipeline: switch\nchart: latency", `plan.yaml:2:8: chart "latency", want Y:X`},
		"chart against self":  {"pipeline: switch\nchart: lut:lut", "plan.yaml:2:8: chart of lut against itself"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePlan([]byte(tt.text), "plan.yaml", load)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
			require.ErrorContains(t, err, "next: ")
		})
	}
}

func TestSeveralProblemsAtOnce(t *testing.T) {
	_, err := ParsePlan([]byte("pipeline: switch\nvary:\n  A: 1\n  B: 2\ntraffic: {gap: x}"), "p.yaml", load)
	for _, want := range []string{"p.yaml:3:3:", "p.yaml:4:3:", "p.yaml:5:16:"} {
		require.ErrorContains(t, err, want)
	}
}

// What is wrong with the pipeline's own file is told with its own places.
func TestPipelineOfThePlanIsBroken(t *testing.T) {
	own := errors.New("pipeline x.yaml: 3:4: unknown module")
	_, err := ParsePlan([]byte("pipeline: x.yaml"), "p.yaml", func(string) (*pipeline.Description, error) { return nil, own })
	require.ErrorIs(t, err, own)
}

func TestVaryOfFlags(t *testing.T) {
	v, err := ParseVary("a.DEPTH, b.DEPTH=1,2")
	require.NoError(t, err)
	require.Equal(t, Vary{Targets: []string{"a.DEPTH", "b.DEPTH"}, Values: []float64{1, 2}}, v)
	for _, text := range []string{"", "DEPTH", "DEPTH=", "=5"} {
		_, err := ParseVary(text)
		require.ErrorContains(t, err, "want STAGE.PARAM=RANGE", text)
	}
	d, _, _ := pipeline.Load("switch")
	p := &Plan{Pipeline: d, Vary: []Vary{{[]string{"SPEED"}, []float64{1}}}}
	require.ErrorContains(t, p.Complete(), `--vary SPEED: no stage has a parameter "SPEED", want clock_mhz, width`)
	p = &Plan{Pipeline: d, Traffic: Traffic{Gap: []int{-1}}}
	require.ErrorContains(t, p.Complete(), "--gap: gap is -1, want 0 to 1048576")
	many := make([]float64, 1<<16)
	p = &Plan{Pipeline: d, Vary: []Vary{{[]string{"DEPTH"}, many}, {[]string{"clock_mhz"}, many}}}
	require.ErrorContains(t, p.Complete(), "has 4294967296 points, want at most 1048576")
	require.Equal(t, failure.Usage, failure.KindOf(p.Complete()))
}

// The hash is of what decides figures.
func TestHash(t *testing.T) {
	base := "pipeline: switch\nvary: {DEPTH: [512, 1024]}\n"
	h := parsePlan(t, base).Hash()
	require.Equal(t, h, parsePlan(t, base+"chart: latency:lut\n").Hash(), "how points are shown is no part of them")
	require.Equal(t, h, parsePlan(t, base+"traffic: {frames: 64, engine: maxplus}\n").Hash(), "defaults said aloud")
	for _, other := range []string{
		"pipeline: reference-nic\nvary: {BUFFER_SIZE: [512, 1024]}\n", "pipeline: switch\nvary: {DEPTH: [512, 2048]}\n",
		"pipeline: switch\nvary: {q0.DEPTH: [512, 1024]}\n", base + "traffic: {frames: 65}\n", base + "traffic: {engine: tick}\n",
	} {
		require.NotEqual(t, h, parsePlan(t, other).Hash(), other)
	}
}

func FuzzParsePlan(f *testing.F) {
	for _, s := range []string{
		"pipeline: switch\nvary: {DEPTH: 512..4096:x2, clock_mhz: [200, 250]}\ntraffic: {bytes: [60], sink: none}\nchart: latency:lut",
		"pipeline: &a switch\nvary: *a", "vary: {? [a] : 1}", "pipeline: reference-nic\nvary: {\"width,arbiter.clock_mhz\": 1}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePlan(text, "plan.yaml", load)
		if err != nil {
			return
		}
		require.LessOrEqual(t, p.Size(), MaxPoints)
		p.Describe(p.Setting(p.Size() - 1))
	})
}
