package stage

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
)

var table = Rewriter{0: 9, 5: 7, 6: 0}

func ip(f Frame) Frame { return f.IPv4("10.0.0.1", "10.0.0.2").UDP(1, 2).Pad(60) }

func TestProcess(t *testing.T) {
	Run(t, func(testing.TB) datapath.Stage { return table }, []Row{
		{Name: "another id", In: ip(Eth().VLAN(5)), Out: ip(Eth().VLAN(7))},
		{Name: "tag on", In: ip(Eth()), Out: ip(Eth().VLAN(9)).Pad(64)},
		{Name: "tag off", In: ip(Eth().VLAN(6)), Out: ip(Eth()).Truncate(56)},
		{Name: "unknown", In: ip(Eth().VLAN(8)), Verdict: datapath.Drop, Reason: datapath.DropTable},
	})
}

// In time it does what Process does, under both engines.
func TestTimed(t *testing.T) {
	RunTimed(t, Timed{
		Acting: table.Timed,
		Content: func(id uint32, n int) Frame {
			return []Frame{Eth().VLAN(5), Eth().VLAN(6), Eth().VLAN(8), Eth()}[(id-1)%4].EtherType(0x88b5).Pad(n)[:n]
		},
		Expect:  Functional(table),
		Latency: func(n, width int) int { return latency + sim.Beats(min(n, head), width) - 1 },
	})
}

func TestInAPipeline(t *testing.T) {
	packet := func(uint32) *datapath.Packet { return Packet(t, ip(Eth().VLAN(6))) }
	d, err := pipeline.Parse([]byte("[{module: axis_register, DATA_WIDTH: 64}, {module: vlan_rewriter, DATA_WIDTH: 64}]"), "own.yaml", table.Module(packet))
	require.NoError(t, err)
	for _, engine := range pipeline.Engines {
		r, err := d.Run(pipeline.Traffic{Bytes: 60, Frames: 8, Engine: engine})
		require.NoError(t, err)
		require.Equal(t, [3]int{8, 8, 7}, [3]int{r.Delivered, r.InBeats, r.OutBeats}, engine)
	}
}
