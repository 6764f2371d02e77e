package attach

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// What a dead attach has left is put back before a new one changes it: a clean would
// otherwise do so under the one that lives.
func TestCleanAfterADeadAttachLeavesTheNextAlone(t *testing.T) {
	const feature = "tx-checksum-ip-generic"
	ns, _ := newVeth(t)
	hostiftest.Veth(t, ns, "near2", ns, "far2", 1500)
	far, err := ethtool.FindPeer(ns, "near2")
	require.NoError(t, err)
	plan, err := ethtool.Plan(far, false, feature)
	require.NoError(t, err)
	require.Len(t, plan, 1)

	j, err := netns.Create("attach_1_999999", nil)
	require.NoError(t, err)
	require.NoError(t, j.Setting(settingHandler, "", plan[0]))
	require.NoError(t, ethtool.Apply(plan[0]))
	require.NoError(t, j.Close())
	file := filepath.Join(j.Dir(), "journal.jsonl")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	b = regexp.MustCompile(`"start_ticks":\d+`).ReplaceAll(b, []byte(`"start_ticks":1`)) // of a process that is dead
	require.NoError(t, os.WriteFile(file, b, 0o644))
	clean := func() {
		_, err := netns.Undo(j.Lab(), netns.UndoOptions{Handlers: UndoHandlers()})
		require.NoError(t, err)
	}
	t.Cleanup(clean)

	hostiftest.In(t, ns, func() {
		set, err := Open([]PortSpec{{"a", "near", ""}, {"b", "near2", ""}}, Options{Mode: XDP, Log: t.Logf})
		require.NoError(t, err)
		active := func() bool {
			f, err := far.Features()
			require.NoError(t, err)
			return f[feature].Active
		}
		clean()
		require.False(t, active(), "while there is a NIC")
		require.NoError(t, set.Close())
		require.True(t, active(), "as it was before any")
	})
}
