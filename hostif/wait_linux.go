package hostif

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitMax bounds one wait. The wait is a raw system call, which keeps its
// processor from the Go scheduler: another goroutine that wants it, or the
// garbage collector, interrupts it by a signal, and this is how long it takes
// if the signal is missed.
const waitMax = 100 * time.Millisecond

// Waiter waits for frames on several links at once.
type Waiter struct {
	links []Link
	fds   []unix.PollFd
	owner []int // index into links of each descriptor
}

// fdsOf lets a link name the descriptors behind its Fd, when waiting for them
// directly is cheaper; wokenOf lets it count.
type (
	fdsOf   interface{ WaitFds() []int }
	wokenOf interface{ Woken() }
)

// NewWaiter prepares to wait for links. It allocates; Wait does not.
func NewWaiter(links []Link) *Waiter {
	w := &Waiter{links: append([]Link(nil), links...)}
	for i, l := range links {
		fds := []int{0}
		if f, ok := l.(fdsOf); ok {
			fds = f.WaitFds()
		} else {
			fds[0] = l.Fd()
		}
		for _, fd := range fds {
			w.fds = append(w.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			w.owner = append(w.owner, i)
		}
	}
	return w
}

// Wait waits until a link has something to Recv, at most timeout and never much
// longer than 0.1 s. It reports whether one has; false, nil may also mean that a
// signal came: look at the rings, then wait again.
func (w *Waiter) Wait(timeout time.Duration) (bool, error) {
	ts := unix.NsecToTimespec(int64(max(0, min(timeout, waitMax))))
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(w.fds))), uintptr(len(w.fds)),
		uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	switch {
	case errno == unix.EINTR:
		runtime.Gosched() // the signal means that somebody wants the processor
		return false, nil
	case errno != 0:
		return false, &OpError{Op: "wait", Iface: "for links", Err: errno}
	}
	if n == 0 {
		return false, nil
	}
	w.count()
	return true, nil
}

func (w *Waiter) count() {
	last := -1
	for i := range w.fds {
		if w.fds[i].Revents != 0 && w.owner[i] != last {
			last = w.owner[i]
			if c, ok := w.links[last].(wokenOf); ok {
				c.Woken()
			}
		}
	}
}
