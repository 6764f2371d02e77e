package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// designs are n dots of which every third is on a falling front.
func designs(r *rand.Rand, n int) (p ScatterPanel) {
	p.Title = fmt.Sprintf("%d frames of %d bytes", n, r.IntN(1514))
	for i := range n {
		x, y := r.Float64()*900+100, r.Float64()*900+100
		d := ScatterDot{X: x, XLow: x * r.Float64(), Y: y, Size: r.Float64(), Open: i%3 == 1, Tip: "tip", Key: []string{fmt.Sprint(i), "65536"}}
		if d.Front = i%3 == 0; d.Front {
			d.X, d.Y = 100+800*float64(i)/float64(n), 100-90*float64(i)/float64(n)
			d.XLow = d.X / 2
		}
		p.Dots = append(p.Dots, d)
	}
	return p
}

func chart(panels ...ScatterPanel) Scatter {
	return Scatter{Label: "chart", X: "block RAMs", Y: "latency, ns", Size: "throughput", Key: []string{"clock_mhz", "rx_fifo.DEPTH"}, Panels: panels}
}

func TestScatterLabelsHaveRoom(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for panels := range 6 {
		for _, n := range []int{0, 1, 2, 9, 40, 200} {
			s := chart()
			for range panels {
				p := designs(r, n)
				if s.MoreX = n%2 == 0; s.MoreX { // then the front rises
					for i := range p.Dots {
						p.Dots[i].Y = 1100 - p.Dots[i].Y
					}
				}
				s.Panels = append(s.Panels, p)
			}
			texts, w, h := boxes(t, s.canvas().svg("chart"))
			for i, a := range texts {
				require.True(t, a.x1 >= 0 && a.y1 >= 0 && a.x2 <= w && a.y2 <= h, "%d panels of %d: %q is outside", panels, n, a.s)
				for _, b := range texts[:i] {
					apart := a.x2 <= b.x1 || b.x2 <= a.x1 || a.y2 <= b.y1 || b.y2 <= a.y1
					require.True(t, apart, "%d panels of %d: %q and %q overlap", panels, n, a.s, b.s)
				}
			}
		}
	}
}

func TestScatterShowsEveryDesign(t *testing.T) {
	p := ScatterPanel{Title: "panel", Dots: []ScatterDot{
		{X: 1, XLow: 1, Y: 9, Front: true, Key: []string{"100"}, Tip: "first"},
		{X: 5, XLow: 2, Y: 4, Front: true, Key: []string{"200"}, Tip: "second"},
		{X: 7, Y: 9, Tip: "beaten"},
		{X: 7, Y: 9, Tip: "in the same place"},
		{X: 8, Y: 1, Open: true, Tip: "loses frames"},
	}}
	svg := chart(p).canvas().svg("what it shows")
	for _, want := range []string{
		"<title>first</title>", "<title>second</title>", "<title>beaten (and 1 more in this place)</title>", "<title>loses frames</title>",
		">1  100</text>", ">2  200</text>", `aria-label="what it shows"`,
	} {
		require.Equal(t, 1, strings.Count(svg, want), want)
	}
	require.Equal(t, 1, strings.Count(svg, `class="thin dash"`), "the range of the second")
	require.Contains(t, chart(ScatterPanel{}).canvas().svg(""), "no design could be measured")
	many := ScatterPanel{}
	for i := range 50 {
		many.Dots = append(many.Dots, ScatterDot{X: float64(i), Y: float64(50 - i), Front: true, Key: []string{"k"}})
	}
	require.Contains(t, chart(many).canvas().svg(""), "and 31 more")
}

func TestScatterOfNonsense(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	p := ScatterPanel{Dots: []ScatterDot{
		{X: nan, Y: inf, Front: true, Size: nan}, {X: 1e300, XLow: -inf, Y: -5, Front: true}, {X: 0, Y: 0, Size: -1}, {X: 1, Y: 1, Size: 9},
	}}
	for _, attack := range []string{"", `<script>alert(1)</script>`, `"><svg onload=alert(1)>`, `</style><b>`, "{{.CSS}}", "\x00\x1b"} {
		s := Scatter{Label: attack, X: attack, Y: attack, Size: attack, Key: []string{attack}, Panels: []ScatterPanel{p}}
		s.Panels[0].Title = attack
		for i := range s.Panels[0].Dots {
			s.Panels[0].Dots[i].Tip, s.Panels[0].Dots[i].Key = attack, []string{attack}
		}
		var svg, page bytes.Buffer
		require.NoError(t, ScatterSVG(&svg, s, Auto))
		wellFormed(t, svg.String())
		require.NoError(t, SheetHTML(&page, Sheet{
			Title: attack, Lede: attack, Warnings: []string{attack}, Figure: s, Caption: attack, Notes: []string{attack}, Facts: [][2]string{{attack, attack}},
			Tables: []SheetTable{{attack, []SheetColumn{{attack, attack, true}}, [][]string{{attack}}}},
		}))
		wellFormedSVGs(t, page.String())
		for _, out := range []string{svg.String(), page.String()} {
			for _, bad := range []string{"<script", "<svg onload", "</style><b>", "NaN", "Inf"} {
				lacks(t, out, bad)
			}
		}
		require.Equal(t, 1, strings.Count(page.String(), "<style>"))
	}
}

func TestSheet(t *testing.T) {
	sheet := Sheet{
		Title: "a sweep", Lede: "two points", Caption: "what it shows", Figure: chart(ScatterPanel{Dots: []ScatterDot{{X: 1, Y: 2, Front: true}}}),
		Tables: []SheetTable{{Caption: "front", Columns: []SheetColumn{{Name: "point"}, {Unit: "model_ns", Name: "last"}, {Name: "reasons", Left: true}}, Rows: [][]string{{"0", "12.5", "full"}}}},
		Notes:  []string{"a note"}, Facts: [][2]string{{"version", "v1"}},
	}
	var a, b bytes.Buffer
	require.NoError(t, SheetHTML(&a, sheet))
	require.NoError(t, SheetHTML(&b, sheet))
	require.Equal(t, a.String(), b.String())
	for _, want := range []string{
		"<title>a sweep</title>", "<caption>front</caption>", `<span class="unit">model_ns</span><br>last</th>`,
		`<th class="l" scope="row">0</th><td>12.5</td><td class="l">full</td>`, "<li>a note</li>", "prefers-color-scheme:dark", "@media print",
	} {
		require.Contains(t, a.String(), want)
	}
	page := strings.ReplaceAll(a.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, bad := range []string{"http://", "https://", "<script", "<link", "<img", "@import", "url(", "src=", "Not the whole"} {
		lacks(t, page, bad)
	}
	sheet.Warnings = []string{"one is missing"}
	b.Reset()
	require.NoError(t, SheetHTML(&b, sheet))
	require.Contains(t, b.String(), "Not the whole")
	require.ErrorIs(t, SheetHTML(failingWriter{}, sheet), io.ErrClosedPipe)
	require.ErrorIs(t, ScatterSVG(failingWriter{}, sheet.Figure, Light), io.ErrClosedPipe)
}
