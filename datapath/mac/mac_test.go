package mac_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/mac"
	"github.com/meshnic/meshnic/datapath/sim"
)

func frame(n int) Frame {
	return Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(strings.Repeat("x", n-54))
}

func TestReceive(t *testing.T) {
	Run(t, func(testing.TB) datapath.Stage { return &mac.Receive{MaxFrame: 1514} }, []Row{
		{Name: "as long as allowed", In: frame(1514), Out: frame(1514)},
		{Name: "one byte more", In: frame(1515), Verdict: datapath.Drop, Reason: datapath.DropOverlong},
		{Name: "stands for several segments", In: frame(20000), Out: frame(20000), Prepare: func(p *datapath.Packet) { p.GSOSize = 1448 }},
	})
}

func TestTransmitCycles(t *testing.T) {
	tx := mac.Transmit{}
	for _, tt := range []struct {
		bytes  int
		gso    uint16
		cycles sim.Cycle
	}{{60, 0, 4}, {64, 0, 4}, {65, 0, 5}, {1514, 0, 27}, {20054, 1460, 27}, {100, 1460, 5}} {
		p := Packet(t, frame(tt.bytes))
		p.GSOSize = tt.gso
		require.Equal(t, datapath.Continue, tx.Process(0, p))
		require.Equal(t, tt.cycles, tx.Cycles(p), tt.bytes)
	}
	require.Equal(t, sim.Cycle(4), (&mac.Receive{}).Cycles(nil))
}
