package hostiftest

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NewNS makes a network namespace without a name, IPv6 off and loopback up, and
// returns its descriptor. It is gone with the test.
func NewNS(t testing.TB) int {
	t.Helper()
	fd, err := newNS()
	NeedNet(t, func() error { return err })
	t.Cleanup(func() { _ = unix.Close(fd) })
	WithHandle(t, fd, func(h *netlink.Handle) {
		lo, err := h.LinkByName("lo")
		require.NoError(t, err)
		require.NoError(t, h.LinkSetUp(lo))
	})
	return fd
}

// newNS leaves its thread to die: it is in the wrong namespace.
func newNS() (fd int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			err = os.NewSyscallError("unshare CLONE_NEWNET", err)
			return
		}
		// No neighbour discovery among the frames of a test.
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}()
	<-done
	return fd, err
}

// In runs f on a thread inside the namespace ns, a descriptor.
func In(t testing.TB, ns int, f func()) {
	t.Helper()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(ns, unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	<-done
	require.NoError(t, err)
}

// WithHandle runs f with a netlink handle of the namespace ns.
func WithHandle(t testing.TB, ns int, f func(h *netlink.Handle)) {
	t.Helper()
	var h *netlink.Handle
	var err error
	In(t, ns, func() { h, err = netlink.NewHandle(unix.NETLINK_ROUTE) })
	require.NoError(t, err)
	defer h.Close()
	f(h)
}

// Veth makes a veth pair, one end in each namespace, both up.
func Veth(t testing.TB, nsA int, a string, nsB int, b string, mtu int) {
	t.Helper()
	la := netlink.NewLinkAttrs()
	la.Name, la.MTU = a, mtu
	la.Namespace = netlink.NsFd(nsA)
	v := &netlink.Veth{LinkAttrs: la, PeerName: b, PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(nsB)}
	WithHandle(t, nsA, func(h *netlink.Handle) {
		err := h.LinkAdd(v)
		NeedNet(t, func() error { return err })
	})
	SetUp(t, nsA, a, "")
	SetUp(t, nsB, b, "")
	Settle(t, nsA, a)
	Settle(t, nsB, b)
}

// Settle waits until an interface whose carrier has come sends: asking for it
// runs what the kernel would do in the background.
func Settle(t testing.TB, ns int, name string) {
	t.Helper()
	WithHandle(t, ns, func(h *netlink.Handle) {
		_, err := h.LinkByName(name)
		require.NoError(t, err)
	})
}

// SetUp gives an interface an address in CIDR form, unless that is empty, and
// brings it up.
func SetUp(t testing.TB, ns int, name, cidr string) {
	t.Helper()
	WithHandle(t, ns, func(h *netlink.Handle) {
		l, err := h.LinkByName(name)
		require.NoError(t, err)
		if cidr != "" {
			ip, n, err := net.ParseCIDR(cidr)
			require.NoError(t, err)
			require.NoError(t, h.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: n.Mask}}))
		}
		require.NoError(t, h.LinkSetUp(l))
	})
}

// NSPath returns a path by which another process can open the namespace.
func NSPath(ns int) string {
	return filepath.Join("/proc", strconv.Itoa(os.Getpid()), "fd", strconv.Itoa(ns))
}
