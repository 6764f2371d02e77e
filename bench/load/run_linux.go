package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

const (
	lingerMax  = time.Second           // for the server to close after a last answer
	backoffMin = 10 * time.Millisecond // after a failed connect, doubled up to backoffMax
	backoffMax = 200 * time.Millisecond
)

// Run puts load on cfg.Target and returns what came of it. The error is about
// the configuration or this host; a server that refuses, stalls or answers
// wrongly shows in Result.Errors. When ctx ends, Run stops within 100 ms and
// returns what it has, with the requests in flight in Unfinished.
//
// After Duration no request is started any more; those in flight are waited
// for, each until its own timeout, so that the tail is not cut off.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &generator{cfg: cfg, clock: newClock(), req: cfg.request()}
	if g.poll, err = newPoller(g.clock); err != nil {
		return nil, err
	}
	defer g.poll.close()
	defer context.AfterFunc(ctx, func() { g.stop.Store(true) })()
	g.turns.settle()
	return g.run()
}

// generator is the state of one Run.
type generator struct {
	cfg   Config
	clock clock
	poll  *poller
	stop  atomic.Bool

	req    []byte
	buf    []byte
	sa     unix.Sockaddr
	family int
	conns  []conn
	free   ring // connections without a request

	res     Result
	flying  int   // requests in flight
	issued  int64 // open loop: intended starts taken off the schedule
	counted uint64
	done    uint64 // right answers in the window

	begin, warm, end int64 // ns on the clock: first start, begin and end of the window; end 0: by count
	freeSince        int64 // when free last stopped being empty
	fatal            error // no descriptor or port to be had
	held             bool  // a start is due and every free connection is backing off
	window           window
	turns            turns
	scanned          int64
}

// window is what is measured between the end of the warm-up and the end.
type window struct {
	state          phase
	opened, closed int64
	idle           int64 // of the poller: at the opening, then in the window
	use            usage // likewise, of the process
	done           uint64
}

type phase uint8

const (
	before phase = iota
	inside
	after
)

func (g *generator) run() (*Result, error) {
	g.buf = make([]byte, 128<<10)
	g.sa, g.family = sockaddr(g.cfg.Target)
	g.res = Result{Mode: "closed", Connections: g.cfg.Connections, Rate: g.cfg.Rate, Hist: NewHist()}
	if g.open() {
		g.res.Mode, g.res.SentHist, g.res.Generator.lag = "open", NewHist(), NewHist()
	}
	g.conns = make([]conn, g.cfg.Connections)
	g.free.init(g.cfg.Connections)
	defer g.closeAll()
	for i := range g.conns {
		c := &g.conns[i]
		c.id, c.fd = int32(i), -1
		c.ans.noBody = g.cfg.Method == "HEAD"
		c.body = newBody(&g.cfg.Check)
		c.onBody = c.body.write
	}
	if !g.cfg.Close {
		g.connectAll()
	}
	now := g.clock.now()
	g.begin, g.warm, g.freeSince = now, now+int64(g.cfg.Warmup), now
	if g.cfg.Duration > 0 {
		g.end = g.warm + int64(g.cfg.Duration)
	}
	for i := range g.conns {
		g.free.push(int32(i))
	}
	g.loop()
	if g.fatal != nil {
		return nil, g.fatal
	}
	g.shut(g.clock.now())
	g.res.Unfinished = uint64(g.flying)
	g.summary()
	return &g.res, nil
}

func (g *generator) open() bool { return g.cfg.Rate > 0 }

// connectAll makes the connections before the clock starts. One that fails is
// tried again by its first request, which then counts the error.
func (g *generator) connectAll() {
	pending := 0
	for i := range g.conns {
		if err := g.dial(&g.conns[i]); err != nil {
			g.outOf(err)
		} else {
			pending++
		}
	}
	for until := g.clock.now() + int64(g.cfg.Timeout); pending > 0 && g.clock.now() < until && !g.stop.Load(); {
		for _, ev := range g.poll.wait(20 * time.Millisecond) {
			if c := g.conn(ev); c != nil && c.state == connecting {
				pending--
				if g.connected(c) != nil {
					g.drop(c)
				}
			}
		}
	}
	for i := range g.conns {
		if g.conns[i].state == connecting {
			g.drop(&g.conns[i])
		}
	}
}

func (g *generator) loop() {
	for !g.stop.Load() && g.fatal == nil {
		now := g.clock.now()
		g.slide(now)
		if now-g.scanned >= int64(g.scanEvery()) {
			g.scan(now)
		}
		g.start(now)
		if g.flying == 0 && g.exhausted(now) {
			return
		}
		for _, ev := range g.poll.wait(g.patience(g.clock.now())) {
			if c := g.conn(ev); c != nil {
				g.event(c, ev.Events)
			}
		}
	}
}

// patience is how long the next wait may take.
func (g *generator) patience(now int64) time.Duration {
	d := g.scanEvery()
	for _, edge := range [...]int64{g.warm, g.end} {
		if edge > now {
			d = min(d, time.Duration(edge-now))
		}
	}
	if g.open() && g.free.n > 0 && !g.held && !g.exhausted(now) {
		d = min(d, time.Duration(g.intended()-now)-g.cfg.Spin)
	}
	return d
}

