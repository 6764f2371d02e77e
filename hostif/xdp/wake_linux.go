package xdp

import (
	"sync"

	"golang.org/x/sys/unix"
)

// waker lets Close wake whoever waits for a link. An AF_XDP socket cannot be
// made readable by hand, so an eventfd is waited for beside it.
type waker struct {
	mu    sync.Mutex
	event int
	epoll int // both in one descriptor, made when somebody asks for it
}

func newWaker() (*waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &waker{event: fd, epoll: -1}, nil
}

func (w *waker) fds(sock int) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []int{sock, w.event}
}

// pollFd returns a descriptor for both. It is made on demand because it costs
// the kernel some 0.2 us a frame even if nobody polls it.
func (w *waker) pollFd(sock int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoll >= 0 || w.event < 0 {
		return w.epoll
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1
	}
	for _, fd := range []int{sock, w.event} {
		if fd < 0 {
			continue // the socket of a closed link
		}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			unix.Close(ep)
			return -1
		}
	}
	w.epoll = ep
	return ep
}

// wake makes the descriptors readable for good.
func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.event >= 0 {
		_, _ = unix.Write(w.event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// release closes the descriptors, when nobody waits any more.
func (w *waker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fd := range []*int{&w.event, &w.epoll} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}
