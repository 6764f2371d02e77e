package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Scatter is designs as dots, a panel for each condition they were tried under,
// with the front of those that no other beats.
type Scatter struct {
	Label  string   // what a screen reader says
	X, Y   string   // axes, with units
	MoreX  bool     // more is better on the X axis
	Size   string   // what a dot's size means; empty: nothing
	Key    []string // what the designs differ in: names of a dot's Key
	Panels []ScatterPanel
	Says   [3]string // of dots on the front, of others and of open ones; empty: what they are of designs
}

// ScatterPanel is one condition.
type ScatterPanel struct {
	Title string
	Dots  []ScatterDot
}

// ScatterDot is one design.
type ScatterDot struct {
	X, Y  float64
	XLow  float64 // where X is the end of a range
	Size  float64 // 0 … 1
	Front bool
	Open  bool     // takes no part in the front
	Key   []string // short, a value for each name
	Tip   string
}

// ScatterSVG writes the chart as a file of its own.
func ScatterSVG(w io.Writer, s Scatter, t Theme) error {
	_, err := io.WriteString(w, s.canvas().file(s.Label, t))
	return wrap("write SVG", err)
}

const (
	scatterWidth, scatterHeight = 1180.0, 380.0
	scatterTop                  = 34.0 // the legend
	maxKey                      = 20   // lines of a panel's key
)

// canvas draws one panel over the whole width, or two a row.
func (s Scatter) canvas() *canvas {
	columns := min(max(len(s.Panels), 1), 2)
	rows := (max(len(s.Panels), 1) + columns - 1) / columns
	w := (scatterWidth - 30*float64(columns-1)) / float64(columns)
	c := newCanvas(scatterWidth, scatterTop+float64(rows)*(scatterHeight+14))
	s.legend(c)
	for i, p := range s.Panels {
		s.panel(c, p, float64(i%columns)*(w+30), scatterTop+float64(i/columns)*(scatterHeight+14), w)
	}
	return c
}

var (
	frontStyle = style{"rust", diamond, false}
	otherStyle = style{"grey", circle, false}
	openStyle  = style{"grey", circle, true}
)

func (s Scatter) legend(c *canvas) {
	x := 10.0
	item := func(st style, text string) {
		c.open("k-" + st.slot)
		c.marker(st, x, 10, 4.5, "")
		c.text("small", x+10, 10, start, text)
		c.close()
		x += 34 + textWidth(text, labelSize)
	}
	says := s.Says
	if says == [3]string{} {
		says = [3]string{"on the Pareto front", "beaten by another", "loses or cuts frames, or does not come to rest: not compared"}
	}
	for i, st := range []style{frontStyle, otherStyle, openStyle} {
		if says[i] != "" {
			item(st, says[i])
		}
	}
	if s.Size != "" {
		c.text("sub small", x, 10, start, "size: "+s.Size)
	}
}

func (s Scatter) panel(c *canvas, p ScatterPanel, x, y, w float64) {
	c.text("title", x+8, y+10, start, clip(p.Title, 13, w))
	c.text("sub small", x+8, y+28, start, clip(s.Y, labelSize, w))
	front := p.front()
	gutter := s.gutter(front, w)
	left, right, top, bottom := x+58, x+w-gutter, y+48, y+scatterHeight-40
	var xs, ys []float64
	for _, d := range p.Dots {
		if xs, ys = append(xs, d.X), append(ys, d.Y); d.Front {
			xs = append(xs, d.XLow)
		}
	}
	sx, sy := spread(xs, left+18, right-18, 7), spread(ys, bottom-20, top+8, 6)
	for _, t := range sy.ticks {
		c.line("grid", left, sy.at(t), right, sy.at(t))
		c.text("tick", left-7, sy.at(t), end, tickLabel(t))
	}
	c.line("axis", left, bottom, right, bottom)
	free := math.Inf(-1)
	for _, t := range sx.ticks {
		c.line("axis", sx.at(t), bottom, sx.at(t), bottom+4)
		if half := textWidth(tickLabel(t), 11)/2 + 3; sx.at(t)-half > free {
			c.text("tick", sx.at(t), bottom+13, middle, tickLabel(t))
			free = sx.at(t) + half
		}
	}
	c.text("sub small", (left+right)/2, bottom+30, middle, clip(s.X, labelSize, right-left))
	if len(p.Dots) == 0 {
		c.text("sub", (left+right)/2, (top+bottom)/2, middle, "no design could be measured")
		return
	}
	s.others(c, p, sx, sy)
	s.border(c, front, sx, sy)
	s.numbers(c, front, sx, sy)
	s.key(c, front, right+14, top, gutter-14)
}

// spread is logarithmic where the values cover much and allow it.
func spread(values []float64, from, to float64, n int) scale {
	lo, hi := bounds(values, false)
	if lo > 0 && hi/lo > 8 {
		return logarithmic(values, from, to)
	}
	return linear(values, from, to, n)
}

