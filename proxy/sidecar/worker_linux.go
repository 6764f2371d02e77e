package sidecar

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	readSize   = 64 << 10 // one read takes at most this much; also what a body has in flight
	bufferSize = 16 << 10 // a pooled buffer to begin with
	maxPooled  = 256      // connections and heads kept for reuse

	// Bytes of buffers kept for reuse. Those that have held large bodies would
	// otherwise fill the pool little by little.
	maxBuffered = 4 << 20
)

// worker is one event loop. All of it belongs to the goroutine of run, except
// what mu guards.
type worker struct {
	s    *Server
	id   int
	ep   int
	wake int // eventfd

	mu     sync.Mutex
	posted []func()
	gone   bool // run has not begun or has returned: post runs its functions itself

	slots []slot
	free  []int32

	base    time.Time
	now     int64 // ns since base, read once a round
	epoch   int64 // base, in ns since 1970; set anew with date, as the system's clock may be
	date    []byte
	dateEnd int64

	timers timers
	in     []byte      // what was just read
	out    []byte      // what is about to be written
	cipher []byte      // the same, encrypted
	head   *http1.Head // of the message being parsed

	heads       []*http1.Head
	buffers     [][]byte
	buffered    int // bytes of buffers
	downstreams []*downstream
	upstreams   []*upstream
	entries     []*mesh.Entry
	failed      []*sock
	dead        []func() // puts structs back when the round is over

	listeners []*listener
	clusters  []*cluster
	retired   []*chain   // by a reload, and still with connections
	replaced  []*cluster // by a reload, and still with requests
	sinks     accesslog.Sinks
	accepted  uint64 // connections that were given a number
	ids       *mesh.RequestIDs
	draw      func() uint64 // numbers by chance
	seed      uint64

	open      map[session]struct{}
	spare     int   // a descriptor given up to accept and close when there is none left
	drainFrom int64 // when the listeners were told to drain, 0 if they were not
	failing   bool  // the admin says that we are not healthy: responses ask for the close
	draining  bool  // Run is about to end
	stop      bool
}

// session is a client's connection.
type session interface {
	of() *chain
	drain()           // the server stops: end when nothing is under way
	abort(local bool) // end now; local says that it is our doing
}

type slot struct {
	gen uint32
	s   *sock
}

func newWorker(s *Server, id int) (*worker, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, failure.Wrap(failure.Unexpected, err, "sidecar: epoll_create", "raise the limit of open files (ulimit -n)")
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, failure.Wrap(failure.Unexpected, err, "sidecar: eventfd", "raise the limit of open files (ulimit -n)")
	}
	w := &worker{
		s: s, id: id, ep: ep, wake: wake, base: s.started, spare: -1, gone: true,
		in: make([]byte, readSize), out: make([]byte, 0, 2*readSize), head: new(http1.Head),
		open: map[session]struct{}{},
	}
	seed := s.opt.Seed + uint64(id)*0x9e3779b97f4a7c15
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	w.ids = mesh.NewRequestIDs(key)
	w.draw = rand.NewPCG(seed, 1).Uint64
	w.seed = seed
	w.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &ev); err != nil {
		w.release()
		return nil, failure.Wrap(failure.Unexpected, err, "sidecar: epoll_ctl", "")
	}
	w.tick()
	return w, nil
}

// register puts s under epoll's eyes.
func (w *worker) register(s *sock, events uint32) error {
	var i int32
	if n := len(w.free); n > 0 {
		i, w.free = w.free[n-1], w.free[:n-1]
	} else {
		i = int32(len(w.slots))
		w.slots = append(w.slots, slot{})
	}
	w.slots[i].s = s
	s.slot = i
	ev := unix.EpollEvent{Events: events, Fd: i, Pad: int32(w.slots[i].gen)}
	if err := unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
		w.unregister(i)
		return err
	}
	return nil
}

// unregister frees slot i. Events already fetched for it carry the old
// generation and are ignored.
func (w *worker) unregister(i int32) {
	w.slots[i].s = nil
	w.slots[i].gen++
	w.free = append(w.free, i)
}

const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

func (w *worker) tick() {
	w.now = int64(time.Since(w.base)) + 1 // never 0, which means "no deadline"
	if w.now >= w.dateEnd {
		t := time.Now()
		w.date = mesh.AppendDate(w.date[:0], t.Unix())
		w.epoch = t.UnixNano() - w.now
		w.dateEnd = w.now + int64(time.Second) - int64(t.Nanosecond())
	}
}

// live makes post wait for run, which is about to begin.
func (w *worker) live() {
	w.mu.Lock()
	w.gone = false
	w.mu.Unlock()
}

// run is the event loop. It ends after a drain, or when epoll fails.
func (w *worker) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer w.leave()
	events := make([]unix.EpollEvent, 256)
	for !w.stop {
		n, err := epollWait(w.ep, events, w.timeout())
		if err != nil {
			return failure.Wrap(failure.Unexpected, err, fmt.Sprintf("sidecar: worker %d: epoll_wait", w.id), "")
		}
		w.tick()
		// Connections in the pools first: one that its server has closed must
		// not be given to a request of the same round.
		for i := range events[:n] {
			if s := w.sock(&events[i]); s != nil && s.h.idle() {
				w.event(s, events[i].Events)
				events[i].Fd = -2
			}
		}
		for i := range events[:n] {
			if s := w.sock(&events[i]); s != nil {
				w.event(s, events[i].Events)
			} else if events[i].Fd == -1 {
				w.runPosted()
			}
		}
		w.timers.expire(w.now)
		w.settle()
	}
	return nil
}

