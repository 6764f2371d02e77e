package report

import (
	"math"
	"strconv"
)

// linePanel is one plot of a value against connections, a line a system,
// labelled at its right end. To its left, on the same axis, may stand figures
// that were measured elsewhere.
type linePanel struct {
	x, y, w, h  float64 // outer box
	title, sub  string
	conns       []int
	log         bool // value axis
	one         bool // mark the value 1: the baseline of a ratio
	series      []series
	elsewhere   []mark
	elsewhereAt string // heading of the strip: whose figures
}

// series is the line of one system.
type series struct {
	name string
	st   style
	pts  []point
}

// point of a series; low and high are the ends of its whisker, equal to the
// value if there is none.
type point struct {
	conns            int
	value, low, high float64
	tip              string
}

// mark is a single labelled figure.
type mark struct {
	name  string
	st    style
	value float64
	label string
}

const labelSize, labelGap = 11.0, 13.5

func (p linePanel) draw(c *canvas) {
	c.text("title", p.x, p.y+8, start, p.title)
	c.text("sub small", p.x, p.y+25, start, p.sub)
	top, bottom := p.y+44, p.y+p.h-38
	values := p.scale(top, bottom)
	left := p.x + 40
	right := p.x + p.w - p.gutter()
	plot := left
	if len(p.elsewhere) > 0 {
		plot = left + p.strip() + 10
		c.rect("panel", left, top-6, p.strip(), bottom-top+12)
	}
	for _, t := range values.ticks {
		y := values.at(t)
		c.line("grid", left, y, right, y)
		c.text("tick", left-7, y, end, tickLabel(t))
	}
	if p.one {
		c.line("one", left, values.at(1), right, values.at(1))
	}
	p.drawElsewhere(c, values, left, bottom)
	xs := counts(p.conns, plot+8, right-6)
	c.line("axis", plot, bottom+6, right, bottom+6)
	for i, t := range xs.ticks {
		c.line("axis", xs.at(t), bottom+6, xs.at(t), bottom+10)
		c.text("tick", xs.at(t), bottom+18, middle, strconv.Itoa(p.conns[i]))
	}
	c.text("sub small", (plot+right)/2, bottom+33, middle, "connections")
	p.drawSeries(c, xs, values, right, top, bottom)
}

func (p linePanel) scale(top, bottom float64) scale {
	var all []float64
	for _, s := range p.series {
		for _, q := range s.pts {
			all = append(all, q.value, q.low, q.high)
		}
	}
	for _, m := range p.elsewhere {
		all = append(all, m.value)
	}
	if p.log {
		return logarithmic(all, bottom, top)
	}
	if p.one {
		return linear(all, bottom, top, 6, 1)
	}
	return linear(all, bottom, top, 6)
}

// gutter is the room for the labels at the right.
func (p linePanel) gutter() float64 {
	w := 0.0
	for _, s := range p.series {
		w = max(w, textWidth(clip(s.name, labelSize, 170), labelSize))
	}
	return w + 26
}

func (p linePanel) strip() float64 {
	w := textWidth(p.elsewhereAt, labelSize)
	for _, m := range p.elsewhere {
		w = max(w, textWidth(m.name+" "+m.label, labelSize)+26)
	}
	return w + 12
}

func (p linePanel) drawElsewhere(c *canvas, values scale, left, bottom float64) {
	if len(p.elsewhere) == 0 {
		return
	}
	c.text("sub small", left+p.strip()/2, bottom+18, middle, "1")
	c.text("sub small", left+p.strip()/2, bottom+33, middle, p.elsewhereAt)
	want := make([]float64, len(p.elsewhere))
	for i, m := range p.elsewhere {
		want[i] = values.at(m.value)
	}
	for i, y := range dodge(want, labelGap, values.to, values.from) {
		m := p.elsewhere[i]
		x := left + 12
		c.title("k-"+m.st.slot, p.elsewhereAt+": "+m.name+" "+m.label)
		c.path("lead", "M"+num(x+6)+" "+num(want[i])+"L"+num(x+14)+" "+num(y))
		c.path("open dash", outline(m.st.shape, x, want[i], 4.6))
		c.text("small", x+17, y, start, m.name+" "+m.label)
		c.close()
	}
}

func (p linePanel) drawSeries(c *canvas, xs, values scale, right, top, bottom float64) {
	ends := make([]float64, 0, len(p.series))
	for i, s := range p.series {
		// A shift of a few pixels keeps the whiskers of neighbours apart.
		shift := (float64(i) - float64(len(p.series)-1)/2) * 2
		c.open("k-" + s.st.slot)
		d, last := "", math.NaN()
		for _, q := range s.pts {
			if !finite(q.value) || p.log && q.value <= 0 {
				continue
			}
			last = values.at(q.value)
			d += map[bool]string{true: "M", false: "L"}[d == ""] + num(xs.at(float64(q.conns))+shift) + " " + num(last)
		}
		c.path("line", d)
		for _, q := range s.pts {
			if finite(q.value) && !(p.log && q.value <= 0) {
				p.drawPoint(c, s.st, xs.at(float64(q.conns))+shift, values, q)
			}
		}
		c.close()
		ends = append(ends, last)
	}
	for i, y := range dodge(finiteOr(ends, bottom), labelGap, top, bottom) {
		s := p.series[i]
		c.open("k-" + s.st.slot)
		if finite(ends[i]) {
			c.path("lead", "M"+num(right-1)+" "+num(ends[i])+"L"+num(right+9)+" "+num(y))
		}
		c.marker(s.st, right+14, y, 3.2, "")
		c.text("small", right+21, y, start, clip(s.name, labelSize, 170))
		c.close()
	}
}

func (p linePanel) drawPoint(c *canvas, st style, x float64, values scale, q point) {
	c.title("pt", q.tip)
	if finite(q.low) && finite(q.high) && q.high > q.low {
		lo, hi := values.at(q.low), values.at(q.high)
		c.path("thin", "M"+num(x)+" "+num(lo)+"V"+num(hi)+"M"+num(x-2.5)+" "+num(lo)+"h5M"+num(x-2.5)+" "+num(hi)+"h5")
	}
	c.marker(st, x, values.at(q.value), 4, "")
	c.close()
}

func finiteOr(values []float64, other float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		if out[i] = v; !finite(v) {
			out[i] = other
		}
	}
	return out
}
