package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench"
)

func TestModelTableHasAKindAColumn(t *testing.T) {
	v := newView(syntheticPaths("curl", 1180, 9))
	table, ok := v.modelTable()
	require.True(t, ok)
	var heads []string
	for _, c := range table.Columns {
		heads = append(heads, strings.ReplaceAll(strings.TrimSpace(string(c.Unit)+" "+string(c.Name)), "<wbr>", ""))
	}
	require.Equal(t, []string{"system", "conns", "hops", "model_ns p50 a frame", "frames a request", "model_ns a request",
		"emu_us p50 a request", "projected_us p50 a request", "projected_us low..high", "like for like"}, heads)
	require.Len(t, table.Groups, 1)
	cells := map[string][]string{}
	for _, r := range table.Groups[0] {
		for _, c := range r.Cells[1:] {
			cells[r.Cells[0].Text] = append(cells[r.Cells[0].Text], c.Text)
		}
	}
	require.Len(t, cells, 4, "every system through a NIC, and no other")
	require.Equal(t, []string{"1", "1", none, none, none, "18.0", none, none, "direct"}, cells["nic_null"], "no card: nothing to project")
	require.Equal(t, []string{"1", "1", "330", "4.00", "1320", "27.0", "1181", "1145..1217", "direct"}, cells["nic_passthrough_xdp"])

	_, ok = newView(bench.Document{Experiment: "hop", Systems: []bench.System{syntheticSystem("direct", 1, 0, 40, 0)}}).modelTable()
	require.False(t, ok)
}

func TestWaterfallKeepsKindsApart(t *testing.T) {
	v := newView(syntheticPaths("curl", 1180, 9))
	svg := v.waterfallChart().svg("")
	for _, want := range []string{
		"nic_passthrough_xdp: wall", "nic_passthrough_xdp: projected",
		"wall_us 1207; 1180 of it as direct, emu_us 27.0",
		"projected_us 1181, 1145 to 1217: 1180 as direct, model_ns 1320",
	} {
		require.Contains(t, svg, want)
	}
	require.NotContains(t, svg, "nic_null: projected", "it has no card")
	require.Nil(t, newView(bench.Document{Systems: []bench.System{syntheticSystem("direct", 1, 0, 40, 0)}}).waterfallChart())
}

func TestStagesOfAllPortsAreTogether(t *testing.T) {
	v := newView(syntheticPaths("curl", 1180, 9))
	svg := v.stageChart().svg("")
	require.Equal(t, 1, strings.Count(svg, ">mac_rx, all ports<"))
	require.Contains(t, svg, "mac_rx, all ports, model_ns a request: through it 260, behind others 40.0, for the whole frame 30.0, held up 60.0")
	require.Contains(t, svg, "line, all ports")
	require.Contains(t, svg, "between stages")
	require.Nil(t, newView(syntheticHop()).stageChart())
}

func TestDisagreementIsShown(t *testing.T) {
	d := syntheticPaths("curl", 1180, 9)
	d.ModelCheck.Agree = false
	var b bytes.Buffer
	require.NoError(t, HTML(&b, Run{Documents: []bench.Document{d}}))
	require.Contains(t, b.String(), "NOT TO BE TRUSTED: the live NIC and the two engines disagree")
}
