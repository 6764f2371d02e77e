package sweep

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/area"
)

// Header is the first row of the CSV: the dimensions stand between point and
// frame_bytes. The columns are part of the output contract: new ones are
// appended.
func (p *Plan) Header() []string {
	h := []string{"point"}
	for _, v := range p.Vary {
		h = append(h, v.Name())
	}
	return append(h,
		"frame_bytes", "n_frames", "gap_cycles", "sink", "inputs",
		"first_latency_cycles", "first_latency_model_ns", "last_latency_cycles", "last_latency_model_ns",
		"last_frame_latency_cycles", "last_frame_latency_model_ns", "cycles_per_frame",
		"throughput_gbit_per_s", "throughput_mframe_per_s", "saturation_cycles_per_frame",
		"saturation_n_frames", "saturation_dropped_frames", "saturation_steady",
		"delivered_frames", "dropped_frames", "drop_reasons", "frames_marked_bad", "in_stall_cycles",
		"max_occupancy_bytes", "max_occupancy_stage",
		"area_lut_lo", "area_lut_hi", "area_ff_lo", "area_ff_hi", "area_bram36_lo", "area_bram36_hi",
		"pareto", "finished", "error", "area_source")
}

// Settings are the first cells of a point's row: what it was run with.
func (p *Plan) Settings(pt *Point) []string {
	row := []string{strconv.Itoa(pt.Index)}
	for _, v := range p.Vary {
		row = append(row, number(pt.Vary[v.Name()]))
	}
	return append(row, strconv.Itoa(pt.Bytes), strconv.Itoa(pt.Frames), strconv.Itoa(pt.Gap), pt.Sink, strconv.Itoa(pt.Inputs))
}

// Row is one point's row; front is whether the chart's front has it.
func (p *Plan) Row(pt *Point, front bool) []string {
	row := p.Settings(pt)
	mark := ""
	if front {
		mark = "front"
	}
	if pt.Error != "" {
		return append(append(row, make([]string, len(p.Header())-len(row)-4)...), mark, "", pt.Error, "")
	}
	sat := pt.Saturation
	for _, v := range []*float64{
		pt.FirstCycles, pt.FirstNS, pt.LastCycles, pt.LastNS, pt.FinalCycles, pt.FinalNS, pt.CyclesPerFrame,
		sat.Gbps, sat.Mfps, sat.CyclesPerFrame,
	} {
		row = append(row, Figure(v))
	}
	row = append(row, strconv.Itoa(sat.Frames), strconv.Itoa(sat.Dropped), strconv.FormatBool(sat.Steady))
	row = append(row, strconv.Itoa(pt.Delivered), strconv.Itoa(pt.Dropped), pt.Reasons(), strconv.Itoa(pt.Bad), strconv.Itoa(pt.Stall))
	if l := pt.Highest(); l != nil {
		row = append(row, strconv.Itoa(l.Bytes), l.Stage)
	} else {
		row = append(row, "", "")
	}
	for _, r := range []area.Range{pt.Area.LUT, pt.Area.FF, pt.Area.BRAM} {
		row = append(row, ends(r)...)
	}
	return append(row, mark, strconv.FormatBool(pt.Finished), "", strings.Join(pt.Area.Rules, " | "))
}

// Figure writes a figure; nothing if there is none.
func Figure(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}

// ends are a range's: an upper end that is not known is "unknown", and so is a
// lower one below which nothing is known.
func ends(r area.Range) []string {
	switch {
	case r.IsUnknown():
		return []string{"unknown", "unknown"}
	case r.Open:
		return []string{number(r.Lo), "unknown"}
	}
	return []string{number(r.Lo), number(r.Hi)}
}

// Reasons lists drops as "stage reason frames".
func (p *Point) Reasons() string {
	var all []string
	for _, l := range p.Losses {
		all = append(all, fmt.Sprintf("%s %s %d", l.Stage, l.Reason, l.Frames))
	}
	return strings.Join(all, "; ")
}

// WriteCSV writes all points.
func (p *Plan) WriteCSV(w io.Writer, points []Point, v View) error {
	c := csv.NewWriter(w)
	c.Write(p.Header()) // an error stays in the writer
	on := v.Fronts()
	for i := range points {
		c.Write(p.Row(&points[i], on[points[i].Index]))
	}
	c.Flush()
	return c.Error()
}
