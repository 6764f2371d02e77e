package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func render(t testing.TB, run Run) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, HTML(&b, run))
	return b.String()
}

// REPORT_OUT=FILE keeps the page, to look at it in a browser.
// lacks is NotContains without printing the page.
func lacks(t testing.TB, page, bad string) {
	t.Helper()
	if i := strings.Index(page, bad); i >= 0 {
		t.Errorf("the page holds %q: %s", bad, page[max(0, i-60):min(len(page), i+60)])
	}
}

func TestHTMLHasEverySection(t *testing.T) {
	page := render(t, loadSynthetic(t))
	if p := os.Getenv("REPORT_OUT"); p != "" {
		require.NoError(t, os.WriteFile(p, []byte(page), 0o644))
	}
	for _, want := range []string{
		"envoy P90 at 1 connection is 1.45x without_envoy with polyglot work", "the paper has 3.56x",
		"SYNTHETIC reason: without root", "k8s_without_istio", "k8s_with_istio", "nic_offload", // named as absent
		"added wall_us", "cpu_us/<wbr>request", "model_ns", "emu_us", "gbit/<wbr>s", "p99.9",
		"SYNTHETIC warning", "SYNTHETIC: made up for tests", // warnings and notes
		"envoy-productpage.json", "22ff00112233", "0,1", // manifest: files and placement
		"prefers-color-scheme:dark", "@media print",
	} {
		require.True(t, strings.Contains(page, want), want)
	}
	require.Less(t, strings.Index(page, "polyglot work"), strings.Index(page, "native work"), "the headline is polyglot")
	require.Equal(t, 2, strings.Count(page, "P90 of GET /productpage"), "the paper's figure for both works")
}

func TestHTMLIsTheSameEveryTime(t *testing.T) {
	want := render(t, loadSynthetic(t))
	for range 5 {
		run := loadSynthetic(t)
		slices.Reverse(run.Documents) // reading order does not depend on the order given
		require.Equal(t, want, render(t, run))
	}
}

func TestSmallReportGolden(t *testing.T) {
	curl := syntheticPaths("curl", 1180, 9)
	curl.Systems = append(curl.Systems[:4:4], syntheticAbsent("nic_passthrough_tap", "SYNTHETIC: /dev/net/tun is missing"))
	golden(t, "report-curl.html", []byte(render(t, Run{Title: "SYNTHETIC report", Documents: []bench.Document{curl}})))
}

