package replay

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/mem"
	"github.com/meshnic/meshnic/hostif/pcap"
	"github.com/meshnic/meshnic/nic"
)

// The capture that a NIC makes of its live frames has the live figures, with
// either engine.
func TestLiveCaptureHasTheLiveFigures(t *testing.T) {
	var file bytes.Buffer
	capture, err := pcap.NewCapture(&file, []string{"a", "b", "c"}, time.Unix(1_790_000_000, 0), "")
	require.NoError(t, err)
	cfg := nic.DefaultConfig()
	cfg.Pipeline, cfg.Capture = load(t, "passthrough-100g"), capture
	macs := []string{macA, macB, "02:00:00:00:00:0c", "ff:ff:ff:ff:ff:ff"}
	var ports []nic.Port
	for i, name := range []string{"a", "b", "c"} {
		far, near := mem.Pipe(1024)
		var frames []*hostif.Frame
		for k := range 200 {
			b := datapathtest.Eth(macs[(i+1+k%3)%4], macs[i]).IPv4("10.0.0.1", "10.0.0.2").TCP(uint16(1000+i), 80, "A").Payload(string(bytesOf(k * 7)))
			if k%20 == 7 {
				b[24]++ // the IP header's checksum
			}
			frames = append(frames, &hostif.Frame{Data: b})
		}
		sent, err := far.Send(frames)
		require.NoError(t, err)
		require.Equal(t, 200, sent)
		require.NoError(t, far.Close())
		ports = append(ports, nic.Port{Name: name, Link: near})
	}
	n, err := nic.New(cfg, ports)
	require.NoError(t, err)
	require.NoError(t, n.Run(context.Background(), nic.RunOptions{}))
	require.NoError(t, capture.Close())
	live := n.Counters().ModelNS
	require.Greater(t, live.Frames, uint64(570))

	for _, engine := range []string{"tick", "maxplus"} {
		r := run(t, file.Bytes(), Options{Engine: engine})
		require.Equal(t, uint64(600), r.Offered.Frames)
		require.Equal(t, live.Frames, r.Carried.Frames)
		_, drops := r.Reasons()
		require.Equal(t, live.Lost, r.Dropped-drops["ip_checksum"], "what found no room")
		require.Equal(t, uint64(30), r.ProgramDrops)
		require.InDelta(t, live.Sum, r.Latency.MeanNs*float64(live.Frames), 1e-3)
		require.InEpsilon(t, live.P50, float64(r.Latency.P50Ns)/1000, 0.001, "the live quantiles have three digits")
		require.InEpsilon(t, live.Max, float64(r.Latency.MaxNs)/1000, 0.001)
	}
}
