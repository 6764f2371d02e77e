package splice

// act does what the App wants of client n beyond the sending of requests.
func (e *Engine) act(n int32, d *Decision) {
	c, x := e.conn(n), e.exchange(n)
	switch d.Do {
	case Nothing, Wait:
	case Reply:
		e.leave(n)
		e.reply(n, d)
	case Abort:
		e.leave(n)
		e.reset(c)
		e.app.Aborted(e.now, Flow(n), Dropped)
		e.gone(n)
	case Cut:
		e.cut(n, Dropped)
	case Park:
		e.leave(n)
		x.phase = parked
	case Finish:
		if x.phase == idle && c.state == established {
			e.close(n)
		}
	case Ask:
		if x.phase == idle && c.state == established && c.gather.len() > 0 {
			e.request(n, c.gather.bytes(), nil)
		}
	case Send:
		e.again(n, d)
	case Raw:
		if x.phase == idle && c.state == established {
			e.raw(n, d.To)
		}
	default:
		panic("splice: an App skips what is no response")
	}
}

// raw joins client n, between two exchanges and whoever speaks first, to ep.
func (e *Engine) raw(n int32, ep Endpoint) {
	c, x := e.conn(n), e.exchange(n)
	if c.gather.len() > 0 { // it has begun to speak meanwhile
		e.request(n, c.gather.bytes(), nil)
		return
	}
	x.req = message{in: c.rcvNxt, next: c.rcvNxt, begun: true, stream: true}
	x.resp, x.close, x.keep, x.raw, x.aborted = message{}, false, false, true, false
	u := e.dial(ep)
	if u == none {
		e.fail(n, TableFull)
		return
	}
	e.join(n, u)
	e.start(n, nil)
}

// reply answers the client with bytes of our own.
func (e *Engine) reply(n int32, d *Decision) {
	c, x := e.conn(n), e.exchange(n)
	if x.phase == idle && !x.req.begun || x.req.next.Before(c.rcvNxt) { // to no request, or to part of one
		x.req = message{in: c.rcvNxt, next: c.rcvNxt, begun: true}
	}
	x.phase = replied
	e.work.Answer = true
	complete := x.req.whole && c.seen.AtOrAfter(x.req.next)
	if !complete {
		x.req.whole, x.req.next = true, c.seen
	}
	x.close = d.Close || !complete
	x.resp = message{out: c.sndNxt, headOut: uint32(len(d.Out)), begun: true, whole: true}
	c.acked = c.acked.Max(x.req.next)
	e.say(n, d.Out)
	if x.close && c.state == established {
		e.finish(n)
	}
}

// again sends the request that was kept, or d's, to another server.
func (e *Engine) again(n int32, d *Decision) {
	c, x := e.conn(n), e.exchange(n)
	e.leave(n)
	out := c.kept
	c.kept = nil
	if !d.Kept { // d.Out may be made of it
		was := out
		out = e.heads.appendTo(e.heads.get(len(d.Out)), d.Out)
		e.heads.put(was)
		x.req.headOut = uint32(len(d.Out)) - x.req.with
	}
	u := e.pick(d.To)
	if u == none {
		u = e.dial(d.To)
	}
	if u == none {
		c.kept = out
		e.fail(n, TableFull)
		return
	}
	e.join(n, u)
	x.resp = message{}
	e.start(n, out)
}

// fail asks the App what to do without a server.
func (e *Engine) fail(n int32, why Failure) {
	d := e.app.Failed(e.now, Flow(n), why)
	if d.Do == Wait || d.Do == Nothing {
		panic("splice: an App has no answer to a failure")
	}
	e.act(n, &d)
}
