package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Chart names the two axes: Y against X. Empty is the choice of View.
type Chart struct {
	Y string `json:"y,omitempty"`
	X string `json:"x,omitempty"`
}

// Axis is something a chart can show of a point.
type Axis struct {
	Name  string
	Label string // with its unit
	More  bool   // more is better

	within float64 // share to which a value is known; 0: exactly
	value  func(*Point) *float64
	area   func(*Area) (low, high float64, open bool)
}

// Axes are all axes. An area counts with the upper end of its range: a design
// must have room for it.
var Axes = []Axis{
	{Name: "latency", Label: "latency of the first frame, first beat in to last beat out, model_ns", value: func(p *Point) *float64 { return p.LastNS }},
	{Name: "first_latency", Label: "latency of the first frame, first beat in to first beat out, model_ns", value: func(p *Point) *float64 { return p.FirstNS }},
	{Name: "last_frame_latency", Label: "latency of the last frame, first beat in to last beat out, model_ns", value: func(p *Point) *float64 { return p.FinalNS }},
	{Name: "throughput", Label: "throughput at saturation, Gbit/s of model time", More: true, within: alike, value: (*Point).Gbps},
	{Name: "lut", Label: "LUTs, estimated", area: func(a *Area) (float64, float64, bool) { return a.LUT.Lo, a.LUT.Hi, a.LUT.Open }},
	{Name: "ff", Label: "flip-flops, estimated", area: func(a *Area) (float64, float64, bool) { return a.FF.Lo, a.FF.Hi, a.FF.Open }},
	{Name: "bram36", Label: "block RAMs of 36 Kbit, estimated", area: func(a *Area) (float64, float64, bool) { return a.BRAM.Lo, a.BRAM.Hi, a.BRAM.Open }},
}

// AxisNames lists the axes.
func AxisNames() string {
	var names []string
	for _, a := range Axes {
		names = append(names, a.Name)
	}
	return strings.Join(names, ", ")
}

func findAxis(name string) (Axis, bool) {
	i := slices.IndexFunc(Axes, func(a Axis) bool { return a.Name == name })
	if i < 0 {
		return Axis{}, false
	}
	return Axes[i], true
}

// ParseChart reads Y:X; nothing leaves the choice to View.
func ParseChart(text string) (c Chart, err error) {
	if text == "" {
		return c, nil
	}
	c.Y, c.X, _ = strings.Cut(text, ":")
	if c.X == "" || c.Y == "" {
		return Chart{}, fmt.Errorf("chart %q, want Y:X, each one of %s", text, AxisNames())
	}
	return c, c.check()
}

func (c Chart) check() error {
	for _, name := range []string{c.Y, c.X} {
		if _, ok := findAxis(name); !ok && name != "" {
			return fmt.Errorf("chart of %q, want %s", name, AxisNames())
		}
	}
	if c.X != "" && c.X == c.Y {
		return fmt.Errorf("chart of %s against itself", c.X)
	}
	return nil
}

// cost is a value such that less is better.
func (a Axis) cost(v float64) float64 {
	if a.More {
		return -v
	}
	return v
}

// less reports whether v costs less than w, beyond what is known.
func (a Axis) less(v, w float64) bool { return a.cost(w)-a.cost(v) > a.within*math.Abs(w) }

// of returns a point's place on the axis; low differs from it where an estimate
// is a range.
func (a Axis) of(p *Point) (at, low float64, open, ok bool) {
	switch {
	case p.Error != "":
		return 0, 0, false, false
	case a.value != nil:
		v := a.value(p)
		if v == nil {
			return 0, 0, false, false
		}
		return *v, *v, false, true
	}
	low, at, open = a.area(p.Area)
	return at, low, open, !open || at > 0
}

// varies reports whether points differ on the axis.
func (a Axis) varies(points []Point) bool {
	first, some := 0.0, false
	for i := range points {
		x, _, _, ok := a.of(&points[i])
		if ok && some && x != first {
			return true
		}
		if ok {
			first, some = x, true
		}
	}
	return false
}
