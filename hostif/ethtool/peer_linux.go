package ethtool

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// FindPeer finds the other end of a veth of namespace ns (-1: the caller's),
// wherever it lives. The error wraps ErrNoPeer if iface is no veth, or if the
// peer's namespace has no name, process or descriptor that we may open.
func FindPeer(ns int, iface string) (Peer, error) {
	var index, nsid int
	err := Do(ns, func() error {
		l, err := netlink.LinkByName(iface)
		switch {
		case errors.As(err, &netlink.LinkNotFoundError{}):
			return &hostif.OpError{Op: "find the peer of", Iface: iface, Err: hostif.ErrNoInterface}
		case err != nil:
			return &hostif.OpError{Op: "find the peer of", Iface: iface, Err: err}
		case l.Type() != "veth":
			return fmt.Errorf("%w: %s is a %s, not a veth", ErrNoPeer, iface, l.Type())
		}
		index, nsid = l.Attrs().ParentIndex, l.Attrs().NetNsID
		return nil
	})
	if err != nil {
		return Peer{}, err
	}
	id, err := namespaceOf(ns, nsid)
	if err != nil {
		return Peer{}, fmt.Errorf("%w: %s: %w", ErrNoPeer, iface, err)
	}
	p := Peer{NetNS: id, Index: index, Name: fmt.Sprintf("if%d", index)}
	if err := p.do(func(name string) error { p.Name = name; return nil }); err != nil {
		return Peer{}, fmt.Errorf("%w: %s: %w", ErrNoPeer, iface, err)
	}
	return p, nil
}

// namespaceOf finds the namespace that ns calls nsid (RTM_GETNSID); -1 is ns
// itself.
func namespaceOf(ns, nsid int) (NetNS, error) {
	if nsid < 0 {
		return Identify(ns)
	}
	found := NetNS{}
	err := Do(ns, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		eachNetNS(func(path string, inode uint64) bool {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return true
			}
			defer unix.Close(fd)
			if id, err := h.GetNetNsIdByFd(fd); err != nil || id != nsid {
				return true
			}
			found = NetNS{Path: path, Inode: inode}
			_ = Do(fd, func() error { found.Cookie = cookie(); return nil })
			return false
		})
		return nil
	})
	if err == nil && found.Inode == 0 {
		err = errors.New("its namespace has no name, process or descriptor to open it by")
	}
	return found, err
}
