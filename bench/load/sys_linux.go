package load

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// clock reads ns since it was made; 25 ns a reading, through the vDSO.
type clock struct{ t0 time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() int64 { return int64(time.Since(c.t0)) }

// rawRead and rawWrite do not tell the Go scheduler. The descriptor must not
// block for longer than a few milliseconds.
//
//go:nosplit
func rawRead(fd int, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), e
}

//go:nosplit
func rawWrite(fd int, b []byte) (int, unix.Errno) {
	// send, because write would raise SIGPIPE
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), e
}

// rawWait is how long a wait may hold its P; see the package comment.
const rawWait = 2 * time.Millisecond

// yieldEvery is half of what sysmon allows a goroutine before it interrupts it.
const yieldEvery = 5 * time.Millisecond

// poller is an epoll instance and the time spent waiting in it.
type poller struct {
	ep     int
	clock  clock
	idle   int64         // ns
	coarse bool          // the kernel has no epoll_pwait2 (before 5.11): whole milliseconds
	ts     unix.Timespec // here, because a uintptr to it crosses calls and stacks move
	ev     [256]unix.EpollEvent
}

func newPoller(c clock) (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, failure.Wrap(failure.Unexpected, err, "load: epoll_create1", "")
	}
	return &poller{ep: ep, clock: c}, nil
}

func (p *poller) close() { unix.Close(p.ep) }

// add and mod watch fd; the event carries id and gen.
func (p *poller) add(fd int, events uint32, id, gen int32) error {
	return unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: id, Pad: gen})
}

func (p *poller) mod(fd int, events uint32, id, gen int32) error {
	return unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: id, Pad: gen})
}

// wait returns the events that have come, after at most d.
func (p *poller) wait(d time.Duration) []unix.EpollEvent {
	t := p.clock.now()
	n := p.pwait(max(0, min(d, rawWait)), true)
	if n == 0 && d > rawWait {
		n = p.pwait(d-rawWait, false)
	}
	if d > 0 || n == 0 { // polling in vain is waiting, too
		p.idle += p.clock.now() - t
	}
	return p.ev[:n]
}

func (p *poller) pwait(d time.Duration, raw bool) int {
	if !p.coarse {
		p.ts = unix.NsecToTimespec(int64(d))
		n, e := p.call(unix.SYS_EPOLL_PWAIT2, uintptr(unsafe.Pointer(&p.ts)), raw)
		if e != unix.ENOSYS {
			return n
		}
		p.coarse = true
	}
	n, _ := p.call(unix.SYS_EPOLL_PWAIT, uintptr(d.Milliseconds()), raw)
	return n
}

func (p *poller) call(trap, timeout uintptr, raw bool) (int, unix.Errno) {
	f := unix.Syscall6
	if raw {
		f = unix.RawSyscall6
	}
	n, _, e := f(trap, uintptr(p.ep), uintptr(unsafe.Pointer(&p.ev[0])), uintptr(len(p.ev)), timeout, 0, 0)
	if e != 0 { // EINTR: the caller comes round again
		return 0, e
	}
	return int(n), 0
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	if z := ip.Zone(); z != "" {
		n, _ := strconv.ParseUint(z, 10, 32)
		sa.ZoneId = uint32(n)
	}
	return sa, unix.AF_INET6
}

// open starts a connection; it is there when fd becomes writable without SO_ERROR.
func open(sa unix.Sockaddr, family int) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil {
		err = unix.Connect(fd, sa)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// soError returns what became of a connect.
func soError(fd int) error {
	e, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if e != 0 {
		return unix.Errno(e)
	}
	return nil
}

// listen opens a non-blocking listening socket and says where it listens.
func listen(at netip.AddrPort) (fd int, got netip.AddrPort, err error) {
	if !at.IsValid() {
		return -1, got, failure.Usagef("load: listen address %q is not an address and a port", at)
	}
	sa, family := sockaddr(at)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	if err == nil {
		sa, err = unix.Getsockname(fd)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return -1, got, listenError(err, at)
	}
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		got = netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		got = netip.AddrPortFrom(netip.AddrFrom16(s.Addr).WithZone(at.Addr().Zone()), uint16(s.Port))
	}
	return fd, got, nil
}

func listenError(err error, at netip.AddrPort) error {
	what := "load: listen on " + at.String()
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return failure.Wrap(failure.Conflict, err, what, "`ss -ltnp` names the process that has the port; choose another or end it")
	case errors.Is(err, unix.EACCES):
		return failure.Wrap(failure.Privilege, err, what, "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return failure.Wrap(failure.Usage, err, what, "no interface of this network namespace has that address (`ip addr`)")
	}
	return failure.Wrap(failure.Unexpected, err, what, "")
}

// usage is what the process has used so far, ns.
type usage struct{ cpu, runnable int64 }

func processUsage() usage {
	var u usage
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) == nil {
		u.cpu = ts.Nano()
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return u
	}
	for _, t := range tasks {
		// "ran waited slices", ns; absent without CONFIG_SCHED_INFO
		b, err := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat")
		if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			u.runnable += n
		}
	}
	return u
}

func (u usage) since(o usage) usage { return usage{u.cpu - o.cpu, u.runnable - o.runnable} }

// turns lets the Go scheduler have its way now and then.
type turns struct {
	last int64
	tid  int
}

// yield gives way if it is time; call it where no clock is running. It reports
// whether it did.
func (t *turns) yield(now int64) bool {
	if now-t.last < int64(yieldEvery) {
		return false
	}
	t.last = now
	runtime.Gosched()
	t.settle()
	return true
}

// settle takes the timer slack of the thread it runs on from 50 us to 1 ns.
func (t *turns) settle() {
	if id := unix.Gettid(); id != t.tid {
		t.tid = id
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
}
