package replay

import (
	"github.com/meshnic/meshnic/nic"
	"strconv"

	"github.com/meshnic/meshnic/datapath/trace"
)

// named is the counts by their JSON keys.
func (c *Counts) named() []struct {
	key string
	n   uint64
	odd bool
} {
	return []struct {
		key string
		n   uint64
		odd bool
	}{
		{"records", c.Records, false},
		{"frames", c.Frames, false},
		{"truncated_records", c.Truncated, true},
		{"jumbo_records", c.Jumbo, true},
		{"out_of_order_records", c.OutOfOrder, true},
		{"bad_time_records", c.BadTime, true},
		{"no_time_records", c.NoTime, true},
		{"zero_length_records", c.ZeroLength, true},
		{"too_long_records", c.TooLong, true},
		{"malformed_records", c.Malformed, true},
		{"other_link_records", c.OtherLink, true},
		{"no_port_records", c.NoPort, true},
		{"cut_off_records", c.CutOff, true},
		{"other_blocks", c.OtherBlocks, false},
		{"unread_bytes", uint64(c.UnreadBytes), true},
	}
}

// Odd is the counts of what is not as it should be, without those that are 0:
// JSON key and number.
func (c *Counts) Odd() (rows [][2]string) {
	for _, x := range c.named() {
		if x.odd && x.n > 0 {
			rows = append(rows, [2]string{x.key, strconv.FormatUint(x.n, 10)})
		}
	}
	return rows
}

// Rows is the result as fields and values, by the paths of its JSON keys; stages,
// ports and drops by their names.
func (r *Result) Rows() (rows [][]string) {
	text := func(key, v string) { rows = append(rows, []string{key, v}) }
	num := func(key string, v uint64) { text(key, strconv.FormatUint(v, 10)) }
	float := func(key string, v *float64) {
		if v != nil {
			text(key, strconv.FormatFloat(*v, 'f', 3, 64))
		}
	}
	spread := func(key string, s *Spread) {
		if s == nil {
			return
		}
		for _, x := range []struct {
			key string
			v   trace.Nanos
		}{{"min_ns", s.MinNs}, {"p50_ns", s.P50Ns}, {"p90_ns", s.P90Ns}, {"p99_ns", s.P99Ns}, {"p99.9_ns", s.P999Ns}, {"max_ns", s.MaxNs}} {
			text(key+"."+x.key, x.v.String())
		}
		float(key+".mean_ns", &s.MeanNs)
	}
	text("schema", r.Schema)
	text("pipeline", r.Pipeline)
	text("engine", r.Engine)
	text("program", r.Program)
	text("file", r.File)
	text("format", r.Format)
	for _, x := range r.Capture.named() {
		num("capture."+x.key, x.n)
	}
	for _, l := range []struct {
		name string
		*Load
	}{{"offered", &r.Offered}, {"carried", &r.Carried}} {
		num(l.name+".frames", l.Frames)
		num(l.name+".bytes", l.Bytes)
		text(l.name+".first_ns", l.FirstNs.String())
		text(l.name+".last_ns", l.LastNs.String())
		float(l.name+".bit_per_s", l.BitsPerS)
		float(l.name+".frames_per_s", l.FramesPerS)
	}
	num("dropped_frames", r.Dropped)
	num("program_drops_frames", r.ProgramDrops)
	if r.Program == string(nic.Offload) {
		num("consumed_frames", r.Consumed)
		num("requests", r.Requests)
		num("diverged_frames", r.Diverged)
	}
	num("under_way_frames", uint64(r.UnderWay))
	text("finished", strconv.FormatBool(r.Finished))
	for _, d := range r.Drops {
		num("drops."+d.Stage+"."+d.Reason+".frames", d.Frames)
	}
	spread("latency", r.Latency)
	spread("wait", r.Wait)
	for _, s := range r.Stages {
		key := "stages." + s.Stage
		num(key+".frames", s.Frames)
		spread(key+".latency", s.Latency)
		if s.Peak != nil {
			num(key+".max_occupancy_bytes", uint64(*s.Peak))
		}
		num(key+".dropped_frames", s.Dropped)
	}
	for _, p := range r.Ports {
		key := "ports." + strconv.Itoa(p.Port)
		num(key+".in_frames", p.In)
		num(key+".in_bytes", p.InBytes)
		num(key+".out_frames", p.Out)
		num(key+".out_bytes", p.OutBytes)
	}
	return rows
}
