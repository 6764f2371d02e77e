package report

import (
	"fmt"

	"github.com/meshnic/meshnic/bench/reference"
)

// pathChart shows curl and link: one row a path, its quantiles, and beside
// them the ratio to the first path (curl, with the paper's) or the bulk
// throughput (link). It returns nil if nothing was measured.
func (v *view) pathChart() *canvas {
	rows := v.charted()
	if len(rows) == 0 {
		return nil
	}
	const width, pad, head, line = 1180.0, 8.0, 62.0, 26.0
	labels := 0.0
	for _, r := range rows {
		labels = max(labels, textWidth(clip(r.Name, labelSize, 200), labelSize)+34)
	}
	c := newCanvas(width, head+line*float64(len(rows))+44)
	what := "TCP ping-pong round trip"
	if v.Experiment == "curl" {
		what = "time of one curl process and its request"
	}
	bottom := head + line*float64(len(rows))
	x, w := pad+labels, (width-2*pad-labels)*.58
	c.text("title", x, pad+8, start, what+", wall µs")
	c.text("sub small", x, pad+25, start, "big marker p50 with the smallest and largest repeat; ticks p90 and p99")
	var values []float64
	for _, r := range rows {
		values = append(values, r.WallUS.P50, r.WallUS.P99)
		if r.Spread != nil {
			values = append(values, r.Spread.P50Min)
		}
	}
	xs := logarithmicOrLinear(values, x, x+w-66)
	axis(c, xs, head-6, bottom)
	for i := range rows {
		r := rows[i]
		y := head + line*(float64(i)+.5)
		st := styleOf(r.Name)
		c.open("k-" + st.slot)
		c.marker(st, pad+7, y, 3.6, "")
		c.close()
		c.text("small", pad+18, y, start, clip(r.Name, labelSize, 200))
		drawQuantiles(c, r, st, xs, y)
	}
	v.pathSide(c, rows, x+w+10, width-pad-(x+w+10), pad, head, bottom, line)
	return c
}

// charted are the rows that charts show.
func (v *view) charted() []*row {
	var rows []*row
	for i := range v.rows {
		if r := &v.rows[i]; r.Name != floor && r.VariantOf == "" {
			rows = append(rows, &v.rows[i])
		}
	}
	return rows
}

// axis draws a value axis along the bottom with grid lines up to top.
func axis(c *canvas, xs scale, top, bottom float64) {
	room := -1.0
	for _, t := range xs.ticks {
		c.line("grid", xs.at(t), top, xs.at(t), bottom)
		if half := textWidth(tickLabel(t), labelSize) / 2; xs.at(t)-half > room {
			c.text("tick", xs.at(t), bottom+14, middle, tickLabel(t))
			room = xs.at(t) + half + 6
		}
	}
	c.line("axis", xs.from, bottom, xs.to, bottom)
}

// logarithmicOrLinear takes a logarithm only where a linear axis would squeeze
// most of the values into a corner.
func logarithmicOrLinear(values []float64, from, to float64) scale {
	if lo, hi := bounds(values, true); hi/lo > 8 {
		return logarithmic(values, from, to)
	}
	return linear(values, from, to, 8)
}

func drawQuantiles(c *canvas, r *row, st style, xs scale, y float64) {
	q := r.WallUS
	c.title("k-"+st.slot, fmt.Sprintf("%s: wall_us p50 %s, p90 %s, p99 %s, n %d, errors %d", r.Name, fmtUS(q.P50), fmtUS(q.P90), fmtUS(q.P99), r.N, r.Errors))
	c.line("lead", xs.at(q.P50), y, xs.at(q.P99), y)
	for _, v := range []float64{q.P90, q.P99} {
		c.line("thin", xs.at(v), y-4, xs.at(v), y+4)
	}
	if s := r.Spread; s != nil {
		lo, hi := xs.at(s.P50Min), xs.at(s.P50Max)
		c.path("thin", "M"+num(lo)+" "+num(y-6.5)+"v13M"+num(hi)+" "+num(y-6.5)+"v13M"+num(lo)+" "+num(y)+"H"+num(hi))
	}
	c.marker(st, xs.at(q.P50), y, 4.6, "")
	c.text("val", xs.at(q.P99)+7, y, start, "p50 "+fmtUS(q.P50))
	c.close()
}

// pathSide draws the right half.
func (v *view) pathSide(c *canvas, rows []*row, x, w, pad, head, bottom, line float64) {
	link := v.Experiment == "link"
	paper, have := reference.Lookup("curl", "nic_passthrough", 1)
	have = have && v.Experiment == "curl"
	var values []float64
	for i := range rows {
		if r := rows[i]; link {
			values = append(values, r.Gbps)
		} else {
			values = append(values, v.ratioP50(r))
		}
	}
	var xs scale
	if link {
		c.text("title", x, pad+8, start, "Bulk throughput, gbit/s")
		c.text("sub small", x, pad+25, start, "one TCP stream; bars begin at 0")
		xs = linear(values, x, x+w-44, 6, 0)
	} else {
		c.text("title", x, pad+8, start, "p50 over that of "+v.base+", ratio")
		if have {
			c.text("sub small", x, pad+25, start, "dashed: the paper's NIC, "+tickLabel(paper.Ratio)+" on its hosts")
		}
		xs = linear(values, x, x+w-44, 5, 1, paper.Ratio)
	}
	axis(c, xs, head-6, bottom)
	if have {
		c.path("thin dash k-green", "M"+num(xs.at(paper.Ratio))+" "+num(head-6)+"V"+num(bottom))
	}
	for i := range rows {
		r := rows[i]
		st, y := styleOf(r.Name), head+line*(float64(i)+.5)
		value, text := values[i], fmtRatio(values[i], ratioDigits(v.Experiment))
		if !finite(value) || link && value <= 0 {
			c.text("sub small", x+5, y, start, none)
			continue
		}
		c.title("k-"+st.slot, r.Name+": "+text)
		if link {
			c.rect("own", x, y-barHeight/2, xs.at(value)-x, barHeight)
			text = fmtUS(value)
		} else {
			c.line("lead", xs.at(1), y, xs.at(value), y)
			c.marker(st, xs.at(value), y, 4.6, "")
		}
		c.text("val", xs.at(value)+9, y, start, text)
		c.close()
	}
}
