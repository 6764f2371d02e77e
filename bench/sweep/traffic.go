package sweep

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Traffic is what every variation is crossed with.
type Traffic struct {
	Bytes  []int    `json:"frame_bytes"`
	Frames []int    `json:"n_frames"`
	Gap    []int    `json:"gap_cycles"`
	Sink   []string `json:"sink"`
	Inputs []int    `json:"inputs"`
	Phases int      `json:"phases"`
	Engine string   `json:"engine"`
	Dest   string   `json:"dest"` // as pipeline.ParseDests reads it
}

// defaults of a sweep's traffic. From 8 frames on there is a steady rate;
// maxplus is the engine that does not wait for idle cycles.
func (t *Traffic) defaults() {
	t.Bytes = orDefault(t.Bytes, 60)
	t.Frames = orDefault(t.Frames, 64)
	t.Gap = orDefault(t.Gap, 0)
	t.Inputs = orDefault(t.Inputs, 1)
	t.Sink = orDefault(t.Sink, "none")
	if t.Phases == 0 {
		t.Phases = 1
	}
	if t.Engine == "" {
		t.Engine = "maxplus"
	}
	if t.Dest == "" {
		t.Dest = "0"
	}
}

func orDefault[T any](s []T, v T) []T {
	if len(s) == 0 {
		return []T{v}
	}
	return s
}

// check is an error about one field of the traffic, by its name in a file and
// on the command line.
func (t *Traffic) check() (field string, err error) {
	for _, x := range []struct {
		name      string
		values    []int
		low, high int
	}{
		{"bytes", t.Bytes, 15, 65535},
		{"frames", t.Frames, 1, 1 << 20},
		{"gap", t.Gap, 0, 1 << 20},
		{"inputs", t.Inputs, 1, 256},
		{"phases", []int{t.Phases}, 1, 64},
	} {
		for _, v := range x.values {
			if v < x.low || v > x.high {
				return x.name, fmt.Errorf("%s is %d, want %d to %d", x.name, v, x.low, x.high)
			}
		}
	}
	for i, s := range t.Sink {
		if !slices.Contains(sim.Patterns, s) {
			return "sink", fmt.Errorf("unknown sink %q, want %s", s, strings.Join(sim.Patterns, ", "))
		}
		if slices.Contains(t.Sink[:i], s) {
			return "sink", fmt.Errorf("sink %s comes twice", s)
		}
	}
	if _, err := pipeline.ParseDests(t.Dest); err != nil {
		return "dest", err
	}
	if !slices.Contains(pipeline.Engines, t.Engine) {
		return "engine", fmt.Errorf("unknown engine %q, want %s", t.Engine, strings.Join(pipeline.Engines, ", "))
	}
	return "", nil
}

// Whole makes integers of values.
func Whole(values []float64) (all []int, err error) {
	for _, v := range values {
		if v != float64(int(v)) {
			return nil, fmt.Errorf("%s is not a whole number", number(v))
		}
		all = append(all, int(v))
	}
	return all, nil
}
