package xdp

import (
	"fmt"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
)

const (
	ethHeaderLen = 14
	vlanTagLen   = 4
	batchMax     = 256 // frames a Recv returns at most
	refillBatch  = 32  // the fill ring is topped up when this many chunks lack
	stuckKicks   = 4   // sendto calls without progress before Send gives up for now
)

// Link is one port of a Group. It implements hostif.Link.
type Link struct {
	g     *Group
	port  int
	iface Iface
	index int
	mtu   int

	sock    *socket
	prog    *program
	changes []ethtool.Change // settings of the peer, in the order they were made
	finish  bool             // finish checksums on receive
	tso     bool             // the peer did TSO before
	threads *threads         // nil where the peer always receives in our time
	wake    *waker

	slots    []slot // backing of the frames that Recv returns
	out      int    // slots handed out by the last Recv
	fillGoal int    // chunks to keep in the fill ring
	filled   int    // chunks there, and in the kernel's hands
	unreaped int    // chunks in the tx and completion rings
	idle     uint32 // Recv calls that found nothing
	down     bool   // the last sendto said that the interface is down
	starved  bool   // the far end's thread has taken nothing for too long
	partial  bool   // a sendto took only a part, and that was said
	closed   bool

	st      hostif.Stats
	wakeups atomic.Uint64      // the waiter counts without the group's lock
	kernel  unix.XDPStatistics // as of Close
}

// slot is one frame handed out. Frames in one chunk point into the UMEM; larger
// ones are gathered in big.
type slot struct {
	frame hostif.Frame
	chunk uint32
	inMem bool // the frame is chunk's
	big   []byte
}

// Name returns the interface's name.
func (l *Link) Name() string { return l.iface.Name }

// Offloads reports false: AF_XDP carries finished frames only.
func (l *Link) Offloads() bool { return false }

// MTU returns the interface's MTU when it was attached, in bytes.
func (l *Link) MTU() int { return l.mtu }

// Fd polls readable while frames wait, and once the link is closed; -1 after
// Recv has said so. A hostif.Waiter does without it, and is faster.
func (l *Link) Fd() int {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.wake.pollFd(l.sock.fd)
}

// WaitFds are the descriptors behind Fd, for hostif.Waiter.
func (l *Link) WaitFds() []int {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	fds := l.wake.fds(l.sock.fd)
	if t := l.g.flows; t != nil && l.port == 0 {
		fds = append(fds, t.ring.FD())
	}
	return fds
}

// RecvDrains says that a Recv that returns fewer frames than asked for has emptied
// the ring, so that a Waiter need not look at it again before it sleeps.
func (l *Link) RecvDrains() bool { return true }

// Woken counts a wait that ended with something to read.
func (l *Link) Woken() { l.wakeups.Add(1) }

// Recv returns frames that have arrived, at most 256.
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if l.closed {
		l.wake.release()
		return 0, &hostif.OpError{Op: "recv", Iface: l.iface.Name, Err: net.ErrClosed}
	}
	l.takeBack()
	want := uint32(min(len(frames), batchMax))
	avail := l.sock.rx.avail(want)
	if avail == 0 || want == 0 {
		return 0, l.idleChecks()
	}
	n, used, bytes := 0, uint32(0), 0
	for uint32(n) < want && used < avail {
		descs := l.receive(&l.slots[n], used, avail)
		if descs == 0 {
			break // its last part is not there yet
		}
		used += descs
		s := &l.slots[n]
		if s.frame.Data == nil {
			l.st.RxDropBad++
			continue
		}
		bytes += len(s.frame.Data)
		frames[n] = &s.frame
		n++
	}
	l.sock.rx.take(used)
	l.sock.rx.release()
	l.filled -= int(used)
	l.st.RxFrames += uint64(n)
	l.st.RxBytes += uint64(bytes)
	l.threads.received(n, bytes)
	l.out = n
	if l.fillGoal-l.filled >= refillBatch {
		l.refill()
	}
	return n, nil
}

