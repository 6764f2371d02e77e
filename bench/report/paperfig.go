package report

import (
	"fmt"
	"io"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/bench/reference"
)

// PaperFigureSVG writes the paper's figure of a bookinfo document as a
// stand-alone SVG file: wall P90 against connections, a line a system, and the
// ratio to the first system, each next to the paper's own points.
func PaperFigureSVG(w io.Writer, doc bench.Document, theme Theme) error {
	v := newView(doc)
	_, err := io.WriteString(w, paperFigure(v).file(paperFigureLabel(v), theme))
	return wrap("write figure", err)
}

func paperFigureLabel(v *view) string {
	return fmt.Sprintf("Bookinfo, %s: wall P90 against connections for %d systems, and their ratio to %s, next to the paper's points",
		v.Work, len(v.lineNames()), v.base)
}

// paperFigure draws both panels; what a system lacks is left out.
func paperFigure(v *view) *canvas {
	const width, height, pad, gap = 1180.0, 440.0, 8.0, 18.0
	c := newCanvas(width, height)
	const half = (width - 2*pad - gap) / 2
	const wide = half + 36 // the left panel has the longer labels
	latency := linePanel{x: pad, y: pad, w: wide, h: height - 2*pad, log: true, conns: v.conns,
		title: "P90 of GET /productpage, wall ms (log), " + v.Work + " work",
		sub:   "median of " + repeats(v.Manifest.Repeats) + "; whiskers: smallest and largest repeat"}
	ratio := linePanel{x: pad + wide + gap, y: pad, w: 2*half - wide, h: height - 2*pad, one: true, conns: v.conns,
		title: "P90 over that of " + v.base + ", ratio", sub: "at the same connections; median over repeats of the ratio within a repeat"}
	if v.own != "" {
		ratio.sub = "the same connections, medians of ratios within a repeat; systems of a cluster: over " + v.own
	}
	for _, name := range v.lineNames() {
		a, b := series{name: name, st: styleOf(name)}, series{name: name, st: styleOf(name)}
		for _, conns := range v.conns {
			if r := v.at(name, conns, -1); r != nil {
				a.pts = append(a.pts, v.p90Point(r))
				q, base := v.ratioP90(r), v.base
				if r.ToBaseline != nil {
					q, base = r.ToBaseline.P90, r.Baseline
				}
				b.pts = append(b.pts, point{conns, q, q, q,
					fmt.Sprintf("%s, %d connections: P90 %s x %s", name, conns, fmtRatio(q, 2), base)})
			}
		}
		latency.series = append(latency.series, a)
		if name != v.own { // it would be 1
			ratio.series = append(ratio.series, b)
		}
	}
	latency.elsewhereAt, ratio.elsewhereAt = "the paper, its hosts", "the paper"
	for _, p := range reference.Paper() {
		if p.Experiment != "bookinfo" || p.Connections != 1 {
			continue
		}
		latency.elsewhere = append(latency.elsewhere, mark{p.System, styleOf(p.System), p.LatencyMS, paperMS(p)})
		if p.System != p.Baseline && (p.Baseline == unproxied || p.Baseline == v.own) {
			ratio.elsewhere = append(ratio.elsewhere, mark{p.System, styleOf(p.System), p.Ratio, fixed(p.Ratio, 2)})
		}
	}
	latency.draw(c)
	ratio.draw(c)
	return c
}

// lineNames are the systems that charts show: those with at least one figure,
// in order, without the generator's floor and variants.
func (v *view) lineNames() []string {
	var names []string
	for _, n := range v.names {
		if n != floor && v.any(func(r row) bool { return r.Name == n && r.VariantOf == "" }) {
			names = append(names, n)
		}
	}
	return names
}

func (v *view) p90Point(r *row) point {
	p := point{conns: r.Connections, value: r.WallUS.P90 / 1e3, low: r.WallUS.P90 / 1e3, high: r.WallUS.P90 / 1e3}
	spread := ""
	if r.Spread != nil {
		p.low, p.high = r.Spread.P90Min/1e3, r.Spread.P90Max/1e3
		spread = fmt.Sprintf(" (repeats %s to %s)", fmtUS(p.low), fmtUS(p.high))
	}
	p.tip = fmt.Sprintf("%s, %d connections: wall P90 %s ms%s, n %d, errors %d", r.Name, r.Connections, fmtUS(p.value), spread, r.N, r.Errors)
	return p
}
