package load

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// conn is one connection slot; its socket may be replaced many times.
type conn struct {
	fd      int
	id, gen int32
	state   connState
	out     bool  // EPOLLOUT is watched
	flying  bool  // has a request
	retryAt int64 // not to be connected before, after a failed connect
	lingers int64 // until when the server may close, when draining
	fails   int   // connects failed in a row

	start    int64 // of the request: intended, or when it was sent or connecting began
	sent     int64 // open loop: when it was first written
	written  int
	measured bool
	ans      parser
	body     body
	onBody   func([]byte)
}

type connState uint8

const (
	closed     connState = iota
	connecting           // with or without a request
	ready                // no request
	sending              // part of the request is written
	waiting              // for the answer
	draining             // the answer is there, the server is to close
)

// begins gives c a request that starts at, connecting first where necessary.
func (g *generator) begins(c *conn, at int64) {
	g.issue(at)
	g.flying++
	c.flying, c.start, c.measured, c.written = true, at, at >= g.warm, 0
	c.ans.reset()
	c.body.reset()
	if c.state == ready {
		g.send(c)
		return
	}
	if err := g.dial(c); err != nil {
		g.outOf(err)
		g.fail(c, errConnect, "connect: "+err.Error())
	}
}

func (g *generator) dial(c *conn) error {
	fd, err := open(g.sa, g.family)
	if err != nil {
		return err
	}
	c.fd, c.state, c.out = fd, connecting, true
	c.gen++
	if err := g.poll.add(fd, unix.EPOLLIN|unix.EPOLLOUT, c.id, c.gen); err != nil {
		g.drop(c)
		return err
	}
	return nil
}

// connected finishes a connect.
func (g *generator) connected(c *conn) error {
	if err := soError(c.fd); err != nil {
		return err
	}
	c.out, c.state, c.fails = false, ready, 0
	g.res.Connects++
	return g.poll.mod(c.fd, unix.EPOLLIN, c.id, c.gen)
}

func (g *generator) send(c *conn) {
	if c.written == 0 && g.open() {
		c.sent = g.clock.now()
	}
	for c.written < len(g.req) {
		n, e := rawWrite(c.fd, g.req[c.written:])
		switch e {
		case 0:
			c.written += n
		case unix.EINTR:
		case unix.EAGAIN:
			c.state = sending
			g.watchOut(c, true)
			return
		default:
			g.fail(c, errReset, "write: "+e.Error())
			return
		}
	}
	c.state = waiting
	if c.out {
		g.watchOut(c, false)
	}
}

func (g *generator) watchOut(c *conn, on bool) {
	c.out = on
	events := uint32(unix.EPOLLIN)
	if on {
		events |= unix.EPOLLOUT
	}
	if err := g.poll.mod(c.fd, events, c.id, c.gen); err != nil {
		g.fail(c, errReset, "epoll_ctl: "+err.Error())
	}
}

func (g *generator) event(c *conn, events uint32) {
	switch c.state {
	case connecting:
		if err := g.connected(c); err != nil {
			g.outOf(err)
			g.fail(c, errConnect, "connect: "+err.Error())
			return
		}
		g.send(c)
	case sending:
		// A server may answer before it has read everything.
		if events&^unix.EPOLLOUT != 0 {
			g.receive(c)
		} else {
			g.send(c)
		}
	case waiting:
		g.receive(c)
	case draining, ready:
		g.hear(c)
	}
}

// hear handles what comes when no answer is due: the server closes, or sends
// what nobody asked for.
func (g *generator) hear(c *conn) {
	n, e := rawRead(c.fd, g.buf)
	if e == unix.EAGAIN || e == unix.EINTR {
		return
	}
	if e == 0 && n > 0 {
		g.res.Stray++
	}
	free := c.state == ready // in the list of free connections already
	g.drop(c)
	if !free {
		g.release(c)
	}
}

