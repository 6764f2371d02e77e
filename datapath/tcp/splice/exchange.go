package splice

import "github.com/meshnic/meshnic/datapath/wire"

// exchange is one request with its response.
type exchange struct {
	up        int32 // the connection to its server, none without one
	phase     phase
	close     bool // the client's connection ends after it
	keep      bool // the request is held until its response begins
	raw       bool // not HTTP: two streams
	aborted   bool // the App was told that it ended early
	leaves    bool // the client's FIN has come, at left, before all that goes before it
	left      wire.Seq
	req, resp message
}

// phase is where a client's connection stands.
type phase uint8

const (
	idle    phase = iota // between exchanges, or in a head
	dialing              // the request is held, its server's connection is not there
	busy
	parked  // the request is kept, and has no connection
	replied // our own answer is out
)

// join makes u the connection of n's exchange.
func (e *Engine) join(n, u int32) {
	c, v, x := e.conn(n), e.conn(u), e.exchange(n)
	x.up, v.peer, c.peer = u, n, u
	e.work.Reads++
	x.phase = busy
	c.flags &^= flagMapped
	v.flags &^= flagMapped
	v.acked = v.rcvNxt // goes along with the request
	e.count.Exchanges++
}

// pair is an exchange that is under way between client n and a server.
type pair struct {
	n    int32
	x    *exchange
	c, u *conn // the client's connection and the server's
}

func (e *Engine) pair(n int32, c *conn, x *exchange) pair { return pair{n, x, c, e.conn(x.up)} }

// part takes client c's exchange off its server's connection, which stays.
func (e *Engine) part(c int32) {
	x := e.exchange(c)
	u := e.conn(x.up)
	e.rest(u, nil)
	u.peer, e.conn(c).peer, x.up = none, none, none
}

// leave parts n's exchange from its server's connection, which is of no further
// use. What that held is kept.
func (e *Engine) leave(n int32) {
	c, x := e.conn(n), e.exchange(n)
	if x.up == none {
		return
	}
	up := x.up
	u := e.conn(up)
	e.part(n)
	e.reopen(c)
	if u.held != nil {
		e.keepOf(n, u)
	}
	if u.state >= established {
		e.reset(u)
	}
	e.gone(up)
}

// received tells the App, once, that n's request has come as a whole.
func (e *Engine) received(n int32, c *conn, x *exchange) {
	if m := &x.req; m.whole && !m.told && e.watch != nil && c.seen.AtOrAfter(m.next) {
		m.told = true
		e.watch.Received(e.now, Flow(n))
	}
}

// responded is received, of the response of u.
func (e *Engine) responded(n int32, u *conn, x *exchange) {
	if m := &x.resp; m.whole && !m.told && e.watch != nil && u.seen.AtOrAfter(m.next) {
		m.told = true
		e.watch.Answered(e.now, Flow(n))
	}
}

// over ends n's exchange if both sides have all of it, and frees its server's
// connection. The caller then settles that.
func (e *Engine) over(n int32, c *conn, x *exchange) bool {
	switch x.phase {
	case replied:
		if c.sndUna.Before(x.resp.end()) {
			return false
		}
		e.release(c)
		x.phase = idle
		e.done(n)
		return false
	case idle, parked:
		return false
	}
	up := x.up
	u := e.conn(up)
	if x.phase == busy {
		x.req.slide(u.sndUna)
		x.resp.slide(c.sndUna)
	}
	if x.phase != busy || !x.req.whole || !x.resp.whole || c.sndUna.Before(x.resp.end()) || u.sndUna.Before(x.req.end()) {
		e.trim(u, x)
		return false
	}
	e.part(n)
	x.phase = idle
	if x.raw {
		e.retire(n)
		e.retire(up)
		return false
	}
	e.release(c)
	e.release(u)
	u.rcvNxt = x.resp.next
	if u.has(flagFIN) {
		u.rcvNxt++
	} else if !u.has(flagSpent) {
		e.pool(up)
	}
	e.done(n)
	return true
}