// Nothing in the page makes a browser fetch, run or embed anything.
func TestHTMLIsSelfContained(t *testing.T) {
	page := strings.ReplaceAll(render(t, loadSynthetic(t)), `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, bad := range []string{"http://", "https://", "=\"//", "<script", "<link", "<img", "<iframe", "<object", "<embed", "@import", "url(", "src=", "javascript:"} {
		lacks(t, strings.ToLower(page), bad)
	}
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.True(t, strings.HasPrefix(m[1], "#"), m[1])
		require.Contains(t, page, `id="`+m[1][1:]+`"`, "a link leads nowhere")
	}
	require.Empty(t, regexp.MustCompile(`\son[a-z]+=`).FindAllString(page, -1), "event handlers")
}

// hostile is a document in which every string is an attack.
func hostile(attack string) bench.Document {
	d := syntheticBookinfo("polyglot", 6600)
	for i := range d.Systems {
		if d.Systems[i].Name != "without_envoy" {
			d.Systems[i].Name += attack
		}
	}
	d.Systems = append(d.Systems, syntheticAbsent(attack, attack))
	d.Warnings = []string{attack}
	m := &d.Manifest
	m.Kernel, m.CPU, m.Version, m.Started, m.Command, m.Notes = attack, attack, attack, attack, []string{attack}, []string{attack}
	m.Binaries = map[string]bench.Binary{attack: {Path: attack, Version: attack, SHA256: attack}}
	m.Files, m.Placement = map[string]string{attack: attack}, map[string]string{attack: attack}
	return d
}

func TestEverythingIsEscaped(t *testing.T) {
	for _, attack := range []string{
		`<script>alert(1)</script>`, `"><svg onload=alert(1)>`, `'"&<>`, `</style><b>`, `</title></svg><i>`, `{{.CSS}}`, "\x00\x1b[31m\x07", `]]>`,
	} {
		page := render(t, Run{Title: attack, Name: attack, Documents: []bench.Document{hostile(attack)}})
		lacks(t, page, "<script")
		lacks(t, page, "<svg onload")
		lacks(t, page, "</style><b>")
		lacks(t, page, "<i>") // the template has none without a class
		require.Equal(t, 1, strings.Count(page, "<style>"))
		wellFormedSVGs(t, page)
		var b bytes.Buffer
		require.NoError(t, PaperFigureSVG(&b, hostile(attack), Auto))
		wellFormed(t, b.String())
	}
}

// wellFormedSVGs parses each inline SVG as strict XML.
func wellFormedSVGs(t testing.TB, page string) {
	t.Helper()
	require.NotEmpty(t, svgs(page))
	for _, s := range svgs(page) {
		wellFormed(t, s)
	}
}

func svgs(page string) []string {
	return regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
}

func wellFormed(t testing.TB, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			require.NoError(t, err, svg[:min(len(svg), 300)])
		}
	}
}

// odd are documents that a careless bench might write.
func odd() map[string]bench.Document {
	nan := syntheticPaths("link", 14, 5)
	bad := math.NaN()
	nan.Systems[1].WallUS = &bench.Quantiles{P50: bad, P90: bad, P99: math.Inf(1), P999: bad, Max: bad}
	nan.Systems[2].Ratio, nan.Systems[2].Gbps = &bench.Ratio{P50: math.Inf(1), P90: bad}, bad
	nan.Systems[3].Spread = &bench.Spread{P50Min: bad, P50Max: math.Inf(-1), P90Min: bad, P90Max: bad}
	nan.Systems[4].CPU = &bench.CPU{Proxy: bad, Generator: -3}
	huge := syntheticBookinfo("native", 900)
	huge.Systems[0].WallUS = &bench.Quantiles{P50: 5e-324, P90: math.MaxFloat64, P99: math.MaxFloat64, P999: math.MaxFloat64, Max: math.MaxFloat64}
	huge.Systems[5].Ratio = &bench.Ratio{P50: 1e300, P90: math.MaxFloat64}
	huge.Systems[6].CPU = &bench.CPU{Proxy: math.MaxFloat64, NIC: math.MaxFloat64}
	nan.Systems[5].CDF = []bench.Point{{WallUS: bad, Share: bad}, {WallUS: -1, Share: 2}}

	zero := syntheticBookinfo("polyglot", 6600)
	for i := range zero.Systems {
		if zero.Systems[i].WallUS != nil {
			zero.Systems[i].WallUS, zero.Systems[i].Ratio, zero.Systems[i].Spread, zero.Systems[i].CPU = &bench.Quantiles{}, nil, nil, nil
		}
	}
	absent := bench.Document{Schema: bench.Schema, Experiment: "hop", Systems: []bench.System{syntheticAbsent("envoy", "no package"), {Name: "silent"}}}
	lone := syntheticHop()
	lone.Systems = lone.Systems[:1]
	noBase := syntheticBookinfo("native", 900)
	noBase.Systems = noBase.Systems[5:]
	return map[string]bench.Document{
		"not numbers": nan, "absurd": huge, "all zero": zero, "only absent": absent, "one row": lone, "without the baseline": noBase,
		"empty": {}, "unknown experiment": {Experiment: "else", Systems: lone.Systems},
	}
}

func TestOddDocuments(t *testing.T) {
	for name, d := range odd() {
		t.Run(name, func(t *testing.T) {
			page := render(t, Run{Documents: []bench.Document{d}})
			for _, bad := range []string{"NaN", "Inf", "%!"} {
				lacks(t, page, bad)
			}
			var b bytes.Buffer
			require.NoError(t, Table(&b, d))
			require.NoError(t, CSV(&b, d))
			require.NoError(t, PaperFigureSVG(&b, d, Dark))
			require.NotContains(t, b.String(), "NaN")
			require.NotContains(t, b.String(), "Inf")
		})
	}
	require.Contains(t, render(t, Run{}), "No system that the headline compares")
}

func TestOnlyAbsentSystemsSayWhy(t *testing.T) {
	d := odd()["only absent"]
	var b bytes.Buffer
	require.NoError(t, Table(&b, d))
	require.Contains(t, b.String(), "envoy   at any connections: no package")
	require.Contains(t, b.String(), "silent  at any connections: no figures and no reason given")
	page := render(t, Run{Documents: []bench.Document{d}})
	require.Contains(t, page, "absent: no package")
	require.Contains(t, page, "absent: no figures and no reason given")
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWritersReportErrors(t *testing.T) {
	d := syntheticHop()
	require.ErrorIs(t, HTML(failingWriter{}, Run{Documents: []bench.Document{d}}), io.ErrClosedPipe)
	require.ErrorIs(t, Table(failingWriter{}, d), io.ErrClosedPipe)
	require.ErrorIs(t, CSV(failingWriter{}, d), io.ErrClosedPipe)
	require.ErrorIs(t, PaperFigureSVG(failingWriter{}, d, Light), io.ErrClosedPipe)
	require.ErrorIs(t, Comparison{}.Write(failingWriter{}), io.ErrClosedPipe)
}
