//go:build !linux

package hostif

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const waitMax = 100 * time.Millisecond

// Waiter waits for frames on several links at once. It is used by one goroutine.
type Waiter struct{ fds []unix.PollFd }

// NewWaiter prepares to wait for links, which must be open. Negative
// descriptors are never ready.
func NewWaiter(links []Link) *Waiter {
	w := &Waiter{}
	for _, l := range links {
		w.fds = append(w.fds, unix.PollFd{Fd: int32(l.Fd()), Events: unix.POLLIN})
	}
	return w
}

// Wait waits until a link has something to Recv, at most timeout and never much
// longer than 0.1 s. It reports whether one has; false, nil may also mean that a
// signal came: look at the links, then wait again.
func (w *Waiter) Wait(timeout time.Duration) (bool, error) {
	timeout = max(0, min(timeout, waitMax))
	n, err := unix.Poll(w.fds, int((timeout+time.Millisecond-1)/time.Millisecond))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, &OpError{Op: "wait", Iface: "for links", Err: err}
	}
	return n > 0, nil
}

// Close does nothing here.
func (w *Waiter) Close() error { return nil }
