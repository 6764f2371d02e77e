package segment_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/tap"
)

// The kernel is the reference: the same superframe goes out of a packet socket
// on a TAP interface that offers no offload, so the kernel segments it in
// software, and both results are compared byte for byte.
func TestAgainstKernel(t *testing.T) {
	ns := hostiftest.NewNS(t)
	dev, err := tap.Open(tap.Config{NS: ns, NoOffload: true})
	hostiftest.NeedNet(t, func() error { return err })
	defer dev.Close()
	host, err := packet.Open(packet.Config{Name: dev.Name(), NS: ns})
	require.NoError(t, err)
	defer host.Close()
	for _, s := range supers {
		t.Run(s.name, func(t *testing.T) {
			f := s.frame()
			want := finish(t, f.Clone(), 1500)
			n, err := host.Send([]*hostif.Frame{f})
			require.NoError(t, err)
			require.Equal(t, 1, n, "%+v", host.Stats())
			var got [][]byte
			frames := make([]*hostif.Frame, 64)
			for deadline := time.Now().Add(30 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
				hostiftest.Readable(dev.Fd(), 100*time.Millisecond)
				n, err := dev.Recv(frames)
				require.NoError(t, err)
				for _, g := range frames[:n] {
					if bytes.Equal(g.Data[:12], f.Data[:12]) {
						got = append(got, append([]byte(nil), g.Data...))
					}
				}
			}
			require.Len(t, got, len(want))
			for i := range got {
				require.Equal(t, hex.Dump(got[i]), hex.Dump(want[i].Data), "segment %d: the kernel's, then ours", i)
			}
		})
	}
}