// scanEvery is the grain of timeouts and back-offs.
func (g *generator) scanEvery() time.Duration {
	return max(time.Millisecond, min(g.cfg.Timeout/20, 20*time.Millisecond))
}

// intended is the start of the next request of the open loop.
func (g *generator) intended() int64 {
	return g.begin + int64(float64(g.issued)*1e9/g.cfg.Rate)
}

// exhausted reports whether no request may be started any more.
func (g *generator) exhausted(now int64) bool {
	if g.cfg.MaxRequests > 0 && g.counted >= g.cfg.MaxRequests {
		return true
	}
	at := now
	if g.open() {
		at = g.intended()
	}
	return g.end > 0 && at >= g.end
}

// start gives requests to the free connections.
func (g *generator) start(now int64) {
	if g.open() {
		g.startDue(now)
		return
	}
	for n := g.free.n; n > 0 && !g.exhausted(now); n-- {
		c := &g.conns[g.free.pop()]
		if c.retryAt > now {
			g.free.push(c.id)
			continue
		}
		g.begins(c, now)
		now = g.clock.now()
	}
}

func (g *generator) startDue(now int64) {
	g.held = false
	for tries := g.free.n; !g.exhausted(now) && !g.stop.Load(); now = g.clock.now() {
		at := g.intended()
		if at > now {
			return
		}
		if at+int64(g.cfg.Timeout) <= now { // nobody would still wait for it
			g.issued++
			g.issue(at)
			g.count(at >= g.warm, errTimeout, func() string { return "no connection was free within " + g.cfg.Timeout.String() })
			continue
		}
		if g.free.n == 0 {
			return
		}
		if tries == 0 {
			g.held, g.freeSince = true, now
			return
		}
		tries--
		c := &g.conns[g.free.pop()]
		if c.retryAt > now {
			g.free.push(c.id)
			continue
		}
		g.issued++
		if at >= g.warm {
			if at >= g.freeSince {
				g.res.Generator.lag.Record(now - at)
			} else {
				g.res.Generator.Queued++
			}
		}
		g.begins(c, at)
	}
}

// issue counts a request that starts at.
func (g *generator) issue(at int64) {
	if at >= g.warm {
		g.counted++
	}
}

// count books a request that has failed; text says how, if nobody has yet.
func (g *generator) count(measured bool, k kind, text func() string) {
	if !measured {
		g.res.Warmup++
		g.res.WarmupBad++
		return
	}
	*g.res.Errors.at(k)++
	if !g.res.seen(k) {
		g.res.example(k, text())
	}
}

// slide opens and closes the measured window.
func (g *generator) slide(now int64) {
	w := &g.window
	if w.state == before && now >= g.warm {
		w.state, w.opened, w.idle, w.use = inside, now, g.poll.idle, processUsage()
	}
	if g.end > 0 && now >= g.end {
		g.shut(now)
	}
}

// shut closes the window, once.
func (g *generator) shut(now int64) {
	w := &g.window
	if w.state == inside {
		w.state, w.closed, w.done = after, now, g.done
		w.idle, w.use = g.poll.idle-w.idle, processUsage().since(w.use)
	}
}

func (g *generator) summary() {
	w := &g.window
	if d := float64(w.closed - w.opened); d > 0 {
		g.res.Generator.Busy = max(0, 1-float64(w.idle)/d)
		g.res.Generator.Runnable = min(1, float64(w.use.runnable)/d)
	}
	if w.done > 0 {
		g.res.Generator.CPU = float64(w.use.cpu) / 1e3 / float64(w.done)
	}
	g.res.finish(time.Duration(w.closed-w.opened), w.done)
}

// scan ends requests that have taken too long, and connections the server
// does not close.
func (g *generator) scan(now int64) {
	g.scanned = now
	for i := range g.conns {
		c := &g.conns[i]
		switch {
		case c.flying && now >= c.start+int64(g.cfg.Timeout):
			k, text := errTimeout, g.tooLate()
			if c.state == connecting {
				k, text = errConnect, "no connection within "+g.cfg.Timeout.String()
			}
			g.fail(c, k, text)
		case c.state == draining && now >= c.lingers:
			g.drop(c)
			g.release(c)
		}
	}
}

func (g *generator) closeAll() {
	for i := range g.conns {
		g.drop(&g.conns[i])
	}
}

// conn finds the connection an event is for; nil if it was replaced meanwhile.
func (g *generator) conn(ev unix.EpollEvent) *conn {
	if c := &g.conns[ev.Fd]; c.gen == ev.Pad && c.fd >= 0 {
		return c
	}
	return nil
}

// outOf turns a lack of descriptors, ports or memory, which would otherwise
// read as the server's errors, into the end of the run.
func (g *generator) outOf(err error) {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		g.fatal = failure.Wrap(failure.Unsupported, err, fmt.Sprintf("load: open connection %d", len(g.conns)), "raise the limit with `ulimit -n` or ask for fewer connections")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		g.fatal = failure.Wrap(failure.Unsupported, err, "load: connect to "+g.cfg.Target.String(),
			"the namespace has no address to connect from, or every local port is in TIME_WAIT (`ss -s`); lower the rate or keep connections alive")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		g.fatal = failure.Wrap(failure.Privilege, err, "load: connect to "+g.cfg.Target.String(), "a firewall rule of this namespace forbids it (`nft list ruleset`)")
	}
}
