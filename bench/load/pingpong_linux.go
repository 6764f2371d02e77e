package load

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// PingPong measures round trips with blocking system calls, as a C program
// would. A round that fails ends the run; it is the
// result's one error. The error returned is about the configuration or this
// host.
func PingPong(ctx context.Context, cfg PingPongConfig) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()

	r := &Result{Mode: "pingpong", Connections: 1, Hist: NewHist()}
	p := pinger{cfg: cfg, clock: newClock(), buf: make([]byte, cfg.Size), res: r, stop: &stop}
	if p.fd, err = dialBlocking(cfg.Target, cfg.Timeout); err != nil {
		r.Errors.Connect++
		r.example(errConnect, "connect: "+err.Error())
		r.finish(0, 0)
		return r, nil
	}
	defer unix.Close(p.fd)
	r.Connects = 1
	p.run()
	return r, nil
}

type pinger struct {
	cfg   PingPongConfig
	clock clock
	fd    int
	buf   []byte
	res   *Result
	stop  *atomic.Bool
	turns turns
}

func (p *pinger) run() {
	r := p.res
	for range p.cfg.Warmup {
		if !p.round(false) {
			break
		}
		r.Warmup++
	}
	begin, use := p.clock.now(), processUsage()
	until := int64(1 << 62)
	if p.cfg.Duration > 0 {
		until = begin + int64(p.cfg.Duration)
	}
	now := begin
	for n := 0; r.Errors.Total() == 0 && (p.cfg.Rounds == 0 || n < p.cfg.Rounds) && now < until && !p.stop.Load(); n++ {
		if !p.round(true) {
			break
		}
		now = p.clock.now()
		p.turns.yield(now)
	}
	window, used := p.clock.now()-begin, processUsage().since(use)
	r.finish(time.Duration(window), r.Hist.N())
	if r.N > 0 {
		r.Generator.CPU = float64(used.cpu) / 1e3 / float64(r.N)
	}
	if window > 0 {
		r.Generator.Runnable = min(1, float64(used.runnable)/float64(window))
	}
}

// round does one round trip and reports whether it came back.
func (p *pinger) round(measured bool) bool {
	t := p.clock.now()
	fail := func(k kind, text string) bool {
		if p.stop.Load() {
			p.res.Unfinished++
			return false
		}
		*p.res.Errors.at(k)++
		p.res.example(k, text)
		return false
	}
	for b := p.buf; len(b) > 0; {
		n, e := rawWrite(p.fd, b)
		if e != 0 {
			if p.waits(e, t) {
				continue
			}
			return fail(broken(e))
		}
		b = b[n:]
	}
	for b := p.buf; len(b) > 0; {
		n, e := rawRead(p.fd, b)
		switch {
		case e != 0:
			if p.waits(e, t) {
				continue
			}
			return fail(broken(e))
		case n == 0:
			return fail(errMissing, "connection closed instead of an answer")
		}
		p.res.Bytes += uint64(n)
		b = b[n:]
	}
	if measured {
		p.res.Hist.Record(p.clock.now() - t)
	}
	return true
}

// waits deals with a call that has ended without a result: it reports whether
// to make it again.
func (p *pinger) waits(e unix.Errno, begin int64) bool {
	if p.stop.Load() || p.clock.now()-begin >= int64(p.cfg.Timeout) {
		return false
	}
	if e == unix.EAGAIN {
		await(p.fd) // the round is slow already: let others have the P
	}
	return e == unix.EAGAIN || e == unix.EINTR
}

func broken(e unix.Errno) (kind, string) {
	if e == unix.EAGAIN || e == unix.EINTR {
		return errTimeout, "no complete answer within the timeout"
	}
	return errReset, e.Error()
}

// await waits up to 100 ms for fd to become readable, seen by the scheduler.
func await(fd int) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
}

// blocking makes fd's raw reads and writes block for at most rawWait.
func blocking(fd int) error {
	tv := unix.NsecToTimeval(int64(rawWait))
	return errors.Join(
		unix.SetNonblock(fd, false),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

// dialBlocking connects within timeout.
func dialBlocking(to netip.AddrPort, timeout time.Duration) (int, error) {
	fd, err := open(sockaddr(to))
	if err != nil {
		return -1, err
	}
	for until := time.Now().Add(timeout); ; {
		left := time.Until(until)
		if left <= 0 {
			unix.Close(fd)
			return -1, unix.ETIMEDOUT
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left.Milliseconds())+1)
		if n > 0 || (err != nil && err != unix.EINTR) {
			break
		}
	}
	if err = soError(fd); err == nil {
		err = blocking(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// EchoServe returns every byte it gets until ctx ends; one thread a connection.
func EchoServe(ctx context.Context, cfg EchoConfig) (*ServeResult, error) {
	ln, at, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ln)
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	if cfg.Ready != nil {
		cfg.Ready(at)
	}
	res := ServeResult{Schema: Schema, Mode: "echo"}
	begin := processUsage()
	var mu sync.Mutex // guards res
	var peers sync.WaitGroup
	defer peers.Wait()
	for !stop.Load() {
		await(ln)
		fd, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			return nil, failure.Wrap(failure.Unsupported, err, "load: accept", "raise the limit with `ulimit -n`")
		}
		if err != nil {
			continue // EAGAIN; or a client that is gone again
		}
		peers.Go(func() {
			defer unix.Close(fd)
			e := echo(fd, &stop)
			mu.Lock()
			defer mu.Unlock()
			res.Connections++
			res.Requests += e.rounds
			res.Bytes += e.bytes
		})
	}
	peers.Wait()
	res.CPU = float64(processUsage().since(begin).cpu) / 1e3
	return &res, nil
}

type echoed struct{ rounds, bytes uint64 }

func echo(fd int, stop *atomic.Bool) (total echoed) {
	if blocking(fd) != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for !stop.Load() {
		rounds, n, e := echoRounds(fd, buf, 10000)
		total.rounds += uint64(rounds)
		total.bytes += uint64(n)
		switch e {
		case 0:
			runtime.Gosched()
		case unix.EAGAIN:
			await(fd)
		default:
			return
		}
	}
	return
}

// echoPatience is how many writes of rawWait may fail in a row: one second.
const echoPatience = 500

// echoRounds echoes up to most reads and returns how many they were, their bytes
// and why it stopped: 0 after most, EAGAIN when nothing came for rawWait, ENOTCONN
// at the end of the connection, ETIMEDOUT if the peer does not read.
//
// It must not be preempted between a read and its write: the scheduler's detour
// would be in somebody's round trip. nosplit functions are not.
//
//go:nosplit
func echoRounds(fd int, buf []byte, most int) (rounds, bytes int, e unix.Errno) {
	for rounds < most {
		n, e := rawRead(fd, buf)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return rounds, bytes, e
		}
		if n == 0 {
			return rounds, bytes, unix.ENOTCONN
		}
		for off, tries := 0, 0; off < n; {
			m, e := rawWrite(fd, buf[off:n])
			switch {
			case e == 0:
				off += m
			case e != unix.EINTR && e != unix.EAGAIN:
				return rounds, bytes, e
			case tries == echoPatience:
				return rounds, bytes, unix.ETIMEDOUT
			default:
				tries++
			}
		}
		rounds++
		bytes += n
	}
	return rounds, bytes, 0
}
