package xdp

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// Send queues frames and pushes them out. A frame of this group is moved, any
// other is copied.
func (l *Link) Send(frames []*hostif.Frame) (int, error) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if l.closed {
		return 0, &hostif.OpError{Op: "send", Iface: l.iface.Name, Err: net.ErrClosed}
	}
	if len(frames) == 0 {
		return 0, nil
	}
	if l.down { // do not queue what would leave long after its time
		if l.st.TxDropError += l.push(); l.down {
			l.st.TxDropError += uint64(len(frames))
			return 0, nil
		}
	}
	if l.unreaped >= len(l.sock.tx.entries)/2 {
		l.reap()
	}
	queued, refused, bytes := 0, uint64(0), uint64(0)
	for _, f := range frames {
		size := uint64(len(f.Data))
		switch {
		case f.Taken, len(f.Data) < ethHeaderLen, f.Offload != hostif.Offload{}:
			l.st.TxDropError++
			continue
		case len(f.Data) > l.limit(f.Data):
			l.st.TxDropSize++
			continue
		}
		ok := l.queue(f)
		if !ok { // make room, once
			l.sock.tx.submit()
			refused += l.push()
			l.g.reapAll()
			ok = l.queue(f)
		}
		if !ok {
			l.st.TxDropFull++
			continue
		}
		queued++
		bytes += size
	}
	l.sock.tx.submit()
	refused += l.push()
	// Frames left over from an earlier Send may be among the refused.
	sent := max(0, queued-int(refused))
	l.threads.sent(queued, int(bytes))
	l.st.TxDropError += refused
	l.st.TxFrames += uint64(sent)
	l.st.TxBytes += bytes
	return sent, nil
}

// limit is the longest frame that may leave: a tag does not count as payload.
func (l *Link) limit(b []byte) int {
	n := l.mtu + ethHeaderLen
	if b[12] == 0x81 && b[13] == 0x00 || b[12] == 0x88 && b[13] == 0xa8 {
		n += vlanTagLen
	}
	return n
}

// queue puts a frame into the tx ring, or reports that there is no room.
func (l *Link) queue(f *hostif.Frame) bool {
	u := l.g.umem
	if f.Mem == l.g {
		if l.sock.tx.free(1) == 0 {
			return false
		}
		if addr, ok := u.addrOf(f.Data); ok {
			chunk := u.chunkOf(addr)
			if at := u.where[chunk]; at.kind() == inHeld && u.chunkOf(f.Addr) == chunk {
				u.where[chunk] = inTx.at(l.port)
				l.sock.tx.put(unix.XDPDesc{Addr: addr, Len: uint32(len(f.Data))})
				l.unreaped++
				f.Taken = true
				return true
			}
		}
	}
	return l.copyIn(f.Data)
}

// copyIn puts a copy of b into the tx ring, in as many chunks as it takes.
func (l *Link) copyIn(b []byte) bool {
	u := l.g.umem
	size := u.chunkSize()
	parts := (len(b) + size - 1) / size
	if l.sock.tx.free(uint32(parts)) < uint32(parts) || len(u.free) < parts {
		return false
	}
	for len(b) > 0 {
		chunk, _ := u.alloc(inTx.at(l.port))
		addr := uint64(chunk) << u.shift
		n := copy(u.mem[addr:addr+uint64(size)], b)
		b = b[n:]
		d := unix.XDPDesc{Addr: addr, Len: uint32(n)}
		if len(b) > 0 {
			d.Options = unix.XDP_PKT_CONTD
		}
		l.sock.tx.put(d)
		l.unreaped++
	}
	return true
}

// push makes the kernel transmit what the tx ring holds: one call moves 32
// frames at most, so it takes several. It returns how many frames the kernel
// took and threw away, because the far end had no room or is down.
func (l *Link) push() (refused uint64) {
	s := l.sock
	stuck, unsaid := 0, uint32(0)
	var full time.Time // since when the far end's queue is
	for left := s.tx.pending(); left > 0 && stuck < stuckKicks; {
		if !s.tx.needWakeup() {
			break // the driver is at it already
		}
		errno := s.kick()
		l.st.Kicks++
		now := s.tx.pending()
		if now < left { // the kernel says what it took once it has sent something
			unsaid, full, l.starved = 0, time.Time{}, false
		}
		switch errno {
		case unix.EBUSY:
			if now == left {
				unsaid++
			}
			if l.threads != nil && l.retry(&full, unsaid) {
				left = s.tx.pending()
				continue
			}
			refused++
		case unix.ENETDOWN, unix.ENXIO:
			l.down = true
			return refused
		}
		l.down = false
		if now < left {
			stuck = 0
			if now > 0 && !l.partial {
				l.partial = true
				l.g.cfg.logf("xdp: %s: one sendto took %d of %d frames: it is repeated until none is left", l.iface.Name, left-now, left)
			}
		} else {
			stuck++
			l.reap() // the completion ring may be full
		}
		left = now
	}
	return refused
}

// reap frees the chunks that have been transmitted.
func (l *Link) reap() {
	if l.unreaped == 0 {
		return
	}
	comp, u := l.sock.comp, l.g.umem
	n := comp.avail(comp.size())
	for i := range n {
		u.release(u.chunkOf(comp.peek(i)), inTx.at(l.port))
	}
	comp.take(n)
	comp.release()
	l.unreaped -= int(n)
}
