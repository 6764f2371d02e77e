package pipeline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

// composition is a row of modules that was run in Icarus Verilog, and what came
// of it.
type composition struct {
	Stages json.RawMessage `json:"stages"`
	Bytes  int             `json:"bytes"`
	Frames int             `json:"frames"`
	Gap    int             `json:"gap"`
	Sink   string          `json:"sink"`
	Inputs int             `json:"inputs"`
	Phases int             `json:"phases"`
	Want   map[string]any  `json:"want"` // by the names of the records; frames_out left by the followed output
}

// What modules do together follows from what each does: rows of modules of the
// RTL's four sources, on a test bench with the rules of the records', and the same
// figures from both engines. testdata/README.md says how they were taken.
func TestCompositions(t *testing.T) {
	file, err := os.ReadFile("testdata/compositions.jsonl")
	require.NoError(t, err)
	n := 0
	for line := range bytes.Lines(file) {
		var c composition
		require.NoError(t, json.Unmarshal(line, &c))
		n++
		for _, engine := range pipeline.Engines {
			got := c.run(t, engine)
			for name, want := range c.Want {
				if !same(want, got[name]) {
					t.Errorf("line %d, %s: %s is %v, want %v: %s %d bytes, %d frames, gap %d, %s", n, engine, name, got[name], want, c.Stages, c.Bytes, c.Frames, c.Gap, c.Sink)
				}
			}
		}
	}
	require.Greater(t, n, 250)
}

// run is the composition by an engine, its fields by name.
func (c *composition) run(t *testing.T, engine string) map[string]any {
	d, err := pipeline.Parse(c.Stages, "row")
	require.NoError(t, err)
	r, err := d.Run(pipeline.Traffic{Bytes: c.Bytes, Frames: c.Frames, Gap: c.Gap, Sink: c.Sink, Inputs: c.Inputs, Phases: c.Phases, Engine: engine})
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	got["frames_out"] = float64(r.Delivered)
	if len(r.Outputs) > 0 {
		got["frames_out"] = float64(r.Outputs[0].Delivered)
	}
	var levels []any
	for _, in := range r.Inputs {
		if in.MaxOccupancy != nil {
			levels = append(levels, float64(*in.MaxOccupancy))
		}
	}
	got["max_occupancy_bytes"] = levels
	return got
}

// same compares fields; the last digit of a mean may differ.
func same(want, got any) bool {
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		return ok && (w == g || w != math.Trunc(w) && math.Abs(w-g) <= 0.0016)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !same(w[i], g[i]) {
				return false
			}
		}
		return true
	}
	return fmt.Sprint(want) == fmt.Sprint(got)
}
