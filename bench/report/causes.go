package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/bench/reference"
)

// Causes is what a run says about why its ratios are not the paper's, at 1
// connection: what was measured of each cause, and nothing else.
type Causes struct {
	Works   []string // of the run
	Systems []Cause
}

// Cause is one of the paper's systems.
type Cause struct {
	System, Over string
	Paper        float64   // ratio P90
	PaperAddsMS  float64   // P90 minus that of Over
	Ours, AddsMS []float64 // by Works; NaN where it was not measured
	BaseMS       []float64 // P90 of Over, by Works
	Differs      bool      // in one of the works, by more than differsBy
	Said         []string  // sentences
}

// Rules by which a difference is one, and by which a cause moves a ratio.
const (
	differsBy = .30 // of the paper's ratio
	movesBy   = .15 // of the ratio without the cause
)

// causesOf is what a run says; it is empty without two kinds of work.
func causesOf(run Run) (c Causes) {
	var views []*view
	for _, w := range []string{"native", "polyglot", "paper"} { // by the time a page takes
		if v := run.find("bookinfo", w); v != nil {
			c.Works, views = append(c.Works, w), append(views, v)
		}
	}
	if len(views) < 2 {
		return Causes{}
	}
	for _, p := range reference.Paper() {
		if p.Experiment != "bookinfo" || p.System == p.Baseline || p.Connections != 1 {
			continue
		}
		base, ok := reference.Lookup("bookinfo", p.Baseline, 1)
		if !ok {
			continue
		}
		s := Cause{System: p.System, Over: p.Baseline, Paper: p.Ratio, PaperAddsMS: p.LatencyMS - base.LatencyMS}
		measured := false
		for _, v := range views {
			x, adds, page := math.NaN(), math.NaN(), math.NaN()
			if r, b := v.at(p.System, 1, -1), v.at(p.Baseline, 1, -1); r != nil && b != nil {
				x, adds, page = v.ratioTo(r, b), (r.WallUS.P90-b.WallUS.P90)/1e3, b.WallUS.P90/1e3
				measured = true
				s.Differs = s.Differs || math.Abs(x/p.Ratio-1) > differsBy
			}
			s.Ours, s.AddsMS, s.BaseMS = append(s.Ours, x), append(s.AddsMS, adds), append(s.BaseMS, page)
		}
		if measured {
			if s.Differs {
				s.Said = s.say(c.Works, views)
			}
			c.Systems = append(c.Systems, s)
		}
	}
	return c
}

// ratioTo is r's ratio of P90 to b, taken within repeats where the bench has it so.
func (v *view) ratioTo(r, b *row) float64 {
	switch {
	case r.ToBaseline != nil && r.Baseline == b.Name:
		return r.ToBaseline.P90
	case b.Name == v.base:
		return v.ratioP90(r)
	}
	return r.WallUS.P90 / b.WallUS.P90
}

// say puts what was measured of each cause into sentences.
func (c *Cause) say(works []string, views []*view) (out []string) {
	out = append(out, c.serviceTime(works))
	last := len(views) - 1
	v := views[last] // of the works that were measured the one with the longest pages
	r, b := v.at(c.System, 1, -1), v.at(c.Over, 1, -1)
	if r == nil || b == nil {
		return out
	}
	adds, page := c.AddsMS[last], c.BaseMS[last]
	out = append(out, fmt.Sprintf("What is left at %s ms a page (%s work): the proxies add %s ms here and %s in the paper, %s times as much",
		fmtUS(page), v.Work, fmtUS(adds), fmtUS(c.PaperAddsMS), fmtRatio(c.PaperAddsMS/adds, 1)))
	if r.CPU != nil && b.CPU != nil {
		cpu := (r.CPU.Proxy) / 1e3
		out = append(out, fmt.Sprintf("CPU: the proxies spend %s ms a page, %s of what they add, and the services %s ms where they spend %s without them",
			fmtUS(cpu), shareOf(cpu/adds), fmtUS(r.CPU.Services/1e3), fmtUS(b.CPU.Services/1e3)))
	}
	if r.Opened != nil && b.Opened != nil {
		out = append(out, fmt.Sprintf("Connection reuse: %s connections are opened a page, and %s without proxies", fmtUS(*r.Opened), fmtUS(*b.Opened)))
	}
	near, where := c.nearest(works)
	varied := false
	for i := range v.rows {
		if x := &v.rows[i]; x.VariantOf == c.System && x.Connections == 1 {
			q, said := v.variant(x, r, b)
			out, varied = append(out, said), true
			if math.Abs(q-c.Paper) < math.Abs(near-c.Paper) {
				near, where = q, x.Name+" with "+v.Work+" work"
			}
		}
	}
	if !varied {
		for i := range v.rows {
			if x := &v.rows[i]; x.VariantOf != "" && x.Hops > 0 {
				out = append(out, "Connection reuse, cores and workers were varied in "+x.VariantOf+" alone")
				break
			}
		}
	}
	return append(out, fmt.Sprintf("Nearest to the paper's %s in this run: %s, %s", fixed(c.Paper, 2), fmtRatio(near, 2), where))
}