// front returns the front's dots from the left to the right.
func (p ScatterPanel) front() (front []ScatterDot) {
	for _, d := range p.Dots {
		if d.Front {
			front = append(front, d)
		}
	}
	slices.SortStableFunc(front, func(a, b ScatterDot) int {
		switch {
		case a.X < b.X || a.X == b.X && a.Y < b.Y:
			return -1
		case a.X > b.X || a.Y > b.Y:
			return 1
		}
		return 0
	})
	return front
}

const keyGap = " / "

func (s Scatter) gutter(front []ScatterDot, w float64) float64 {
	g := 0.0
	for i, d := range front[:min(len(front), maxKey)] {
		g = max(g, textWidth(line(i, d), labelSize))
	}
	for _, name := range s.Key {
		g = max(g, textWidth(name+keyGap, labelSize))
	}
	return min(g+24, w*.42)
}

// line is a front's dot in the key.
func line(i int, d ScatterDot) string { return strconv.Itoa(i+1) + "  " + strings.Join(d.Key, keyGap) }

// others draws what is not on the front, each place once.
func (s Scatter) others(c *canvas, p ScatterPanel, sx, sy scale) {
	type place struct {
		x, y float64
		open bool
	}
	at := func(d ScatterDot) place { return place{math.Round(sx.at(d.X)), math.Round(sy.at(d.Y)), d.Open} }
	many := map[place]int{}
	for _, d := range p.Dots {
		if !d.Front {
			many[at(d)]++
		}
	}
	for _, d := range p.Dots {
		n := many[at(d)]
		if d.Front || n == 0 {
			continue
		}
		delete(many, at(d))
		st, tip := otherStyle, d.Tip
		if d.Open {
			st = openStyle
		}
		if n > 1 {
			tip += fmt.Sprintf(" (and %d more in this place)", n-1)
		}
		c.title("pt k-"+st.slot, tip)
		c.marker(st, sx.at(d.X), sy.at(d.Y), s.radius(d), "")
		c.close()
	}
}

// radius makes a dot's area follow its size.
func (s Scatter) radius(d ScatterDot) float64 {
	if s.Size == "" {
		return 4
	}
	return 2.6 + 3.4*math.Sqrt(min(max(d.Size, 0), 1))
}

// border draws the front: with so much of X, no better Y.
func (s Scatter) border(c *canvas, front []ScatterDot, sx, sy scale) {
	d := ""
	for i, f := range front {
		x, y := num(sx.at(f.X)), num(sy.at(f.Y))
		switch {
		case i == 0:
			d = "M" + x + " " + y
		case s.MoreX:
			d += "V" + y + "H" + x
		default:
			d += "H" + x + "V" + y
		}
	}
	c.open("k-" + frontStyle.slot)
	if len(front) > 1 {
		c.path("thin", d)
	}
	for _, f := range front {
		c.title("pt", f.Tip)
		if f.XLow < f.X {
			c.path("thin dash", "M"+num(sx.at(f.XLow))+" "+num(sy.at(f.Y))+"H"+num(sx.at(f.X)))
		}
		c.marker(frontStyle, sx.at(f.X), sy.at(f.Y), s.radius(f)+1, "")
		c.close()
	}
	c.close()
}

// numbers stand on the side of the front where no dot is: towards less Y and
// better X.
func (s Scatter) numbers(c *canvas, front []ScatterDot, sx, sy scale) {
	side := -11.0
	if s.MoreX {
		side = 11
	}
	freeX, freeY := math.Inf(-1), math.Inf(-1)
	for i, f := range front {
		n, x, y := strconv.Itoa(i+1), sx.at(f.X)+side, sy.at(f.Y)+12
		if x-freeX > textWidth(n, labelSize)+3 || math.Abs(y-freeY) > labelGap {
			c.text("val", x, y, middle, n)
			freeX, freeY = x, y
		}
	}
}

// key says what the numbers are: the names, then a line for each.
func (s Scatter) key(c *canvas, front []ScatterDot, x, y, width float64) {
	if len(front) == 0 {
		return
	}
	for i, text := range fill(s.Key, width) {
		c.text("sub small", x, y+float64(i)*labelGap, start, clip(text, labelSize, width))
	}
	y += float64(len(fill(s.Key, width)))*labelGap + 4
	for i, f := range front {
		if i == maxKey-1 && len(front) > maxKey {
			c.text("sub small", x, y+float64(i)*labelGap, start, fmt.Sprintf("and %d more", len(front)-i))
			return
		}
		c.text("small", x, y+float64(i)*labelGap, start, clip(line(i, f), labelSize, width))
	}
}

// fill puts names on as few lines as they need.
func fill(names []string, width float64) (lines []string) {
	text := ""
	for i, name := range names {
		if i < len(names)-1 {
			name += keyGap
		}
		if text != "" && textWidth(text+name, labelSize) > width {
			lines, text = append(lines, text), ""
		}
		text += name
	}
	if text != "" {
		lines = append(lines, text)
	}
	return lines
}
