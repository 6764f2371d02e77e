package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/meshnic/meshnic/bench"
)

// Table writes a document for a terminal: latencies, then costs, each as a
// table with its units in the header, then the absent systems with their
// reasons and the warnings.
func Table(w io.Writer, doc bench.Document) error {
	v := newView(doc)
	var b strings.Builder
	n, errs := v.totals()
	fmt.Fprintf(&b, "%s: %d requests, %d errors, median of %s\n", oneLine(label(doc)), n, errs, repeats(doc.Manifest.Repeats))
	if len(v.rows) > 0 {
		for _, p := range []part{latency, cost} {
			b.WriteString("\n")
			v.partGrid(p).write(&b)
		}
	}
	if v.any(func(r row) bool { return hasAdded(&r) }) {
		fmt.Fprintf(&b, "\n%s:\n\n", oneLine(v.addedCaption()))
		v.grid(v.addedColumns(), hasAdded).write(&b)
	}
	var absent []named
	for _, a := range v.absent {
		absent = append(absent, named{a.Name, "at " + a.Where() + ": " + a.Reason})
	}
	list(&b, "ratio p90 to "+v.own, v.ownRatios())
	list(&b, "conditions", v.conditions())
	list(&b, "no model_ns", v.unmodelled())
	list(&b, "absent", absent)
	for _, s := range doc.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", oneLine(s))
	}
	_, err := io.WriteString(w, b.String())
	return wrap("write table", err)
}

// list writes what is said of systems, one a line.
func list(b *strings.Builder, heading string, of []named) {
	width := 0
	for _, n := range of {
		width = max(width, utf8.RuneCountInString(oneLine(n.name)))
	}
	for i, n := range of {
		if i == 0 {
			fmt.Fprintf(b, "\n%s:\n", heading)
		}
		for j, line := range wrapped(oneLine(n.text), 140-width) {
			name := ""
			if j == 0 {
				name = oneLine(n.name)
			}
			fmt.Fprintf(b, "  %s  %s\n", pad(name, width, true), line)
		}
	}
}

// wrapped breaks text at spaces where a line would be wider than width.
func wrapped(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		l := &lines[len(lines)-1]
		switch {
		case *l == "":
			*l = word
		case utf8.RuneCountInString(*l+word) < width:
			*l += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// grid is a table as text: headers of one or two lines, then cells.
type grid struct {
	cols  []column
	cells [][]string
	gap   []bool // a blank line goes before this row
}

// partGrid has the columns of a part, but for those that a page has room for.
func (v *view) partGrid(p part) grid {
	var cols []column
	for _, c := range columns(v) {
		if c.part == both || c.part == p {
			cols = append(cols, c)
		}
	}
	return v.grid(cols, func(*row) bool { return true })
}

// grid makes the rows that keep wants.
func (v *view) grid(cols []column, keep func(*row) bool) grid {
	var g grid
	for _, c := range cols {
		if !c.page {
			g.cols = append(g.cols, c)
		}
	}
	last := 0
	for i := range v.rows {
		r := &v.rows[i]
		if !keep(r) {
			continue
		}
		cells := make([]string, len(g.cols))
		for j, c := range g.cols {
			cells[j] = c.display(v, r)
		}
		g.cells = append(g.cells, cells)
		g.gap = append(g.gap, len(g.gap) > 0 && r.Connections != last)
		last = r.Connections
	}
	return g
}

func (g grid) write(b *strings.Builder) {
	var lines [][]string // of the headers, bottom aligned
	height := 0
	for _, c := range g.cols {
		l := headerLines(c)
		lines, height = append(lines, l), max(height, len(l))
	}
	width := make([]int, len(g.cols))
	for j := range g.cols {
		for _, s := range lines[j] {
			width[j] = max(width[j], utf8.RuneCountInString(s))
		}
		for _, cells := range g.cells {
			width[j] = max(width[j], utf8.RuneCountInString(cells[j]))
		}
	}
	for l := range height {
		out := make([]string, len(g.cols))
		for j, c := range g.cols {
			if k := l - (height - len(lines[j])); k >= 0 {
				out[j] = lines[j][k]
			}
			out[j] = pad(out[j], width[j], c.left)
		}
		b.WriteString(strings.TrimRight(strings.Join(out, "  "), " ") + "\n")
	}
	for i, cells := range g.cells {
		if g.gap[i] {
			b.WriteString("\n")
		}
		out := make([]string, len(cells))
		for j, s := range cells {
			out[j] = pad(s, width[j], g.cols[j].left)
		}
		b.WriteString(strings.TrimRight(strings.Join(out, "  "), " ") + "\n")
	}
}

// headerLines puts the unit on a line of its own and breaks the name at spaces
// and before underscores, so that a header is hardly wider than its figures.
func headerLines(c column) []string {
	var lines []string
	if c.unit != "" {
		lines = append(lines, c.unit)
	}
	const width = 10
	line := ""
	for _, word := range strings.Fields(strings.ReplaceAll(oneLine(c.name), "_", " _")) {
		joint := " "
		if strings.HasPrefix(word, "_") {
			joint = ""
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line+joint+word) <= width:
			line += joint + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func pad(s string, width int, left bool) string {
	fill := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if left {
		return s + fill
	}
	return fill + s
}
