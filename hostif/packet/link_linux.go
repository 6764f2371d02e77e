package packet

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// Link is an open packet socket. See Open.
type Link struct {
	name     string
	index    int
	mtu      int
	offloads bool
	bell     *hostif.Bell
	shield   *shield

	mu sync.Mutex // orders the calls against Close; nothing inside blocks
	fd int        // -1 when closed
	rx *receiver
	tx *sender
	st hostif.Stats
}

var _ hostif.Link = (*Link)(nil)

func (l *Link) makeBuffers() {
	// The socket always speaks virtio_net_hdr, so a peer's superframe may come
	// also where finished frames are to be delivered.
	l.rx = newReceiver(l.mtu, !l.offloads)
	l.tx = newSender()
}

// Name returns the interface's name.
func (l *Link) Name() string { return l.name }

// Index returns the interface's index in its namespace.
func (l *Link) Index() int { return l.index }

// Offloads reports whether frames carry unfinished work.
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

// Recv reads what has arrived, at most 64 frames, with one system call. An
// interface that goes down gives unix.ENETDOWN once and delivers again when it
// is back up.
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		l.bell.Close()
		return 0, &hostif.OpError{Op: "recv", Iface: l.name, Err: net.ErrClosed}
	}
	n, errno := l.rx.recv(l.fd, frames, &l.st)
	if errno != 0 {
		return n, &hostif.OpError{Op: "recv", Iface: l.name, Err: errno}
	}
	return n, nil
}

// Send transmits frames in order, 64 to a system call. The kernel copies them
// before Send returns.
func (l *Link) Send(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return 0, &hostif.OpError{Op: "send", Iface: l.name, Err: net.ErrClosed}
	}
	sent := 0
	for _, f := range frames {
		if drop := l.check(f); drop != nil {
			*drop++
			continue
		}
		l.tx.add(f)
		if l.tx.n == batch {
			sent += l.tx.flush(l.fd, &l.st)
		}
	}
	sent += l.tx.flush(l.fd, &l.st)
	return sent, nil
}

// check returns the counter for a frame this link cannot carry.
func (l *Link) check(f *hostif.Frame) *uint64 {
	limit := l.mtu + ethHeaderLen
	if len(f.Data) >= ethHeaderLen && f.Data[12] == 0x81 && f.Data[13] == 0 {
		limit += vlanLen
	}
	if f.Offload.GSO != hostif.GSONone {
		limit = maxFrame
	}
	switch {
	case len(f.Data) < ethHeaderLen, !l.offloads && f.Offload != hostif.Offload{}:
		return &l.st.TxDropError
	case len(f.Data) > limit:
		return &l.st.TxDropSize
	}
	return nil
}

// Stats returns the counters so far.
func (l *Link) Stats() hostif.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	return l.st
}

// collect adds what the socket dropped since it was last asked: reading
// PACKET_STATISTICS resets it.
func (l *Link) collect() {
	if l.fd < 0 {
		return
	}
	if s, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		l.st.RxDropFull += uint64(s.Drops)
	}
}

// Close releases the interface and wakes a poll on Fd. It is safe from any
// goroutine, also twice.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	l.collect()
	l.discard()
	l.bell.Ring()
	return nil
}

func (l *Link) discard() {
	l.shield.close()
	l.shield = nil
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
		l.fd = -1
	}
}
