package sidecar

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// backlog is how many connections may wait to be accepted.
const backlog = 4096

// listener is one worker's socket of a Listener.
type listener struct {
	sock
	addr      netip.AddrPort
	chains    []*chain // never empty
	inspect   bool     // which of them, is told by a connection's first bytes
	undecided *chain   // counts connections of which that is not known yet
}

// listen binds addr for one worker and returns the socket and the address it has.
// With several workers each binds it with SO_REUSEPORT, and the kernel spreads the
// connections.
func listen(addr netip.AddrPort, t *mesh.CompiledListener, shared, first bool) (int, netip.AddrPort, error) {
	what := fmt.Sprintf("sidecar: listen on %v for listener %s", addr, t.Name)
	if shared && first && addr.Port() != 0 {
		// SO_REUSEPORT would join another process's listener without a word.
		fd, err := bind(addr, false, false)
		if err != nil {
			return -1, addr, listenError(what, addr, err)
		}
		unix.Close(fd)
	}
	fd, err := bind(addr, shared, t.Intercept.Transparent)
	if err != nil {
		return -1, addr, listenError(what, addr, err)
	}
	bound, err := boundTo(fd)
	if err != nil {
		unix.Close(fd)
		return -1, addr, failure.Wrap(failure.Unexpected, err, what, "")
	}
	return fd, bound, nil
}

// open makes fd l's.
func (l *listener) open(w *worker, fd int) error {
	l.sock = sock{w: w, h: l, fd: fd}
	if err := w.register(&l.sock, unix.EPOLLIN); err != nil {
		unix.Close(fd)
		l.fd = -1
		return failure.Wrap(failure.Unexpected, err, "sidecar: epoll_ctl", "raise the limit of open files (ulimit -n)")
	}
	return nil
}

func bind(addr netip.AddrPort, shared, anyAddress bool) (int, error) {
	family, sa := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	options := []int{unix.SO_REUSEADDR}
	if shared {
		options = append(options, unix.SO_REUSEPORT)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if anyAddress {
		if err := transparent(fd, family); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func listenError(what string, addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		why := "the address is in use"
		next := fmt.Sprintf("stop its owner (ss -ltnp 'sport = :%d' names it) or choose another port", addr.Port())
		if pid, name := portOwner(addr); pid != 0 {
			why = fmt.Sprintf("the address is in use by %s (pid %d)", name, pid)
			next = fmt.Sprintf("stop process %d or choose another port", pid)
		}
		return &failure.Error{Kind: failure.Conflict, What: what, Why: why, Next: next, Err: err}
	case errors.Is(err, unix.EPERM):
		return failure.Wrap(failure.Privilege, err, what, "run as root or give the binary CAP_NET_ADMIN, which a transparent listener needs")
	case errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, err, what, "run as root, give the binary CAP_NET_BIND_SERVICE, or choose a port above 1023")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return failure.Wrap(failure.Conflict, err, what, "use an address of this host or namespace (ip -brief address)")
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}

func (l *listener) idle() bool { return false }
func (l *listener) broken()    {}

// ready accepts what waits, a few at a time: epoll says again if more is left.
func (l *listener) ready() { l.accept(16) }

func (l *listener) accept(most int) {
	w := l.w
	for range most {
		if l.fd < 0 {
			return
		}
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE:
			l.refuse()
			return
		default:
			return
		}
		if len(w.open) >= w.s.opt.MaxConnections {
			l.chains[0].c.CxOverflow++
			unix.Close(fd)
			continue
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		to, dst := l.lead(fd)
		to.admit(fd, dst)
	}
}

// refuse closes one waiting connection when no descriptor is left: were it left
// waiting, epoll would report it without end.
func (l *listener) refuse() {
	w := l.w
	l.chains[0].c.CxOverflow++
	if w.spare >= 0 {
		unix.Close(w.spare)
		if fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC); err == nil {
			unix.Close(fd)
		}
		w.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
}

func (l *listener) shut() {
	if l.fd >= 0 {
		l.close()
	}
}
