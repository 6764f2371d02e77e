package packet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
)

func open(t *testing.T, cfg packet.Config) *packet.Link {
	t.Helper()
	cfg.Logf = t.Logf
	l, err := packet.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair is a veth with a link on each end.
func pair(mtu int, a, b packet.Config) func(*testing.T) (hostif.Link, hostif.Link) {
	return func(t *testing.T) (hostif.Link, hostif.Link) {
		a, b := a, b
		a.Name, b.Name = "pa", "pb"
		a.NS, b.NS = hostiftest.NewNS(t), hostiftest.NewNS(t)
		hostiftest.Veth(t, a.NS, a.Name, b.NS, b.Name, mtu)
		return open(t, a), open(t, b)
	}
}

func TestContract(t *testing.T) {
	no := packet.Config{NoOffload: true}
	t.Run("vnet_hdr", func(t *testing.T) { hostiftest.RunLink(t, pair(1500, packet.Config{}, packet.Config{})) })
	t.Run("finished frames", func(t *testing.T) { hostiftest.RunLink(t, pair(1500, no, no)) })
	t.Run("jumbo", func(t *testing.T) { hostiftest.RunLink(t, pair(9000, packet.Config{}, no)) })
}
