package report

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func TestViewDerives(t *testing.T) {
	v := newView(syntheticHop())
	require.Equal(t, []int{1, 8, 64}, v.conns)
	r := v.at("nic_passthrough", 1, 2)
	require.InDelta(t, 34, r.Added.P50US, 1e-9)
	require.InDelta(t, 17, r.perHop(), 1e-9)
	require.InDelta(t, 34.0/380, r.addedTo("envoy"), 1e-9, "against envoy with as many hops")
	require.True(t, math.IsNaN(v.at("envoy", 1, 2).addedTo("envoy")), "not against itself")
	require.Contains(t, v.addedCaption(), "of the medians", "the document does not say what is added")
	require.Contains(t, newView(withAdded(syntheticHop())).addedCaption(), "within each repeat")
	require.Nil(t, v.at("direct", 1, -1).Added)
	require.Nil(t, v.at("envoy", 1, 3))

	v = newView(syntheticBookinfo("polyglot", 6600))
	e, b := v.at("envoy", 8, -1), v.at(balancedBase, 8, -1)
	require.InDelta(t, e.WallUS.P90/b.WallUS.P90, e.Balanced.P90, 1e-12)
	require.Empty(t, v.absent)
	require.Len(t, newView(syntheticBookinfo("native", 900)).absent, 1)
	own := v.at("k8s_with_istio", 1, -1).ToBaseline.P90
	require.Equal(t, "k8s_with_istio", v.ownRatios()[1].name)
	require.Contains(t, v.ownRatios()[1].text, fmtRatio(own, 2)+" at 1, ")
	require.Equal(t, []named{{"nic_offload", syntheticUnmodelled}, {"k8s_nic_offload", syntheticUnmodelled}}, v.unmodelled(), "once, whatever the connections")
}

func TestAbsencesAreGathered(t *testing.T) {
	d := syntheticBookinfo("polyglot", 6600)
	for i := range d.Systems {
		if s := &d.Systems[i]; s.Name == "envoy" && s.Connections > 2 {
			reason := "the process ended"
			*s = bench.System{Name: s.Name, Connections: s.Connections, Absent: &reason}
		}
	}
	v := newView(d)
	require.Equal(t, absence{"envoy", "the process ended", []int{4, 8, 16}}, v.absent[0])
	require.Equal(t, "4, 8, 16 connections", v.absent[0].Where())
	require.NotNil(t, v.at("envoy", 2, -1), "what was measured stays")
}

// A ratio that the bench took within repeats wins over the quotient of the medians.
func TestRatioWithinRepeatsIsPreferred(t *testing.T) {
	d := syntheticPaths("curl", 1180, 9)
	d.Systems[3].Ratio = &bench.Ratio{P50: 7, P90: 8}
	v := newView(d)
	require.Equal(t, 7.0, v.ratioP50(v.at("nic_passthrough_xdp", 1, -1)))
	require.Equal(t, 8.0, v.ratioP90(v.at("nic_passthrough_xdp", 1, -1)))
	v.at("nic_passthrough_xdp", 1, -1).Ratio = nil
	require.InDelta(t, 1207.0/1180, v.ratioP50(v.at("nic_passthrough_xdp", 1, -1)), 1e-9)
}

