package splice

// pick takes a connection out of ep's pool, none if there is none. It takes the
// one that came back last: the likeliest to be still there.
func (e *Engine) pick(ep Endpoint) int32 {
	x := &e.ends[ep]
	n := x.idle
	if n == none {
		return none
	}
	u := &e.t.conns[n]
	x.idle, u.link = u.link, none
	x.idles--
	u.flags &^= flagIdle
	u.deadline = 0
	e.count.Reused++
	e.app.Upstream(e.now, ep, Reused)
	return n
}

// pool puts a server's connection into its pool.
func (e *Engine) pool(n int32) {
	u := &e.t.conns[n]
	x := &e.ends[u.ep]
	u.link, x.idle = x.idle, n
	x.idles++
	u.flags |= flagIdle
	u.deadline = e.now + e.cfg.Timeouts.Idle
	e.arm(n)
	e.app.Upstream(e.now, u.ep, Idle)
}

// unpool takes a connection out of the middle of its pool.
func (e *Engine) unpool(n int32) {
	u := &e.t.conns[n]
	if !u.has(flagIdle) {
		return
	}
	u.flags &^= flagIdle
	u.deadline = 0
	e.ends[u.ep].idles--
	for at := &e.ends[u.ep].idle; *at != none; at = &e.t.conns[*at].link {
		if *at == n {
			*at = u.link
			break
		}
	}
	u.link = none
}

// DropIdle closes the connections that wait in ep's pool.
func (e *Engine) DropIdle(ep Endpoint) {
	for n := e.ends[ep].idle; n != none; n = e.ends[ep].idle {
		e.unpool(n)
		e.close(n)
	}
}
