package report

import (
	"fmt"
	"math"
)

// barChart is a table of horizontal bars: a row a system, a panel a number of
// connections. Bars begin at 0.
type barChart struct {
	title, sub string
	rows       []barRow
	panels     []string
	bars       [][]bar // by row, then panel
	legend     []legendItem
	shared     bool // all panels have one scale
}

type barRow struct {
	label string
	st    *style
	gap   bool // more room above
}

// bar is a stack of segments; without segments nothing was measured.
type bar struct {
	segments []segment
	label    string
	tip      string
}

type segment struct {
	value float64
	slot  string
}

func (b bar) total() (sum float64) {
	for _, s := range b.segments {
		if finite(s.value) {
			sum += s.value
		}
	}
	return sum
}

const barLine, barHeight = 19.0, 12.0

func (b barChart) draw() *canvas {
	const width, pad, gap = 1180.0, 8.0, 22.0
	labels, legendH := 0.0, 0.0
	for _, r := range b.rows {
		labels = max(labels, textWidth(clip(r.label, labelSize, 200), labelSize)+32)
	}
	if len(b.legend) > 0 {
		legendH = legendHeight(b.legend, width-2*pad)
	}
	tops := make([]float64, len(b.rows))
	y := pad + 34 + legendH + 22
	for i, r := range b.rows {
		if r.gap {
			y += 7
		}
		tops[i] = y
		y += barLine
	}
	c := newCanvas(width, y+30)
	c.text("title", pad, pad+8, start, b.title)
	c.text("sub small", pad, pad+25, start, b.sub)
	if len(b.legend) > 0 {
		drawLegend(c, b.legend, pad, pad+38, width-2*pad)
	}
	for i, r := range b.rows {
		b.drawLabel(c, r, pad, tops[i]+barLine/2)
	}
	each := (width - 2*pad - labels - gap*float64(len(b.panels)-1)) / float64(max(len(b.panels), 1))
	each = min(each, 520)
	for j := range b.panels {
		b.drawPanel(c, j, pad+labels+float64(j)*(each+gap), each, tops, y)
	}
	return c
}

func (b barChart) drawLabel(c *canvas, r barRow, x, y float64) {
	if r.st != nil {
		c.open("k-" + r.st.slot)
		c.marker(*r.st, x+6, y, 3.4, "")
		c.close()
	}
	c.text("small", x+16, y, start, clip(r.label, labelSize, 200))
}

func (b barChart) drawPanel(c *canvas, j int, x, w float64, tops []float64, bottom float64) {
	if len(tops) == 0 {
		return
	}
	var values []float64
	room := 0.0
	for i := range b.rows {
		for k := range b.panels {
			if b.shared || k == j {
				values = append(values, b.bars[i][k].total())
				room = max(room, textWidth(b.bars[i][k].label, labelSize))
			}
		}
	}
	xs := linear(values, x, x+w-room-6, max(2, int(w/75)), 0)
	c.text("small", x, tops[0]-14, start, b.panels[j])
	free := math.Inf(-1) // right of the last label
	for _, t := range xs.ticks {
		class := "grid"
		if t == 0 {
			class = "axis"
		}
		c.line(class, xs.at(t), tops[0]-4, xs.at(t), bottom+3)
		if half := textWidth(tickLabel(t), labelSize) / 2; xs.at(t)-half > free {
			c.text("tick", xs.at(t), bottom+13, middle, tickLabel(t))
			free = xs.at(t) + half + 4
		}
	}
	for i := range b.rows {
		drawBar(c, b.bars[i][j], xs, tops[i]+(barLine-barHeight)/2)
	}
}

