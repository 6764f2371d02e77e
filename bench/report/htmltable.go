package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/bench/reference"
)

// htmlTable is a document's table with a body a number of connections.
type htmlTable struct {
	Caption string
	Columns []htmlColumn
	Groups  [][]htmlRow
	Absent  []htmlAbsent
	Span    int // columns beyond the first
}

type htmlColumn struct {
	Unit template.HTML
	Name template.HTML // may break after an underscore
	Left bool
}

type htmlRow struct {
	Glyph template.HTML
	Cells []htmlCell
}

type htmlCell struct {
	Text string
	Left bool
	Weak bool // fewer than one request a repeat lies beyond the quantile
}

type htmlAbsent struct {
	Glyph         template.HTML
	Name, Message string
}

func (v *view) tables() []htmlTable {
	var out []htmlTable
	for _, t := range []struct {
		part    part
		caption string
	}{{latency, "Latency"}, {cost, "Throughput and host CPU"}} {
		out = append(out, v.htmlTable(t.part, t.caption))
	}
	for _, more := range []func() (htmlTable, bool){v.addedTable, v.conditionsTable} {
		if t, ok := more(); ok {
			out = append(out, t)
		}
	}
	return out
}

func (v *view) htmlTable(p part, caption string) htmlTable {
	var cols []column
	for _, c := range columns(v) {
		if !slices.Contains(otherTimes, c.unit) && (c.part == both || c.part == p) {
			cols = append(cols, c)
		}
	}
	t := v.fill(caption, cols, func(*row) bool { return true })
	if p != latency {
		return t
	}
	for _, a := range v.absent {
		at := ""
		if len(a.Conns) > 0 {
			at = " (at " + a.Where() + ")"
		}
		t.Absent = append(t.Absent, htmlAbsent{glyph(a.Name), a.Name, "absent: " + a.Reason + at})
	}
	return t
}

// fill makes the rows that keep wants.
func (v *view) fill(caption string, cols []column, keep func(*row) bool) htmlTable {
	t := htmlTable{Caption: caption, Span: len(cols) - 1}
	for _, c := range cols {
		t.Columns = append(t.Columns, htmlColumn{breakable(c.unit, "/"), breakable(c.name, "_"), c.left})
	}
	last := -1
	for i := range v.rows {
		r := &v.rows[i]
		if !keep(r) {
			continue
		}
		if r.Connections != last {
			t.Groups = append(t.Groups, nil)
			last = r.Connections
		}
		h := htmlRow{Glyph: glyph(r.Name)}
		for _, c := range cols {
			h.Cells = append(h.Cells, htmlCell{c.display(v, r), c.left, c.weak(v, r)})
		}
		g := &t.Groups[len(t.Groups)-1]
		*g = append(*g, h)
	}
	return t
}

// addedTable is hop's own: what a hop adds, beside what others' do.
func (v *view) addedTable() (htmlTable, bool) {
	if !v.any(func(r row) bool { return hasAdded(&r) }) {
		return htmlTable{}, false
	}
	return v.fill(v.addedCaption(), v.addedColumns(), hasAdded), true
}

// conditionsTable says what each system does with a request.
func (v *view) conditionsTable() (htmlTable, bool) {
	t := htmlTable{Caption: "Conditions: what is in the path of a request, and does what", Span: 1,
		Columns: []htmlColumn{{Name: "system", Left: true}, {Name: "conditions", Left: true}}}
	var rows []htmlRow
	for _, c := range v.conditions() {
		rows = append(rows, htmlRow{glyph(c.name), []htmlCell{{Text: c.name, Left: true}, {Text: c.text, Left: true}}})
	}
	t.Groups = [][]htmlRow{rows}
	return t, len(rows) > 0
}

// breakable escapes a heading and lets it break after a separator.
func breakable(s, after string) template.HTML {
	return template.HTML(strings.ReplaceAll(escape(s), after, after+"<wbr>"))
}

// paperMS keeps the decimals that the paper gives, at least one.
func paperMS(p reference.Point) string {
	if s := tickLabel(p.LatencyMS); strings.Contains(s, ".") {
		return s
	}
	return fixed(p.LatencyMS, 1)
}

