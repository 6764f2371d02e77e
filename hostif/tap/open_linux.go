package tap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

const device = "/dev/net/tun"

// Open makes the TAP interface that cfg describes, or attaches to it if it
// exists. An interface that Open made is gone when the link is closed.
//
// Failures: Usage (name), Unsupported (no TUN driver), Privilege (the device
// node or CAP_NET_ADMIN), Conflict (attached elsewhere, or no TAP).
func Open(cfg Config) (*Link, error) {
	if err := checkName(cfg.Name); err != nil {
		return nil, err
	}
	if cfg.MTU != 0 && (cfg.MTU < 68 || cfg.MTU > 65521) {
		return nil, failure.Usagef("tap: MTU of %d, want 68 to 65521", cfg.MTU)
	}
	if cfg.NS <= 0 {
		cfg.NS = -1
	}
	l := &Link{fd: -1, offloads: !cfg.NoOffload}
	if err := ethtool.Do(cfg.NS, func() error { return l.open(cfg) }); err != nil {
		l.discard()
		return nil, err
	}
	bell, err := hostif.NewBell(l.fd)
	if err != nil {
		l.discard()
		return nil, err
	}
	l.bell = bell
	l.makeBuffers()
	return l, nil
}

func checkName(name string) error {
	if len(name) > unix.IFNAMSIZ-1 {
		return failure.New(failure.Usage, "tap: name "+strconv.Quote(name), "an interface name has at most 15 bytes", "choose a shorter one")
	}
	if strings.ContainsAny(name, "/ \t\n:") || name == "." || name == ".." {
		return failure.New(failure.Usage, "tap: name "+strconv.Quote(name), "an interface name has no slash, colon or space", "choose another one")
	}
	return nil
}

// open runs on a thread inside the namespace: what is made there stays there.
func (l *Link) open(cfg Config) error {
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return openFailure(err)
	}
	l.fd = fd
	if err := l.attach(cfg); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return l.fail("talk netlink about", err)
	}
	l.netlink = h
	nl, err := h.LinkByName(l.name)
	if err != nil {
		return l.fail("look up", err)
	}
	l.index = nl.Attrs().Index
	l.mtu = nl.Attrs().MTU
	if cfg.MTU != 0 && cfg.MTU != l.mtu {
		if err := h.LinkSetMTU(nl, cfg.MTU); err != nil {
			return l.fail(fmt.Sprintf("set MTU %d of", cfg.MTU), err)
		}
		l.mtu = cfg.MTU
	}
	qlen := cfg.TxQueueLen
	if qlen == 0 {
		qlen = 4096
	}
	if err := h.LinkSetTxQLen(nl, qlen); err != nil && cfg.Logf != nil {
		cfg.Logf("tap %s: queue of %d frames refused (%v): bursts above %d are lost", l.name, qlen, err, nl.Attrs().TxQLen)
	}
	if cfg.Down {
		return nil
	}
	if err := h.LinkSetUp(nl); err != nil {
		return l.fail("bring up", err)
	}
	return nil
}

func (l *Link) attach(cfg Config) error {
	l.name = cfg.Name
	ifr, err := unix.NewIfreq(cfg.Name)
	if err != nil {
		return failure.Wrap(failure.Usage, err, "tap: name "+strconv.Quote(cfg.Name), "choose another one")
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if l.offloads {
		flags |= unix.IFF_VNET_HDR
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(l.fd, unix.TUNSETIFF, ifr); err != nil {
		return attachFailure(cfg.Name, err)
	}
	l.name = ifr.Name()
	if !l.offloads {
		// A persistent interface keeps what its last holder offered.
		return l.wrap("reset offloads of", unix.IoctlSetInt(l.fd, unix.TUNSETOFFLOAD, 0))
	}
	if err := unix.IoctlSetPointerInt(l.fd, unix.TUNSETVNETHDRSZ, hostif.VnetHdrLen); err != nil {
		return l.fail("set the virtio_net_hdr size of", err)
	}
	const tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	err = unix.IoctlSetInt(l.fd, unix.TUNSETOFFLOAD, tso|unix.TUN_F_USO4|unix.TUN_F_USO6)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.2: no USO
		if cfg.Logf != nil {
			cfg.Logf("tap %s: no UDP segmentation offload in this kernel: UDP comes in MTU-size frames", l.name)
		}
		err = unix.IoctlSetInt(l.fd, unix.TUNSETOFFLOAD, tso)
	}
	return l.wrap("set offloads of", err)
}

func (l *Link) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return l.fail(op, err)
}

