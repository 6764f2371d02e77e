package tap

import (
	"encoding/binary"
	"net"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// Link is an open TAP interface. See Open.
type Link struct {
	name     string
	index    int
	mtu      int
	offloads bool
	netlink  *netlink.Handle // in the interface's namespace, for its counters
	bell     *hostif.Bell

	mu   sync.Mutex // orders the calls against Close; nothing inside blocks
	fd   int        // -1 when closed
	rx   [batch]hostif.Frame
	bufs [batch][]byte
	st   hostif.Stats
	base uint64 // the interface's tx_dropped when the link was opened

	hdr [hostif.VnetHdrLen]byte
	iov [2]unix.Iovec
}

var _ hostif.Link = (*Link)(nil)

func (l *Link) headroom() int {
	if l.offloads {
		return hostif.VnetHdrLen
	}
	return 0
}

func (l *Link) makeBuffers() {
	size := l.mtu + ethHeaderLen + 2*vlanLen
	if l.offloads {
		size = maxFrame
	}
	// One byte more than can come, to tell a truncated frame.
	size += l.headroom() + 1
	all := make([]byte, batch*size)
	for i := range l.bufs {
		l.bufs[i] = all[i*size : (i+1)*size : (i+1)*size]
	}
	l.base = l.dropped()
}

// Name returns the interface's name.
func (l *Link) Name() string { return l.name }

// Index returns the interface's index in its namespace.
func (l *Link) Index() int { return l.index }

// Offloads reports whether the interface was opened with virtio_net_hdr.
func (l *Link) Offloads() bool { return l.offloads }

// MTU returns the largest L3 packet in bytes that is not segmented further.
func (l *Link) MTU() int { return l.mtu }

// Fd polls readable while frames wait or the link has been closed. It is -1
// once Recv has returned net.ErrClosed.
func (l *Link) Fd() int { return l.bell.Fd() }

// WaitFds returns the descriptors behind Fd; hostif.Waiter polls them directly.
func (l *Link) WaitFds() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bell.WaitFds(l.fd)
}

// Woken counts a wait that this link ended; hostif.Waiter calls it.
func (l *Link) Woken() {
	l.mu.Lock()
	l.st.Wakeups++
	l.mu.Unlock()
}

// Recv reads what the host has sent into the interface, at most 64 frames.
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		l.bell.Close()
		return 0, &hostif.OpError{Op: "recv", Iface: l.name, Err: net.ErrClosed}
	}
	head, n := l.headroom(), 0
	for n < min(len(frames), batch) {
		buf := l.bufs[n]
		got, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(l.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return n, nil
		case unix.EINVAL: // a frame the kernel could not describe; it is consumed
			l.st.RxDropBad++
			continue
		default:
			if n > 0 {
				return n, nil // EBADFD (interface deleted) comes again
			}
			return 0, &hostif.OpError{Op: "recv", Iface: l.name, Err: errno}
		}
		f := &l.rx[n]
		*f = hostif.Frame{}
		if int(got) < head+ethHeaderLen || int(got) == len(buf) {
			l.st.RxDropBad++
			continue
		}
		f.Data = buf[head:got:got]
		if l.offloads {
			o, err := hostif.ParseVnetHdr(buf, f.Data)
			if err != nil {
				l.st.RxDropBad++
				continue
			}
			f.Offload = o
		}
		l.st.RxFrames++
		l.st.RxBytes += uint64(len(f.Data))
		frames[n] = f
		n++
	}
	return n, nil
}

// Send hands frames to the host's stack, one system call each (TAP has no
// batch), in order. The host copies them before Send returns.
func (l *Link) Send(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return 0, &hostif.OpError{Op: "send", Iface: l.name, Err: net.ErrClosed}
	}
	sent := 0
	for _, f := range frames {
		switch {
		case len(f.Data) < ethHeaderLen, !l.offloads && f.Offload != hostif.Offload{}:
			l.st.TxDropError++
			continue
		case len(f.Data) > l.limit(f):
			l.st.TxDropSize++
			continue
		}
		switch errno := l.write(f); errno {
		case 0:
			sent++
			l.st.TxFrames++
			l.st.TxBytes += uint64(len(f.Data))
		case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
			l.st.TxDropFull++
		case unix.EBADFD:
			return sent, &hostif.OpError{Op: "send", Iface: l.name, Err: errno}
		default: // EIO: the interface is down; EINVAL: the header is refused
			l.st.TxDropError++
		}
	}
	clear(l.iov[:])
	return sent, nil
}

// limit is the largest frame of f's kind in bytes.
func (l *Link) limit(f *hostif.Frame) int {
	switch {
	case f.Offload.GSO != hostif.GSONone:
		return maxFrame
	case len(f.Data) >= ethHeaderLen && binary.BigEndian.Uint16(f.Data[12:]) == 0x8100:
		return l.mtu + ethHeaderLen + vlanLen
	}
	return l.mtu + ethHeaderLen
}

func (l *Link) write(f *hostif.Frame) unix.Errno {
	iov := l.iov[1:]
	if l.offloads {
		hostif.PutVnetHdr(l.hdr[:], &f.Offload)
		iov = l.iov[:]
		iov[0].Base = &l.hdr[0]
		iov[0].SetLen(len(l.hdr))
	}
	last := &iov[len(iov)-1]
	last.Base = &f.Data[0]
	last.SetLen(len(f.Data))
	for {
		l.st.Kicks++
		_, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(l.fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		if errno != unix.EINTR {
			return errno
		}
	}
}

// Stats returns the counters so far. RxDropFull is what the interface counted
// as tx_dropped: asking for it costs a netlink request of some 20 us.
func (l *Link) Stats() hostif.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd >= 0 {
		l.st.RxDropFull = max(l.st.RxDropFull, l.dropped()-l.base)
	}
	return l.st
}

// dropped is the interface's tx_dropped, or what was last known of it.
func (l *Link) dropped() uint64 {
	nl, err := l.netlink.LinkByIndex(l.index)
	if err != nil || nl.Attrs().Statistics == nil {
		return l.base + l.st.RxDropFull
	}
	return nl.Attrs().Statistics.TxDropped
}

// Close takes the interface away (unless it is persistent) and wakes a poll on
// Fd. It is safe from any goroutine, also twice.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	l.st.RxDropFull = max(l.st.RxDropFull, l.dropped()-l.base)
	l.discard()
	l.bell.Ring()
	return nil
}

func (l *Link) discard() {
	if l.netlink != nil {
		l.netlink.Close()
	}
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
		l.fd = -1
	}
}