func TestVerdictsFollowTheFigures(t *testing.T) {
	find := func(run Run, part string) Verdict {
		for _, v := range Verdicts(run) {
			if strings.Contains(v.Text, part) {
				return v
			}
		}
		require.Failf(t, "no verdict", "with %q", part)
		return Verdict{}
	}
	one := func(d bench.Document) Run { return Run{Documents: []bench.Document{d}} }

	link := syntheticPaths("link", 14, 5)
	require.Equal(t, "holds", find(one(link), "x direct").Mark())
	link.Systems[3].Ratio.P50 = 2.3
	require.Equal(t, "does not hold", find(one(link), "x direct").Mark())
	link.Systems[6].WallUS.P50 = 20 // haproxy_tcp is faster
	require.Equal(t, "does not hold", find(one(link), "haproxy_tcp").Mark())

	book := syntheticBookinfo("polyglot", 6600)
	require.Equal(t, "does not hold", find(one(book), "converge").Mark())
	for i := range book.Systems {
		if s := &book.Systems[i]; s.Connections == 8 && s.WallUS != nil {
			s.WallUS.P90 = 30000
		}
	}
	require.Equal(t, "holds", find(one(book), "converge").Mark())
	require.Contains(t, find(one(book), "envoy_inbound P90").Text, "does not tell the two apart")
	require.NotContains(t, find(one(book), "envoy P90").Text, "overlap")
	require.Empty(t, find(one(book), "envoy P90").Mark())

	require.Contains(t, find(one(book), "k8s_with_istio P90").Text, "x k8s_without_istio with polyglot work; the paper has 2.31x")

	book.Systems = book.Systems[5:] // without the baseline nothing is claimed
	for i := range book.Systems {
		if s := &book.Systems[i]; s.Connections == 1 && s.Name == clusterBase {
			s.WallUS = nil
		}
	}
	require.Empty(t, Verdicts(one(book)))

	both := Run{Documents: []bench.Document{syntheticBookinfo("native", 900), syntheticBookinfo("polyglot", 6600)}}
	first := Verdicts(both)[0].Text
	require.Less(t, strings.Index(first, "polyglot"), strings.Index(first, "native"), "polyglot is the headline, native beside it")
}

func TestFormat(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 9.994: "9.99", 9.996: "10.0", 99.94: "99.9", 99.96: "100", 123456.7: "123457", -0.001: "0.00", -17: "-17.0"} {
		require.Equal(t, want, fmtUS(v))
	}
	require.Equal(t, none, fmtUS(math.NaN()))
	require.Equal(t, "1.025", fmtRatio(1.025, 3))
	require.Equal(t, "12.3", fmtRatio(12.34, 2))
	require.Equal(t, "9999", group(9999))
	require.Equal(t, "4\u202f416\u202f000", group(4416000))
	require.Equal(t, "+5.0%", percent(1.05))
	require.Equal(t, "-5.0%", percent(.95))
	require.Equal(t, "0.0%", percent(1.0001))
}

// The generator's floor is two orders of magnitude below everything else: on an
// axis it would squash the rest.
func TestFloorIsInTablesOnly(t *testing.T) {
	for _, d := range []bench.Document{syntheticBookinfo("polyglot", 6600), syntheticPaths("curl", 1180, 9), syntheticHop()} {
		want := newView(d)
		for _, c := range want.conns {
			d.Systems = append(d.Systems, syntheticSystem("floor", c, 0, 17, .02))
		}
		v := newView(d)
		if d.Experiment == "curl" {
			require.Equal(t, want.pathChart().svg(""), v.pathChart().svg(""))
		}
		require.Equal(t, paperFigure(want).svg(""), paperFigure(v).svg(""))
		require.Equal(t, want.cdfChart().svg(""), v.cdfChart().svg(""))
		require.Equal(t, want.cpuChart().svg(""), v.cpuChart().svg(""))
		require.Contains(t, render(t, Run{Documents: []bench.Document{d}}), " floor</th>")
	}
}

func TestWeakQuantilesAreMarked(t *testing.T) {
	d := syntheticPaths("curl", 1180, 9)
	for i := range d.Systems {
		d.Systems[i].N = 400 // 80 a repeat
	}
	v := newView(d)
	weak := map[string]bool{}
	for _, c := range columns(v) {
		weak[c.name] = weak[c.name] || c.weak(v, &v.rows[0])
	}
	require.True(t, weak["p99"] && weak["p99.9"])
	require.False(t, weak["p50"] || weak["p90"] || weak["max"])
	require.Contains(t, render(t, Run{Documents: []bench.Document{d}}), `<td class="weak">`)
}