// receive reads until the answer is complete or there is nothing more to read.
func (g *generator) receive(c *conn) {
	for {
		n, e := rawRead(c.fd, g.buf)
		switch {
		case e == unix.EINTR:
			continue
		case e == unix.EAGAIN:
			return
		case e != 0:
			g.fail(c, errReset, "read: "+e.Error())
			return
		case n == 0:
			g.ended(c)
			return
		}
		now := g.clock.now()
		g.res.Bytes += uint64(n)
		used, done, err := c.ans.feed(g.buf[:n], c.onBody)
		switch {
		case err != nil:
			g.fail(c, errParse, err.Error())
			return
		case done && used < n:
			g.fail(c, errParse, "bytes after the end of the answer")
			return
		case done:
			g.complete(c, now)
			return
		case n < len(g.buf):
			return
		}
	}
}

// ended handles the end of the connection while an answer is due.
func (g *generator) ended(c *conn) {
	switch {
	case c.ans.eof():
		now := g.clock.now()
		g.drop(c)
		g.complete(c, now)
	case !c.ans.started:
		g.fail(c, errMissing, "connection closed instead of an answer")
	default:
		g.fail(c, errReset, "connection closed in the middle of an answer")
	}
}

// complete books the answer that was complete at now.
func (g *generator) complete(c *conn, now int64) {
	g.land(c)
	switch {
	case now-c.start >= int64(g.cfg.Timeout): // scan has not come round yet
		g.count(c.measured, errTimeout, g.tooLate)
	case c.ans.status != g.cfg.Check.Status:
		g.count(c.measured, errStatus, func() string { return "status " + strconv.Itoa(c.ans.status) })
	case !c.body.ok():
		g.count(c.measured, errWrong, c.body.why)
	default:
		g.right(c, now)
	}
	switch {
	case c.fd < 0:
	case c.state == sending: // the rest of the request would be taken for another one
		g.drop(c)
	case c.ans.close || g.cfg.Close:
		// The server closes first, so that it is not the generator's ports
		// that end in TIME_WAIT.
		c.state, c.lingers = draining, now+int64(lingerMax)
		return
	default:
		c.state = ready
	}
	g.release(c)
}

func (g *generator) tooLate() string { return "no complete answer within " + g.cfg.Timeout.String() }

// right books a right answer.
func (g *generator) right(c *conn, now int64) {
	if g.window.state == inside {
		g.done++
	}
	if !c.measured {
		g.res.Warmup++
		return
	}
	g.res.Hist.Record(now - c.start)
	if g.res.SentHist != nil {
		g.res.SentHist.Record(now - c.sent)
	}
}

// fail books a request without an answer and gives its connection up.
func (g *generator) fail(c *conn, k kind, text string) {
	g.land(c)
	g.drop(c)
	g.count(c.measured, k, func() string { return text })
	if k == errConnect {
		c.fails++
		c.retryAt = g.clock.now() + int64(min(backoffMax, backoffMin<<min(c.fails-1, 8)))
	}
	g.release(c)
}

// land ends c's request.
func (g *generator) land(c *conn) {
	c.flying = false
	g.flying--
}

// drop closes c's socket.
func (g *generator) drop(c *conn) {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
	c.fd, c.state, c.out = -1, closed, false
}

// release makes c free for the next request, and starts it if it is due.
func (g *generator) release(c *conn) {
	now := g.clock.now()
	if g.turns.yield(now) { // no clock of this connection runs here
		now = g.clock.now()
	}
	switch {
	case g.open():
		if g.free.n == 0 {
			g.freeSince = now
		}
		g.free.push(c.id)
		g.startDue(now)
	case c.retryAt <= now && !g.exhausted(now) && !g.stop.Load():
		g.begins(c, now)
	default:
		g.free.push(c.id)
	}
}

// ring is a first-in first-out list of connections, so that an open loop below
// capacity uses all of them in turn.
type ring struct {
	ids     []int32
	head, n int
}

func (r *ring) init(size int) { r.ids = make([]int32, size) }

func (r *ring) push(id int32) {
	r.ids[(r.head+r.n)%len(r.ids)] = id
	r.n++
}

func (r *ring) pop() int32 {
	id := r.ids[r.head]
	r.head = (r.head + 1) % len(r.ids)
	r.n--
	return id
}
