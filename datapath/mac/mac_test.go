package mac

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

func TestReceiveDropsWhatIsLongerThanThePortCarries(t *testing.T) {
	r := &Receive{MaxFrame: 1522}
	for _, tt := range []struct {
		length  int
		gso     uint16
		verdict datapath.Verdict
		reason  datapath.DropReason
	}{
		{14, 0, datapath.Continue, datapath.DropNone},
		{1522, 0, datapath.Continue, datapath.DropNone},
		{1523, 0, datapath.Drop, datapath.DropOverlong},
		{60000, 1448, datapath.Continue, datapath.DropNone}, // its segments are no longer than the MTU
	} {
		p := &datapath.Packet{Data: make([]byte, tt.length), GSOSize: tt.gso}
		require.Equal(t, tt.verdict, r.Process(0, p), "%d bytes", tt.length)
		require.Equal(t, tt.reason, p.Reason, "%d bytes", tt.length)
	}
}

// The beats of the frames that the RTL was measured with: 512 bit, 60 B = 1,
// 65 = 2, 1514 = 24.
func TestBeats(t *testing.T) {
	for n, want := range map[int]sim.Cycle{0: 0, 1: 1, 60: 1, 64: 1, 65: 2, 1514: 24} {
		require.Equal(t, want, Beats(n), "%d bytes", n)
	}
}

// mqnic_port_tx: 13.8 ns at one beat, 105.8 ns at 24. In core periods of 4 ns
// the stage must be within one of that.
func TestTransmitIsWithinACycleOfTheRTL(t *testing.T) {
	clock := sim.Clock{Hz: 250_000_000}
	for n, ns := range map[int]float64{60: 13.8, 1514: 105.8} {
		got := clock.Duration(Transmit{}.Cycles(&datapath.Packet{Data: make([]byte, n)}))
		require.InDelta(t, ns, float64(got.Nanoseconds()), 4, "%d bytes", n)
	}
}

func TestAGSOFrameCountsItsFirstSegment(t *testing.T) {
	p := &datapath.Packet{Data: make([]byte, 60000), GSOSize: 1448}
	p.PHV.PayloadOff = 66
	require.Equal(t, Transmit{}.Cycles(&datapath.Packet{Data: make([]byte, 1514)}), Transmit{}.Cycles(p))
}
