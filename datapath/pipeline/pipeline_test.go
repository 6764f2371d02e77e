package pipeline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
)

var update = flag.Bool("update", false, "write docs/pipeline.schema.json")

// Every pipeline that is built in runs, loses nothing, and says the same with
// both engines.
func TestShipped(t *testing.T) {
	require.Equal(t, []string{"offload-100g", "offload-10g", "offload-host", "passthrough-100g", "passthrough-10g", "reference-nic", "switch"}, pipeline.Shipped())
	for _, name := range pipeline.Shipped() {
		d, text, ok := pipeline.Load(name)
		require.True(t, ok)
		require.NotEmpty(t, text)
		require.Equal(t, name, d.Name)
		grown := 0
		if strings.HasPrefix(name, "offload-") {
			grown = 110 // GROW of head_rewrite: here every frame is a head
		}
		for _, tt := range []pipeline.Traffic{
			{Bytes: 60, Frames: 64, Phases: 4},
			{Bytes: 1514, Frames: 20, Gap: 100},
			{Bytes: 594, Frames: 3, Gap: 1},
		} {
			t.Run(fmt.Sprint(name, tt.Bytes), func(t *testing.T) {
				tick, err := d.Run(tt)
				require.NoError(t, err)
				require.True(t, tick.Finished)
				require.Equal(t, tt.Frames, tick.Delivered)
				require.Zero(t, tick.Drops)
				require.Zero(t, tick.BytesLost+grown*tt.Frames+tick.MarkedBad)
				tt.Engine = "maxplus"
				maxplus, err := d.Run(tt)
				require.NoError(t, err)
				maxplus.Engine, maxplus.Traffic.Engine = tick.Engine, tick.Traffic.Engine
				require.Equal(t, tick, maxplus)
			})
		}
	}
}

// Four inputs into one output of the switch: a quarter of the rate each, and
// what does not fit is dropped whole in front of it.
func TestSwitchUnderLoad(t *testing.T) {
	d, _, _ := pipeline.Load("switch")
	for _, engine := range pipeline.Engines {
		r, err := d.Run(pipeline.Traffic{Bytes: 1514, Frames: 200, Inputs: 4, Engine: engine})
		require.NoError(t, err)
		require.Len(t, r.Inputs, 4)
		sum := 0
		for _, in := range r.Inputs {
			require.Equal(t, 200, in.Delivered+in.Drops)
			require.InDelta(t, 60, in.Delivered, 1)
			sum += in.Drops
		}
		require.Equal(t, r.Drops, sum)
		require.Zero(t, r.MarkedBad)
		require.Equal(t, 16384, *r.Inputs[3].MaxOccupancy)
		for _, l := range r.Losses {
			require.Equal(t, "full", l.Reason)
		}
	}
}

// Headers go round a stage that has none: a register between two header stages
// delays the payload by its one cycle and nothing else.
func TestHeadersGoRound(t *testing.T) {
	run := func(file string) *pipeline.Result {
		d, err := pipeline.Parse([]byte(file), "f")
		require.NoError(t, err)
		r, err := d.Run(pipeline.Traffic{Bytes: 128, Frames: 1})
		require.NoError(t, err)
		require.Equal(t, 1, r.Delivered)
		return r
	}
	plain := run(`[{module: eth_axis_rx, DATA_WIDTH: 64}, ip_eth_rx_64, udp_ip_rx_64]`)
	with := run(`[{module: eth_axis_rx, DATA_WIDTH: 64}, {module: axis_register, DATA_WIDTH: 64}, ip_eth_rx_64, udp_ip_rx_64]`)
	require.Equal(t, *plain.LastLatency+1, *with.LastLatency)
	require.Equal(t, plain.OutBeats, with.OutBeats)
}

