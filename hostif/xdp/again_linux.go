package xdp

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where the far end is received by a thread, frames wait for it in a queue of 256
// (VETH_RING_SIZE, linux/drivers/net/veth.c). What finds it full the kernel
// throws away, and says so: EBUSY. A receiver in our own time slows us down;
// with a thread, waiting here does. Without it 12 of 100 frames of bulk TCP were
// lost.
const (
	roomStep     = 20 * time.Microsecond // between two tries: some twenty frames' time for the thread
	roomPatience = 20 * time.Millisecond // while nothing leaves; then frames are lost and counted
)

// room waits for the thread: it gets this core if it wants it, and if that was
// not enough, a little time on another one.
func room(first bool) {
	if first {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		return
	}
	ts := unix.NsecToTimespec(int64(roomStep))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// retry has the frame that the kernel has just thrown away sent again, after the
// thread had time to make room. It reports false where the frame is lost: nothing
// has left since full, for too long; or last time already.
func (l *Link) retry(full *time.Time, unsaid uint32) bool {
	first := full.IsZero()
	switch {
	case l.starved:
		return false
	case first:
		*full = time.Now()
	case time.Since(*full) > roomPatience:
		l.starved = true
		l.threads.starved()
		return false
	}
	if !l.again(unsaid) {
		return false
	}
	l.threads.again++
	room(first)
	return true
}

// again puts the frame that the kernel has just taken and thrown away back in
// front of those that follow it, in chunks of its own: the old ones are on their
// way back to us. unsaid is how many entries the kernel has taken without having
// moved the shared index. It reports false where there is no room.
func (l *Link) again(unsaid uint32) bool {
	u, tx := l.g.umem, l.sock.tx
	end := tx.cons + unsaid
	n := uint32(1)
	for n < tx.size() && tx.entries[(end-n-1)&tx.mask].Options&unix.XDP_PKT_CONTD != 0 {
		n++
	}
	if uint32(len(u.free)) < n {
		l.reap()
	}
	if tx.size()-(tx.prod-tx.cons) < n || uint32(len(u.free)) < n {
		return false
	}
	tx.insert(end, n)
	for i := range n {
		d := tx.entries[(end-n+i)&tx.mask]
		chunk, _ := u.alloc(inTx.at(l.port))
		old, _ := u.bytes(d.Addr, d.Len)
		d.Addr = uint64(chunk) << u.shift
		copy(u.mem[d.Addr:], old)
		tx.entries[(end+i)&tx.mask] = d
		l.unreaped++
	}
	tx.submit()
	return true
}
