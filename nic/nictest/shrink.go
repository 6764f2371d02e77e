package nictest

import "encoding/json"

// Clone returns a copy that shares nothing.
func (c *Conversation) Clone() *Conversation {
	b, err := json.Marshal(c)
	if err != nil {
		panic("nictest: " + err.Error())
	}
	out := new(Conversation)
	if err := json.Unmarshal(b, out); err != nil {
		panic("nictest: " + err.Error())
	}
	return out
}

// Shrink returns a smaller conversation for which fails is still true, of those
// that can be had by leaving things out one at a time. It asks at most tries
// times.
func Shrink(c *Conversation, tries int, fails func(*Conversation) bool) *Conversation {
	for smaller := true; smaller; {
		smaller = false
		for _, change := range c.changes() {
			if tries == 0 {
				return c
			}
			try := c.Clone()
			if !change(try) {
				continue
			}
			tries--
			if fails(try) {
				c, smaller = try, true
				break
			}
		}
	}
	return c
}

// changes returns what may be left out, the most first. Each reports whether there
// was anything to leave out.
func (c *Conversation) changes() (list []func(*Conversation) bool) {
	add := func(f func(c *Conversation) bool) { list = append(list, f) }
	for i := range c.Connections {
		add(func(c *Conversation) bool {
			if len(c.Connections) < 2 {
				return false
			}
			c.Connections = append(c.Connections[:i], c.Connections[i+1:]...)
			return true
		})
	}
	for i := range c.Connections {
		for n := range c.Connections[i].Exchanges {
			add(func(c *Conversation) bool {
				k := &c.Connections[i]
				k.Exchanges = append(k.Exchanges[:n], k.Exchanges[n+1:]...)
				return true
			})
		}
	}
	for i := range c.Clients {
		list = append(list, hostChanges(func(c *Conversation) *HostConfig { return &c.Clients[i] })...)
	}
	for i := range c.Servers {
		list = append(list, hostChanges(func(c *Conversation) *HostConfig { return &c.Servers[i] })...)
	}
	for i := range c.Connections {
		k := func(c *Conversation) *Connection { return &c.Connections[i] }
		add(func(c *Conversation) bool { return unset(&k(c).At) })
		add(func(c *Conversation) bool { return unset(&k(c).Reading) })
		add(func(c *Conversation) bool { return unset(&k(c).Serving) })
		add(func(c *Conversation) bool { return unset(&k(c).Idle) })
		add(func(c *Conversation) bool { return unset(&k(c).End) })
		for n := range c.Connections[i].Exchanges {
			list = append(list, exchangeChanges(func(c *Conversation) *Exchange { return &c.Connections[i].Exchanges[n] })...)
		}
	}
	return list
}

func unset[T comparable](p *T) bool {
	var zero T
	if *p == zero {
		return false
	}
	*p = zero
	return true
}

func halve(p *int) bool {
	if *p == 0 {
		return false
	}
	*p /= 2
	return true
}

func hostChanges(h func(*Conversation) *HostConfig) (list []func(*Conversation) bool) {
	for _, f := range []func(h *HostConfig) bool{
		func(h *HostConfig) bool { return unset(&h.In) },
		func(h *HostConfig) bool { return unset(&h.Out) },
		func(h *HostConfig) bool { return unset(&h.ARP) },
		func(h *HostConfig) bool { return unset(&h.MTU) },
		func(h *HostConfig) bool { return unset(&h.NoSACK) },
		func(h *HostConfig) bool { return unset(&h.NoTimestamps) },
		func(h *HostConfig) bool { return unset(&h.NoWindowScale) },
		func(h *HostConfig) bool { return unset(&h.ReceiveBuffer) },
	} {
		list = append(list, func(c *Conversation) bool { return f(h(c)) })
	}
	for _, dir := range []func(h *HostConfig) *Cable{
		func(h *HostConfig) *Cable { return &h.In },
		func(h *HostConfig) *Cable { return &h.Out },
	} {
		for _, p := range []func(k *Cable) *float64{
			func(k *Cable) *float64 { return &k.Loss },
			func(k *Cable) *float64 { return &k.Duplicate },
			func(k *Cable) *float64 { return &k.Reorder },
			func(k *Cable) *float64 { return &k.Corrupt },
			func(k *Cable) *float64 { return &k.Stall },
			func(k *Cable) *float64 { return &k.Split },
			func(k *Cable) *float64 { return &k.Coalesce },
		} {
			list = append(list, func(c *Conversation) bool { return unset(p(dir(h(c)))) })
		}
	}
	return list
}

func exchangeChanges(e func(*Conversation) *Exchange) (list []func(*Conversation) bool) {
	for _, f := range []func(e *Exchange) bool{
		func(e *Exchange) bool { return unset(&e.Answer) },
		func(e *Exchange) bool { return unset(&e.Body) },
		func(e *Exchange) bool { return unset(&e.Chunked) },
		func(e *Exchange) bool { return unset(&e.Expect) },
		func(e *Exchange) bool { return unset(&e.Padding) },
		func(e *Exchange) bool { return unset(&e.Pieces) },
		func(e *Exchange) bool { return unset(&e.Gap) },
		func(e *Exchange) bool { return unset(&e.Pipelined) },
		func(e *Exchange) bool { return unset(&e.Think) },
		func(e *Exchange) bool { return unset(&e.Method) },
		func(e *Exchange) bool { return unset(&e.Answer.Status) },
		func(e *Exchange) bool { return unset(&e.Answer.Framing) },
		func(e *Exchange) bool { return unset(&e.Answer.Body) },
		func(e *Exchange) bool { return unset(&e.Answer.Padding) },
		func(e *Exchange) bool { return unset(&e.Answer.Interim) },
		func(e *Exchange) bool { return unset(&e.Answer.Early) },
		func(e *Exchange) bool { return unset(&e.Answer.Delay) },
		func(e *Exchange) bool { return unset(&e.Answer.Pieces) },
		func(e *Exchange) bool { return unset(&e.Answer.Gap) },
		func(e *Exchange) bool { return unset(&e.Answer.Close) },
		func(e *Exchange) bool { return unset(&e.Answer.Reset) },
		func(e *Exchange) bool { return halve(&e.Body) },
		func(e *Exchange) bool { return halve(&e.Answer.Body) },
		func(e *Exchange) bool { return halve(&e.Answer.Reset) },
	} {
		list = append(list, func(c *Conversation) bool { return f(e(c)) })
	}
	return list
}