// In front of a stage that takes a header the stream is what the header is not:
// stages before it have the payload alone, and every frame keeps its header, also
// when a FIFO takes several frames before the first header is taken. The figures
// are those of the Verilog in the same row.
func TestHeadersInFront(t *testing.T) {
	for _, tt := range []struct {
		file       string
		traffic    pipeline.Traffic
		beats      int
		first, cpf float64
		total      float64
	}{
		{`[{module: axis_register, DATA_WIDTH: 64}, {module: eth_axis_tx, DATA_WIDTH: 64}]`, pipeline.Traffic{Bytes: 60, Frames: 16}, 6, 2, 9, 144},
		{`[{module: axis_fifo, DATA_WIDTH: 64}, udp_ip_tx_64, ip_eth_tx_64, {module: eth_axis_tx, DATA_WIDTH: 64}]`, pipeline.Traffic{Bytes: 65, Frames: 8, Sink: "pat25"}, 3, 4, 36, 288},
		{`[{module: axis_fifo, DATA_WIDTH: 64, FRAME_FIFO: 1}, ip_eth_tx_64, {module: axis_register, DATA_WIDTH: 64}, {module: eth_axis_tx, DATA_WIDTH: 64}]`, pipeline.Traffic{Bytes: 60, Frames: 16}, 4, 3, 9, 148},
	} {
		d, err := pipeline.Parse([]byte(tt.file), "f")
		require.NoError(t, err)
		for _, tt.traffic.Engine = range pipeline.Engines {
			r, err := d.Run(tt.traffic)
			require.NoError(t, err)
			require.True(t, r.Finished)
			require.Equal(t, tt.traffic.Frames, r.Delivered, tt.file)
			require.Equal(t, tt.beats, r.InBeats, tt.file)
			require.Equal(t, []float64{tt.first, tt.cpf, tt.total}, []float64{*r.FirstLatency, *r.CyclesPerFrame, *r.Total}, tt.file)
		}
	}
}

