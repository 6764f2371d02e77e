//go:build linux

package xdp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
)

// Each trap that acts is said, in one line, once.
func TestTrapsAreSaid(t *testing.T) {
	needXDP(t)
	for _, tt := range []struct {
		mtu  int
		cfg  Config
		want []string
	}{
		{1500, Config{}, []string{
			"xdp: p0: transmit checksum and VLAN offload of its peer eth0 is off while attached",
			"xdp: p0: TSO of its peer eth0 is off while attached: bulk TCP comes in frames of its MTU",
			"xdp: p0: one sendto took 32 of 200 frames: it is repeated until none is left",
		}},
		{9000, Config{RecomputeChecksums: true}, []string{
			"xdp: MTU 9000: frames larger than a chunk of 4096 bytes come in several descriptors and are joined",
			"xdp: p0: unfinished checksums are finished on receive, as asked",
			"xdp: p0: TSO of its peer eth0 is off while attached: bulk TCP comes in frames of its MTU",
			"xdp: p0: one sendto took 32 of 200 frames: it is repeated until none is left",
		}},
	} {
		ns := newNS(t)
		require.NoError(t, addVeth(ns, "p0", ns, "eth0", tt.mtu))
		var said []string
		tt.cfg.Ifaces, tt.cfg.Frames = []Iface{{"p0", ns}}, 1024
		tt.cfg.Log = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
		g := open(t, tt.cfg)
		frames := make([]*hostif.Frame, 200)
		for range 2 {
			for i := range frames {
				frames[i] = &hostif.Frame{Data: make([]byte, 60)}
			}
			n, err := g.Links[0].Send(frames)
			require.NoError(t, err)
			require.Equal(t, len(frames), n)
		}
		require.Equal(t, tt.want, said, "MTU %d", tt.mtu)
		require.NotContains(t, strings.Join(said, ""), "\n")
	}
}
