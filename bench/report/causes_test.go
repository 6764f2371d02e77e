package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

// syntheticPaper is a document of paper work: the paper's systems and variants of one,
// of which each moves the ratio, or not.
func syntheticPaper() bench.Document {
	d := bench.Document{Schema: bench.Schema, Experiment: "bookinfo", Work: "paper", Manifest: syntheticManifest("bookinfo")}
	for _, s := range []struct {
		name, of, varies, base string
		ms, cpu, opened        float64
	}{
		{"without_envoy", "", "", "", 16, 0, 2},
		{"envoy_inbound", "", "", "", 17.5, 1.2, 2},
		{"envoy", "", "", "", 18, 1.8, 2},
		{clusterBase, "", "", clusterBase, 17, 0, 2},
		{"k8s_with_istio", "", "", clusterBase, 40, 4, 2},
		{"without_envoy_one_core", "without_envoy", "everything on one core", "", 20, 0, 2},
		{"envoy_one_core", "envoy", "everything on one core", "without_envoy_one_core", 60, 1.8, 2},
		{"envoy_one_worker", "envoy", "one worker", "", 18.1, 1.8, 2},
		{"envoy_no_reuse", "envoy", "no connection kept", "", 30, 3, 9},
	} {
		hops := 0
		if s.cpu > 0 {
			hops = 7
		}
		x := syntheticSystem(s.name, 1, hops, s.ms*1000, .01)
		x.CPU.Proxy, x.Opened, x.Varies, x.VariantOf, x.Baseline = s.cpu*1000, &s.opened, s.varies, s.of, s.base
		if s.base != "" {
			for _, b := range append(d.Systems, x) {
				if b.Name == s.base {
					x.ToBaseline = &bench.Ratio{P50: x.WallUS.P50 / b.WallUS.P50, P90: x.WallUS.P90 / b.WallUS.P90}
				}
			}
		}
		d.Systems = append(d.Systems, x)
	}
	return d
}

func TestCauses(t *testing.T) {
	run := Run{Documents: []bench.Document{syntheticBookinfo("polyglot", 6600), syntheticBookinfo("native", 900), syntheticPaper()}}
	var b bytes.Buffer
	ok, err := CausesMarkdown(&b, run)
	require.NoError(t, err)
	require.True(t, ok)
	golden(t, "causes.md", b.Bytes())
	text := b.String()
	_, envoy, _ := strings.Cut(text, "## envoy\n")
	for _, s := range []string{"it moves the ratio 3", "Everything on one core: 3.00 instead of 1.12", "No connection kept: 1.87 instead of 1.12", "with 9.00 connections opened a page: it moves the ratio",
		"One worker: 1.13 instead of 1.12 (P90 23.0 ms over 20.4): the repeats of the two overlap"} {
		require.Contains(t, envoy, s)
	}
	_, inbound, _ := strings.Cut(text, "## envoy_inbound\n")
	require.Contains(t, inbound, "varied in envoy alone")
	require.Contains(t, envoy, "Nearest to the paper's 3.56 in this run: 3.66, native work")

	// Variants are in tables alone, and change nobody's baseline.
	v := newView(syntheticPaper())
	require.Equal(t, clusterBase, v.own)
	require.NotContains(t, v.lineNames(), "envoy_one_core")
	require.Len(t, v.ownRatios(), 1)
	require.NotContains(t, paperFigure(v).svg(""), "envoy_one_worker")

	// What was not measured is not said.
	d := syntheticPaper()
	d.Systems = d.Systems[:3]
	d.Systems[2].Opened, d.Systems[2].CPU = nil, nil
	b.Reset()
	_, err = CausesMarkdown(&b, Run{Documents: []bench.Document{syntheticBookinfo("native", 900), d}})
	require.NoError(t, err)
	_, envoy, _ = strings.Cut(b.String(), "## envoy\n")
	require.NotContains(t, envoy, "CPU")
	require.NotContains(t, envoy, "onnection")
	b.Reset()
	ok, err = CausesMarkdown(&b, Run{Documents: []bench.Document{syntheticBookinfo("native", 900)}})
	require.NoError(t, err)
	require.False(t, ok, "one kind of work")
	require.Empty(t, b.String())
	require.Nil(t, newCausesPage(Run{}))
}
