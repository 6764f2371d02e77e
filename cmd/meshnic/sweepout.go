package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/meshnic/meshnic/bench/report"
	"github.com/meshnic/meshnic/bench/sweep"
)

// maxRows is how many points the page shows; the CSV has them all.
const maxRows = 2000

// writeSweep writes all that follows from the points into their folder, prints
// the fronts, and the folder's name last.
func writeSweep(out io.Writer, dir string, p *sweep.Plan, points []sweep.Point, missing []int, m *sweep.Manifest) error {
	v := p.Chart.View(points)
	chart := scatter(p, v)
	var csv, svg, page bytes.Buffer
	if err := p.WriteCSV(&csv, points, v); err != nil {
		return err
	}
	if err := report.ScatterSVG(&svg, chart, report.Auto); err != nil {
		return err
	}
	if err := report.SheetHTML(&page, sheet(p, v, points, missing, chart, m)); err != nil {
		return err
	}
	m.Done = len(points)
	for i := range points {
		if points[i].Error != "" {
			m.Errors++
		}
	}
	for _, f := range []struct {
		name string
		b    *bytes.Buffer
	}{{"points.csv", &csv}, {"pareto.svg", &svg}, {"index.html", &page}} {
		if err := m.Write(dir, f.name, f.b.Bytes()); err != nil {
			return err
		}
	}
	if err := m.Save(dir); err != nil {
		return err
	}
	if err := printFronts(out, p, v); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d of %d points", len(points), p.Size())
	if m.Errors > 0 {
		fmt.Fprintf(out, ", %d of them cannot be built or run (points.csv says why)", m.Errors)
	}
	if m.Rate > 0 {
		fmt.Fprintf(out, "; %.0f points/s", m.Rate)
	}
	fmt.Fprintf(out, "\n%s\n", dir)
	return nil
}

