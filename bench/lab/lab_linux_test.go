package lab

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

func snapshot(t *testing.T) string {
	t.Helper()
	s, err := netns.Snapshot()
	require.NoError(t, err)
	return s
}

func TestUpDown(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, fabric := range []Fabric{Direct, Bridge, Ports, Taps} {
		t.Run(string(fabric), func(t *testing.T) {
			before := snapshot(t)
			began := time.Now()
			l, err := Up(t.Context(), Spec{Name: "t", Fabric: fabric, Hosts: []Host{{Name: "a"}, {Name: "b"}}})
			require.NoError(t, err)
			t.Log("up", time.Since(began))
			require.NotEqual(t, before, snapshot(t))
			r, err := l.Run(context.Background(), "a", Cmd{Path: "sh", Args: []string{"-c", "cat /etc/hosts; ip a; cat /proc/self/net/dev; ip route"}})
			require.NoError(t, err)
			t.Logf("%s %+v", r.Stdout, r)
			began = time.Now()
			require.NoError(t, l.Down())
			t.Log("down", time.Since(began))
			require.Equal(t, before, snapshot(t))
		})
	}
}
