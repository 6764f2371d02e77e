// Package sidecar is the host body of the proxy: listeners, connection pools
// and timers over kernel sockets. What it does with a request is decided by
// package mesh; how a message is read, by package http1.
//
// Each worker is one thread with its own epoll instance, its own connections and
// its own pools, as in Envoy: a connection never changes worker, and nothing on
// a request's way takes a lock. A request costs two reads, two writes and no
// allocation; an idle connection holds no buffer.
package sidecar

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/admin"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Options are what the configuration file does not say. The zero Options are
// Envoy's defaults.
type Options struct {
	Log         io.Writer // gets a line for each thing worth knowing; nil discards
	Concurrency int       // workers; 0 means GOMAXPROCS

	MaxConnections int           // downstream connections of one worker, the rest is closed at once; 0 means 16384
	HeadTimeout    time.Duration // from a head's first byte to its last; 0 means none but the stream idle timeout
	StreamIdle     time.Duration // a request without progress; 0 means 5 min
	ConnectionIdle time.Duration // a connection without a request, either side, unless its cluster says; 0 means 1 h
	DrainTimeout   time.Duration // how long Run lets requests finish; 0 means 5 s
	DrainTime      time.Duration // how long listeners that a reload or the admin drains have for it; 0 means 10 min
	LogFlush       time.Duration // how long a line of an access log may wait to be written; 0 means 10 s
	Resolve        Resolver      // finds the addresses of names; nil means the system's way
	Seed           uint64        // of request IDs and first endpoints; 0 means from the system
}

// Resolver returns the addresses of a host; network is ip, ip4 or ip6. That there
// is no such host is a *net.DNSError that says so. It ends when ctx does. The one of
// a net.Resolver is its LookupNetIP.
type Resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (o Options) withDefaults() Options {
	if o.Resolve == nil {
		o.Resolve = net.DefaultResolver.LookupNetIP
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Concurrency == 0 {
		o.Concurrency = runtime.GOMAXPROCS(0)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 16384
	}
	if o.StreamIdle == 0 {
		o.StreamIdle = mesh.StreamIdleTimeout
	}
	if o.ConnectionIdle == 0 {
		o.ConnectionIdle = mesh.ConnectionIdleTimeout
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 5 * time.Second
	}
	if o.LogFlush == 0 {
		o.LogFlush = 10 * time.Second
	}
	if o.DrainTime == 0 {
		o.DrainTime = mesh.DrainTime
	}
	return o
}

// Server is a proxy whose listeners are bound.
type Server struct {
	opt         Options
	workers     []*worker
	force       atomic.Pointer[config] // the configuration in force
	admin       atomic.Pointer[admin.Server]
	state       atomic.Uint32 // what the admin answers
	reloads     atomic.Uint64
	names       *names
	logCounters accesslog.Counters
	hostname    string
	started     time.Time

	mu      sync.Mutex // of a reload, the beginning and the end
	running bool
	ending  bool
	closed  bool
}

// New validates cfg, which nobody may change afterwards, waits for the first addresses of the names in it, for at most
// 5 s, and binds its listeners. A listener's port that is taken is
// a failure.Conflict. Call Run, or Close to give the ports back.
func New(cfg mesh.Config, opt Options) (*Server, error) {
	if opt.Concurrency < 0 || opt.Concurrency > 1024 {
		return nil, failure.Usagef("sidecar: concurrency is %d, want 1 to 1024", opt.Concurrency)
	}
	s := &Server{opt: opt.withDefaults(), started: time.Now()}
	s.hostname, _ = os.Hostname()
	if s.opt.Seed == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, failure.Wrap(failure.Unexpected, err, "sidecar: seed", "")
		}
		s.opt.Seed = binary.LittleEndian.Uint64(b[:])
	}
	s.names = newNames(s)
	s.mu.Lock()
	next, err := compile(cfg, s.names, nil)
	if err == nil {
		err = s.open(next)
	}
	if s.mu.Unlock(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open binds the listeners once for every worker, and the admin listener.
func (s *Server) open(next *config) error {
	for i := range s.opt.Concurrency {
		w, err := newWorker(s, i)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	var err error
	if next.logs, err = accesslog.OpenAll(&next.cfg, nil, s.opt.LogFlush, &s.logCounters); err != nil {
		return err
	}
	if err := s.install(next, nil); err != nil {
		next.logs.Close(nil)
		return err
	}
	if next.cfg.Admin != "" {
		a, err := newAdmin(s, next.cfg.Admin)
		if err != nil {
			return err
		}
		s.admin.Store(a)
	}
	return nil
}

// Addrs returns the addresses of the listeners in the configuration's order,
// with the ports the system chose where it said 0.
func (s *Server) Addrs() []netip.AddrPort { return slices.Clone(s.force.Load().addrs) }

// AdminAddr returns the address of the admin listener, nil if there is none.
func (s *Server) AdminAddr() net.Addr {
	if a := s.admin.Load(); a != nil {
		return a.Addr()
	}
	return nil
}

// Run serves until ctx ends, then drains: it stops listening, closes idle
// connections, lets requests finish for Options.DrainTimeout, and closes what is
// left. It returns nil after a drain.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running || s.closed {
		s.mu.Unlock()
		return errors.New("sidecar: Run: already run or closed")
	}
	s.running = true
	if a := s.admin.Load(); a != nil {
		a.Start()
	}
	s.mu.Unlock()
	defer s.Close()
	var watch sync.WaitGroup
	defer watch.Wait()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watch.Go(func() { s.watchSecrets(watching) })

	done := make(chan error, len(s.workers))
	for _, w := range s.workers {
		w.live()
		go func() { done <- w.run() }()
	}
	var failed error
	left := len(s.workers)
	select {
	case <-ctx.Done():
		fmt.Fprintf(s.opt.Log, "sidecar: draining, for at most %v\n", s.opt.DrainTimeout)
	case failed = <-done: // a worker only ends by itself when epoll fails
		left--
	}
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.state.Store(uint32(Draining))
	for _, w := range s.workers {
		w.post(func() { w.drain(s.opt.DrainTimeout) })
	}
	for range left {
		failed = errors.Join(failed, <-done)
	}
	return failed
}

// Close gives up the listeners of a Server that does not run. It is called by
// Run itself.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed, s.ending = true, true
		s.release()
	}
	s.mu.Unlock()
	s.names.wg.Wait() // one of them may have waited for the lock
	return nil
}

func (s *Server) release() {
	s.names.cancel()
	if a := s.admin.Load(); a != nil {
		a.Close()
	}
	for _, w := range s.workers {
		w.release()
	}
	if c := s.force.Load(); c != nil {
		c.logs.Close(nil)
		for _, f := range c.logs {
			f.Wait()
		}
	}
}

// ReopenLogs opens the files of the access logs anew, because the old ones were
// moved away.
func (s *Server) ReopenLogs() { s.force.Load().logs.Reopen() }
