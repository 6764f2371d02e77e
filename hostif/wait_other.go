//go:build !linux

package hostif

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const waitMax = 100 * time.Millisecond

// Waiter waits for frames on several links at once.
type Waiter struct{ fds []unix.PollFd }

// NewWaiter prepares to wait for links.
func NewWaiter(links []Link) *Waiter {
	w := &Waiter{}
	for _, l := range links {
		w.fds = append(w.fds, unix.PollFd{Fd: int32(l.Fd()), Events: unix.POLLIN})
	}
	return w
}

// Wait waits until a link has something to Recv, at most timeout and never much
// longer than 0.1 s. It reports whether one has; false, nil may also mean that a
// signal came: look at the rings, then wait again.
func (w *Waiter) Wait(timeout time.Duration) (bool, error) {
	n, err := unix.Poll(w.fds, int(max(0, min(timeout, waitMax)).Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, &OpError{Op: "wait", Iface: "for links", Err: err}
	}
	return n > 0, nil
}
