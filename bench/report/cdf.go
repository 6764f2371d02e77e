package report

import (
	"fmt"
	"math"

	"github.com/meshnic/meshnic/bench"
)

// cdfPanel is one of the small multiples: the distributions of all systems at
// one number of connections (and, for hop, of hops).
type cdfPanel struct {
	title string
	rows  []*row
}

// cdfChart draws cumulative distributions of wall time, a panel a number of
// connections, with one legend. It returns nil if no row has a distribution.
func (v *view) cdfChart() *canvas {
	panels := v.cdfPanels()
	if len(panels) == 0 {
		return nil
	}
	const width, pad, gapX, gapY, height = 1180.0, 8.0, 26.0, 20.0, 250.0
	perRow := min(len(panels), 3)
	var items []legendItem
	for _, n := range v.lineNames() {
		st := styleOf(n)
		items = append(items, legendItem{label: n, st: &st})
	}
	legendH := legendHeight(items, width-2*pad)
	lines := (len(panels) + perRow - 1) / perRow
	c := newCanvas(width, pad*2+legendH+float64(lines)*(height+gapY))
	drawLegend(c, items, pad, pad, width-2*pad)
	across := float64(max(perRow, 2)) // a lone panel takes half the width
	each := (width - 2*pad - gapX*(across-1)) / across
	for i, p := range panels {
		x := pad + float64(i%perRow)*(each+gapX)
		y := pad + legendH + float64(i/perRow)*(height+gapY)
		p.draw(c, x, y, each, height)
	}
	return c
}

func (v *view) cdfPanels() []cdfPanel {
	hops := []int{-1}
	if v.Experiment == "hop" {
		hops = []int{1, 2}
	}
	var panels []cdfPanel
	for _, h := range hops {
		for _, conns := range v.conns {
			p := cdfPanel{title: plural(conns, "connection")}
			if h > 0 {
				p.title += ", " + plural(h, "hop")
			}
			measured := false
			for i := range v.rows {
				r := &v.rows[i]
				if r.Name != floor && r.Connections == conns && len(r.CDF) > 1 && (h < 0 || r.Hops == h || r.Hops == 0) {
					p.rows = append(p.rows, r)
					measured = measured || h < 0 || r.Hops == h
				}
			}
			if measured {
				panels = append(panels, p)
			}
		}
	}
	return panels
}

func (p cdfPanel) draw(c *canvas, x, y, w, h float64) {
	c.text("title", x, y+8, start, p.title)
	top, bottom, left, right := y+26, y+h-36, x+34, x+w
	var all []float64
	for _, r := range p.rows {
		all = append(all, r.CDF[0].WallUS, cdfAt(r.CDF, .999))
	}
	unit, per := "wall µs (log, to the largest p99.9)", 1.0
	if _, hi := bounds(all, true); hi >= 5000 {
		unit, per = "wall ms (log, to the largest p99.9)", 1000
		for i := range all {
			all[i] /= per
		}
	}
	xs := logarithmic(all, left+2, right-4)
	ys := scale{low: 0, high: 1, from: bottom, to: top}
	for _, t := range []float64{0, .25, .5, .75, .9, 1} {
		c.line("grid", left, ys.at(t), right, ys.at(t))
		c.text("tick", left-6, ys.at(t), end, tickLabel(t))
	}
	c.line("axis", left, bottom, right, bottom)
	room := math.Inf(-1)
	for _, t := range xs.ticks {
		c.line("axis", xs.at(t), bottom, xs.at(t), bottom+4)
		half := textWidth(tickLabel(t), labelSize) / 2
		if xs.at(t)-half > room {
			c.text("tick", xs.at(t), bottom+13, middle, tickLabel(t))
			room = xs.at(t) + half + 4
		}
	}
	c.text("sub small", (left+right)/2, bottom+29, middle, unit)
	for _, r := range p.rows {
		drawCDF(c, r, xs, ys, per)
	}
}

// cdfAt reads a quantile off the distribution itself. It is of all repeats
// together, whereas the tables have the median over the repeats.
func cdfAt(cdf []bench.Point, share float64) float64 {
	for _, q := range cdf {
		if q.Share >= share {
			return q.WallUS
		}
	}
	return cdf[len(cdf)-1].WallUS
}

// drawCDF draws steps, and the system's marker at p50, p90 and p99.
func drawCDF(c *canvas, r *row, xs, ys scale, per float64) {
	st := styleOf(r.Name)
	c.title("k-"+st.slot, fmt.Sprintf("%s: wall p50 %s, p90 %s, p99 %s us over all repeats", r.Name, fmtUS(cdfAt(r.CDF, .5)), fmtUS(cdfAt(r.CDF, .9)), fmtUS(cdfAt(r.CDF, .99))))
	d := ""
	for _, q := range r.CDF {
		if us := q.WallUS / per; finite(us) && us > 0 && us <= xs.high {
			if d == "" {
				d = "M" + num(xs.at(us)) + " " + num(ys.at(0))
			}
			d += "H" + num(xs.at(us)) + "V" + num(ys.at(q.Share))
		}
	}
	c.path("thin", d)
	for _, share := range []float64{.5, .9, .99} {
		if us := cdfAt(r.CDF, share) / per; finite(us) && us > 0 {
			c.marker(st, xs.at(us), ys.at(share), 3, "")
		}
	}
	c.close()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// legendItem is a system's marker or, without one, a coloured box.
type legendItem struct {
	label string
	st    *style
	slot  string
}

const legendLine = 20.0

// placeLegend calls put with the place of each item, line by line, and returns
// the height.
func placeLegend(items []legendItem, width float64, put func(i int, x, y float64)) float64 {
	x, y := 0.0, 0.0
	for i, it := range items {
		w := textWidth(it.label, labelSize) + 34
		if x > 0 && x+w > width {
			x, y = 0, y+legendLine
		}
		put(i, x, y)
		x += w
	}
	return y + legendLine + 8
}

func legendHeight(items []legendItem, width float64) float64 {
	return placeLegend(items, width, func(int, float64, float64) {})
}

func drawLegend(c *canvas, items []legendItem, x0, y0, width float64) {
	placeLegend(items, width, func(i int, x, y float64) {
		it := items[i]
		if it.st != nil {
			c.open("k-" + it.st.slot)
			c.path("thin", "M"+num(x0+x)+" "+num(y0+y+8)+"h16")
			c.marker(*it.st, x0+x+8, y0+y+8, 3.2, "")
		} else {
			c.open("k-" + it.slot)
			c.rect("own", x0+x+4, y0+y+3, 11, 11)
		}
		c.text("small", x0+x+20, y0+y+8, start, it.label)
		c.close()
	})
}