// fail classifies an error after the interface exists.
func (l *Link) fail(op string, err error) error {
	cause := error(&hostif.OpError{Op: op, Iface: l.name, Err: err})
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		cause = &hostif.OpError{Op: op, Iface: l.name, Err: fmt.Errorf("%w: %w", hostif.ErrPrivilege, err)}
		return failure.Wrap(failure.Privilege, cause, "tap: "+op+" "+l.name, "run with CAP_NET_ADMIN in the interface's namespace")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		cause = &hostif.OpError{Op: op, Iface: l.name, Err: fmt.Errorf("%w: %w", hostif.ErrNotSupported, err)}
		return failure.Wrap(failure.Unsupported, cause, "tap: "+op+" "+l.name, "use --mode packet or a newer kernel")
	}
	return failure.Wrap(failure.Unexpected, cause, "tap: "+op+" "+l.name, "")
}

func openFailure(err error) error {
	what := "tap: open " + device
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return &failure.Error{Kind: failure.Unsupported, What: what, Why: "this kernel has no TUN driver, or the container no device node",
			Next: "load it (modprobe tun), give the container the device (--device /dev/net/tun), or use --mode packet",
			Err:  fmt.Errorf("%w: %w", hostif.ErrNotSupported, err)}
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return &failure.Error{Kind: failure.Privilege, What: what, Why: "the device node is not open to this user",
			Next: "run as root, make the node readable and writable (chmod 0666, as most distributions ship it), or use --mode packet",
			Err:  fmt.Errorf("%w: %w", hostif.ErrPrivilege, err)}
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}

func attachFailure(name string, err error) error {
	what := "tap: make interface " + name
	switch {
	case errors.Is(err, unix.EPERM):
		return &failure.Error{Kind: failure.Privilege, What: what, Why: "CAP_NET_ADMIN is missing in this network namespace",
			Next: "run as root or inside `unshare -Urn`", Err: fmt.Errorf("%w: %w", hostif.ErrPrivilege, err)}
	case errors.Is(err, unix.EBUSY):
		why := "another process holds it"
		if o := owner(name); o != "" {
			why = o + " holds it"
		}
		return &failure.Error{Kind: failure.Conflict, What: what, Why: why, Next: "end that process or choose another name",
			Err: fmt.Errorf("%w: %w", hostif.ErrBusy, err)}
	case errors.Is(err, unix.EINVAL):
		return &failure.Error{Kind: failure.Conflict, What: what, Why: "an interface of that name exists and is no TAP, or has several queues",
			Next: "choose another name, or attach to it with --mode packet or xdp", Err: fmt.Errorf("%w: %w", hostif.ErrBusy, err)}
	}
	return failure.Wrap(failure.Unexpected, &hostif.OpError{Op: "make TAP", Iface: name, Err: err}, what, "")
}

// owner names the process that holds the TAP interface, "" if it cannot be told.
// The kernel writes the interface's name into the fdinfo of its holder.
func owner(name string) string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != device {
			continue
		}
		info, err := os.ReadFile(strings.Replace(fd, "/fd/", "/fdinfo/", 1))
		if err != nil || !strings.Contains(string(info)+"\n", "iff:\t"+name+"\n") {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return strings.TrimSpace(string(comm)) + " (process " + pid + ")"
	}
	return ""
}