// Of several stages that store, the occupancy is that of the axis_fifo.
func TestOccupancyOfTheFIFO(t *testing.T) {
	for file, want := range map[string]int{
		`[{module: axis_srl_fifo, DATA_WIDTH: 512, DEPTH: 16}, {module: axis_fifo, DATA_WIDTH: 512, DEPTH: 2048}]`: 2048,
		`[{module: axis_srl_fifo, DATA_WIDTH: 512, DEPTH: 16}, {module: axis_register, DATA_WIDTH: 512}]`:          1024,
	} {
		d, err := pipeline.Parse([]byte(file), "f")
		require.NoError(t, err)
		for _, engine := range pipeline.Engines {
			r, err := d.Run(pipeline.Traffic{Bytes: 1514, Frames: 8, Sink: "pat25", Engine: engine})
			require.NoError(t, err)
			require.Equal(t, want, *r.MaxOccupancy, file)
			require.Equal(t, want, *r.Inputs[0].MaxOccupancy, file)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "1:1: is empty"},
		{"not UTF-8", "- {module: axis_\xff}", "1:17: byte 0xff is not UTF-8"},
		{"control character", "- {module: axis_register}\n- \x00", "2:3: control character 0x00"},
		{"two documents", "- a\n---\n- b", "1:1: holds several documents"},
		{"no module", "- {kind: axis_fifo, DEPTH: 4096}", "1:3: the stage has no module"},
		{"lower case", "- {module: axis_register, data_width: 64}", "1:27: axis_register has no parameter data_width, did you mean DATA_WIDTH?"},
		{"module like another", "- {module: axis_fifoo, DATA_WIDTH: 64}", `1:12: unknown module "axis_fifoo", did you mean axis_fifo`},
		{"module of nothing", "- {module: zzz}", `1:12: unknown module "zzz", want axis_register, `},
		{"quotes", `- {module: axis_register, DATA_WIDTH: "64"}`, `1:39: "64" is a text, want a number`},
		{"no value", "- {module: axis_register, DATA_WIDTH: }", "1:39: has no value"},
		{"NaN", "- {module: axis_register, DATA_WIDTH: .nan}", `1:39: ".nan" is not a number`},
		{"huge", "- {module: axis_fifo, DATA_WIDTH: 64, DEPTH: 1e18}", "1:46: DEPTH is 1e+18, want 2 to "},
		{"huge clock", "- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 1e9}", "1:54: clock_mhz is 1e9, want 0.001 to 10000"},
		{"tiny clock", "clock_mhz: 1e-9\nstages: [{module: axis_register, DATA_WIDTH: 64}]", "1:12: clock_mhz is 1e-9"},
		{"list for a clock", "- {module: axis_register, DATA_WIDTH: 64, clock_mhz: [1, 2]}", "1:54: is not a number but a list"},
		{"merge key", "- &a {module: axis_register, DATA_WIDTH: 64}\n- {<<: *a, module: axis_register}", "2:4: merge keys (<<) are not read"},
		{"merge key for a module", "- &a {module: axis_register, DATA_WIDTH: 64}\n- {<<: *a}", "2:3: merge keys (<<) are not read"},
		{"run in file", "inputs: 2\nstages: [{module: axis_register, DATA_WIDTH: 64}]", "1:1: inputs is of a run, not of a pipeline: give it on the command line, --inputs 2"},
		{"width not dividing", "- {module: axis_adapter, S_DATA_WIDTH: 64, M_DATA_WIDTH: 96}", "1:58: M_DATA_WIDTH is 96, want a power of two"},
		{"not YAML", "a: [", "1:"},
		{"a text", "hello", "1:1: is not a list of stages"},
		{"no stages", "name: x", "1:1: has no stages"},
		{"unknown field", "stagse: []", `1:1: unknown field "stagse"`},
		{"unknown module", "- {module: axis_fifi, DATA_WIDTH: 64}", `1:12: unknown module "axis_fifi"`},
		{"unknown parameter", "- {module: axis_register, DATA_WIDTH: 64, DEPHT: 3}", "1:43: axis_register has no parameter DEPHT"},
		{"missing parameter", "- {module: axis_register}", "1:3: axis_register needs DATA_WIDTH"},
		{"allowed values", "- {module: axis_register, DATA_WIDTH: 64, REG_TYPE: 5}", "1:53: REG_TYPE is 5, want 0, 1, 2"},
		{"width", "- {module: axis_register, DATA_WIDTH: 63}", "1:39: DATA_WIDTH is 63, want a power of two"},
		{"clock 0", "- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 0}", "1:54: clock_mhz is 0"},
		{"no number", "- {module: axis_register, DATA_WIDTH: wide}", `1:39: "wide" is not a number`},
		{"twice", "- {module: axis_register, DATA_WIDTH: 64, DATA_WIDTH: 64}", `1:43: field "DATA_WIDTH" comes twice`},
		{"no tlast", "- {module: axis_fifo, DATA_WIDTH: 64, LAST_ENABLE: 0}", "1:52: LAST_ENABLE is 0, want 1"},
		{"half a bit", "- {module: axis_fifo, DATA_WIDTH: 64, USER_WIDTH: 1.5}", "1:51: USER_WIDTH is 1.5, want a whole number"},
		{"mode", "- {module: axis_fifo, DATA_WIDTH: 64, DROP_WHEN_FULL: 1}", "1:55: DROP_WHEN_FULL 1 needs FRAME_FIFO 1 and DROP_OVERSIZE_FRAME 1"},
		{"mode of a MAC's", "- {module: eth_mac_10g_fifo(rx), RX_FRAME_FIFO: 0, RX_DROP_BAD_FRAME: 1}", "1:71: RX_DROP_BAD_FRAME 1 needs RX_FRAME_FIFO 1 and RX_DROP_OVERSIZE_FRAME 1"},
		{"two words", "- {module: axis_fifo, DATA_WIDTH: 512, DEPTH: 100}", "1:47: DEPTH is 100, want 128 or more: two words of 64 bytes"},
		{"two names", "- {module: axis_register, name: a, DATA_WIDTH: 64}\n- {module: axis_register, name: a, DATA_WIDTH: 64}", "2:3: stage a: the name comes twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pipeline.Parse([]byte(tt.file), "f.yaml")
			require.ErrorContains(t, err, "f.yaml:"+tt.want)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
		})
	}
	const reg = "DATA_WIDTH: 64}"
	for _, tt := range []struct{ name, file, want string }{
		{"widths differ", "- {module: axis_register, DATA_WIDTH: 64}\n- {module: axis_register, DATA_WIDTH: 128}", "2:3: stage axis_register-1: takes 128 bits, axis_register gives 64: put {module: axis_adapter"},
		{"clocks differ", "- {module: axis_register, clock_mhz: 250, " + reg + "\n- {module: axis_register, clock_mhz: 156.25, " + reg, "runs at 156.25 MHz, axis_register gives 250 MHz: put an axis_async_fifo"},
		{"loop without FIFO", "- {module: axis_register, name: a, from: b, " + reg + "\n- {module: axis_register, name: b, from: a, " + reg, "is in a loop without a FIFO (a -> b)"},
		{"no such stage", "- {module: axis_register, from: x, " + reg, `takes "x", which is no stage and no input`},
		{"taken twice", "- {module: axis_register, name: a, " + reg + "\n- {module: axis_register, from: a, " + reg + "\n- {module: axis_register, from: a, " + reg, "put an axis_broadcast or an axis_demux between"},
		{"no such output", "- {module: axis_register, name: a, " + reg + "\n- {module: axis_register, from: a.1, " + reg, "a has no output 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := pipeline.Parse([]byte(tt.file), "f.yaml")
			require.NoError(t, err)
			_, err = d.Run(pipeline.Traffic{Bytes: 60})
			require.ErrorContains(t, err, tt.want)
		})
	}
	d, _, _ := pipeline.Load("switch")
	for want, bad := range map[string]pipeline.Traffic{
		"frames of 3 bytes": {Bytes: 3}, "unknown engine": {Bytes: 60, Engine: "warp"}, "unknown pattern": {Bytes: 60, Sink: "x"},
		"has 4 inputs, not 5": {Bytes: 60, Inputs: 5}, "a gap of -1": {Bytes: 60, Gap: -1},
	} {
		_, err := d.Run(bad)
		require.ErrorContains(t, err, want)
	}
}

