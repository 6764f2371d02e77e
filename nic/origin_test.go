package nic

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzOrigin(f *testing.F) {
	f.Add(Origin{Seed: 7, MTU: 1500, Conns: 1 << 18, Ports: 3, Start: time.Unix(1_790_000_000, 5)}.String())
	f.Add(Origin{Seed: 7, Conns: 1, Ports: 2, Start: time.Unix(1, 5), Before: netip.MustParseAddr("172.17.0.2")}.String())
	f.Add("a comment")
	f.Fuzz(func(t *testing.T, comment string) {
		o, err := ParseOrigin(comment)
		if err != nil {
			return
		}
		again, err := ParseOrigin(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
	})
}

func TestOriginRefused(t *testing.T) {
	_, err := ParseOrigin("meshnic proxy seed=1 mtu=x")
	require.ErrorContains(t, err, "does not say how the proxy was")
	require.ErrorContains(t, err, "attach --program offload --capture")
	whole := Origin{Seed: 1, Start: time.Unix(1, 5)}.String()
	for _, bad := range []string{whole + " before=", whole + " before=x", whole + " more"} {
		_, err = ParseOrigin(bad)
		require.Error(t, err, bad)
	}
}
