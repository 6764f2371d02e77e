package reference

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/meshnic/meshnic/datapath/module"
)

// Cycles of open RTL in simulation, one record a line; rtl-cycles.meta.json says
// what every field means and where each came from.
var (
	//go:embed rtl-cycles.jsonl
	cyclesJSONL []byte
	//go:embed rtl-capacity.jsonl
	capacityJSONL []byte
)

// Record is a line of rtl-cycles.jsonl: what one module of real RTL did with
// one train of frames. Fields holds the measured figures by their names.
type Record struct {
	Line         int
	Module       string
	Params       module.Args
	FrameBytes   int
	Frames       int
	Gap          int
	Backpressure string
	ActiveInputs int // 1 if the record does not say
	Fields       map[string]any
}

// notMeasured are the fields of a record that say what was done, not what came
// of it.
var notMeasured = []string{"module", "params", "clock_mhz_typical", "frame_bytes", "n_frames", "gap", "backpressure",
	"active_inputs", "source_repo", "commit", "cycles_unit", "input_rate"}

// Records returns rtl-cycles.jsonl.
func Records() ([]Record, error) {
	var all []Record
	err := lines(cyclesJSONL, func(n int, line []byte) error {
		r := Record{Line: n, ActiveInputs: 1}
		var head struct {
			Module       string      `json:"module"`
			Params       module.Args `json:"params"`
			FrameBytes   int         `json:"frame_bytes"`
			Frames       int         `json:"n_frames"`
			Gap          int         `json:"gap"`
			Backpressure string      `json:"backpressure"`
			Active       int         `json:"active_inputs"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			return err
		}
		if err := json.Unmarshal(line, &r.Fields); err != nil {
			return err
		}
		for _, name := range notMeasured {
			delete(r.Fields, name)
		}
		r.Module, r.Params, r.FrameBytes, r.Frames = head.Module, head.Params, head.FrameBytes, head.Frames
		r.Gap, r.Backpressure = head.Gap, head.Backpressure
		if head.Active > 0 {
			r.ActiveInputs = head.Active
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

// Capacity is a line of rtl-capacity.jsonl: what a module takes while its sink
// is frozen.
type Capacity struct {
	Line        int
	Module      string      `json:"module"`
	Params      module.Args `json:"params"`
	FrameBytes  int         `json:"frame_bytes"`
	Absorbed    *int        `json:"beats_absorbed_with_sink_frozen"`
	WholeFrames *int        `json:"whole_frames_absorbed"`
	BeatsAFrame int         `json:"in_beats_per_frame"`
	All         bool        `json:"all_offered_beats_accepted"`
	Offered     int         `json:"frames_offered"`
	Delivered   int         `json:"frames_delivered_after_release"`
}

// Capacities returns rtl-capacity.jsonl.
func Capacities() ([]Capacity, error) {
	var all []Capacity
	err := lines(capacityJSONL, func(n int, line []byte) error {
		c := Capacity{Line: n}
		err := json.Unmarshal(line, &c)
		all = append(all, c)
		return err
	})
	return all, err
}

func lines(file []byte, f func(n int, line []byte) error) error {
	n := 0
	for line := range bytes.Lines(file) {
		n++
		if err := f(n, line); err != nil {
			return fmt.Errorf("reference: line %d: %w", n, err)
		}
	}
	return nil
}
