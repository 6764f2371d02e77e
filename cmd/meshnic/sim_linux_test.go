package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A list of modules on standard input, named as the records name them, gives
// figures under the records' names.
func TestSim(t *testing.T) {
	cmd := meshnic(t, "sim", "--pipeline", "-", "--inputs", "2", "--frames", "8", "--sink", "alt50", "--dest", "0,0", "-o", "json")
	cmd.Stdin = strings.NewReader(`
- {module: axis_fifo, DATA_WIDTH: 64, DEPTH: 4096, RAM_PIPELINE: 1, FRAME_FIFO: 0}
- {module: axis_arb_mux, params: {S_COUNT: 2, DATA_WIDTH: 64, ARB_TYPE_ROUND_ROBIN: 1}}
- {module: axis_async_fifo, DATA_WIDTH: 64, DEPTH: 4096, clock_mhz: 156.25}
`)
	code, stdout, stderr := result(t, cmd)
	require.Equal(t, 0, code, stderr)
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	for _, name := range []string{"first_latency_cycles", "last_latency_cycles", "cycles_per_frame", "total_cycles", "in_stall_cycles", "drops",
		"first_latency_ns_mean", "total_ns", "order", "out_last_cycles"} {
		require.NotNil(t, r[name], name)
	}
	require.Equal(t, "meshnic.sim/1", r["schema"])
	require.Equal(t, "0,0", r["dest"])
	require.Equal(t, strings.Repeat("01", 8), r["order"])
	for _, in := range r["inputs"].([]any) {
		for _, name := range []string{"delivered", "drops", "max_occupancy_bytes"} {
			require.NotNil(t, in.(map[string]any)[name], name)
		}
	}
}

// A line may begin in its fourth lane: the record of two frames of 60 bytes that
// begin there.
func TestSimStartLane(t *testing.T) {
	cmd := meshnic(t, "sim", "--pipeline", "-", "--frames", "2", "--start-lane", "4", "-o", "json")
	cmd.Stdin = strings.NewReader(`[{module: axis_xgmii_rx_64, DATA_WIDTH: 64, clock_mhz: 156.25}]`)
	code, stdout, stderr := result(t, cmd)
	require.Equal(t, 0, code, stderr)
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	for name, want := range map[string]any{"in_start_lanes": "40", "first_latency_cycles": 5.0, "last_latency_cycles": 12.0, "tail_latency_cycles": 3.0,
		"first_latency_ns": 32.0, "last_latency_ns": 76.8, "cycles_per_frame": 10.0, "total_ns": 140.8, "in_cycles_per_frame": 11.0, "last_frame_latency_cycles": 11.0} {
		require.Equal(t, want, r[name], name)
	}
}

func TestSimRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		args       []string
		code       int
		want       string
	}{
		{"no pipeline", "", []string{"--pipeline", "none-such"}, 3, "is neither built in nor a file"},
		{"bad file", "- {module: axis_fifoo}", nil, 3, `-:1:12: unknown module "axis_fifoo", did you mean axis_fifo?`},
		{"bad graph", "- {module: axis_register, name: a, from: a, DATA_WIDTH: 64}", nil, 3, "-:1:3: stage a: is in a loop without a FIFO"},
		{"dest", "- {module: axis_register, DATA_WIDTH: 64}", []string{"--dest", "x"}, 2, `dest "x" of input 0 is not a number`},
		{"dests", "- {module: axis_register, DATA_WIDTH: 64}", []string{"--dest", "0,1"}, 2, "dests for 2 inputs (0,1), but traffic on 1"},
		{"frames", "- {module: axis_register, DATA_WIDTH: 64}", []string{"--frames", "0"}, 2, "--frames 0: want 1 or more"},
		{"lane", "- {module: axis_xgmii_rx_64}", []string{"--start-lane", "1"}, 2, "--start-lane 1: want START in lane 0 or 4"},
		{"half-written", "- {module: axis_register, DATA_WIDTH: 64}\n- {module: axis_register\n", nil, 3, "-:2:1: did not find expected ',' or '}'"},
		{"a tab", "stages:\n\t- {module: axis_register, DATA_WIDTH: 64}\n", nil, 3, "-:2:1: found a tab character: YAML is indented with spaces"},
		{"too many", "- {module: match_action, DATA_WIDTH: 64, ENTRIES: 4294967296}", nil, 3, "ENTRIES is 4294967296, want 1 to 16777216"},
		{"sink", "- {module: axis_register, DATA_WIDTH: 64}", []string{"--sink", "x"}, 2, `unknown pattern "x", want none, alt50`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := meshnic(t, append([]string{"sim", "--pipeline", "-"}, tt.args...)...)
			cmd.Stdin = strings.NewReader(tt.file)
			code, stdout, stderr := result(t, cmd)
			require.Equal(t, tt.code, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tt.want)
		})
	}
}
