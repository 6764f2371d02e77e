package xdp

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one AF_XDP socket with its four rings.
type socket struct {
	fd   int
	fill *ring[uint64]
	comp *ring[uint64]
	rx   *ring[unix.XDPDesc]
	tx   *ring[unix.XDPDesc]
}

// newSocket makes a socket in the calling thread's namespace.
func newSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// Frames in flight count against it; best effort, needs CAP_NET_ADMIN.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20)
	return &socket{fd: fd}, nil
}

// register tells the kernel about the UMEM. If the memory lock limit forbids it
// (without CAP_IPC_LOCK pinned pages count), the limit is raised if it may be.
func (s *socket) register(u *umem) error {
	reg := unix.XDPUmemReg{Addr: uint64(u.base), Len: uint64(len(u.mem)), Size: uint32(u.chunkSize())}
	err := setsockopt(s.fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
	if !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim) != nil {
		return err
	}
	lim.Cur = lim.Max
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &lim)
	}
	return setsockopt(s.fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
}

// makeRings makes and maps the rings of size entries each.
func (s *socket) makeRings(size int) error {
	for _, opt := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, opt, size); err != nil {
			return fmt.Errorf("make ring %d: %w", opt, err)
		}
	}
	var off unix.XDPMmapOffsets
	if err := getsockopt(s.fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off)); err != nil {
		return fmt.Errorf("ring offsets: %w", err)
	}
	var errs [4]error
	s.fill, errs[0] = mapRing[uint64](s.fd, off.Fr, unix.XDP_UMEM_PGOFF_FILL_RING, size)
	s.comp, errs[1] = mapRing[uint64](s.fd, off.Cr, unix.XDP_UMEM_PGOFF_COMPLETION_RING, size)
	s.rx, errs[2] = mapRing[unix.XDPDesc](s.fd, off.Rx, unix.XDP_PGOFF_RX_RING, size)
	s.tx, errs[3] = mapRing[unix.XDPDesc](s.fd, off.Tx, unix.XDP_PGOFF_TX_RING, size)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("map rings: %w", err)
	}
	return nil
}

// bindPatience is how long a queue that its last holder is still releasing is
// waited for. Measured: 4 to 14 ms.
const bindPatience = 2 * time.Second

// bind binds queue 0 of an interface. It returns how long the queue was busy.
func (s *socket) bind(ifindex int, flags uint16, shared *socket) (waited time.Duration, err error) {
	sa := unix.RawSockaddrXDP{Family: unix.AF_XDP, Flags: flags, Ifindex: uint32(ifindex)}
	if shared != nil {
		sa.Flags, sa.Shared_umem_fd = unix.XDP_SHARED_UMEM, uint32(shared.fd)
	}
	for start := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(s.fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
		switch {
		case errno == 0:
			return waited, nil
		case errno != unix.EBUSY || waited >= bindPatience:
			return waited, errno
		}
		waited = max(time.Since(start), 1)
	}
}

// kick asks the kernel to transmit. The call is raw: it never blocks, and
// telling the scheduler about it costs more than it does.
func (s *socket) kick() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// statistics reads the kernel's counters.
func (s *socket) statistics() (st unix.XDPStatistics, err error) {
	err = getsockopt(s.fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
	return st, err
}

// pendingError returns and clears the socket's error: ENETDOWN once the
// interface is gone.
func (s *socket) pendingError() unix.Errno {
	v, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return 0
	}
	return unix.Errno(v)
}

func (s *socket) close() error {
	err := errors.Join(s.fill.unmap(), s.comp.unmap(), s.rx.unmap(), s.tx.unmap(), unix.Close(s.fd))
	s.fd = -1
	return err
}

func setsockopt(fd, opt int, p unsafe.Pointer, n uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), n, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func getsockopt(fd, opt int, p unsafe.Pointer, n uintptr) error {
	size := uint32(n)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
