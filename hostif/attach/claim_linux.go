package attach

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// claim says that p's interface, in namespace ns, is a port of this NIC, until what it returns
// is called or the process ends: two NICs with packet sockets would each pass every frame on.
// It is a Unix socket, which the kernel has by name once in a network namespace.
func claim(p PortSpec, ns int) (release func() error, err error) {
	fd := -1
	err = ethtool.Do(ns, func() error {
		iface, err := net.InterfaceByName(p.Iface)
		if err != nil {
			return nil // whoever opens it says so
		}
		at := &unix.SockaddrUnix{Name: fmt.Sprintf("@meshnic/port/%d", iface.Index)}
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return failure.Wrap(failure.Unexpected, err, "open a socket", "")
		}
		err = unix.Bind(fd, at)
		if errors.Is(err, unix.EADDRINUSE) {
			return taken(p, fd, at)
		}
		if err == nil {
			err = unix.Listen(fd, unix.SOMAXCONN) // nobody accepts what asks for our number
		}
		return err
	})
	if err != nil && fd >= 0 {
		_ = unix.Close(fd)
	}
	return func() error {
		if fd < 0 {
			return nil
		}
		return unix.Close(fd)
	}, err
}

// taken tells whose p's interface is: of whoever listens at the address.
func taken(p PortSpec, fd int, at unix.Sockaddr) error {
	who := "another process"
	if unix.Connect(fd, at) == nil {
		if c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && c.Pid != 0 {
			who = fmt.Sprintf("process %d", c.Pid)
		}
	}
	return failure.Wrap(failure.Conflict, fmt.Errorf("%w: it is a port of the NIC of %s", hostif.ErrBusy, who),
		fmt.Sprintf("attach port %s to %s", p.Name, p.Iface), "end that attach first, or name another interface")
}
