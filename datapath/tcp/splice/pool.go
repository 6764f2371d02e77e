package splice

// pick takes a connection out of ep's pool, none if there is none. It takes the
// one that came back last: the likeliest to be still there.
func (e *Engine) pick(ep Endpoint) int32 {
	x := &e.ends[ep]
	n := x.idle
	if n == none {
		return none
	}
	e.unlink(&x.idle, n)
	x.idles--
	u := e.conn(n)
	u.flags &^= flagIdle
	u.deadline = 0
	e.count.Reused++
	e.app.Upstream(e.now, ep, Reused)
	return n
}

// pool puts a server's connection into its pool.
func (e *Engine) pool(n int32) {
	u := e.conn(n)
	x := &e.ends[u.ep]
	e.link(&x.idle, n)
	x.idles++
	u.flags |= flagIdle
	if x.expire > 0 {
		u.deadline = e.now + x.expire
		e.arm(n)
	}
	e.app.Upstream(e.now, u.ep, Idle)
}

// unpool takes a connection out of the middle of its pool.
func (e *Engine) unpool(n int32) {
	u := e.conn(n)
	if !u.has(flagIdle) {
		return
	}
	u.flags &^= flagIdle
	u.deadline = 0
	x := &e.ends[u.ep]
	x.idles--
	e.unlink(&x.idle, n)
}

// link puts connection n in front of an endpoint's list.
func (e *Engine) link(list *int32, n int32) {
	c := e.conn(n)
	c.link, c.back = *list, none
	if *list != none {
		e.conn(*list).back = n
	}
	*list = n
}

// unlink takes connection n out of the list that it is in.
func (e *Engine) unlink(list *int32, n int32) {
	c := e.conn(n)
	if c.back != none {
		e.conn(c.back).link = c.link
	} else {
		*list = c.link
	}
	if c.link != none {
		e.conn(c.link).back = c.back
	}
	c.link, c.back = none, none
}

// DropIdle closes the connections that wait in ep's pool.
func (e *Engine) DropIdle(ep Endpoint) {
	for n := e.ends[ep].idle; n != none; n = e.ends[ep].idle {
		e.unpool(n)
		e.close(n)
	}
}