// nearest is the ratio that is nearest to the paper's, and with which work it is.
func (c *Cause) nearest(works []string) (near float64, where string) {
	near = math.Inf(1)
	for i, x := range c.Ours {
		if finite(x) && math.Abs(x-c.Paper) < math.Abs(near-c.Paper) {
			near, where = x, works[i]+" work"
		}
	}
	return near, where
}

// serviceTime says how the ratio depends on how long a page takes without proxies.
func (c *Cause) serviceTime(works []string) string {
	var parts []string
	low, high := math.Inf(1), 0.0
	for i, x := range c.Ours {
		if !finite(x) {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s where a page takes %s ms (%s work, + %s ms)", fmtRatio(x, 2), fmtUS(c.BaseMS[i]), works[i], fmtUS(c.AddsMS[i])))
		low, high = min(low, x), max(high, x)
	}
	verdict := "it does not move the ratio"
	if high/low > 1+movesBy {
		verdict = fmt.Sprintf("it moves the ratio %s-fold", fmtRatio(high/low, 1))
	}
	return "Service time: " + strings.Join(parts, ", ") + ": " + verdict
}

// variant says what becomes of r's ratio to b with one thing changed.
func (v *view) variant(x, r, b *row) (ratio float64, said string) {
	base := b
	if own := v.at(x.Baseline, 1, -1); x.ToBaseline != nil && own != nil {
		base = own
	}
	with, without := v.ratioTo(x, base), v.ratioTo(r, b)
	s := fmt.Sprintf("%s: %s instead of %s (P90 %s ms over %s)", upper(x.Varies), fmtRatio(with, 2), fmtRatio(without, 2), fmtUS(x.WallUS.P90/1e3), fmtUS(base.WallUS.P90/1e3))
	if x.Opened != nil && r.Opened != nil && *x.Opened > *r.Opened+.5 {
		s += fmt.Sprintf(", with %s connections opened a page", fmtUS(*x.Opened))
	}
	switch {
	case overlap(x, r) && base == b:
		return with, s + ": the repeats of the two overlap, so this run does not tell whether it moves the ratio"
	case math.Abs(with/without-1) > movesBy:
		return with, s + ": it moves the ratio"
	}
	return with, s + ": it does not move the ratio"
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func shareOf(f float64) string {
	if !finite(f) {
		return none
	}
	return fmt.Sprintf("%.0f %%", 100*f)
}

// heading are the columns of the table of causes, cells its rows: for HTML and
// Markdown alike.
func (c Causes) heading() []string {
	h := append([]string{"system", "P90 over", "the paper, ratio"}, c.each(", ratio")...)
	return append(append(h, "the paper, + ms"), c.each(", + ms")...)
}

func (c Causes) each(what string) (out []string) {
	for _, w := range c.Works {
		out = append(out, w+" work"+what)
	}
	return out
}

func (c Causes) cells() (rows [][]string) {
	for _, s := range c.Systems {
		row := []string{s.System, s.Over, fixed(s.Paper, 2)}
		for _, x := range s.Ours {
			cell := fmtRatio(x, 2)
			if finite(x) && math.Abs(x/s.Paper-1) > differsBy {
				cell += fmt.Sprintf(" (%+.0f %%)", 100*(x/s.Paper-1))
			}
			row = append(row, cell)
		}
		row = append(row, fmtUS(s.PaperAddsMS))
		for _, x := range s.AddsMS {
			row = append(row, fmtUS(x))
		}
		rows = append(rows, row)
	}
	return rows
}

// Rule is what the table marks and what the sentences go by.
func (c Causes) Rule() string {
	return fmt.Sprintf("At 1 connection. Ratios that differ from the paper's by more than %.0f %% are marked; something moves a ratio if it changes it by more than %.0f %%. What was not measured in this run is not said.", 100*differsBy, 100*movesBy)
}

// causesPage is what the template shows of them.
type causesPage struct {
	Causes
	Heading []string
	Rows    [][]string
}

// newCausesPage is nil where there is nothing to say.
func newCausesPage(run Run) *causesPage {
	c := causesOf(run)
	if len(c.Systems) == 0 {
		return nil
	}
	return &causesPage{c, c.heading(), c.cells()}
}

// CausesMarkdown writes why a run's ratios are not the paper's. It reports false,
// and writes nothing, where the run has less than two kinds of work.
func CausesMarkdown(w io.Writer, run Run) (bool, error) {
	c := causesOf(run)
	if len(c.Systems) == 0 {
		return false, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Why ratios differ from the paper's\n\n%s\n\n", c.Rule())
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	head := c.heading()
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, cells := range c.cells() {
		line(cells)
	}
	for _, s := range c.Systems {
		if len(s.Said) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", s.System)
		for _, said := range s.Said {
			fmt.Fprintf(&b, "- %s.\n", said)
		}
	}
	_, err := io.WriteString(w, b.String())
	return true, wrap("write causes", err)
}