// A description made in Go is refused like a file's, never a panic.
func TestRefusedInGo(t *testing.T) {
	reg := func(mhz float64, a module.Args) pipeline.Stage {
		return pipeline.Stage{Module: "axis_register", ClockMHz: mhz, Params: a}
	}
	wide := module.Args{"DATA_WIDTH": 64}
	for _, tt := range []struct {
		name string
		d    pipeline.Description
		want string
	}{
		{"nothing", pipeline.Description{}, "has no stages"},
		{"clock below 0", pipeline.Description{ClockMHz: -1, Stages: []pipeline.Stage{reg(0, wide)}}, "clock_mhz is -1, want 0.001 to 10000"},
		{"clock NaN", pipeline.Description{Stages: []pipeline.Stage{reg(math.NaN(), wide)}}, "stage axis_register: clock_mhz is NaN"},
		{"clock infinite", pipeline.Description{ClockMHz: math.Inf(1), Stages: []pipeline.Stage{reg(0, wide)}}, "clock_mhz is +Inf"},
		{"parameter NaN", pipeline.Description{Stages: []pipeline.Stage{reg(0, module.Args{"DATA_WIDTH": math.NaN()})}}, "DATA_WIDTH is not a number"},
		{"no parameters", pipeline.Description{Stages: []pipeline.Stage{reg(0, nil)}}, "needs DATA_WIDTH"},
		{"crossing's clock 0", pipeline.Description{Stages: []pipeline.Stage{{Module: "axis_async_fifo", Params: module.Args{"DATA_WIDTH": 64, "DEPTH": 4096, "S_CLK_MHZ": 0, "M_CLK_MHZ": 250}}}}, "S_CLK_MHZ is 0"},
		{"from nothing", pipeline.Description{Stages: []pipeline.Stage{{Module: "axis_register", From: []string{""}, Params: wide}}}, "which is no stage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.d.Run(pipeline.Traffic{Bytes: 60})
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// An alias bomb ends in a short error.
func TestAliasBomb(t *testing.T) {
	file := "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\nstages: *d\n"
	_, err := pipeline.Parse([]byte(file), "f.yaml")
	require.ErrorContains(t, err, `f.yaml:1:1: unknown field "a"`)
	require.Less(t, len(err.Error()), 2000)
	long := strings.Repeat("- {module: axis_register, DATA_WIDTH: 63}\n", 30)
	_, err = pipeline.Parse([]byte(long), "f.yaml")
	require.ErrorContains(t, err, "f.yaml:20:39: DATA_WIDTH is 63")
	require.ErrorContains(t, err, "and 10 more")
}

// One stage is a pipeline, and its parameters may stand in a mapping of their
// own, as in a record.
func TestSpellings(t *testing.T) {
	var want *pipeline.Description
	for _, file := range []string{
		"- {module: axis_fifo, DATA_WIDTH: 64, DEPTH: 4096, FRAME_FIFO: 1}",
		"{module: axis_fifo, DATA_WIDTH: 64, DEPTH: 4096, FRAME_FIFO: 1}",
		"module: axis_fifo\nDATA_WIDTH: 64\nDEPTH: 0x1000\nFRAME_FIFO: true\n",
		`[{"module": "axis_fifo", "params": {"DATA_WIDTH": 64, "DEPTH": 4096, "FRAME_FIFO": 1}}]`,
		`{"stages": [{"module": "axis_fifo", "DATA_WIDTH": 64, "params": {"DEPTH": 4.096e3, "FRAME_FIFO": 1}}]}`,
		"\xef\xbb\xbf- {module: axis_fifo,\r\n   DATA_WIDTH: 64, DEPTH: 4096, FRAME_FIFO: 1}\r\n",
	} {
		d, err := pipeline.Parse([]byte(file), "f")
		require.NoError(t, err, file)
		require.Len(t, d.Stages, 1)
		if want == nil {
			want = d
		}
		require.Equal(t, want.Stages[0].Params, d.Stages[0].Params, file)
	}
}

// Parameters of the RTL that change no cycle may be given, and change none.
func TestBeside(t *testing.T) {
	for _, m := range pipeline.Modules {
		given := module.Args{}
		for _, p := range m.Params {
			if p.Required {
				given[p.Name] = 64
			}
			if p.Required && len(p.Allowed) > 0 {
				given[p.Name] = p.Allowed[0]
			}
		}
		want, err := m.Fill(given)
		require.NoError(t, err, m.Name)
		for _, p := range m.Beside {
			require.NotContains(t, want, p.Name, m.Name)
			given[p.Name] = max(p.Default, p.Min)
			if p.Power {
				given[p.Name] = max(1, p.Default)
			}
		}
		got, err := m.Fill(given)
		require.NoError(t, err, m.Name)
		require.Equal(t, want, got, m.Name)
	}
}

// What a receiving MAC gives is gone if a stage behind it does not take it, also
// behind a wire; the end of a line or of a tap takes everything.
func TestNobodyWaits(t *testing.T) {
	const mac = `{module: axis_xgmii_rx_64, DATA_WIDTH: 64}`
	for _, tt := range []struct {
		file      string
		delivered int
	}{
		{mac, 8}, // has no ready
		{`{module: rx_hash, DATA_WIDTH: 512}`, 8},
		{`udp_ip_rx_64, {module: axis_async_fifo, DATA_WIDTH: 64, DEPTH: 4096, S_CLK_MHZ: 250, M_CLK_MHZ: 156.25}, ip_eth_tx_64`, 8},
		{mac + `, {module: axis_register, DATA_WIDTH: 64, REG_TYPE: 0}`, 3},
		{mac + `, {module: axis_adapter, S_DATA_WIDTH: 64, M_DATA_WIDTH: 64}`, 3},
		{mac + `, {module: axis_register, DATA_WIDTH: 64, REG_TYPE: 1}`, 4},
		{mac + `, {module: axis_fifo, DATA_WIDTH: 64, DEPTH: 4096}, {module: eth_axis_tx, DATA_WIDTH: 64}`, 8},
		{`{module: axis_xgmii_tx_64, DATA_WIDTH: 64}`, 8},
	} {
		d, err := pipeline.Parse([]byte("["+tt.file+"]"), "f")
		require.NoError(t, err)
		run := func(engine string) *pipeline.Result {
			r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 8, Sink: "alt50", Engine: engine})
			require.NoError(t, err)
			require.Equal(t, tt.delivered, r.Delivered, tt.file)
			r.Engine, r.Traffic.Engine = "", ""
			return r
		}
		require.Equal(t, run("tick"), run("maxplus"), tt.file)
	}
}

// A crossing's far side takes the clock of the stages behind it.
func TestClockBehindCrossing(t *testing.T) {
	run := func(file string) *pipeline.Result {
		d, err := pipeline.Parse([]byte(file), "f")
		require.NoError(t, err)
		r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 8, Phases: 4})
		require.NoError(t, err)
		return r
	}
	want := run(`
- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 156.25}
- {module: axis_async_fifo, DATA_WIDTH: 64, DEPTH: 4096, S_CLK_MHZ: 156.25, M_CLK_MHZ: 250}
- {module: axis_register, DATA_WIDTH: 64}
- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 250}
`)
	got := run(`
- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 156.25}
- {module: axis_async_fifo, DATA_WIDTH: 64, DEPTH: 4096}
- {module: axis_register, DATA_WIDTH: 64}
- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 250}
`)
	require.Equal(t, want, got)
	require.Len(t, got.Clocks, 2)
}