// glyph is a system's marker for use in text.
func glyph(name string) template.HTML {
	st := styleOf(name)
	c := newCanvas(12, 12)
	c.open("k-" + st.slot)
	c.marker(st, 6, 6, 3.6, "")
	c.close()
	return template.HTML(`<svg class="chart glyph" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">` + c.b.String() + `</svg>`)
}

// otherTimes are the units of the times that are not wall time.
var otherTimes = []string{"model_ns", "emu_us", "projected_us"}

// modelTable has the times that are not wall time, a column each.
func (v *view) modelTable() (htmlTable, bool) {
	has := func(r *row) bool { return r.ModelNS != nil || r.EmuUS != nil }
	if !v.any(func(r row) bool { return has(&r) }) {
		return htmlTable{}, false
	}
	cols := append(columns(v)[:3:3],
		card("p50 a frame", func(m *bench.ModelNS) float64 { return m.P50 }),
		column{name: "frames a request", cell: us, value: func(_ *view, r *row) float64 {
			if r.ModelNS == nil {
				return math.NaN()
			}
			return r.ModelNS.Frames
		}})
	for _, c := range modelColumns() {
		if c.when(v) {
			cols = append(cols, c)
		}
	}
	cols = append(cols, column{unit: "projected_us", name: "low..high", text: func(_ *view, r *row) string {
		if r.ProjectedUS == nil {
			return none
		}
		return between(r.ProjectedUS.Low, r.ProjectedUS.High)
	}}, column{name: "like for like", left: true, text: func(_ *view, r *row) string {
		if r.EmuUS == nil {
			return none
		}
		return r.EmuUS.To
	}})
	t := v.fill(label(v.Document), cols, has)
	for _, u := range v.unmodelled() {
		t.Absent = append(t.Absent, htmlAbsent{glyph(u.name), u.name, "no model_ns: " + u.text})
	}
	return t, true
}

// paperTable sets the paper's ratios beside ours.
type paperTable struct {
	Works []string
	Rows  []paperRow
}

type paperRow struct {
	Glyph              template.HTML
	Name, What         string
	PaperMS, PaperX    string
	Ours               []string // by work
	OursMS             []string
	Single, SingleWall string // curl: one figure for all works
}

func newPaperTable(run Run) paperTable {
	var t paperTable
	views := map[string]*view{}
	for _, w := range works() {
		if v := run.find("bookinfo", w); v != nil {
			t.Works = append(t.Works, w)
			views[w] = v
		}
	}
	for _, p := range reference.Paper() {
		if p.Experiment != "bookinfo" {
			continue
		}
		r := paperRow{Glyph: glyph(p.System), Name: p.System, What: "P90 over " + p.Baseline, PaperMS: paperMS(p), PaperX: fixed(p.Ratio, 2)}
		for _, w := range t.Works {
			x, ms := none, none
			if a, b := views[w].at(p.System, 1, -1), views[w].at(p.Baseline, 1, -1); a != nil {
				ms = fmtUS(a.WallUS.P90 / 1e3)
				if b != nil {
					x = fmtRatio(a.WallUS.P90/b.WallUS.P90, 2)
				}
				if a.ToBaseline != nil && p.Baseline == a.Baseline {
					x = fmtRatio(a.ToBaseline.P90, 2)
				}
				if p.Baseline == views[w].base {
					x = fmtRatio(views[w].ratioP90(a), 2)
				}
			}
			r.Ours, r.OursMS = append(r.Ours, x), append(r.OursMS, ms)
		}
		t.Rows = append(t.Rows, r)
	}
	if v := run.find("curl", ""); v != nil {
		t.Rows = append(t.Rows, curlPaperRows(v, len(t.Works))...)
	}
	return t
}

func curlPaperRows(v *view, columns int) []paperRow {
	var out []paperRow
	for _, p := range reference.Paper() {
		if p.Experiment != "curl" {
			continue
		}
		name := p.System
		if v.at(name, 1, -1) == nil {
			name += "_xdp"
		}
		r := v.at(name, 1, -1)
		if r == nil || columns == 0 {
			continue
		}
		row := paperRow{Glyph: glyph(name), Name: name, What: "curl p50 over " + p.Baseline, PaperMS: paperMS(p), PaperX: fixed(p.Ratio, 3),
			Single: fmt.Sprintf("%s (wall %s ms)", fmtRatio(v.ratioP50(r), 3), fmtUS(r.WallUS.P50/1e3))}
		out = append(out, row)
	}
	return out
}
