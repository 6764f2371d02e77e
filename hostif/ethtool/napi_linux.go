package ethtool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// From linux/netdev.h: the generic netlink family "netdev". NAPI_GET is there
// since Linux 6.7; who polls (PID) is in its answer since 6.8.
const (
	netdevFamily  = "netdev"
	netdevVersion = 1
	napiGet       = 11 // NETDEV_CMD_NAPI_GET
	napiIfindex   = 1  // NETDEV_A_NAPI_IFINDEX
	napiID        = 2  // NETDEV_A_NAPI_ID
	napiPID       = 4  // NETDEV_A_NAPI_PID
)

// NAPI lists the peer's receive contexts. It has none while it is down, and as
// a veth without GRO or a program. The error wraps hostif.ErrNotSupported if
// the kernel does not tell.
func (p Peer) NAPI() (list []NAPI, err error) {
	err = p.do(func(iface string) error {
		family, err := netlink.GenlFamilyGet(netdevFamily)
		if err != nil {
			return &hostif.OpError{Op: "list the receive contexts of", Iface: iface, Err: fmt.Errorf("%w: %w", hostif.ErrNotSupported, err)}
		}
		req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		// By hand: nl.Genlmsg leaves its reserved bytes to chance, and this family checks.
		ask := []byte{napiGet, netdevVersion, 0, 0}
		req.AddRawData(append(ask, nl.NewRtAttr(napiIfindex, nl.Uint32Attr(uint32(p.Index))).Serialize()...))
		msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
		if err != nil {
			if errors.Is(err, unix.EOPNOTSUPP) {
				err = fmt.Errorf("%w: %w", hostif.ErrNotSupported, err)
			}
			return &hostif.OpError{Op: "list the receive contexts of", Iface: iface, Err: err}
		}
		for _, m := range msgs {
			n, err := decodeNAPI(m)
			if err != nil {
				return &hostif.OpError{Op: "list the receive contexts of", Iface: iface, Err: err}
			}
			list = append(list, n)
		}
		return nil
	})
	return list, err
}

// decodeNAPI reads one answer: the generic header, then attributes.
func decodeNAPI(b []byte) (n NAPI, err error) {
	// Netlink pads to 4 bytes, and nl.ParseRouteAttr takes it for granted.
	if len(b) < nl.SizeofGenlmsg || len(b)%unix.NLMSG_ALIGNTO != 0 {
		return n, fmt.Errorf("an answer of %d bytes", len(b))
	}
	attrs, err := nl.ParseRouteAttr(b[nl.SizeofGenlmsg:])
	if err != nil {
		return n, err
	}
	for _, a := range attrs {
		if len(a.Value) != 4 {
			continue // timeouts, some of 8 bytes, are not for us
		}
		switch v := binary.NativeEndian.Uint32(a.Value); a.Attr.Type {
		case napiID:
			n.ID = v
		case napiPID:
			n.PID = int(v)
		}
	}
	return n, nil
}

// threadedFile opens an interface's attribute "threaded" (Linux 5.12), in the
// calling thread's namespace. What is mounted on /sys shows the interfaces of
// whoever mounted it, so this is a mount of our own, which has no place and
// ends with its descriptor.
func threadedFile(iface string, flags int) (fd int, err error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(mount)
	return unix.Openat(mount, "class/net/"+iface+"/threaded", flags|unix.O_CLOEXEC, 0)
}

// threaded reports whether an interface is received by threads.
func threaded(iface string) (bool, error) {
	fd, err := threadedFile(iface, unix.O_RDONLY)
	if err == nil {
		defer unix.Close(fd)
		b := make([]byte, 16)
		var n int
		if n, err = unix.Read(fd, b); err == nil {
			return !bytes.HasPrefix(b[:n], []byte("0")), nil
		}
	}
	return false, &hostif.OpError{Op: "read " + ThreadedNAPI + " of", Iface: iface, Err: missing(err)}
}

// setThreaded starts the threads of an interface, or ends them. Without a
// receive context there is none to start, and none to end.
func setThreaded(iface string, on bool) error {
	fd, err := threadedFile(iface, unix.O_WRONLY)
	if err == nil {
		defer unix.Close(fd)
		_, err = unix.Write(fd, []byte{map[bool]byte{false: '0', true: '1'}[on]})
	}
	if err == nil || !on && errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return &hostif.OpError{Op: "set " + ThreadedNAPI + " of", Iface: iface, Err: missing(err)}
}

// missing wraps what an older kernel, or one without the right, answers.
func missing(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: %w", hostif.ErrNotSupported, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: CAP_SYS_ADMIN: %w", hostif.ErrPrivilege, err)
	}
	return err
}
