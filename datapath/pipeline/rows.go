package pipeline

import (
	"fmt"
	"strconv"
)

// Rows returns the figures as pairs of name and text, for tables.
func (r *Result) Rows() [][]string {
	var rows [][]string
	add := func(name string, v any) { rows = append(rows, []string{name, fmt.Sprint(v)}) }
	num := func(name string, v *float64) {
		if v != nil {
			add(name, strconv.FormatFloat(*v, 'f', -1, 64))
		}
	}
	add("frame_bytes", r.FrameBytes)
	add("n_frames", r.NFrames)
	add("engine", r.Engine)
	num("first_latency_cycles", r.FirstLatency)
	num("last_latency_cycles", r.LastLatency)
	num("tail_latency_cycles", r.TailLatency)
	num("first_latency_ns", r.FirstLatencyNS)
	num("last_latency_ns", r.LastLatencyNS)
	num("first_latency_ns_min", r.FirstLatencyNSMin)
	num("first_latency_ns_max", r.FirstLatencyNSMax)
	num("cycles_per_frame", r.CyclesPerFrame)
	num("total_cycles", r.Total)
	num("total_ns", r.TotalNS)
	add("in_beats", r.InBeats)
	add("out_beats", r.OutBeats)
	add("in_stall_cycles", r.InStall)
	add("out_bubbles", r.OutBubbles)
	add("delivered", r.Delivered)
	add("drops", r.Drops)
	for _, in := range r.Inputs {
		if len(r.Inputs) == 1 {
			break
		}
		p := "in" + strconv.Itoa(in.Input) + "."
		add(p+"delivered", in.Delivered)
		add(p+"drops", in.Drops)
		add(p+"in_stall_cycles", in.InStall)
		if in.MaxOccupancy != nil {
			add(p+"max_occupancy_bytes", *in.MaxOccupancy)
		}
	}
	if len(r.Inputs) > 1 {
		add("order", r.Order)
	}
	for _, o := range r.Outputs {
		add(o.Output+".delivered", o.Delivered)
	}
	for _, l := range r.Levels {
		add(l.Stage+".max_occupancy_bytes", l.MaxOccupancy)
	}
	for _, l := range r.Losses {
		add(l.Stage+".drops."+l.Reason, l.Frames)
	}
	return rows
}
