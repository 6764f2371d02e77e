package reference

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

// measured runs the module as the record was taken and returns its fields.
//
// The records of a MAC were taken one after the other on one test bench, so the
// line's deficit goes over from one to the next; with FIFOs, whose clocks have
// a phase, the time of the first frame does, too. How long the test bench paused
// between them shows in the records modulo the clocks' common period, 40 cycles.
func measured(t *testing.T, r Record, engine string, lines []pipeline.Line) (map[string]any, error) {
	t.Helper()
	d := pipeline.Description{Stages: []pipeline.Stage{{Module: r.Module, Params: r.Params}}}
	phases := 1
	fifo := strings.HasPrefix(r.Module, "eth_mac_10g_fifo")
	if r.Frames == 1 && r.Fields["first_latency_ns_min"] != nil {
		phases = 8
		if fifo {
			phases = 4
		}
	}
	got, err := d.Run(pipeline.Traffic{Bytes: r.FrameBytes, Frames: r.Frames, Gap: r.Gap, Sink: r.Backpressure, Inputs: r.ActiveInputs, Phases: phases, Engine: engine, Lines: lines})
	if err != nil {
		return nil, err
	}
	for i, next := range got.Lines[:min(len(got.Lines), len(lines))] {
		switch {
		case !fifo:
			next.Late = 0
		case strings.HasSuffix(r.Module, "(tx)") && r.Params["AXIS_DATA_WIDTH"] == 64:
			next.Late += 4
		}
		next.Late %= 40
		lines[i] = next
	}
	b, err := json.Marshal(got)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(b, &fields))
	for i, in := range got.Inputs {
		if in.LastAccept != nil {
			fields[fmt.Sprintf("in%d_last_accept", i)] = *in.LastAccept
		}
	}
	return fields, nil
}

// differences lists the fields of the record that came out otherwise.
func differences(r Record, got map[string]any) (diff []string, worst float64) {
	for name, want := range r.Fields {
		have, ok := got[name]
		if !ok && want == nil || ok && have == want {
			continue
		}
		w, wok := want.(float64)
		h, hok := have.(float64)
		if wok && hok {
			off := math.Abs(w - h)
			if off <= 0.0015 && w != math.Trunc(w) { // the last digit of a rounded mean
				continue
			}
			worst = max(worst, off)
		} else {
			worst = math.Inf(1)
		}
		diff = append(diff, fmt.Sprintf("%s %v, want %v", name, have, want))
	}
	slices.Sort(diff)
	return diff, worst
}

// TestRecords replays every record of real RTL and asks for the same figures.
func TestRecords(t *testing.T) {
	records, err := Records()
	require.NoError(t, err)
	require.Len(t, records, 2689)
	byModule := map[string][]Record{}
	var order []string
	for _, r := range records {
		if byModule[r.Module] == nil {
			order = append(order, r.Module)
		}
		byModule[r.Module] = append(byModule[r.Module], r)
	}
	total, exact := 0, 0
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			if _, ok := pipeline.Find(name); !ok {
				t.Errorf("no module %s", name)
				return
			}
			same := 0
			lines := map[string][]pipeline.Line{}
			for _, r := range byModule[name] {
				key := fmt.Sprint(r.Params)
				if lines[key] == nil {
					lines[key] = make([]pipeline.Line, 4)
				}
				got, err := measured(t, r, "tick", lines[key])
				if !assertNoError(t, r, err) {
					continue
				}
				diff, _ := differences(r, got)
				if len(diff) > 0 {
					t.Errorf("line %d: %v %d bytes, %d frames, gap %d, %s: %s", r.Line, r.Params, r.FrameBytes, r.Frames, r.Gap, r.Backpressure, strings.Join(diff, "; "))
				} else {
					same++
				}
			}
			total += len(byModule[name])
			exact += same
			t.Logf("%s: %d of %d records exact", name, same, len(byModule[name]))
		})
	}
	t.Logf("%d of %d records exact", exact, total)
}

func assertNoError(t *testing.T, r Record, err error) bool {
	if err != nil {
		t.Errorf("line %d: %v", r.Line, err)
	}
	return err == nil
}

// TestCapacities freezes the sink, as rtl-capacity.jsonl's records did, and asks
// for as many beats absorbed and as many frames delivered afterwards.
func TestCapacities(t *testing.T) {
	records, err := Capacities()
	require.NoError(t, err)
	require.Len(t, records, 126)
	exact := 0
	for _, r := range records {
		d := pipeline.Description{Stages: []pipeline.Stage{{Module: r.Module, Params: r.Params}}}
		got, err := d.Hold(pipeline.Traffic{Bytes: r.FrameBytes, Frames: r.Offered})
		if err != nil {
			t.Errorf("line %d: %v", r.Line, err)
			continue
		}
		if r.Absorbed != nil && got.Beats != *r.Absorbed || r.WholeFrames != nil && got.WholeFrames != *r.WholeFrames ||
			r.Absorbed != nil && got.All != r.All || got.Delivered != r.Delivered {
			t.Errorf("line %d: %s %v, %d bytes, %d frames: %+v, want %s", r.Line, r.Module, r.Params, r.FrameBytes, r.Offered, got, r)
			continue
		}
		exact++
	}
	t.Logf("%d of %d records exact", exact, len(records))
}

func (c Capacity) String() string {
	b, _ := json.Marshal(c)
	return string(b)
}
