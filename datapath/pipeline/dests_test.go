package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

func TestParseDests(t *testing.T) {
	for text, want := range map[string]pipeline.Dests{
		"": nil, "64": {{64}}, "0,64": {{0}, {64}}, "0/64": {{0, 64}}, " 0, 64/128 ": {{0}, {64, 128}},
	} {
		got, err := pipeline.ParseDests(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := pipeline.ParseDests(got.String())
		require.NoError(t, err)
		require.Equal(t, want, again)
	}
	for text, want := range map[string]string{
		"x": `dest "x" of input 0 is not a number`, "0,": `dest "" of input 1`, "0/": `dest "" of input 0`, "3.5": "is not a number",
		"256": "dest 256 of input 0, want 0 to 255", "0,-1": "dest -1 of input 1, want 0 to 255", "0 64": "is not a number",
	} {
		_, err := pipeline.ParseDests(text)
		require.ErrorContains(t, err, want, text)
	}
}

// The switch sends each input where its tdest says, and an input's frames in
// turn; the followed output is the first that gives a frame.
func TestDests(t *testing.T) {
	d, _, _ := pipeline.Load("switch")
	for _, engine := range pipeline.Engines {
		run := func(inputs int, dests pipeline.Dests) *pipeline.Result {
			r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 4, Inputs: inputs, Dest: dests, Engine: engine})
			require.NoError(t, err)
			require.Equal(t, dests.String(), r.Dest)
			return r
		}
		r := run(4, pipeline.Dests{{0}, {64}, {128}, {192}})
		require.Equal(t, 16, r.Delivered)
		for i, o := range r.Outputs {
			require.Equal(t, string("0123"[i])+string("0123"[i])+string("0123"[i])+string("0123"[i]), o.Order)
			require.Len(t, o.OutLast, 4)
		}
		straight := run(1, nil)
		require.Equal(t, "crossbar.0", straight.Output)
		r = run(1, pipeline.Dests{{192}})
		require.Equal(t, "crossbar.3", r.Output)
		require.Equal(t, straight.OutLast, r.OutLast)
		require.Equal(t, straight.FirstLatency, r.FirstLatency)
		r = run(2, pipeline.Dests{{0, 64}})
		require.Equal(t, []int{4, 4, 0, 0}, []int{r.Outputs[0].Delivered, r.Outputs[1].Delivered, r.Outputs[2].Delivered, r.Outputs[3].Delivered})
	}
	_, err := d.Run(pipeline.Traffic{Bytes: 60, Inputs: 3, Dest: pipeline.Dests{{0}, {64}}})
	require.ErrorContains(t, err, "dests for 2 inputs (0,64), but traffic on 3")
	_, err = d.Run(pipeline.Traffic{Bytes: 60, Dest: pipeline.Dests{{300}}})
	require.ErrorContains(t, err, "dest 300 of input 0")
}

// Frames of the reference NIC come from MAC 0 and leave by the host's queue, the
// third; with a slow sink too, which is put where they leave.
func TestFollowsFrames(t *testing.T) {
	d, _, _ := pipeline.Load("reference-nic")
	r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 32, Sink: "pat25"})
	require.NoError(t, err)
	require.Equal(t, "queues.2", r.Output)
	require.Equal(t, 4.0, *r.CyclesPerFrame)
	require.Equal(t, "queues.2", r.Outputs[0].Output)
	r, err = d.Run(pipeline.Traffic{Bytes: 60, Frames: 4, Inputs: 3, Dest: pipeline.Dests{{0}, {1}, {2}}})
	require.NoError(t, err)
	require.Equal(t, "queues.0", r.Output)
	require.Equal(t, "2222", r.Order)
	require.Equal(t, 8, r.Outputs[2].Delivered)
}

func TestNoOutput(t *testing.T) {
	d, err := pipeline.Parse([]byte(`
- {module: axis_arb_mux, name: join, S_COUNT: 2, DATA_WIDTH: 64, from: [in0, back]}
- {module: axis_fifo, name: back, DATA_WIDTH: 64, DEPTH: 4096, from: join}
`), "loop")
	require.NoError(t, err)
	_, err = d.Run(pipeline.Traffic{Bytes: 60})
	require.ErrorContains(t, err, "the pipeline has no output")
}
