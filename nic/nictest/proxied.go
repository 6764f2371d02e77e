package nictest

import (
	"bytes"
	"errors"
	"fmt"
)

// Proxy is how a card that is an HTTP proxy changes what is said. Interim responses
// end at it, and it is who answers Expect; a server that ends its connection does
// not end the client's, unless the response ends with it.
type Proxy struct {
	// Request and Response return the head that is to be seen, for one that was said,
	// as Plain leaves it. method is that of the request that is answered.
	Request  func(said []byte) []byte
	Response func(said []byte, method string) []byte
	// Plain takes out of a head what is another in every run.
	Plain func(head []byte) []byte
	// Loose allows that any request is answered by the proxy itself: servers may
	// end connections as requests come to them.
	Loose bool
	// Absent says that a server was silent for so long that the proxy took it for gone: what
	// it was in the middle of is cut.
	Absent bool
}

// checkProxied holds what clients and servers saw against what a proxy makes of
// what the others said.
func (r *Record) checkProxied(p *Proxy) (errs []error) {
	seen, calm := r.proxiedServers(p, &errs)
	for conn := range r.Clients {
		answered, err := r.proxiedClient(conn, p)
		if err != nil {
			errs = append(errs, fmt.Errorf("connection %d, client: %w", conn, err))
		}
		for i := range r.Conversation.Connections[conn].Exchanges {
			switch n := seen[id(conn, i)]; {
			case n > 1:
				errs = append(errs, fmt.Errorf("request /%d/%d came to the servers %d times", conn, i, n))
			case n == 0 && answered[i]:
				errs = append(errs, fmt.Errorf("request /%d/%d was answered, but came to no server", conn, i))
			}
		}
	}
	if !calm {
		return errs
	}
	for server, s := range r.Servers {
		for n, d := range s.Served {
			if d.Stream.Ended != EOF || d.Stream.Left != "close" {
				errs = append(errs, fmt.Errorf("server %d, connection %d: %s, ended by %v %s, not by FIN", server, n, d.Stream.Left, d.Stream.Ended, d.Stream.Why))
			}
		}
	}
	return errs
}

// leaves reports whether a client may leave in the middle of something, as a proxy
// sees it: who has ended its stream has left.
func (c *Connection) leaves() bool {
	if c.End == EndReset || c.End == EndAbort || c.End == EndHalfClose {
		return true
	}
	for i := range c.Exchanges {
		// Who hears the end of the stream before it has said all leaves the rest unsaid.
		if e := &c.Exchanges[i]; e.Answer.Early && e.Body > 0 && (c.End == EndClose || e.Answer.Framing == UntilClose) {
			return true
		}
	}
	return false
}

// proxiedServers checks each request that servers saw and counts them. calm reports
// whether no connection of a server had to be reset.
func (r *Record) proxiedServers(p *Proxy, errs *[]error) (seen map[uint64]int, calm bool) {
	c := r.Conversation
	seen, calm = map[uint64]int{}, !p.Loose
	for i := range c.Connections {
		calm = calm && !c.Connections[i].leaves()
		for n := range c.Connections[i].Exchanges {
			calm = calm && c.Connections[i].Exchanges[n].Answer.Reset == 0
		}
	}
	for server, s := range r.Servers {
		for n, d := range s.Served {
			bad := func(what string, err error) {
				*errs = append(*errs, fmt.Errorf("server %d, connection %d, %s: %w", server, n, what, err))
			}
			for _, m := range d.Messages {
				conn, i, ok := c.find(m.Target)
				if !ok {
					bad(m.Target, errors.New("nobody asks for it"))
					continue
				}
				seen[id(conn, i)]++
				k := &c.Connections[conn]
				raw, head := c.request(conn, i)
				got, end := d.Stream.Received, m.End
				if end == 0 {
					end = len(got)
				}
				if err := compare(p.Plain(got[m.Start:m.HeadEnd]), p.Request(raw[:head]), false); err != nil {
					bad(m.Target+", head", err)
				}
				a := &k.Exchanges[i].Answer
				cut := k.leaves() || a.Reset > 0 || a.closes() && a.Early || p.Loose
				if err := compare(got[m.HeadEnd:end], raw[head:], cut); err != nil {
					bad(m.Target+", body", err)
				}
			}
			if d.Bad != "" {
				bad("", errors.New(d.Bad))
			}
		}
	}
	return seen, calm
}

