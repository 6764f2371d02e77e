package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// at calls fn with a netlink socket in the named namespace.
func at(ns, what string, fn func(h *netlink.Handle) error) error {
	fd, err := vns.GetFromPath(Path(ns))
	if err != nil {
		return privilege(fmt.Errorf("%s: %w", Path(ns), err), what)
	}
	defer fd.Close()
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return privilege(err, what)
	}
	defer h.Close()
	return privilege(fn(h), what)
}

func onLink(ns, name, what string, fn func(h *netlink.Handle, l netlink.Link) error) error {
	return at(ns, what+" "+name+" in "+ns, func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return fn(h, l)
	})
}

// Veth makes a veth pair with its ends where they belong; neither is ever seen
// elsewhere. Both are down.
func Veth(a, b End, mtu int) error {
	peer, err := vns.GetFromPath(Path(b.NS))
	if err != nil {
		return privilege(fmt.Errorf("%s: %w", Path(b.NS), err), "make veth "+b.Name)
	}
	defer peer.Close()
	return at(a.NS, "make veth "+a.Name+" in "+a.NS, func(h *netlink.Handle) error {
		v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: b.Name,
			PeerNamespace: netlink.NsFd(peer), PeerTxQLen: -1, PeerMTU: uint32(mtu)}
		v.Name, v.Index, v.MTU = a.Name, a.Index, mtu
		if v.HardwareAddr, err = parseMAC(a.MAC); err != nil {
			return err
		}
		if v.PeerHardwareAddr, err = parseMAC(b.MAC); err != nil {
			return err
		}
		return h.LinkAdd(v)
	})
}

func parseMAC(s string) (net.HardwareAddr, error) {
	if s == "" {
		return nil, nil
	}
	return net.ParseMAC(s)
}

// Bridge makes a bridge without spanning tree and multicast snooping, so that
// it forwards at once and sends nothing of its own.
func Bridge(ns, name string, mtu int) error {
	return at(ns, "make bridge "+name+" in "+ns, func(h *netlink.Handle) error {
		off := false
		br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &off}
		br.Name, br.MTU = name, mtu
		return h.LinkAdd(br)
	})
}

// Enslave makes an interface a port of a bridge.
func Enslave(ns, name, bridge string) error {
	return onLink(ns, name, "add to bridge", func(h *netlink.Handle, l netlink.Link) error {
		br, err := h.LinkByName(bridge)
		if err != nil {
			return err
		}
		return h.LinkSetMaster(l, br)
	})
}

// SetUp brings an interface up.
func SetUp(ns, name string) error {
	return onLink(ns, name, "bring up", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetUp(l) })
}

// WaitUp waits until an interface carries packets. Bringing up both ends of a
// veth is not enough: until the kernel's own queue of link events has come
// round, it drops what is sent and a bridge does not forward.
func WaitUp(ns, name string, timeout time.Duration) error {
	return onLink(ns, name, "wait for", func(h *netlink.Handle, l netlink.Link) error {
		for deadline := time.Now().Add(timeout); ; time.Sleep(time.Millisecond) {
			now, err := h.LinkByIndex(l.Attrs().Index)
			if err != nil {
				return err
			}
			switch now.Attrs().OperState {
			case netlink.OperUp, netlink.OperUnknown: // a TAP device or loopback does not know
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("it is %v after %v", now.Attrs().OperState, timeout)
			}
		}
	})
}

// SetMTU sets the largest L3 packet of an interface, in bytes.
func SetMTU(ns, name string, mtu int) error {
	return onLink(ns, name, "set the MTU of", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetMTU(l, mtu) })
}

// SetMAC sets an interface's hardware address.
func SetMAC(ns, name, mac string) error {
	return onLink(ns, name, "set the address of", func(h *netlink.Handle, l netlink.Link) error {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return h.LinkSetHardwareAddr(l, hw)
	})
}

// AddAddr gives an interface an address, such as 10.77.1.2/24.
func AddAddr(ns, name string, addr netip.Prefix) error {
	return onLink(ns, name, "give "+addr.String()+" to", func(h *netlink.Handle, l netlink.Link) error {
		return h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(addr)})
	})
}

// AddRoute sends packets for dst out of an interface, to via if that is valid.
func AddRoute(ns, name string, dst netip.Prefix, via netip.Addr) error {
	return onLink(ns, name, "route "+dst.String()+" to", func(h *netlink.Handle, l netlink.Link) error {
		r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(dst)}
		if via.IsValid() {
			r.Gw = via.AsSlice()
		} else {
			r.Scope = netlink.SCOPE_LINK
		}
		return h.RouteAdd(r)
	})
}

// AddNeigh tells an interface the hardware address of a neighbour for good, so
// that no ARP is sent for it.
func AddNeigh(ns, name string, ip netip.Addr, mac string) error {
	return onLink(ns, name, "add neighbour "+ip.String()+" to", func(h *netlink.Handle, l netlink.Link) error {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return err
		}
		return h.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: ip.AsSlice(), HardwareAddr: hw})
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Sysctl sets a sysctl of a namespace, such as net.ipv4.ip_forward. A kernel
// without it is no error.
func Sysctl(ns, key, value string) error {
	err := Do(ns, func() error {
		err := writeSysctl(key, value)
		if errors.Is(err, fs.ErrNotExist) && fileExists("/proc/sys/net") {
			return nil
		}
		return err
	})
	return privilege(err, "set "+key+" in "+ns)
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// loopbackUp brings up the loopback interface of the caller's namespace.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