func drawBar(c *canvas, b bar, xs scale, y float64) {
	zero := xs.at(0)
	if len(b.segments) == 0 {
		c.text("sub small", zero+5, y+barHeight/2, start, none)
		return
	}
	c.title("bar", b.tip)
	at, right := 0.0, zero
	for _, s := range b.segments {
		if !finite(s.value) || s.value == 0 {
			continue
		}
		from, to := xs.at(at), xs.at(at+s.value)
		c.open("k-" + s.slot)
		// One pixel of surface between segments keeps them apart in grey.
		c.rect("own", min(from, to), y, max(max(from, to)-min(from, to)-1, .8), barHeight)
		c.close()
		at += s.value
		right = max(right, to)
	}
	c.text("val", right+4, y+barHeight/2, start, b.label)
	c.close()
}

// cpuChart shows who spends host CPU on a request; nil if nobody was measured.
func (v *view) cpuChart() *canvas {
	if !v.any(func(r row) bool { return r.CPU != nil }) {
		return nil
	}
	b := barChart{title: "Host CPU time a request, cpu_us", shared: true,
		sub: "by who spent it; the number is the sum without the generator, the system under test",
		legend: []legendItem{{label: "services", slot: "cpu-services"}, {label: "proxies", slot: "cpu-proxy"},
			{label: "NIC (emulation included)", slot: "cpu-nic"}, {label: "load generator", slot: "cpu-generator"}}}
	for _, c := range v.conns {
		b.panels = append(b.panels, plural(c, "connection"))
	}
	v.eachBarRow(func(name string, hops int, r barRow) {
		bars := make([]bar, len(v.conns))
		for j, c := range v.conns {
			if m := v.at(name, c, hops); m != nil && m.CPU != nil {
				u := m.CPU
				bars[j] = bar{segments: []segment{{u.Services, "cpu-services"}, {u.Proxy, "cpu-proxy"}, {u.NIC, "cpu-nic"}, {u.Generator, "cpu-generator"}},
					label: fmtUS(u.Services + u.Proxy + u.NIC),
					tip: fmt.Sprintf("%s, %s: cpu_us a request: services %s, proxies %s, NIC %s, generator %s", r.label, b.panels[j],
						fmtUS(u.Services), fmtUS(u.Proxy), fmtUS(u.NIC), fmtUS(u.Generator))}
			}
		}
		b.rows, b.bars = append(b.rows, r), append(b.bars, bars)
	})
	return b.draw()
}

// eachBarRow calls f once for each measured system and number of hops.
func (v *view) eachBarRow(f func(name string, hops int, r barRow)) {
	for _, n := range v.lineNames() {
		seen := map[int]bool{}
		for _, r := range v.rows {
			if r.Name != n || seen[r.Hops] {
				continue
			}
			st, text := styleOf(n), n
			if v.Experiment == "hop" && r.Hops > 0 {
				text += ", " + plural(r.Hops, "hop")
			}
			f(n, r.Hops, barRow{label: text, st: &st, gap: v.Experiment == "hop" && len(seen) == 0})
			seen[r.Hops] = true
		}
	}
}

// addedChart shows what a hop adds to the median; nil without a hop.
func (v *view) addedChart() *canvas {
	if !v.any(func(r row) bool { return r.Added != nil }) {
		return nil
	}
	b := barChart{title: "Latency added by one hop, wall_us p50",
		sub: "p50 minus that of " + v.base + " at the same connections, over the number of hops; each panel has its own scale"}
	for _, c := range v.conns {
		b.panels = append(b.panels, plural(c, "connection"))
	}
	v.eachBarRow(func(name string, hops int, r barRow) {
		if hops == 0 {
			return
		}
		bars := make([]bar, len(v.conns))
		for j, c := range v.conns {
			if m := v.at(name, c, hops); m != nil && m.Added != nil {
				bars[j] = bar{segments: []segment{{m.perHop(), r.st.slot}}, label: fmtUS(m.perHop()),
					tip: fmt.Sprintf("%s, %s: %s us a hop, %s us in all", r.label, b.panels[j], fmtUS(m.perHop()), fmtUS(m.Added.P50US))}
			}
		}
		b.rows, b.bars = append(b.rows, r), append(b.bars, bars)
	})
	return b.draw()
}