// trim gives up what u, the connection to the server of x, holds, if it is acknowledged.
func (e *Engine) trim(u *conn, x *exchange) {
	if u.has(flagHolds) && !(x.keep && !x.resp.begun) && u.state != synSent && u.sndUna.AtOrAfter(u.heldEnd()) {
		e.release(u)
	}
}

func (e *Engine) release(c *conn) {
	e.drop(c)
	if c.state == established {
		c.deadline = 0
	}
}

// done tells the App and goes on with what the client has sent meanwhile.
func (e *Engine) done(n int32) {
	c, x := e.conn(n), e.exchange(n)
	c.rcvNxt = x.req.next
	e.forget(c)
	e.reopen(c)
	if !x.aborted {
		e.app.Completed(e.now, Flow(n))
	}
	switch {
	case e.ended(n):
	case c.state != established:
	case x.close || c.has(flagFIN):
		e.close(n)
	case c.gather.len() > 0:
		e.request(n, c.gather.bytes(), nil)
	}
	if x.leaves && x.phase == idle && c.state >= established {
		x.leaves = false
		e.clientFIN(n, x.left)
	}
}

// reopen makes the window told to c's peer, which was the other side's, our own.
func (e *Engine) reopen(c *conn) {
	narrow := int(c.told)<<c.rcvScale < int(c.mss)
	c.told = gatherWindow >> c.rcvScale
	if narrow && c.state == established {
		e.ack(c) // or it would wait until it asks
	}
}

// keepOf has client n keep what u, its server's connection, holds of its request.
func (e *Engine) keepOf(n int32, u *conn) {
	e.conn(n).kept = u.held
	u.keep(nil)
}

// forget gives back what is kept of client c's request.
func (e *Engine) forget(c *conn) {
	e.heads.put(c.kept)
	c.kept = nil
}

// settle acknowledges to a server's connection whose exchange is over the end of
// its response, if nothing else has, and ends it if it is of no further use.
func (e *Engine) settle(n int32) {
	u := e.conn(n)
	if u.state != established || u.peer != none {
		return
	}
	last := u.has(flagFIN) || u.has(flagSpent)
	if u.acked != u.rcvNxt {
		u.acked = u.rcvNxt
		if !last {
			e.ack(u)
		}
	}
	if last {
		e.close(n)
	}
}

// Resendable reports whether f's request can be sent again: it was kept, and its
// sender has not been told that what followed it has arrived. An App may ask at any
// time.
func (e *Engine) Resendable(f Flow) bool {
	c, x := e.conn(int32(f)), e.exchange(int32(f))
	told := c.acked
	if x.req.whole {
		told = told.Min(x.req.next) // what is behind is another request
	}
	return (x.keep || c.kept != nil) && told.AtOrBefore(x.req.withIt())
}

// Owes reports whether a peer of f's exchange has not acknowledged all that it was sent. An App
// may ask at any time.
func (e *Engine) Owes(f Flow) bool {
	c, up := e.conn(int32(f)), e.exchange(int32(f)).up
	return c.sndUna != c.sndNxt || up != none && e.conn(up).sndUna != e.conn(up).sndNxt
}

// Local is our end of the connection to the server of f's request. An App may ask in
// Watcher.Joined.
func (e *Engine) Local(f Flow) Addr { return e.conn(e.exchange(int32(f)).up).local }

// Kept is the request of f as it was sent, as much of it as came at once. An App may
// ask between a Failure, or a Response after which it parked, and the next Send.
func (e *Engine) Kept(f Flow) []byte { return e.conn(int32(f)).kept.bytes() }

// Progress is how much of the bodies of f's exchange has come so far, or of one that
// is just over, in bytes of the wire modulo 2³². An App may ask at any time.
func (e *Engine) Progress(f Flow) (request, response uint32) {
	c, x := e.conn(int32(f)), e.exchange(int32(f))
	request = x.req.came(c.seen)
	if x.up != none {
		response = x.resp.came(e.conn(x.up).seen)
	} else if x.resp.whole {
		response = x.resp.came(x.resp.next)
	}
	return request, response
}
