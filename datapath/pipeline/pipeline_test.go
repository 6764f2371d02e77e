package pipeline_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
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
	require.Equal(t, []string{"passthrough-100g", "passthrough-10g", "reference-nic", "switch"}, pipeline.Shipped())
	for _, name := range pipeline.Shipped() {
		d, text, ok := pipeline.Load(name)
		require.True(t, ok)
		require.NotEmpty(t, text)
		require.Equal(t, name, d.Name)
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
				require.Zero(t, tick.BytesLost+tick.MarkedBad)
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

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "1:1: is empty"},
		{"not YAML", "a: [", "1:"},
		{"a text", "hello", "1:1: is not a list of stages"},
		{"no stages", "name: x", "1:1: has no stages"},
		{"unknown field", "stagse: []", `1:1: unknown field "stagse"`},
		{"unknown module", "- {module: axis_fifi, DATA_WIDTH: 64}", `1:12: unknown module "axis_fifi"`},
		{"unknown parameter", "- {module: axis_register, DATA_WIDTH: 64, DEPHT: 3}", "1:50: axis_register has no parameter DEPHT"},
		{"missing parameter", "- {module: axis_register}", "1:3: axis_register needs DATA_WIDTH"},
		{"allowed values", "- {module: axis_register, DATA_WIDTH: 64, REG_TYPE: 5}", "1:53: REG_TYPE is 5, want 0, 1, 2"},
		{"width", "- {module: axis_register, DATA_WIDTH: 63}", "1:39: DATA_WIDTH is 63, want a power of two"},
		{"clock 0", "- {module: axis_register, DATA_WIDTH: 64, clock_mhz: 0}", "1:54: clock_mhz is 0"},
		{"no number", "- {module: axis_register, DATA_WIDTH: wide}", `1:39: "wide" is not a number`},
		{"twice", "- {module: axis_register, DATA_WIDTH: 64, DATA_WIDTH: 64}", `1:43: field "DATA_WIDTH" comes twice`},
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
	for _, name := range pipeline.Shipped() {
		_, text, _ := pipeline.Load(name)
		f.Add(text)
	}
	f.Add([]byte("- &a {module: axis_register, DATA_WIDTH: 64}\n- *a\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := pipeline.Parse(file, "f")
		if err != nil || len(d.Stages) > 16 {
			return
		}
		d.Build(pipeline.Setup{Inputs: 2}) // refused or built; never a panic
	})
}

func Example() {
	d := pipeline.Description{Stages: []pipeline.Stage{
		{Module: "axis_fifo", Params: module.Args{"DATA_WIDTH": 64, "DEPTH": 4096, "RAM_PIPELINE": 1}},
		{Module: "axis_register", Params: module.Args{"DATA_WIDTH": 64}},
	}}
	r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 8, Sink: "alt50"})
	if err != nil {
		panic(err)
	}
	fmt.Println(*r.FirstLatency, *r.CyclesPerFrame, r.Drops)
	// Output: 4 16 0
}
