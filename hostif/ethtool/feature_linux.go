package ethtool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// From linux/ethtool.h.
const (
	ssStats    = 1 // ETH_SS_STATS
	ssFeatures = 4 // ETH_SS_FEATURES
	stringLen  = 32
)

// ioctl does one SIOCETHTOOL call on the calling thread's namespace. buf starts
// with the command.
func ioctl(iface string, buf []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return ioctlBy(fd, iface, buf)
}

// ioctlBy does it in the namespace of the socket fd.
func ioctlBy(fd int, iface string, buf []byte) error {
	var ifr struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq is 40 bytes
	}
	if copy(ifr.name[:unix.IFNAMSIZ-1], iface) < len(iface) {
		return unix.ENAMETOOLONG
	}
	var pin runtime.Pinner
	pin.Pin(&buf[0])
	defer pin.Unpin()
	ifr.data = unsafe.Pointer(&buf[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	if errno != 0 {
		return errno
	}
	return nil
}

// strings returns the names of a string set: of features, or of statistics.
func stringSet(iface string, set uint32) ([]string, error) {
	ne := binary.NativeEndian
	info := make([]byte, 20) // struct ethtool_sset_info with one length
	ne.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	ne.PutUint64(info[8:], 1<<set)
	if err := ioctl(iface, info); err != nil {
		return nil, err
	}
	n := int(ne.Uint32(info[16:]))
	b := make([]byte, 12+n*stringLen) // struct ethtool_gstrings
	ne.PutUint32(b, unix.ETHTOOL_GSTRINGS)
	ne.PutUint32(b[4:], set)
	ne.PutUint32(b[8:], uint32(n))
	if err := ioctl(iface, b); err != nil {
		return nil, err
	}
	names := make([]string, n)
	for i := range names {
		s := b[12+i*stringLen:][:stringLen]
		if end := bytes.IndexByte(s, 0); end >= 0 {
			s = s[:end]
		}
		names[i] = string(s)
	}
	return names, nil
}

// Get reads the features of an interface of namespace ns (-1: the caller's).
func Get(ns int, iface string) (f Features, err error) {
	err = Do(ns, func() error {
		f, err = get(iface)
		return err
	})
	return f, err
}

func get(iface string) (Features, error) {
	names, err := stringSet(iface, ssFeatures)
	if err != nil {
		return nil, &hostif.OpError{Op: "read features of", Iface: iface, Err: err}
	}
	ne := binary.NativeEndian
	blocks := (len(names) + 31) / 32
	b := make([]byte, 8+blocks*16) // struct ethtool_gfeatures
	ne.PutUint32(b, unix.ETHTOOL_GFEATURES)
	ne.PutUint32(b[4:], uint32(blocks))
	if err := ioctl(iface, b); err != nil {
		return nil, &hostif.OpError{Op: "read features of", Iface: iface, Err: err}
	}
	f := Features{}
	for i, name := range names {
		if name == "" {
			continue
		}
		block, bit := b[8+i/32*16:], i%32
		is := func(word int) bool { return ne.Uint32(block[word*4:])>>bit&1 == 1 }
		f[name] = Feature{Available: is(0), Requested: is(1), Active: is(2), Fixed: is(3)}
	}
	return f, nil
}

// getWith is get, and ThreadedNAPI if it is among features.
func getWith(iface string, features ...string) (Features, error) {
	f, err := get(iface)
	if err == nil && slices.Contains(features, ThreadedNAPI) {
		var on bool
		on, err = threaded(iface)
		f[ThreadedNAPI] = Feature{Available: true, Requested: on, Active: on}
	}
	return f, err
}

// set asks for one feature on the calling thread's namespace.
func set(iface, feature string, on bool) error {
	if feature == ThreadedNAPI {
		return setThreaded(iface, on)
	}
	names, err := stringSet(iface, ssFeatures)
	if err != nil {
		return &hostif.OpError{Op: "read features of", Iface: iface, Err: err}
	}
	i := slices.Index(names, feature)
	if i < 0 {
		return &hostif.OpError{Op: "set " + feature + " of", Iface: iface, Err: hostif.ErrNotSupported}
	}
	ne := binary.NativeEndian
	blocks := (len(names) + 31) / 32
	b := make([]byte, 8+blocks*8) // struct ethtool_sfeatures: valid, requested
	ne.PutUint32(b, unix.ETHTOOL_SFEATURES)
	ne.PutUint32(b[4:], uint32(blocks))
	block := b[8+i/32*8:]
	ne.PutUint32(block, 1<<(i%32))
	if on {
		ne.PutUint32(block[4:], 1<<(i%32))
	}
	if err := ioctl(iface, b); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: CAP_NET_ADMIN: %w", hostif.ErrPrivilege, err)
		}
		return &hostif.OpError{Op: "set " + feature + " of", Iface: iface, Err: err}
	}
	return nil
}

// Plan returns the changes that turn the named features off (or on) where they
// are not so already, sorted by name. Features that the interface lacks or
// cannot change are left out.
func Plan(p Peer, on bool, features ...string) ([]Change, error) {
	var plan []Change
	err := p.do(func(iface string) error {
		have, err := getWith(iface, features...)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(slices.Values(features)) {
			if f := have[name]; f.Available && !f.Fixed && f.Requested != on {
				plan = append(plan, Change{NetNS: p.NetNS, Iface: iface, Ifindex: p.Index,
					Feature: name, Was: f.Requested, Now: on})
			}
		}
		return nil
	})
	return plan, err
}

// Apply makes a change.
func Apply(c Change) error {
	return c.peer().do(func(iface string) error { return set(iface, c.Feature, c.Now) })
}

// Undo puts the setting back. It does nothing, without error, if the namespace
// or interface is gone, or the setting is no longer what the change made it:
// then somebody else has changed it since, and theirs stands.
func Undo(c Change) error {
	err := c.peer().do(func(iface string) error {
		have, err := getWith(iface, c.Feature)
		if err != nil {
			return err
		}
		if have[c.Feature].Requested != c.Now {
			return nil
		}
		return set(iface, c.Feature, c.Was)
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, hostif.ErrNoInterface) {
		return nil
	}
	return err
}

func (c Change) peer() Peer { return Peer{NetNS: c.NetNS, Name: c.Iface, Index: c.Ifindex} }

// do runs f in the interface's namespace with its name of today.
func (p Peer) do(f func(iface string) error) error {
	ns, err := p.NetNS.Open()
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	return Do(ns, func() error {
		l, err := netlink.LinkByIndex(p.Index)
		if err != nil {
			if errors.As(err, &netlink.LinkNotFoundError{}) {
				err = hostif.ErrNoInterface
			}
			return &hostif.OpError{Op: "look up", Iface: p.Name, Err: err}
		}
		return f(l.Attrs().Name)
	})
}

// Features reads the peer's features.
func (p Peer) Features() (f Features, err error) {
	err = p.do(func(iface string) error {
		f, err = get(iface)
		return err
	})
	return f, err
}
