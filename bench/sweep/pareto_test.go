package sweep

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/area"
)

// design is a point with these figures and an exact area.
func design(i int, ns, gbps, lut float64) Point {
	return Point{
		Index: i, Bytes: 60, Frames: 64, Sink: "none", Inputs: 1, Finished: true,
		LastNS: &ns, FirstNS: &ns, FinalNS: &ns, Saturation: &Rate{Gbps: &gbps, Steady: true},
		Area: &Area{LUT: area.Range{Lo: lut, Hi: lut}, FF: area.Range{Lo: 1, Hi: 1}, BRAM: area.Range{Lo: 1, Hi: 1}},
	}
}

func fronts(points []Point, c Chart) (on []int) {
	marked := c.View(points).Fronts()
	for i := range points {
		if marked[points[i].Index] {
			on = append(on, points[i].Index)
		}
	}
	return on
}

func TestFront(t *testing.T) {
	lossy := design(3, 1, 10, 1)
	lossy.Dropped = 1
	cut := design(4, 1, 10, 1)
	cut.Bad = 1
	stuck := design(5, 1, 10, 1)
	stuck.Finished = false
	broken := Point{Index: 6, Error: "x"}
	for _, tt := range []struct {
		name   string
		points []Point
		chart  Chart
		on     []int
	}{
		{"none", nil, Chart{}, nil},
		{"one", []Point{design(0, 100, 10, 50)}, Chart{}, []int{0}},
		{"better in one each", []Point{design(0, 100, 10, 50), design(1, 50, 10, 100)}, Chart{}, []int{0, 1}},
		{"as good and better", []Point{design(0, 100, 10, 50), design(1, 100, 10, 40)}, Chart{}, []int{1}},
		{"the same twice", []Point{design(0, 100, 10, 50), design(1, 100, 10, 50), design(2, 90, 10, 60)}, Chart{}, []int{0, 1, 2}},
		{"same place, more throughput", []Point{design(0, 100, 10, 50), design(1, 100, 20, 50)}, Chart{Y: "latency", X: "lut"}, []int{1}},
		{"same place, as much within what is known", []Point{design(0, 100, 10, 50), design(1, 100, 10.004, 50)}, Chart{Y: "latency", X: "lut"}, []int{0, 1}},
		{"more is better", []Point{design(0, 100, 10, 50), design(1, 100, 20, 50), design(2, 50, 5, 50)}, Chart{Y: "latency", X: "throughput"}, []int{1, 2}},
		{"more only within what is known", []Point{design(0, 100, 71.45, 50), design(1, 90, 71.44, 50), design(2, 80, 60, 50)}, Chart{Y: "latency", X: "throughput"}, []int{1, 2}},
		{"small steps add up", []Point{design(0, 80, 100, 50), design(1, 90, 100.4, 50), design(2, 100, 100.8, 50)}, Chart{Y: "throughput", X: "latency"}, []int{0, 2}},
		{"what loses, cuts or hangs is not compared", []Point{lossy, cut, stuck, broken, design(0, 100, 10, 50)}, Chart{}, []int{0}},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.on, fronts(tt.points, tt.chart)) })
	}
}

// Against the definition, pair by pair.
func TestFrontIsWhatNoneBeats(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var points []Point
		for i := range 1 + r.IntN(30) {
			points = append(points, design(i, float64(r.IntN(6)), 10, float64(r.IntN(6))))
		}
		var want []int
		for _, p := range points {
			beaten := false
			for _, q := range points {
				x, y := q.Area.LUT.Hi-p.Area.LUT.Hi, *q.LastNS-*p.LastNS
				beaten = beaten || x <= 0 && y <= 0 && (x < 0 || y < 0)
			}
			if !beaten {
				want = append(want, p.Index)
			}
		}
		require.Equal(t, want, fronts(points, Chart{Y: "latency", X: "lut"}))
	}
}

// Designs are compared only under the same traffic.
func TestPanels(t *testing.T) {
	a, b := design(0, 100, 10, 50), design(1, 200, 10, 100)
	b.Sink, b.Gap, b.Inputs = "alt50", 3, 2
	v := Chart{}.View([]Point{a, b})
	require.Len(t, v.Panels, 2)
	require.Equal(t, "64 frames of 60 bytes", v.Panels[0].Title)
	require.Equal(t, "64 frames of 60 bytes, gap 3, sink alt50, 2 inputs", v.Panels[1].Title)
	require.Equal(t, []int{0, 1}, fronts([]Point{a, b}, Chart{}))
	require.Equal(t, "lut", v.X.Name, "the first that the sweep changes")
	require.Equal(t, "throughput", Chart{}.View([]Point{design(0, 1, 10, 5), design(1, 1, 20, 5)}).X.Name)
}

// Of a range the upper end counts; what is open says so.
func TestRangesOnAChart(t *testing.T) {
	p := design(0, 100, 10, 50)
	p.Area.LUT = area.Range{Lo: 20, Hi: 80}
	q := design(1, 100, 10, 70)
	q.Area.FF = area.Range{Lo: 5, Hi: 9, Open: true}
	v := Chart{Y: "latency", X: "lut"}.View([]Point{p, q})
	require.Equal(t, 80.0, v.Panels[0].Dots[0].X)
	require.Equal(t, 20.0, v.Panels[0].Dots[0].XLow)
	require.False(t, v.Panels[0].Dots[0].Front, "50 to 70 is surely less than up to 80")
	require.True(t, Chart{Y: "latency", X: "ff"}.View([]Point{q}).Panels[0].Dots[0].XOpen)
}