// proxiedClient checks what a client saw, and returns which of its requests a
// server answered.
func (r *Record) proxiedClient(conn int, p *Proxy) (answered []bool, err error) {
	c, cl := r.Conversation, r.Clients[conn]
	k, s := &c.Connections[conn], &cl.Stream
	answered = make([]bool, len(k.Exchanges))
	if err := compare(s.Sent, c.requests(conn), true); err != nil {
		return answered, fmt.Errorf("sent: %w", err) // the harness's own fault
	}
	if cl.scan.bad != "" {
		return answered, errors.New(cl.scan.bad)
	}
	list, ended, reset := cl.scan.list, false, false
	next := func() (m Message, head, body []byte, ok bool) {
		if len(list) == 0 || ended {
			return m, nil, nil, false
		}
		m, list = list[0], list[1:]
		end := m.End
		if end == 0 {
			end = len(s.Received)
		}
		return m, s.Received[m.Start:m.HeadEnd], s.Received[m.HeadEnd:end], true
	}
	for i := range k.Exchanges {
		e := &k.Exchanges[i]
		m, head, body, ok := next()
		if ok && e.Expect && m.Interim {
			if string(head) != goOn {
				return answered, fmt.Errorf("/%d/%d: told %q", conn, i, head)
			}
			m, head, body, ok = next()
		}
		if !ok {
			if ended || reset || k.leaves() || p.Absent { // it was cut before its request had come as a whole
				break
			}
			return answered, fmt.Errorf("/%d/%d has no answer, the connection ended by %v %s, %s", conn, i, s.Ended, s.Why, s.Left)
		}
		raw := c.response(conn, i)
		at := bytes.Index(raw, []byte("\r\n\r\n")) + 4
		if m.Target == "" && (e.Answer.Reset > 0 || p.Loose) { // the proxy's own
			if m.End == 0 && !k.leaves() {
				return answered, fmt.Errorf("/%d/%d: an answer of the proxy's own is cut off: %q", conn, i, head)
			}
			ended = bytes.Contains(head, []byte("\r\nconnection: close\r\n"))
			continue
		}
		answered[i] = true
		if err := compare(p.Plain(head), p.Response(raw[:at], e.method()), false); err != nil {
			return answered, fmt.Errorf("/%d/%d, head: %w", conn, i, err)
		}
		if err := compare(body, raw[at:], k.leaves() || e.Answer.Reset > 0 || p.Absent); err != nil {
			return answered, fmt.Errorf("/%d/%d, body: %w (ended by %v %s, %s)", conn, i, err, s.Ended, s.Why, s.Left)
		}
		// A server that resets may leave a response of which the client has all, but has
		// not said so: there is nobody any more who could send it again.
		reset = e.Answer.Reset > 0
		ended = m.End == 0 || len(body) < len(raw)-at || e.Answer.Framing == UntilClose && !e.bodyless()
	}
	switch {
	case len(list) > 0:
		return answered, fmt.Errorf("more answers than requests: %s", excerpt(s.Received, list[0].Start))
	case k.leaves():
	case cl.scan.at < len(s.Received) && !ended:
		return answered, fmt.Errorf("bytes behind the last answer: %s", excerpt(s.Received, cl.scan.at))
	case reset && s.Ended != EOF: // the RST may be lost, too
	case s.Left != "close":
		return answered, fmt.Errorf("%s, received %v", s.Left, s.Ended)
	case s.Ended != EOF && k.End != EndClose:
		return answered, fmt.Errorf("all was received, but then %v %s instead of FIN", s.Ended, s.Why)
	case s.Ended != EOF && s.Ended != Open:
		return answered, fmt.Errorf("%v %s before it closed", s.Ended, s.Why)
	}
	return answered, nil
}
