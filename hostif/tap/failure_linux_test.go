package tap

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/internal/failure"
)

func need(t *testing.T, cfg Config) *Link {
	t.Helper()
	l, err := Open(cfg)
	hostiftest.NeedNet(t, func() error { return err })
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestFailuresOfOpening(t *testing.T) {
	for errno, want := range map[unix.Errno]struct {
		kind failure.Kind
		is   error
		next string
	}{
		unix.ENOENT: {failure.Unsupported, hostif.ErrNotSupported, "modprobe tun"},
		unix.ENODEV: {failure.Unsupported, hostif.ErrNotSupported, "--device /dev/net/tun"},
		unix.EACCES: {failure.Privilege, hostif.ErrPrivilege, "chmod 0666"},
		unix.EPERM:  {failure.Privilege, hostif.ErrPrivilege, "run as root"},
		unix.EMFILE: {failure.Unexpected, unix.EMFILE, ""},
	} {
		err := openFailure(errno)
		require.Equal(t, want.kind, failure.KindOf(err), errno)
		require.ErrorIs(t, err, want.is)
		require.ErrorContains(t, err, want.next)
		require.ErrorContains(t, err, "/dev/net/tun")
	}
	err := attachFailure("t0", unix.EPERM)
	require.Equal(t, failure.Privilege, failure.KindOf(err))
	require.ErrorContains(t, err, "CAP_NET_ADMIN")
}

func TestNames(t *testing.T) {
	for _, name := range []string{"sixteen-bytes-ab", "a/b", "a b", "..", "a:b"} {
		_, err := Open(Config{Name: name})
		require.Equal(t, failure.Usage, failure.KindOf(err), name)
	}
	for _, mtu := range []int{1, 67, 65522, -1} {
		_, err := Open(Config{Name: "m", MTU: mtu})
		require.Equal(t, failure.Usage, failure.KindOf(err), mtu)
	}
}

func TestBusyNamesTheOwner(t *testing.T) {
	ns := hostiftest.NewNS(t)
	need(t, Config{Name: "busy0", NS: ns})
	_, err := Open(Config{Name: "busy0", NS: ns})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorIs(t, err, hostif.ErrBusy)
	comm, _ := os.ReadFile("/proc/self/comm")
	require.ErrorContains(t, err, string(comm[:len(comm)-1]), "the owner is this process")
}

func TestNotATAP(t *testing.T) {
	ns := hostiftest.NewNS(t)
	hostiftest.Veth(t, ns, "v0", ns, "v1", 1500)
	_, err := Open(Config{Name: "v0", NS: ns})
	require.Equal(t, failure.Conflict, failure.KindOf(err))
	require.ErrorContains(t, err, "is no TAP")
}

// What Open made is gone with the link, also when Open fails half way.
func TestGoneAtClose(t *testing.T) {
	ns := hostiftest.NewNS(t)
	exists := func(name string) (there bool) {
		hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
			_, err := h.LinkByName(name)
			there = err == nil
		})
		return there
	}
	l := need(t, Config{Name: "gone0", NS: ns, MTU: 1400})
	require.Equal(t, 1400, l.MTU())
	require.True(t, exists("gone0"))
	polled := make(chan bool)
	go func() { polled <- hostiftest.Readable(l.Fd(), 3e9) }()
	require.NoError(t, l.Close())
	require.True(t, <-polled)
	require.False(t, exists("gone0"))
}

// A persistent interface is attached to, keeps its name, and stays.
func TestPersistent(t *testing.T) {
	ns := hostiftest.NewNS(t)
	for _, noOffload := range []bool{false, true, false} {
		l := need(t, Config{Name: "keep0", NS: ns, NoOffload: noOffload})
		require.NoError(t, unix.IoctlSetInt(l.fd, unix.TUNSETPERSIST, 1))
		require.Equal(t, "keep0", l.Name())
		require.Equal(t, !noOffload, l.Offloads())
		require.NoError(t, l.Close())
	}
	hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
		nl, err := h.LinkByName("keep0")
		require.NoError(t, err)
		require.NoError(t, h.LinkDel(nl))
	})
}

// An interface that somebody deletes under the link is an error, not silence.
func TestDeletedUnderneath(t *testing.T) {
	ns := hostiftest.NewNS(t)
	l := need(t, Config{Name: "del0", NS: ns})
	hostiftest.WithHandle(t, ns, func(h *netlink.Handle) {
		nl, err := h.LinkByName("del0")
		require.NoError(t, err)
		require.NoError(t, h.LinkDel(nl))
	})
	require.True(t, hostiftest.Readable(l.Fd(), 20e9))
	_, err := l.Recv(make([]*hostif.Frame, 4))
	require.ErrorIs(t, err, unix.EBADFD)
	_, err = l.Send([]*hostif.Frame{hostiftest.Frame(1, 60)})
	require.ErrorIs(t, err, unix.EBADFD)
	l.Stats()
}

// A closed link leaves no descriptor behind.
func TestNoDescriptorLeaks(t *testing.T) {
	ns := hostiftest.NewNS(t)
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(d)
	}
	one := func() {
		l := need(t, Config{NS: ns})
		require.NoError(t, l.Close())
		_, err := l.Recv(nil)
		require.Error(t, err)
		require.Equal(t, -1, l.Fd())
	}
	one()
	before := count()
	for range 20 {
		one()
	}
	require.LessOrEqual(t, count(), before)
}