// A loop with a FIFO in it is hardware like any other: a frame whose tdest is the
// loop's output goes round until the end of time, others leave.
func TestLoopWithFIFO(t *testing.T) {
	d, err := pipeline.Parse([]byte(`
- {module: axis_arb_mux, name: join, S_COUNT: 2, DATA_WIDTH: 64, from: [in0, back]}
- {module: axis_broadcast, name: fork, M_COUNT: 2, DATA_WIDTH: 64}
- {module: axis_fifo, name: back, DATA_WIDTH: 64, DEPTH: 4096, from: fork.1}
`), "loop")
	require.NoError(t, err)
	b, err := d.Build(pipeline.Setup{})
	require.NoError(t, err)
	require.Len(t, b.In, 1)
	require.Len(t, b.Out, 1)
}

// The schema that is published is the one of the modules.
func TestSchema(t *testing.T) {
	const file = "../../docs/pipeline.schema.json"
	if *update {
		require.NoError(t, os.WriteFile(file, pipeline.JSONSchema(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(pipeline.JSONSchema()), "run go test ./datapath/pipeline -update")
	require.True(t, json.Valid(want))
}

func FuzzParse(f *testing.F) {
	// Short ones: the fuzzer shortens what it finds byte by byte, in a time that
	// goes with the square of its length.
	for _, file := range []string{
		"- &a {module: axis_register, DATA_WIDTH: 64}\n- *a\n",
		"- {module: axis_async_fifo, DATA_WIDTH: 64, DEPTH: 64, S_CLK_MHZ: 1, M_CLK_MHZ: 2}",
		"- {module: axis_arb_mux, name: a, S_COUNT: 2, DATA_WIDTH: 8, from: [in0, in1]}",
		"stages: [udp_ip_rx_64, {module: \"eth_mac_10g(tx)\", DATA_WIDTH: 64}]",
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := pipeline.Parse(file, "f")
		if err != nil || len(d.Stages) > 16 {
			return
		}
		d.Build(pipeline.Setup{Inputs: 2}) // refused or built; never a panic
		text, err := json.Marshal(d)
		require.NoError(t, err)
		again, err := pipeline.Parse(text, "f.json")
		require.NoError(t, err, "%s", text)
		last, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(text), string(last))
	})
}
