package trace

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// parts are the four parts of a share and their colours, apart in lightness so
// that they differ in print.
var parts = [...]struct {
	name, colour string
	of           func(*ShareJSON) Nanos
}{
	{"pass", "#086b47", func(s *ShareJSON) Nanos { return s.PassNs }},
	{"store and forward", "#2396e3", func(s *ShareJSON) Nanos { return s.StoreForwardNs }},
	{"queue", "#b08a14", func(s *ShareJSON) Nanos { return s.QueueNs }},
	{"blocked by what is downstream", "#7d1a04", func(s *ShareJSON) Nanos { return s.BlockedNs }},
}

const restColour = "#c3cad3"

// Measures of the drawing.
const (
	svgWidth, svgLabels, svgValues = 900, 220, 90
	svgLine, svgBar                = 19, 12
)

// SVG draws the samples, one below the other on one scale: a bar a stage, each
// beginning where the one before ends.
func (r *WaterfallResult) SVG(w io.Writer) error {
	var b strings.Builder
	lines, longest := 0, Nanos(1)
	for _, s := range r.Samples {
		lines += len(s.Stages) + 4
		longest = max(longest, s.TotalNs)
	}
	height := 44 + lines*svgLine
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="waterfall of %d frames">`,
		svgWidth, height, svgWidth, height, r.Frames)
	b.WriteString("\n<title>Where the time of a frame goes</title>\n<style>text{font:12px system-ui,-apple-system,\"Segoe UI\",Arial,sans-serif;fill:#1b2128}" +
		".h{font-weight:600}.v{font-variant-numeric:tabular-nums;font-size:11px}</style>\n" + `<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	x := 8
	for _, p := range parts {
		fmt.Fprintf(&b, `<rect x="%d" y="10" width="12" height="12" fill="%s"/>`, x, p.colour)
		svgText(&b, "", x+16, 20, p.name)
		x += 36 + 7*len(p.name)
	}
	fmt.Fprintf(&b, `<rect x="%d" y="10" width="12" height="12" fill="%s"/>`, x, restColour)
	svgText(&b, "", x+16, 20, "remainder")
	b.WriteByte('\n')
	y := 44
	for _, s := range r.Samples {
		svgText(&b, "h", 8, y+10, fmt.Sprintf("%s of total_ns: frame id=%d, %s ns", s.Quantile, s.ID, s.TotalNs))
		b.WriteByte('\n')
		y += svgLine
		y = s.draw(&b, y, longest)
		y += svgLine
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// draw draws a sample from y down and returns where it ends.
func (s *Sample) draw(b *strings.Builder, y int, longest Nanos) int {
	scale := float64(svgWidth-svgLabels-svgValues) / float64(longest)
	at := Nanos(0)
	bar := func(n Nanos, colour string) {
		if n > 0 {
			fmt.Fprintf(b, `<rect x="%s" y="%d" width="%s" height="%d" fill="%s"/>`,
				coordinate(svgLabels+float64(at)*scale), y+1, coordinate(max(.8, float64(n)*scale)), svgBar, colour)
		}
		at += n
	}
	label := func(name string, n Nanos) {
		if r := []rune(name); len(r) > 28 {
			name = string(r[:27]) + "…" // the tooltip has it all
		}
		svgText(b, "", 20, y+11, name)
		svgText(b, "v", int(svgLabels+float64(at)*scale)+5, y+11, n.String())
		b.WriteString("</g>\n")
		y += svgLine
	}
	tip := func(text string) { b.WriteString("<g><title>" + svgEscape(text) + "</title>") }
	for i := range s.Stages {
		st := &s.Stages[i]
		tip(fmt.Sprintf("%s: %s ns: pass %s, store and forward %s, queue %s, blocked %s",
			st.Stage, st.ShareNs, st.PassNs, st.StoreForwardNs, st.QueueNs, st.BlockedNs))
		for _, p := range []int{2, 0, 1, 3} { // queueing comes first
			bar(parts[p].of(st), parts[p].colour)
		}
		label(st.Stage, st.ShareNs)
	}
	tip("remainder: " + s.RemainderNs.String() + " ns")
	bar(s.RemainderNs, restColour)
	label("remainder", s.RemainderNs)
	tip("total: " + s.TotalNs.String() + " ns")
	label("total", s.TotalNs)
	return y
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func svgText(b *strings.Builder, class string, x, y int, s string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(b, `<text x="%d" y="%d"%s>%s</text>`, x, y, class, svgEscape(s))
}

func svgEscape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
