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
			v.grid(p).write(&b)
		}
	}
	if len(v.absent) > 0 {
		b.WriteString("\nabsent:\n")
		width := 0
		for _, a := range v.absent {
			width = max(width, utf8.RuneCountInString(oneLine(a.Name)))
		}
		for _, a := range v.absent {
			fmt.Fprintf(&b, "  %s  at %s: %s\n", pad(oneLine(a.Name), width, true), a.Where(), oneLine(a.Reason))
		}
	}
	for _, s := range doc.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", oneLine(s))
	}
	_, err := io.WriteString(w, b.String())
	return wrap("write table", err)
}

// grid is a table as text: headers of one or two lines, then cells.
type grid struct {
	cols  []column
	cells [][]string
	gap   []bool // a blank line goes before this row
}

func (v *view) grid(p part) grid {
	var g grid
	for _, c := range columns(v) {
		if (c.part == both || c.part == p) && !c.page {
			g.cols = append(g.cols, c)
		}
	}
	for i := range v.rows {
		r := &v.rows[i]
		cells := make([]string, len(g.cols))
		for j, c := range g.cols {
			cells[j] = c.display(v, r)
		}
		g.cells = append(g.cells, cells)
		g.gap = append(g.gap, i > 0 && v.rows[i-1].Connections != r.Connections)
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
