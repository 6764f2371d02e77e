package report

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"
)

// canvas collects the elements of one SVG. Everything that comes from a
// document goes through text or a title, both of which escape.
type canvas struct {
	b    strings.Builder
	w, h float64
}

func newCanvas(w, h float64) *canvas { return &canvas{w: w, h: h} }

// num writes a coordinate with one decimal at most.
func num(v float64) string {
	if !finite(v) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64)
}

func (c *canvas) open(class string) {
	c.b.WriteString(`<g class="` + class + `">`)
}

func (c *canvas) close() { c.b.WriteString("</g>\n") }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.path(class, "M"+num(x1)+" "+num(y1)+"L"+num(x2)+" "+num(y2))
}

func (c *canvas) path(class, d string) {
	c.b.WriteString(`<path class="` + class + `" d="` + d + `"/>`)
}

func (c *canvas) rect(class string, x, y, w, h float64) {
	c.b.WriteString(`<rect class="` + class + `" x="` + num(x) + `" y="` + num(y) + `" width="` + num(max(w, 0)) + `" height="` + num(max(h, 0)) + `"/>`)
}

// anchor of a text.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// text is drawn with its middle height at y.
func (c *canvas) text(class string, x, y float64, a anchor, s string) {
	c.b.WriteString(`<text class="` + class + `" x="` + num(x) + `" y="` + num(y+4) + `" text-anchor="` + string(a) + `">` + escape(s) + `</text>`)
}

// title opens a group with a tooltip; readers without a mouse get it from the
// accessibility tree.
func (c *canvas) title(class, s string) {
	c.open(class)
	c.b.WriteString("<title>" + escape(s) + "</title>")
}

// marker draws a system's symbol with radius r.
func (c *canvas) marker(st style, x, y, r float64, extra string) {
	class := "full"
	if st.open {
		class = "open"
	}
	c.path(strings.TrimSpace(class+" "+extra), outline(st.shape, x, y, r))
}

// outline returns the path of a shape; sizes are tuned to look alike.
func outline(s shape, x, y, r float64) string {
	switch s {
	case circle:
		d := num(2 * r)
		return "M" + num(x-r) + " " + num(y) + "a" + num(r) + " " + num(r) + " 0 1 0 " + d + " 0a" + num(r) + " " + num(r) + " 0 1 0 -" + d + " 0Z"
	case square:
		return polygon(4, x, y, r*1.25, math.Pi/4)
	case triangle:
		return polygon(3, x, y+r*.2, r*1.35, -math.Pi/2)
	case down:
		return polygon(3, x, y-r*.2, r*1.35, math.Pi/2)
	case diamond:
		return polygon(4, x, y, r*1.35, 0)
	case pentagon:
		return polygon(5, x, y, r*1.2, -math.Pi/2)
	case star:
		return pointed(5, x, y, r*1.5, -math.Pi/2)
	default:
		return polygon(6, x, y, r*1.15, 0)
	}
}

// pointed is a star of n points.
func pointed(n int, x, y, r, turn float64) string {
	var d strings.Builder
	for i := range 2 * n {
		a, far := turn+math.Pi*float64(i)/float64(n), r
		if i%2 == 1 {
			far = r * .5
		}
		d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0])
		d.WriteString(num(x+far*math.Cos(a)) + " " + num(y+far*math.Sin(a)))
	}
	return d.String() + "Z"
}

func polygon(n int, x, y, r, turn float64) string {
	var d strings.Builder
	for i := range n {
		a := turn + 2*math.Pi*float64(i)/float64(n)
		d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0])
		d.WriteString(num(x+r*math.Cos(a)) + " " + num(y+r*math.Sin(a)))
	}
	return d.String() + "Z"
}

// escape makes text safe in element content and in quoted attributes of XML
// and HTML alike; what XML cannot hold becomes U+FFFD.
func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// svg returns the drawing for use inside an HTML page. The label is what a
// screen reader says instead of the picture.
func (c *canvas) svg(label string) string {
	return `<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + num(c.w) + " " + num(c.h) +
		`" width="` + num(c.w) + `" height="` + num(c.h) + `" role="img" aria-label="` + escape(label) + `">` + "\n" + c.b.String() + "</svg>\n"
}

// file returns the drawing as a file of its own, with its style sheet and surface.
func (c *canvas) file(label string, t Theme) string {
	css := "<style>\n" + themeCSS("svg", t) + chartCSS + slotCSS() + "</style>\n"
	s := c.svg(label)
	cut := strings.Index(s, "\n") + 1
	return s[:cut] + "<title>" + escape(label) + "</title>\n" + css + `<rect class="surface" width="100%" height="100%"/>` + "\n" + s[cut:]
}

// textWidth estimates the width of a string at a font size: Arial's advance
// widths by class of character, rounded up so that labels are never cut.
func textWidth(s string, size float64) float64 {
	em := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfI.,:;'|!()[] ", r):
			em += .31
		case strings.ContainsRune("mwMW@%", r):
			em += .88
		case r >= 'A' && r <= 'Z':
			em += .69
		case r > 0x2e7f: // east asian and emoji: full width
			em += 1.05
		default:
			em += .57
		}
	}
	return em * size
}

// clip shortens a string to a width, with an ellipsis.
func clip(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && textWidth(string(runes)+"…", size) > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