// printFronts is the chart's answer as text: each panel's front.
func printFronts(out io.Writer, p *sweep.Plan, v sweep.View) error {
	for _, panel := range v.Panels {
		fmt.Fprintf(out, "%s: %s against %s\n", panel.Title, v.Y.Name, v.X.Name)
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "  design\tlatency_ns\tgbit_per_s\tlut\tff\tbram36")
		for _, d := range panel.Front() {
			pt := d.Point
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", p.Label(pt), figure(pt.LastNS), figure(pt.Gbps()), pt.Area.LUT, pt.Area.FF, pt.Area.BRAM)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func figure(v *float64) string { return cmp.Or(sweep.Figure(v), "-") }

// scatter is the view as a chart.
func scatter(p *sweep.Plan, v sweep.View) report.Scatter {
	s := report.Scatter{Label: fmt.Sprintf("%s: %s against %s, Pareto front marked", name(p), v.Y.Name, v.X.Name), X: v.X.Label, Y: v.Y.Label, MoreX: v.X.More, Key: p.Names()}
	fastest := 0.0
	if v.X.Name != "throughput" && v.Y.Name != "throughput" {
		for _, panel := range v.Panels {
			for _, d := range panel.Dots {
				if g := d.Point.Gbps(); g != nil {
					fastest = max(fastest, *g)
				}
			}
		}
		s.Size = fmt.Sprintf("throughput, largest %.4g Gbit/s", fastest)
	}
	for _, panel := range v.Panels {
		sp := report.ScatterPanel{Title: panel.Title}
		for _, d := range panel.Dots {
			dot := report.ScatterDot{X: d.X, Y: d.Y, XLow: d.XLow, Front: d.Front, Open: d.Out != "", Key: p.Values(d.Point), Tip: tip(p, d)}
			if d.XOpen {
				dot.XLow = dot.X // its range has no end that could be drawn
			}
			if g := d.Point.Gbps(); fastest > 0 && g != nil {
				dot.Size = *g / fastest
			}
			sp.Dots = append(sp.Dots, dot)
		}
		s.Panels = append(s.Panels, sp)
	}
	return s
}

func name(p *sweep.Plan) string {
	if p.Pipeline.Name == "" {
		return "pipeline"
	}
	return p.Pipeline.Name
}

func tip(p *sweep.Plan, d sweep.Dot) string {
	pt := d.Point
	s := fmt.Sprintf("%s: latency %s ns, %s Gbit/s, LUT %s, FF %s, BRAM %s", p.Label(pt), figure(pt.LastNS), figure(pt.Gbps()), pt.Area.LUT, pt.Area.FF, pt.Area.BRAM)
	if d.Out != "" {
		s += "; " + d.Out
	}
	return s
}

// sheet is the page.
func sheet(p *sweep.Plan, v sweep.View, points []sweep.Point, missing []int, chart report.Scatter, m *sweep.Manifest) report.Sheet {
	s := report.Sheet{
		Title:  "meshnic sweep of " + name(p),
		Lede:   fmt.Sprintf("%d points: every combination of what varies, under %d kinds of traffic. All figures are model time.", len(points), len(v.Panels)),
		Figure: chart,
		Caption: fmt.Sprintf("%s against %s. A design is on the front if no other under the same traffic is better in one and at least as good in the other; "+
			"of designs in the same place, if no other there is at least as good in all other figures and better in one. Throughput that differs by less than 0.5 %% is the same. "+
			"Where an area is a range, its upper end counts and a line shows the rest; parts whose area is unknown are not in it.", v.Y.Label, v.X.Label),
	}
	if len(missing) > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d of %d points are not here: %s", len(missing), p.Size(), sweep.Ranges(missing, 12)))
	}
	on := v.Fronts()
	var front, rest [][]string
	var failed [][]string
	var sources []string
	for i := range points {
		pt := &points[i]
		switch {
		case pt.Error != "":
			failed = append(failed, append(p.Row(pt, false)[:len(p.Vary)+6], pt.Error))
		case on[pt.Index]:
			front = append(front, sheetRow(p, pt))
		default:
			rest = append(rest, sheetRow(p, pt))
		}
		if pt.Area != nil {
			for _, r := range pt.Area.Rules {
				if !slices.Contains(sources, r) {
					sources = append(sources, r)
				}
			}
		}
	}
	columns := sheetColumns(p)
	table := func(caption string, rows [][]string, columns []report.SheetColumn) {
		if len(rows) > maxRows {
			caption += fmt.Sprintf(": the first %d of %d, points.csv has them all", maxRows, len(rows))
			rows = rows[:maxRows]
		}
		if len(rows) > 0 {
			s.Tables = append(s.Tables, report.SheetTable{Caption: caption, Columns: columns, Rows: rows})
		}
	}
	table("On a Pareto front", front, columns)
	table("Beaten by another, or not compared", rest, columns)
	settings := columns[:len(p.Vary)+6]
	table("Cannot be built or run", failed, append(slices.Clip(settings), report.SheetColumn{Name: "reason", Left: true}))
	s.Notes = []string{
		"latency, first and last: of the first frame, which finds the pipeline empty, from its first beat accepted at the input to its first and to its last beat at the output. Final: of the last frame, from its first beat in to its last beat out; it meets what the others have filled.",
		"cycles a frame: spacing of last beats at the followed output (the last stage's first that gives a frame), under the traffic of the row.",
		"throughput: at saturation. Every input offers frames of the row's bytes back to back, the sink is the row's. Trains double in length until one has the rate of the one before within 0.5 % and lasts twice as long as what is inside at its end takes to leave; where 32768 frames or 8 MiB are not enough for that, the figure has a *. The rate is that of the frames by which a train is longer than the one before, so filling and draining do not count. Over all outputs; Gbit/s of frames as offered, without FCS, preamble and gap.",
		"lost at saturation: of the longest train's frames.",
		"occupancy: the fullest stage's highest level; points.jsonl has every stage's.",
	}
	for _, r := range sources {
		s.Notes = append(s.Notes, "area: "+r)
	}
	s.Facts = [][2]string{{"plan, sha256", m.Hash}, {"version", m.Version}, {"schema", m.Schema}}
	return s
}

func sheetColumns(p *sweep.Plan) []report.SheetColumn {
	c := []report.SheetColumn{{Name: "point"}}
	for _, v := range p.Vary {
		c = append(c, report.SheetColumn{Name: v.Name()})
	}
	return append(c,
		report.SheetColumn{Unit: "bytes", Name: "frame"}, report.SheetColumn{Name: "frames"}, report.SheetColumn{Unit: "cycles", Name: "gap"},
		report.SheetColumn{Name: "sink", Left: true}, report.SheetColumn{Name: "inputs"},
		report.SheetColumn{Unit: "cycles", Name: "first"}, report.SheetColumn{Unit: "model_ns", Name: "first"},
		report.SheetColumn{Unit: "cycles", Name: "last"}, report.SheetColumn{Unit: "model_ns", Name: "last"}, report.SheetColumn{Unit: "model_ns", Name: "final"},
		report.SheetColumn{Unit: "cycles", Name: "per frame"}, report.SheetColumn{Unit: "Gbit/s", Name: "throughput"}, report.SheetColumn{Unit: "Mframe/s", Name: "throughput"},
		report.SheetColumn{Unit: "frames of all", Name: "lost at saturation"},
		report.SheetColumn{Unit: "frames", Name: "dropped"}, report.SheetColumn{Name: "reasons", Left: true},
		report.SheetColumn{Unit: "bytes", Name: "highest"},
		report.SheetColumn{Unit: "LUT", Name: "area"}, report.SheetColumn{Unit: "FF", Name: "area"}, report.SheetColumn{Unit: "BRAM36", Name: "area"})
}

func sheetRow(p *sweep.Plan, pt *sweep.Point) []string {
	row := p.Row(pt, false)[:len(p.Vary)+6]
	highest := ""
	if l := pt.Highest(); l != nil {
		highest = strconv.Itoa(l.Bytes)
	}
	reasons := pt.Reasons()
	if pt.Bad > 0 {
		reasons = strings.TrimPrefix(fmt.Sprintf("%s; %d marked bad", reasons, pt.Bad), "; ")
	}
	sat := pt.Saturation
	rate := figure(sat.Gbps)
	if !sat.Steady {
		rate += "*"
	}
	return append(row, figure(pt.FirstCycles), figure(pt.FirstNS), figure(pt.LastCycles), figure(pt.LastNS), figure(pt.FinalNS),
		figure(pt.CyclesPerFrame), rate, figure(sat.Mfps), fmt.Sprintf("%d of %d", sat.Dropped, sat.Frames*pt.Inputs),
		strconv.Itoa(pt.Dropped), reasons, highest, pt.Area.LUT.String(), pt.Area.FF.String(), pt.Area.BRAM.String())
}
