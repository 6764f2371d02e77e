// Package mem is a hostif.Link in memory: two ends of a wire inside one
// process, with a descriptor that polls. Unit tests of the NIC run on it on any
// Unix, without rights.
package mem

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/meshnic/meshnic/hostif"
)

const ethHeaderLen = 14

// Pool is the memory that frames lie in. Links with the same pool move frames
// between each other and never copy them, as AF_XDP ports of one UMEM do; links
// with different pools copy.
type Pool struct {
	mu   sync.Mutex
	free []*hostif.Frame
}

// NewPool returns an empty pool; it grows with use.
func NewPool() *Pool { return &Pool{} }

func (p *Pool) get(n int) *hostif.Frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	var f *hostif.Frame
	if l := len(p.free); l > 0 {
		f, p.free = p.free[l-1], p.free[:l-1]
	} else {
		f = &hostif.Frame{Mem: p}
	}
	if cap(f.Data) < n {
		f.Data = make([]byte, n)
	}
	f.Data = f.Data[:n]
	f.Offload = hostif.Offload{}
	f.Taken = false
	return f
}

func (p *Pool) put(f *hostif.Frame) {
	p.mu.Lock()
	p.free = append(p.free, f)
	p.mu.Unlock()
}

// Option changes what Pipe makes.
type Option func(*config)

type config struct {
	name     string
	mtu      int
	offloads bool
	pool     *Pool
}

// WithName names the pair; the ends are NAME.a and NAME.b. The default is "mem".
func WithName(name string) Option { return func(c *config) { c.name = name } }

// WithMTU sets the largest L3 packet in bytes. The default is 1500.
func WithMTU(mtu int) Option { return func(c *config) { c.mtu = mtu } }

// WithOffloads lets frames carry unfinished work, up to 64 KiB.
func WithOffloads() Option { return func(c *config) { c.offloads = true } }

// WithPool puts the pair's frames into a pool that other pairs share.
func WithPool(p *Pool) Option { return func(c *config) { c.pool = p } }

// Link is one end of a pair. See Pipe.
type Link struct {
	cfg  config
	rx   *queue
	tx   *queue
	out  []*hostif.Frame // handed out by the last Recv
	mu   sync.Mutex      // orders Recv, Send and Stats against Close
	shut bool
	st   hostif.Stats
}

// Pipe returns the two ends of a wire that holds at most capacity frames a
// direction; further frames are lost and counted in the sender's TxDropFull.
// Closing one end gives the other io.EOF once it has read what is on the wire.
// It panics if capacity is not positive or the process has no descriptor left.
func Pipe(capacity int, opts ...Option) (a, b *Link) {
	if capacity <= 0 {
		panic(fmt.Sprintf("mem: Pipe: capacity %d, want 1 or more", capacity))
	}
	c := config{name: "mem", mtu: 1500}
	for _, o := range opts {
		o(&c)
	}
	if c.pool == nil {
		c.pool = NewPool()
	}
	ab, ba := newQueue(capacity), newQueue(capacity)
	a = &Link{cfg: c, rx: ba, tx: ab}
	b = &Link{cfg: c, rx: ab, tx: ba}
	a.cfg.name += ".a"
	b.cfg.name += ".b"
	return a, b
}

// Name returns the name of this end.
func (l *Link) Name() string { return l.cfg.name }

// Offloads reports whether the pair was made WithOffloads.
func (l *Link) Offloads() bool { return l.cfg.offloads }

// MTU returns the largest L3 packet in bytes.
func (l *Link) MTU() int { return l.cfg.mtu }

// Fd polls readable while a frame, io.EOF or net.ErrClosed waits for Recv. It
// is -1 once Recv has returned net.ErrClosed.
func (l *Link) Fd() int { return l.rx.fd() }

// Recv fills frames with what the other end has sent.
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.out {
		if !f.Taken {
			l.cfg.pool.put(f)
		}
		l.out[i] = nil
	}
	l.out = l.out[:0]
	if l.shut {
		l.rx.release()
		return 0, &hostif.OpError{Op: "recv", Iface: l.cfg.name, Err: net.ErrClosed}
	}
	n, eof := l.rx.pop(frames)
	for _, f := range frames[:n] {
		l.st.RxFrames++
		l.st.RxBytes += uint64(len(f.Data))
	}
	l.out = append(l.out, frames[:n]...)
	if eof {
		return 0, io.EOF
	}
	return n, nil
}

// Send puts frames on the wire. A frame of the same pool is moved, any other is
// copied.
func (l *Link) Send(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return 0, &hostif.OpError{Op: "send", Iface: l.cfg.name, Err: net.ErrClosed}
	}
	sent := 0
	for _, f := range frames {
		drop := l.check(f)
		if drop != nil {
			*drop++
			continue
		}
		size := uint64(len(f.Data))
		if !l.tx.push(func() *hostif.Frame { return l.own(f) }) {
			l.st.TxDropFull++
			continue
		}
		sent++
		l.st.TxFrames++
		l.st.TxBytes += size
	}
	if sent > 0 {
		l.st.Kicks++
	}
	return sent, nil
}

// check returns the counter that a frame this link cannot carry is dropped into.
func (l *Link) check(f *hostif.Frame) *uint64 {
	limit := l.cfg.mtu + ethHeaderLen
	if len(f.Data) >= ethHeaderLen && f.Data[12] == 0x81 && f.Data[13] == 0 {
		limit += 4
	}
	if f.Offload.GSO != hostif.GSONone {
		limit = 1<<16 + ethHeaderLen
	}
	switch {
	case f.Offload != hostif.Offload{} && !l.cfg.offloads, len(f.Data) < ethHeaderLen:
		return &l.st.TxDropError
	case len(f.Data) > limit:
		return &l.st.TxDropSize
	}
	return nil
}

// own returns f as a frame of the pool: itself under a new header if its bytes
// lie there already, otherwise a copy.
func (l *Link) own(f *hostif.Frame) *hostif.Frame {
	if p, ok := f.Mem.(*Pool); ok && p == l.cfg.pool && !f.Taken {
		f.Taken = true
		return &hostif.Frame{Data: f.Data, Offload: f.Offload, Mem: p}
	}
	c := l.cfg.pool.get(len(f.Data))
	copy(c.Data, f.Data)
	c.Offload = f.Offload
	return c
}

// Stats returns the counters so far.
func (l *Link) Stats() hostif.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st
}

// Close ends both directions. It is safe from any goroutine, also twice.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil
	}
	l.shut = true
	l.tx.end()
	l.rx.end()
	return nil
}
