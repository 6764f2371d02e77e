package pipeline_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
)

// mine is a user's module.
var mine = module.Module{
	Name: "mine", Doc: "waits", Source: "by construction",
	Params: []module.Param{module.Width("DATA_WIDTH"), module.Count("WAIT", 3, 1, 9, "cycles")},
	Ports:  module.Straight,
	Build: func(s *module.Site) {
		s.Add("", card.NewPipe(card.Config{Latency: s.Args.Int("WAIT")}, s.In[0], s.Out[0]))
	},
}

// A user's module in a file stands beside those built in.
func TestOwnModule(t *testing.T) {
	file := []byte("- {module: axis_register, DATA_WIDTH: 64}\n- {module: mine, DATA_WIDTH: 64, WAIT: 7}\n")
	d, err := pipeline.Parse(file, "f.yaml", mine)
	require.NoError(t, err)
	r, err := d.Run(pipeline.Traffic{Bytes: 60})
	require.NoError(t, err)
	require.Equal(t, 8.0, *r.FirstLatency)

	_, err = pipeline.Parse(file, "f.yaml")
	require.ErrorContains(t, err, `f.yaml:2:12: unknown module "mine"`, "in this description only")
	_, err = pipeline.Parse([]byte("- {module: mine, DATA_WIDTH: 64, WAIT: 70}"), "f.yaml", mine)
	require.ErrorContains(t, err, "f.yaml:1:40: WAIT is 70, want 1 to 9")
	_, err = pipeline.Parse([]byte("- {module: mini, DATA_WIDTH: 64}"), "f.yaml", mine)
	require.ErrorContains(t, err, "did you mean mine?", "it is offered too")
	require.Contains(t, string(pipeline.JSONSchema(mine)), `"const": "mine"`)
}

func TestOwnModuleRefused(t *testing.T) {
	file := []byte("- {module: mine, DATA_WIDTH: 64}")
	fifo := mine
	fifo.Name = "axis_fifo"
	for want, own := range map[string][]module.Module{
		"module axis_fifo is built in": {fifo},
		"module mine comes twice":      {mine, mine},
	} {
		_, err := pipeline.Parse(file, "f.yaml", own...)
		require.ErrorContains(t, err, want)
		var f *failure.Error
		require.True(t, errors.As(err, &f))
		require.Equal(t, failure.BadFile, f.Kind)
		_, err = (&pipeline.Description{Stages: []pipeline.Stage{{Module: "mine", Params: module.Args{"DATA_WIDTH": 64}}}, Own: own}).Build(pipeline.Setup{})
		require.ErrorContains(t, err, want)
	}
}
