package tap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/packet"
	"github.com/meshnic/meshnic/hostif/tap"
)

func open(t *testing.T, cfg tap.Config) *tap.Link {
	t.Helper()
	cfg.Logf = t.Logf
	l, err := tap.Open(cfg)
	hostiftest.NeedNet(t, func() error { return err })
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair is a TAP interface and, as the host's stack, a packet socket on it.
func pair(cfg tap.Config) func(*testing.T) (hostif.Link, hostif.Link) {
	return func(t *testing.T) (hostif.Link, hostif.Link) {
		cfg := cfg
		cfg.NS = hostiftest.NewNS(t)
		a := open(t, cfg)
		b, err := packet.Open(packet.Config{Name: a.Name(), NS: cfg.NS, NoOffload: cfg.NoOffload})
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close() })
		return a, b
	}
}

func TestContract(t *testing.T) {
	t.Run("vnet_hdr", func(t *testing.T) { hostiftest.RunLink(t, pair(tap.Config{Name: "t0"})) })
	t.Run("finished frames", func(t *testing.T) { hostiftest.RunLink(t, pair(tap.Config{NoOffload: true})) })
	t.Run("jumbo", func(t *testing.T) { hostiftest.RunLink(t, pair(tap.Config{Name: "j%d", MTU: 9000})) })
}
