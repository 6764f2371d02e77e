package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func TestPaperFigureGolden(t *testing.T) {
	for name, theme := range map[string]Theme{"auto": Auto, "light": Light, "dark": Dark} {
		var b bytes.Buffer
		require.NoError(t, PaperFigureSVG(&b, syntheticBookinfo("polyglot", 6600), theme))
		wellFormed(t, b.String())
		require.Equal(t, theme == Auto, strings.Contains(b.String(), "prefers-color-scheme"))
		golden(t, "paperfigure-"+name+".svg", b.Bytes())
	}
}

// box is where a text of an SVG stands, by the same estimate the layout uses.
type box struct {
	s              string
	x1, y1, x2, y2 float64
}

func boxes(t testing.TB, svg string) (texts []box, w, h float64) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	attr := func(e xml.StartElement, name string) string {
		i := slices.IndexFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == name })
		require.GreaterOrEqual(t, i, 0, "%s without %s", e.Name.Local, name)
		return e.Attr[i].Value
	}
	number := func(e xml.StartElement, name string) float64 {
		v, err := strconv.ParseFloat(attr(e, name), 64)
		require.NoError(t, err)
		return v
	}
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return texts, w, h
		}
		require.NoError(t, err)
		e, ok := tok.(xml.StartElement)
		switch {
		case ok && e.Name.Local == "svg":
			w, h = number(e, "width"), number(e, "height")
		case ok && e.Name.Local == "text":
			x, y := number(e, "x"), number(e, "y")
			inner, err := d.Token()
			require.NoError(t, err)
			s := string(inner.(xml.CharData))
			size := map[bool]float64{true: 13, false: 11}[strings.Contains(attr(e, "class"), "title")]
			width := textWidth(s, size)
			x -= map[string]float64{"start": 0, "middle": width / 2, "end": width}[attr(e, "text-anchor")]
			texts = append(texts, box{s, x, y - size*.72, x + width, y + size*.18})
		}
	}
}

// No text of any chart leaves the drawing or touches another.
func TestLabelsNeitherOverlapNorLeaveTheDrawing(t *testing.T) {
	var svgs []string
	for _, d := range loadSynthetic(t).Documents {
		v := newView(d)
		charts := []*canvas{v.cpuChart(), v.cdfChart(), v.addedChart()}
		if d.Experiment == "curl" || d.Experiment == "link" {
			charts = append(charts, v.pathChart())
		}
		for _, c := range charts {
			if c != nil {
				svgs = append(svgs, c.svg(label(d)))
			}
		}
		if d.Experiment == "bookinfo" {
			svgs = append(svgs, paperFigure(v).svg(label(d)))
		}
	}
	require.Greater(t, len(svgs), 12)
	for _, svg := range svgs {
		texts, w, h := boxes(t, svg)
		require.NotEmpty(t, texts)
		for i, a := range texts {
			require.True(t, a.x1 >= 0 && a.y1 >= 0 && a.x2 <= w && a.y2 <= h, "%q at %.0f,%.0f..%.0f,%.0f is outside %.0fx%.0f", a.s, a.x1, a.y1, a.x2, a.y2, w, h)
			for _, b := range texts[:i] {
				apart := a.x2 <= b.x1 || b.x2 <= a.x1 || a.y2 <= b.y1 || b.y2 <= a.y1
				require.True(t, apart, "%q and %q overlap in %s", a.s, b.s, svg[:120])
			}
		}
	}
}

func TestDodge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := make([]float64, 1+r.IntN(9))
		for i := range want {
			want[i] = r.Float64() * 300
		}
		got := dodge(want, 14, 0, 300)
		for i := range got {
			require.True(t, got[i] >= -1e-9 && got[i] <= 300+1e-9, "%v -> %v", want, got)
			for j := range got[:i] {
				require.GreaterOrEqual(t, math.Abs(got[i]-got[j]), 14-1e-9, "%v -> %v", want, got)
				if want[i] != want[j] {
					require.Equal(t, want[i] < want[j], got[i] < got[j], "order: %v -> %v", want, got)
				}
			}
		}
	}
	require.Equal(t, []float64{10, 100}, dodge([]float64{10, 100}, 14, 0, 300), "who has room stays")
	require.InDeltaSlice(t, []float64{43, 57}, dodge([]float64{50, 50}, 14, 0, 300), 1e-9)
}

func TestScales(t *testing.T) {
	s := linear([]float64{0.97, 1.45}, 100, 0, 6, 1)
	require.Equal(t, "0.9 1 1.1 1.2 1.3 1.4 1.5", labels(s))
	require.InDelta(t, 100, s.at(0.9), 1e-9)
	require.InDelta(t, 0, s.at(99), 1e-9, "held at the end")
	require.Equal(t, "5 10 20 50 100", labels(logarithmic([]float64{5, 100}, 0, 1)))
	require.Equal(t, "1 2 4 8 16", labels(counts([]int{1, 2, 4, 8, 16}, 0, 1)))
	one := counts([]int{8}, 0, 10)
	require.InDelta(t, 5, one.at(8), 1e-9, "a single count stands in the middle")
	for _, s := range []scale{linear(nil, 0, 1, 5), linear([]float64{math.NaN(), 7, 7}, 0, 1, 5), logarithmic([]float64{0, -1}, 0, 1), counts(nil, 0, 1)} {
		for _, v := range append(s.ticks, 0, -1, math.NaN(), math.Inf(1)) {
			require.True(t, finite(s.at(v)) && s.at(v) >= 0 && s.at(v) <= 1)
		}
	}
}

func labels(s scale) string {
	var out []string
	for _, v := range s.ticks {
		out = append(out, tickLabel(v))
	}
	return strings.Join(out, " ")
}

func TestWhiskersAndPointsOfThePaperAreDrawn(t *testing.T) {
	svg := paperFigure(newView(syntheticBookinfo("polyglot", 6600))).svg("")
	require.Equal(t, 8, strings.Count(svg, `class="open dash"`), "five P90 and three ratios of the paper")
	require.Equal(t, 60, strings.Count(svg, `class="thin"`), "a whisker a system and number of connections")
	require.Equal(t, 23, strings.Count(svg, `class="line"`), "twelve systems in two panels, less the one whose ratio to itself is 1")
	for _, v := range []string{"16.51", "38.11", "58.75", "35.24", "81.5", "2.31", "3.56"} {
		require.Contains(t, svg, " "+v+"</text>")
	}
}

func TestBarsAddUp(t *testing.T) {
	v := newView(syntheticBookinfo("polyglot", 6600))
	svg := v.cpuChart().svg("")
	r := v.at("envoy", 1, -1)
	require.Contains(t, svg, fmt.Sprintf(">%s</text>", fmtUS(r.CPU.Services+r.CPU.Proxy+r.CPU.NIC)))
	texts, _, _ := boxes(t, svg)
	require.True(t, slices.ContainsFunc(texts, func(b box) bool { return b.s == "16 connections" }))
}

func TestQuantilesOfACDF(t *testing.T) {
	cdf := []bench.Point{{WallUS: 1, Share: .4}, {WallUS: 2, Share: .5}, {WallUS: 3, Share: .95}}
	require.Equal(t, []float64{2, 3, 3}, []float64{cdfAt(cdf, .5), cdfAt(cdf, .9), cdfAt(cdf, .99)})
}