func (w *worker) sock(ev *unix.EpollEvent) *sock {
	if ev.Fd < 0 {
		return nil
	}
	sl := &w.slots[ev.Fd]
	if sl.gen != uint32(ev.Pad) {
		return nil
	}
	return sl.s
}

func (w *worker) event(s *sock, ev uint32) {
	if ev&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.rd = true
		if s.tls != nil {
			s.tls.more = true
		}
	}
	if ev&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.wr = true
	}
	if ev&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.hup = true
	}
	s.h.ready()
}

// settle ends a round: failed writes are acted upon, and what was closed in it
// may be used again.
func (w *worker) settle() {
	for len(w.failed) > 0 {
		s := w.failed[len(w.failed)-1]
		w.failed = w.failed[:len(w.failed)-1]
		if s.fd >= 0 {
			s.h.broken()
		}
	}
	for i, f := range w.dead {
		f()
		w.dead[i] = nil
	}
	w.dead = w.dead[:0]
	w.sinks.HandOver()
	if w.draining && len(w.open) == 0 {
		w.stop = true
	}
}

// timeout is how long epoll may sleep, in ms; it rounds up, so that a timer is
// never early.
func (w *worker) timeout() int {
	next := w.timers.next()
	if next == 0 {
		return -1
	}
	d := next - w.now
	if d <= 0 {
		return 0
	}
	return int((d + int64(time.Millisecond) - 1) / int64(time.Millisecond))
}

// post has f called on the worker's goroutine, or at once if that has ended.
func (w *worker) post(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		f()
		return
	}
	w.posted = append(w.posted, f)
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(w.wake, one[:])
}

func (w *worker) runPosted() {
	var b [8]byte
	unix.Read(w.wake, b[:])
	w.mu.Lock()
	fs := w.posted
	w.posted = nil
	w.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// drain stops listening, closes idle connections, and sees to it that the rest
// ends within the timeout.
func (w *worker) drain(timeout time.Duration) {
	w.draining = true
	for _, l := range w.listeners {
		l.shut()
	}
	for d := range w.open {
		d.drain()
	}
	t := &timer{fire: func() {
		for d := range w.open {
			d.abort(true)
		}
	}}
	w.timers.set(t, w.now+int64(timeout))
}

// leave closes everything when run ends and lets later posts run in place.
func (w *worker) leave() {
	for d := range w.open {
		d.abort(true)
	}
	for _, clusters := range [][]*cluster{w.clusters, w.replaced} {
		for _, cl := range clusters {
			cl.stopProbes()
			cl.each((*pool).closeAll)
		}
	}
	w.settle()
	w.mu.Lock()
	fs := w.posted
	w.posted, w.gone = nil, true
	w.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// release closes the descriptors that a worker has from its birth.
func (w *worker) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	for _, l := range w.listeners {
		l.shut()
	}
	for _, fd := range []*int{&w.ep, &w.wake, &w.spare} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// buffer returns an empty buffer; recycle takes it back.
func (w *worker) buffer() []byte {
	if n := len(w.buffers); n > 0 {
		b := w.buffers[n-1]
		w.buffers = w.buffers[:n-1]
		w.buffered -= cap(b)
		return b
	}
	return make([]byte, 0, bufferSize)
}

func (w *worker) recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= 2*readSize && w.buffered+cap(b) <= maxBuffered {
		w.buffered += cap(b)
		w.buffers = append(w.buffers, b[:0])
	}
}

// keepHead hands out the head being parsed, because its message is not complete,
// and provides another for the next message.
func (w *worker) keepHead() *http1.Head {
	h := w.head
	w.head = w.takeHead()
	return h
}

// takeHead provides a head, which returnHead takes back.
func (w *worker) takeHead() *http1.Head {
	if n := len(w.heads); n > 0 {
		h := w.heads[n-1]
		w.heads = w.heads[:n-1]
		return h
	}
	return new(http1.Head)
}

func (w *worker) returnHead(h *http1.Head) {
	if h != nil && len(w.heads) < maxPooled {
		w.heads = append(w.heads, h)
	}
}

// appendChunks copies what p holds of a chunked body to dst as one chunk, and
// the last chunk when the body ends. It returns how much of p that was, and how
// much of that was data.
func appendChunks(dst []byte, body *http1.Body, p []byte) (_ []byte, n, size int, err error) {
	for ahead := *body; n < len(p) && !ahead.Done(); {
		m, data, err := ahead.Next(p[n:])
		if err != nil {
			return dst, 0, 0, err
		}
		if n += m; data {
			size += m
		}
	}
	if size > 0 {
		dst = http1.AppendChunkSize(dst, size)
	}
	n = 0
	for n < len(p) && !body.Done() {
		m, data, _ := body.Next(p[n:])
		if data {
			dst = append(dst, p[n:n+m]...)
		}
		n += m
	}
	if size > 0 {
		dst = append(dst, "\r\n"...)
	}
	if body.Done() {
		dst = append(dst, http1.LastChunk...)
	}
	return dst, n, size, nil
}

// addrOf renders an address as Envoy's stat names do.
func addrOf(a netip.AddrPort) string {
	b := []byte(a.String())
	for i, c := range b {
		if c == ':' {
			b[i] = '_'
		}
	}
	return string(b)
}
