package attach

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// newVeth makes a veth "near" whose far end is in a namespace of its own, and returns
// the near end's namespace and number.
func newVeth(t *testing.T) (ns, near int) {
	t.Helper()
	hostiftest.NeedNet(t, netns.Probe)
	if netns.Entered() == "unprivileged" {
		t.Skip("AF_XDP and tcx need root")
	}
	ns = hostiftest.NewNS(t)
	hostiftest.Veth(t, ns, "near", hostiftest.NewNS(t), "far", 1500)
	hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
		l, err := h.LinkByName("near")
		require.NoError(t, err)
		near = l.Attrs().Index
	})
	return ns, near
}

func exists(t *testing.T, ns int, name string) (there bool) {
	t.Helper()
	hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
		_, err := h.LinkByName(name)
		there = err == nil
	})
	return there
}

// Who finds another NIC in front of a container leaves it there.
func TestInlineLeavesAnothersPair(t *testing.T) {
	ns, near := newVeth(t)
	hostiftest.Veth(t, ns, stackName(near), ns, cardName(near), 1500)
	hostiftest.In(t, ns, func() {
		_, err := OpenInline("near", Options{Mode: XDP, Log: t.Logf})
		require.Equal(t, failure.Conflict, failure.KindOf(err), "%v", err)
		require.ErrorContains(t, err, "another meshnic is in front of this container")
	})
	require.True(t, exists(t, ns, stackName(near)))
}

// Numbers of interfaces are of a namespace: in each there may be a pair of that name. It
// is removed where it was made, wherever what undoes it runs.
func TestInlineIsUndoneWhereItWasMade(t *testing.T) {
	ns, near := newVeth(t)
	var in *Inline
	hostiftest.In(t, ns, func() {
		var err error
		in, err = OpenInline("near", Options{Mode: XDP, Log: t.Logf})
		require.NoError(t, err)
	})
	require.True(t, exists(t, ns, stackName(near)))
	elsewhere := hostiftest.NewNS(t)
	hostiftest.Veth(t, elsewhere, stackName(near), elsewhere, cardName(near), 1500)
	hostiftest.In(t, elsewhere, func() { // as meshnic clean does
		found, err := netns.Undo(fmt.Sprintf("attach_%d_%d", os.Getpid(), near), netns.UndoOptions{Handlers: UndoHandlers()})
		require.NoError(t, err)
		require.True(t, found)
	})
	require.True(t, exists(t, elsewhere, stackName(near)), "that of another NIC")
	require.False(t, exists(t, ns, stackName(near)))
	require.NoError(t, in.Close())
}
