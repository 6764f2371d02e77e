package packet

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// Open opens the interface that cfg names, in promiscuous mode.
//
// Failures: Usage (no such interface), Privilege (CAP_NET_RAW), Unsupported
// (not Ethernet).
func Open(cfg Config) (*Link, error) {
	if cfg.NS <= 0 {
		cfg.NS = -1
	}
	if cfg.RecvBuffer <= 0 {
		cfg.RecvBuffer = defaultBuffer
	}
	l := &Link{name: cfg.Name, fd: -1, offloads: !cfg.NoOffload}
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

// open runs on a thread inside the namespace; the socket stays in it.
func (l *Link) open(cfg Config) error {
	// Protocol 0: nothing arrives before the options are set and bind names
	// the interface.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return l.fail("open a packet socket on", err)
	}
	l.fd = fd
	if err := l.lookUp(); err != nil {
		return err
	}
	for _, o := range []struct {
		name string
		opt  int
	}{
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR},
		{"PACKET_AUXDATA", unix.PACKET_AUXDATA},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING}, // Linux 4.20
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.opt, 1); err != nil {
			return l.fail("set "+o.name+" on", err)
		}
	}
	l.setBuffers(cfg)
	if !cfg.Shared {
		if l.shield, err = newShield(cfg.Name); err != nil && cfg.Logf != nil {
			cfg.Logf("packet %s: cannot keep frames from the host's stack (%v): leave the interface without addresses", cfg.Name, err)
		}
	}
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: l.index})
	if err != nil {
		return l.fail("bind to", err)
	}
	l.startQueue(cfg)
	err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_PROMISC})
	if err != nil {
		return l.fail("make promiscuous", err)
	}
	return nil
}

func (l *Link) lookUp() error {
	ifr, err := unix.NewIfreq(l.name)
	if err != nil {
		return l.missing(err)
	}
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return l.missing(err)
	}
	l.index = int(ifr.Uint32())
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFMTU, ifr); err != nil {
		return l.fail("read the MTU of", err)
	}
	l.mtu = int(ifr.Uint32())
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFHWADDR, ifr); err != nil {
		return l.fail("read the type of", err)
	}
	if t := ifr.Uint16(); t != unix.ARPHRD_ETHER && t != unix.ARPHRD_LOOPBACK {
		return l.fail("use", fmt.Errorf("%w: not Ethernet (ARPHRD %d)", hostif.ErrNotSupported, t))
	}
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return l.fail("read the flags of", err)
	}
	if ifr.Uint16()&unix.IFF_UP == 0 {
		return failure.Wrap(failure.Usage, fmt.Errorf("the interface is down: %w", unix.ENETDOWN), "packet: open "+l.name, "ip link set "+l.name+" up")
	}
	return nil
}

// startQueue makes sure that what is sent at once is not lost. When the peer of
// a veth comes up, the kernel starts the transmit queue in the background, and
// until then takes frames, says that they are sent, and drops them. Asking for
// the interface by netlink waits for that (rtnl_getlink, since Linux 6.8).
func (l *Link) startQueue(cfg Config) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return
	}
	defer h.Close()
	nl, err := h.LinkByIndex(l.index)
	if err == nil && nl.Attrs().RawFlags&unix.IFF_LOWER_UP == 0 && cfg.Logf != nil {
		cfg.Logf("packet %s: no carrier: the other end is down, and what is sent is lost", l.name)
	}
}

// setBuffers takes what it is allowed: the FORCE variants want CAP_NET_ADMIN of
// the initial user namespace, the plain ones stop at net.core.rmem_max.
func (l *Link) setBuffers(cfg Config) {
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		// The kernel doubles the value for its own overhead.
		if unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, o[0], cfg.RecvBuffer/2) != nil {
			_ = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, o[1], cfg.RecvBuffer/2)
		}
	}
	got, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err == nil && got < cfg.RecvBuffer && cfg.Logf != nil {
		cfg.Logf("packet %s: receive buffer of %d KiB instead of %d (net.core.rmem_max): bursts may be lost", l.name, got>>10, cfg.RecvBuffer>>10)
	}
}

func (l *Link) missing(err error) error {
	return failure.Wrap(failure.Usage, fmt.Errorf("%w in this network namespace: %w", hostif.ErrNoInterface, err), "packet: open "+l.name,
		"ip link show; check the name and the namespace")
}

func (l *Link) fail(op string, err error) error {
	what := "packet: " + op + " " + l.name
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, fmt.Errorf("%w: CAP_NET_RAW: %w", hostif.ErrPrivilege, err), what,
			"run as root (sudo), grant it (setcap cap_net_raw+ep meshnic), or run inside unshare -Urn")
	case errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, hostif.ErrNotSupported):
		return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: %w", hostif.ErrNotSupported, err), what, "use --mode tap or xdp, or a newer kernel")
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return l.missing(err)
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }
