package breakeven

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

func document() bench.Document {
	wall := func(us float64) *bench.Quantiles { return &bench.Quantiles{P50: us} }
	return bench.Document{Experiment: "hop", Systems: []bench.System{
		{Name: "direct", Connections: 1, WallUS: wall(20)}, {Name: "direct", Connections: 64, WallUS: wall(700)},
		{Name: "envoy", Connections: 64, WallUS: wall(6000), RPS: 9000}, {Name: "envoy", Connections: 1, WallUS: wall(130), RPS: 6800},
		{Name: "none", Connections: 1},
	}}
}

func TestRead(t *testing.T) {
	h, err := Read(document(), "envoy")
	require.NoError(t, err)
	require.Equal(t, Host{"envoy", 110, 9000}, h)
	for name, want := range map[string]string{"none": "no figures of it", "direct": "adds nothing"} {
		_, err := Read(document(), name)
		require.ErrorContains(t, err, want)
	}
	_, err = Read(bench.Document{Experiment: "curl"}, "envoy")
	require.ErrorContains(t, err, "of curl, not of hop")
}

func rows(t *testing.T, h Host) map[string][]Row {
	d, _, ok := pipeline.Load("offload-100g")
	require.True(t, ok)
	all, err := Rows(d, h)
	require.NoError(t, err)
	by := map[string][]Row{}
	for _, r := range all {
		by[r.Axis] = append(by[r.Axis], r)
	}
	return by
}

// What makes it harder takes longer (but for a head in several segments, of which the last alone
// is waited for, and is the shorter), and what takes as long as the host loses.
func TestRows(t *testing.T) {
	by := rows(t, Host{"envoy", 110, 9000})
	require.Len(t, by, len(axes))
	for axis, up := range map[string]bool{
		"requests a connection": false, "bytes of a frame of the body, headers included": false,
		"clock of the core, MHz": false, "latency of the tables' memory, ns": true, "bytes scanned a cycle": false,
	} {
		r := by[axis]
		require.NotEmpty(t, r, axis)
		for i := 1; i < len(r); i++ {
			if up {
				require.Greater(t, r[i].ModelNS, r[i-1].ModelNS, "%s at %v", axis, r[i].At)
			} else {
				require.Less(t, r[i].ModelNS, r[i-1].ModelNS, "%s at %v", axis, r[i].At)
			}
		}
	}
	left := by["share of requests left to the host (TLS)"]
	require.False(t, left[0].Loses())
	require.True(t, left[len(left)-1].Loses(), "if the host does all, the way through the card comes on top")

	// A host that adds as little as the card takes, is faster wherever it is harder.
	usual := by["clock of the core, MHz"][4]
	require.Equal(t, 250.0, usual.At)
	fast := rows(t, Host{"fast", usual.ModelNS / 1e3 * 1.001, 1e6})
	require.False(t, fast["clock of the core, MHz"][4].Loses())
	require.True(t, fast["clock of the core, MHz"][3].Loses())
	require.True(t, fast["requests a connection"][0].Loses())
}
