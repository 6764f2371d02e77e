//go:build linux

package xdp

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
)

// newNS makes an anonymous network namespace: it is gone when its last
// descriptor is.
func newNS(t testing.TB) int {
	t.Helper()
	fd, err := makeNS()
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func makeNS() (int, error) {
	type result struct {
		fd  int
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		h, err := netns.New()
		if err == nil {
			lo, _ := netlink.LinkByName("lo")
			if lo != nil {
				_ = netlink.LinkSetUp(lo)
			}
		}
		done <- result{int(h), err}
	}()
	r := <-done
	return r.fd, r.err
}

// needXDP skips the test where a veth cannot be made and attached to.
func needXDP(t testing.TB) {
	t.Helper()
	hostiftest.NeedNet(t, func() error {
		ns, err := makeNS()
		if err != nil {
			return err
		}
		defer unix.Close(ns)
		if err := addVeth(ns, "probe", ns, "peer", 1500); err != nil {
			return err
		}
		g, err := Open(Config{Ifaces: []Iface{{"probe", ns}}, Frames: 64})
		if err != nil {
			return err
		}
		return g.Close()
	})
}

// addVeth makes a veth pair across two namespaces, both ends up.
func addVeth(nsA int, a string, nsB int, b string, mtu int) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(nsA))
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = a, mtu
	err = h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b, PeerNamespace: netlink.NsFd(nsB)})
	if err != nil {
		return fmt.Errorf("veth %s-%s: %w", a, b, err)
	}
	for _, end := range []struct {
		ns   int
		name string
	}{{nsA, a}, {nsB, b}} {
		err := ethtool.Do(end.ns, func() error {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+end.name+"/disable_ipv6", []byte("1"), 0)
			l, err := netlink.LinkByName(end.name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetMTU(l, mtu); err != nil {
				return err
			}
			return netlink.LinkSetUp(l)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// address gives an interface an IPv4 address.
func address(t testing.TB, ns int, iface, cidr string) {
	t.Helper()
	require.NoError(t, ethtool.Do(ns, func() error {
		l, err := netlink.LinkByName(iface)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(l, a)
	}))
}

func open(t testing.TB, cfg Config) *Group {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = t.Logf
	}
	g, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}
