package fault

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// timer makes a descriptor that polls readable when the wrapped link's does or
// a time has come. A nil timer never comes.
type timer struct {
	clock *clockFd
	bell  *hostif.Bell
	armed bool
}

type clockFd struct{ fd int }

func (c *clockFd) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

func newTimer(inner hostif.Link) *timer {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		panic("fault: Wrap: timerfd: " + err.Error())
	}
	c := &clockFd{fd}
	bell, err := hostif.NewBell(inner.Fd(), fd)
	if err != nil {
		c.close()
		panic("fault: Wrap: " + err.Error())
	}
	t := &timer{clock: c, bell: bell}
	runtime.AddCleanup(t, (*clockFd).close, c)
	return t
}

// set asks to be woken in d; a negative d asks for nothing. A timer that has
// run out stays readable until it is set again.
func (t *timer) set(d time.Duration) {
	if t == nil || d < 0 && !t.armed {
		return
	}
	var spec unix.ItimerSpec
	t.armed = d >= 0
	if t.armed {
		spec.Value = unix.NsecToTimespec(max(1, d.Nanoseconds())) // 0 would disarm
	}
	_ = unix.TimerfdSettime(t.clock.fd, 0, &spec, nil)
}

func (t *timer) fd() int { return t.bell.Fd() }

func (t *timer) waitFds(fds []int) []int {
	if t == nil {
		return fds
	}
	return t.bell.WaitFds(append(fds, t.clock.fd)...)
}

func (t *timer) ring() {
	if t != nil {
		t.bell.Ring()
	}
}

func (t *timer) close() {
	if t != nil {
		t.bell.Close()
		t.clock.close()
	}
}
