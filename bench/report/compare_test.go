package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/internal/failure"
)

// slower multiplies the figures of one system at one number of connections.
func slower(d bench.Document, name string, conns int, by float64) bench.Document {
	for i := range d.Systems {
		s := &d.Systems[i]
		if s.Name != name || s.WallUS == nil || s.Connections != conns {
			continue
		}
		s.WallUS.P90, s.Ratio.P90 = s.WallUS.P90*by, s.Ratio.P90*by
		s.Spread.P90Min, s.Spread.P90Max = s.Spread.P90Min*by, s.Spread.P90Max*by
	}
	return d
}

func outcome(t *testing.T, c Comparison, name string, conns int) Outcome {
	t.Helper()
	for _, d := range c.Changes {
		if d.Name == name && d.Connections == conns {
			return d.Outcome
		}
	}
	require.Failf(t, "not compared", "%s at %d", name, conns)
	return ""
}

func TestCompare(t *testing.T) {
	fresh := func() bench.Document { return syntheticBookinfo("polyglot", 6600) }
	gone := fresh()
	reason := "not installed"
	gone.Systems[25] = bench.System{Name: gone.Systems[25].Name, Connections: gone.Systems[25].Connections, Absent: &reason} // envoy at 1
	failing := fresh()
	failing.Systems[26].Errors = 3 // envoy at 2
	for name, tt := range map[string]struct {
		now     bench.Document
		conns   int
		outcome Outcome
		kind    failure.Kind // 0: the gate is met
	}{
		"the same":               {fresh(), 8, Same, 0},
		"worse":                  {slower(fresh(), "envoy", 8, 1.5), 8, Worse, failure.Gate},
		"better":                 {slower(fresh(), "envoy", 8, .5), 8, Better, 0},
		"within the threshold":   {slower(fresh(), "envoy", 8, 1.04), 8, Same, 0},
		"beyond it but in noise": {slower(fresh(), "envoy", 8, 1.12), 8, Unresolved, failure.Untrusted},
		"no figures any more":    {gone, 1, Gone, failure.Gate},
		"requests fail":          {failing, 2, Failing, failure.Gate},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Compare(fresh(), tt.now, .1)
			require.NoError(t, err)
			require.Equal(t, tt.outcome, outcome(t, c, "envoy", tt.conns))
			require.Equal(t, Baseline, outcome(t, c, "without_envoy", 8))
			if tt.kind == 0 {
				require.NoError(t, c.Err())
				return
			}
			require.Equal(t, tt.kind, failure.KindOf(c.Err()))
			require.ErrorContains(t, c.Err(), "envoy at ")
		})
	}
	c, err := Compare(gone, fresh(), .1)
	require.NoError(t, err)
	require.NoError(t, c.Err(), "a system that came is no harm")
	require.Equal(t, New, outcome(t, c, "envoy", 1))
}

// A machine that is slower in everything changes no ratio.
func TestCompareCancelsTheMachine(t *testing.T) {
	now := syntheticBookinfo("polyglot", 6600)
	for i := range now.Systems {
		if s := &now.Systems[i]; s.WallUS != nil {
			s.WallUS.P90 *= 1.7
			s.Spread.P90Min *= 1.7
			s.Spread.P90Max *= 1.7
		}
	}
	now.Manifest.CPU = "SYNTHETIC slower"
	now.Manifest.TCPCongestion = "bbr"
	c, err := Compare(syntheticBookinfo("polyglot", 6600), now, .1)
	require.NoError(t, err)
	require.NoError(t, c.Err())
	require.Equal(t, "TCP congestion control differs: cubic before, bbr now", c.Notes[0])
	require.Contains(t, c.Notes[1], "CPU differs")
}

func TestCompareRefuses(t *testing.T) {
	book, hop := syntheticBookinfo("polyglot", 6600), syntheticHop()
	for _, tt := range []struct {
		a, b      bench.Document
		threshold float64
		want      string
	}{
		{book, hop, .1, "different experiments"},
		{book, syntheticBookinfo("native", 900), .1, "different experiments"},
		{book, book, 0, "threshold"},
		{hop, bench.Document{Experiment: "hop", Systems: hop.Systems[1:]}, .1, "divide by different systems"},
	} {
		_, err := Compare(tt.a, tt.b, tt.threshold)
		require.Equal(t, failure.Usage, failure.KindOf(err))
		require.ErrorContains(t, err, tt.want)
	}
}

func TestCompareGolden(t *testing.T) {
	c, err := Compare(syntheticHop(), slower(syntheticHop(), "sidecar", 8, 1.5), .1)
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, c.Write(&b))
	golden(t, "compare-hop.txt", b.Bytes())
	require.ErrorContains(t, c.Err(), "sidecar with 1 hop at 8 connections: worse, 1.50x; sidecar with 2 hops at 8 connections: worse")
}