// receive builds the frame that starts at the i-th descriptor of the rx ring,
// and returns how many descriptors it has, 0 if the last one is not there yet.
// Data is nil if the frame is to be dropped.
func (l *Link) receive(s *slot, i, avail uint32) (descs uint32) {
	u, mine := l.g.umem, inFill.at(l.port)
	d := l.sock.rx.peek(i)
	s.frame, s.inMem = hostif.Frame{}, false
	if d.Options&unix.XDP_PKT_CONTD == 0 {
		chunk := u.chunkOf(d.Addr)
		if !u.move(chunk, mine, inHeld.at(l.port)) {
			return 1
		}
		s.chunk, s.inMem = chunk, true
		if b, ok := u.bytes(d.Addr, d.Len); ok && d.Len >= ethHeaderLen {
			s.frame = hostif.Frame{Data: b, Mem: l.g, Addr: d.Addr}
			l.finishSum(b)
		} else {
			u.release(chunk, inHeld.at(l.port))
			s.inMem = false
		}
		return 1
	}
	for descs = 1; d.Options&unix.XDP_PKT_CONTD != 0; descs++ {
		if i+descs >= avail {
			return 0
		}
		d = l.sock.rx.peek(i + descs)
	}
	s.big = s.big[:0]
	whole := true
	for k := range descs {
		d = l.sock.rx.peek(i + k)
		b, ok := u.bytes(d.Addr, d.Len)
		if !u.release(u.chunkOf(d.Addr), mine) || !ok {
			whole = false
			continue
		}
		s.big = append(s.big, b...)
	}
	if whole && len(s.big) >= ethHeaderLen {
		s.frame = hostif.Frame{Data: s.big}
		l.finishSum(s.big)
	}
	return descs
}

// takeBack frees the chunks of the last Recv that nobody has sent.
func (l *Link) takeBack() {
	mine := inHeld.at(l.port)
	for i := range l.out {
		if s := &l.slots[i]; s.inMem {
			l.g.umem.release(s.chunk, mine)
		}
	}
	l.out = 0
}

// refill tops the fill ring up.
func (l *Link) refill() {
	u := l.g.umem
	if len(u.free) < l.fillGoal-l.filled {
		l.g.reapAll()
	}
	for l.filled < l.fillGoal {
		chunk, ok := u.alloc(inFill.at(l.port))
		if !ok {
			break
		}
		l.sock.fill.put(uint64(chunk) << u.shift)
		l.filled++
	}
	l.sock.fill.submit()
}

// idleChecks does what can wait until nothing arrives: frames that Send could
// not push out, the fill ring, and every so often whether the interface is
// still there.
func (l *Link) idleChecks() error {
	if l.fillGoal-l.filled >= refillBatch {
		l.refill()
	}
	if l.unreaped > 0 && l.sock.tx.pending() > 0 {
		l.st.TxDropError += l.push() // they were counted as sent
	}
	l.threads.idle()
	if l.idle++; l.idle%64 == 0 {
		if errno := l.sock.pendingError(); errno == unix.ENETDOWN {
			l.down = true
			return &hostif.OpError{Op: "recv", Iface: l.iface.Name, Err: fmt.Errorf("%w: it was removed or moved away: %w", hostif.ErrNoInterface, errno)}
		}
	}
	return nil
}

// Stats returns the counters so far, those of the kernel included.
func (l *Link) Stats() hostif.Stats {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if !l.closed {
		if k, err := l.sock.statistics(); err == nil {
			l.kernel = k
		}
	}
	st := l.st
	st.Wakeups = l.wakeups.Load()
	// A frame that finds the fill ring empty counts in both of the first two.
	st.RxDropFull += max(l.kernel.Rx_dropped, l.kernel.Rx_fill_ring_empty_descs) + l.kernel.Rx_ring_full
	st.RxDropBad += l.kernel.Rx_invalid_descs
	return st
}
