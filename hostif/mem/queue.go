package mem

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// queue is one direction of a wire. Its pipe holds one byte exactly while a
// reader has something to fetch: a frame, or the end.
type queue struct {
	mu     sync.Mutex
	ring   []*hostif.Frame
	head   int
	n      int
	ended  bool
	marked bool // the byte is in the pipe
	pipe   *pipe
}

// pipe is apart from queue so that its clean-up does not keep the queue alive.
type pipe struct{ r, w int }

func newQueue(capacity int) *queue {
	p := &pipe{}
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		panic("mem: Pipe: " + err.Error())
	}
	p.r, p.w = fds[0], fds[1]
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	q := &queue{ring: make([]*hostif.Frame, capacity), pipe: p}
	runtime.AddCleanup(q, func(p *pipe) { p.close() }, p)
	return q
}

func (p *pipe) close() {
	if p.r >= 0 {
		_ = unix.Close(p.r)
		_ = unix.Close(p.w)
		p.r, p.w = -1, -1
	}
}

func (q *queue) fd() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pipe.r
}

// push queues what build returns; it calls build only if there is room.
func (q *queue) push(build func() *hostif.Frame) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || q.n == len(q.ring) {
		return false
	}
	q.ring[(q.head+q.n)%len(q.ring)] = build()
	q.n++
	q.mark()
	return true
}

// pop moves frames out; eof means that the queue is empty for good.
func (q *queue) pop(frames []*hostif.Frame) (n int, eof bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		return 0, q.ended
	}
	for n < len(frames) && q.n > 0 {
		frames[n], q.ring[q.head] = q.ring[q.head], nil
		q.head = (q.head + 1) % len(q.ring)
		q.n--
		n++
	}
	if q.n == 0 && !q.ended && q.marked {
		var b [1]byte
		_, _ = unix.Read(q.pipe.r, b[:])
		q.marked = false
	}
	return n, false
}

// end takes no more frames and leaves the descriptor readable for good.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.mark()
}

func (q *queue) mark() {
	if !q.marked && q.pipe.w >= 0 {
		_, _ = unix.Write(q.pipe.w, []byte{1})
		q.marked = true
	}
}

// release closes the descriptors, once the reader knows that it is over.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.pipe.close()
}
