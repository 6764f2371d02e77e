package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// View is the points as a chart shows them: one panel for each traffic, since
// designs can be compared only under the same.
type View struct {
	Y, X   Axis
	Panels []Panel
}

// Panel is the designs under one traffic.
type Panel struct {
	Title string
	Dots  []Dot
}

// Dot is one point of a panel.
type Dot struct {
	Point *Point
	X, Y  float64
	XLow  float64 // of a range that ends at X
	XOpen bool    // parts are not known: X is what is known
	Front bool    // no other dot is better in one and as good in the other
	Out   string  // why the dot takes no part in the front; empty if it does
}

// View arranges points. Without axes of the user's it shows latency against the
// first of block RAMs, LUTs, flip-flops and throughput that the sweep changes.
func (c Chart) View(points []Point) View {
	var v View
	v.Y, _ = findAxis(cmp.Or(c.Y, "latency"))
	v.X, _ = findAxis(cmp.Or(c.X, "lut"))
	for _, name := range []string{"bram36", "lut", "ff", "throughput"} {
		if a, _ := findAxis(name); c.X == "" && name != v.Y.Name && a.varies(points) {
			v.X = a
			break
		}
	}
	at := map[string]int{}
	for i := range points {
		p := &points[i]
		title := p.traffic()
		k, ok := at[title]
		if !ok {
			k = len(v.Panels)
			at[title] = k
			v.Panels = append(v.Panels, Panel{Title: title})
		}
		y, _, _, ok1 := v.Y.of(p)
		x, low, open, ok2 := v.X.of(p)
		if ok1 && ok2 {
			v.Panels[k].Dots = append(v.Panels[k].Dots, Dot{Point: p, X: x, Y: y, XLow: low, XOpen: open, Out: p.out()})
		}
	}
	for _, p := range v.Panels {
		p.front(v.X, v.Y)
	}
	return v
}

// out is why a point is not compared with others.
func (p *Point) out() string {
	switch {
	case p.Dropped > 0:
		return fmt.Sprintf("drops %d frames", p.Dropped)
	case p.Bad > 0:
		return fmt.Sprintf("marks %d frames bad", p.Bad)
	case !p.Finished:
		return "does not come to rest"
	}
	return ""
}

func (p *Point) traffic() string {
	s := fmt.Sprintf("%d frames of %d bytes", p.Frames, p.Bytes)
	if p.Gap > 0 {
		s += fmt.Sprintf(", gap %d", p.Gap)
	}
	if p.Sink != "none" {
		s += ", sink " + p.Sink
	}
	if p.Inputs > 1 {
		s += fmt.Sprintf(", %d inputs", p.Inputs)
	}
	return s
}

// front marks the dots that no other beats: sorted by X, best first, those that
// are better in Y than all before them. Of dots in the same place it marks those
// that no other there beats in the figures that are not axes. What is better only
// within what a figure is known to does not count.
func (p Panel) front(ax, ay Axis) {
	var in []*Dot
	for i := range p.Dots {
		if p.Dots[i].Out == "" {
			in = append(in, &p.Dots[i])
		}
	}
	x := func(d *Dot) float64 { return ax.cost(d.X) }
	y := func(d *Dot) float64 { return ay.cost(d.Y) }
	slices.SortStableFunc(in, func(a, b *Dot) int { return cmp.Or(cmp.Compare(x(a), x(b)), cmp.Compare(y(a), y(b))) })
	all := in
	best := math.Inf(1)
	for len(in) > 0 {
		place := in
		if k := slices.IndexFunc(in, func(d *Dot) bool { return x(d) != x(in[0]) || y(d) != y(in[0]) }); k > 0 {
			place = in[:k]
		}
		if at := y(place[0]); at < best {
			best = at
			unbeaten(place)
		}
		in = in[len(place):]
	}
	if ax.within > 0 {
		distinct(all, y, func(a, b *Dot) bool { return ax.less(a.X, b.X) })
	} else if ay.within > 0 {
		distinct(all, x, func(a, b *Dot) bool { return ay.less(a.Y, b.Y) })
	}
}

// distinct takes those off a front that pay more on the exact axis for nothing
// that is known to be better on the other.
func distinct(dots []*Dot, exact func(*Dot) float64, better func(a, b *Dot) bool) {
	dots = slices.DeleteFunc(slices.Clone(dots), func(d *Dot) bool { return !d.Front })
	slices.SortStableFunc(dots, func(a, b *Dot) int { return cmp.Compare(exact(a), exact(b)) })
	var last *Dot
	for _, d := range dots {
		if last != nil && exact(d) > exact(last) && !better(d, last) {
			d.Front = false
		} else {
			last = d
		}
	}
}

// unbeaten marks the dots that no other is at least as good as in every figure
// and better in one. Sorted by the figures, what beats a dot comes before it.
func unbeaten(dots []*Dot) {
	of := map[*Dot][]float64{}
	for _, d := range dots {
		of[d] = d.Point.figures()
	}
	slices.SortStableFunc(dots, func(a, b *Dot) int { return slices.Compare(of[a], of[b]) })
	var front [][]float64
	for _, d := range dots {
		f := of[d]
		if len(front) > 0 && slices.Equal(f, front[len(front)-1]) {
			d.Front = true
			continue
		}
		d.Front = !slices.ContainsFunc(front, func(g []float64) bool {
			for i := range g {
				if g[i] > f[i] {
					return false
				}
			}
			return true
		})
		if d.Front {
			front = append(front, f)
		}
	}
}

// figures are all that axes can show, less being better; of estimates both ends.
func (p *Point) figures() (all []float64) {
	for _, a := range Axes {
		at, low, _, ok := a.of(p)
		switch {
		case !ok:
			at, low = math.Inf(1), math.Inf(1)
		case a.More: // throughput is known to alike
			at = -coarse(at)
			low = at
		}
		all = append(all, at, low)
	}
	return all
}

// coarse rounds to three digits.
func coarse(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// Front returns the panel's front from the left to the right.
func (p Panel) Front() (front []Dot) {
	for _, d := range p.Dots {
		if d.Front {
			front = append(front, d)
		}
	}
	slices.SortStableFunc(front, func(a, b Dot) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y)) })
	return front
}

// Fronts are the numbers of the points that are on a front.
func (v View) Fronts() map[int]bool {
	on := map[int]bool{}
	for _, p := range v.Panels {
		for _, d := range p.Dots {
			if d.Front {
				on[d.Point.Index] = true
			}
		}
	}
	return on
}

// Names are those of the dimensions that have more than one value.
func (p *Plan) Names() (names []string) {
	for _, v := range p.Vary {
		if len(v.Values) > 1 {
			names = append(names, v.Name())
		}
	}
	return names
}

// Values are a point's, one for each of Names; its number if there is none.
func (p *Plan) Values(pt *Point) (values []string) {
	for _, name := range p.Names() {
		values = append(values, number(pt.Vary[name]))
	}
	if len(values) == 0 {
		return []string{fmt.Sprintf("point %d", pt.Index)}
	}
	return values
}

// Label names a point by what the sweep varies.
func (p *Plan) Label(pt *Point) string {
	values := p.Values(pt)
	for i, name := range p.Names() {
		values[i] = name + " " + values[i]
	}
	return strings.Join(values, ", ")
}
