package enginetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/enginetest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// A receiver that waits for nobody loses the end of a frame in front of a MAC that
// takes beats at line rate: the next frame's first beat is its first all the same.
func TestFrameWithoutItsEnd(t *testing.T) {
	c := enginetest.Case{
		Pipeline: pipeline.Description{ClockMHz: 200, Stages: []pipeline.Stage{
			{Module: "axis_xgmii_rx_64", Name: "s0", From: []string{"in0"}, Params: module.Args{}},
			{Module: "mac_rx", Name: "s1", From: []string{"s0"}, Params: module.Args{"DATA_WIDTH": 64, "LATENCY_NS": 1, "RATE_GBPS": 10, "RX_FIFO_DEPTH": 64}},
		}},
		Sources: []enginetest.Source{
			{Name: "in0", Frames: []sim.Frame{
				{ID: 1, Bytes: 4},
				{ID: 2, Bytes: 1},
				{ID: 3, Bytes: 81},
			}},
		},
		Sinks: []enginetest.Sink{
			{Wire: "s1", Pattern: "none", From: 30},
		},
	}
	require.Empty(t, c.Diff())
}

// A header stage that is given frames of a byte each makes one of two, longer than
// its first beat says.
func TestFrameLongerThanItSays(t *testing.T) {
	c := enginetest.Case{
		Pipeline: pipeline.Description{ClockMHz: 250, Stages: []pipeline.Stage{
			{Module: "axis_fifo", Name: "s0", From: []string{"in0"}, Params: module.Args{"DATA_WIDTH": 64}},
			{Module: "eth_axis_tx", Name: "s1", From: []string{"s0"}, Params: module.Args{"DATA_WIDTH": 64}},
			{Module: "mac_rx", Name: "s2", From: []string{"s1"}, Params: module.Args{"DATA_WIDTH": 64, "LATENCY_NS": 1, "RATE_GBPS": 100, "RX_FIFO_DEPTH": 64}},
		}},
		Sources: []enginetest.Source{
			{Name: "in0", Frames: []sim.Frame{
				{ID: 1, Bytes: 1},
				{ID: 2, Bytes: 1},
				{ID: 3, Bytes: 41},
				{ID: 4, Bytes: 1},
			}},
		},
		Sinks: []enginetest.Sink{
			{Wire: "s2", Pattern: "frozen"},
		},
		Clocked: []string{"s2"},
	}
	require.Empty(t, c.Diff())
}

// A replicator whose outputs wait for nothing gives frames that follow each other to
// different ones.
func TestFramesToDifferentOutputs(t *testing.T) {
	c := enginetest.Case{
		Pipeline: pipeline.Description{ClockMHz: 250, Stages: []pipeline.Stage{
			{Module: "replicator", Name: "s0", From: []string{"in0"}, Params: module.Args{"DATA_WIDTH": 64}},
		}},
		Sources: []enginetest.Source{
			{Name: "in0", Frames: []sim.Frame{
				{ID: 1, Bytes: 1, Dest: 2},
				{ID: 2, Bytes: 1},
			}},
		},
	}
	require.Empty(t, c.Diff())
}
