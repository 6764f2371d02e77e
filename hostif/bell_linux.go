package hostif

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Bell is a descriptor that polls readable while one of several others does, or
// once it has been rung. A link hands it out as its Fd, so that Close can wake
// a poll: the kernel does not end a poll on a descriptor that is closed.
type Bell struct {
	mu  sync.Mutex
	fds *bellFds
}

type bellFds struct{ epoll, event int }

func (f *bellFds) close() {
	if f.epoll >= 0 {
		_ = unix.Close(f.epoll)
		_ = unix.Close(f.event)
		f.epoll, f.event = -1, -1
	}
}

// NewBell returns a Bell over fds, which stay the caller's. A descriptor leaves
// the bell by itself when the caller closes it.
func NewBell(fds ...int) (*Bell, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, &OpError{Op: "make", Iface: "epoll", Err: err}
	}
	ev, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(ep)
		return nil, &OpError{Op: "make", Iface: "eventfd", Err: err}
	}
	f := &bellFds{ep, ev}
	for _, fd := range append([]int{ev}, fds...) {
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			f.close()
			return nil, &OpError{Op: "add to", Iface: "epoll", Err: err}
		}
	}
	b := &Bell{fds: f}
	runtime.AddCleanup(b, (*bellFds).close, f)
	return b, nil
}

// Fd is the descriptor to poll, -1 after Close.
func (b *Bell) Fd() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fds.epoll
}

// WaitFds adds the bell's own descriptor to fds: polling these is the same as
// polling Fd, and cheaper (a Waiter does it).
func (b *Bell) WaitFds(fds ...int) []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(fds, b.fds.event)
}

// Ring makes the bell readable for good.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fds.event >= 0 {
		_, _ = unix.Write(b.fds.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Close releases the bell's own descriptors. Call it where nobody polls any
// more: when the owner has been told that the link is closed. A bell that is
// never closed goes with the garbage.
func (b *Bell) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fds.close()
}
