package nictest

import (
	"bytes"
	"errors"
	"fmt"
)

// View is how a card may change what is seen. The zero value: not at all.
type View struct {
	// Spliced means that requests may come to any server, on connections of any
	// number, and that a server's connection may outlive the client's.
	Spliced bool
	// Request and Response undo what the card does to a head, empty line included.
	Request, Response func(head []byte) []byte
	Proxy             *Proxy // if set, the card is one, and the rest does not count
}

// Check compares what was seen with what was said. It returns what is wrong.
//
// A connection that is not Abrupt must have delivered every byte, both ways, and
// ended by FIN, except that after EndClose the server may see RST. On one that is, what was received is a beginning of what was to
// be sent. No request is seen twice. A conversation with Stalls counts as abrupt in
// all its connections.
func (r *Record) Check(v View) error {
	var errs []error
	if !r.Finished {
		errs = append(errs, errors.New("not all connections ended"))
	}
	if v.Proxy != nil {
		return errors.Join(append(errs, r.checkProxied(v.Proxy)...)...)
	}
	for conn := range r.Clients {
		if err := r.checkClient(conn, v); err != nil {
			errs = append(errs, fmt.Errorf("connection %d, client: %w", conn, err))
		}
	}
	if v.Spliced {
		errs = append(errs, r.checkSpliced(v)...)
	} else {
		errs = append(errs, r.checkServers(v)...)
	}
	return errors.Join(errs...)
}

// abrupt reports whether a connection may end early.
func (r *Record) abrupt(conn int) bool {
	return len(r.Stalls) > 0 || r.Conversation.Connections[conn].Abrupt()
}

// requests returns what the client of a connection has to say.
func (c *Conversation) requests(conn int) (b []byte) {
	for i := range c.Connections[conn].Exchanges {
		raw, _ := c.request(conn, i)
		b = append(b, raw...)
	}
	return b
}

// responses returns what it is to be told.
func (c *Conversation) responses(conn int) (b []byte) {
	k := &c.Connections[conn]
	for i := range k.answered() {
		if k.Exchanges[i].Expect {
			b = append(b, goOn...)
		}
		b = append(b, c.interim(conn, i)...)
		b = append(b, c.response(conn, i)...)
	}
	return b
}

// undo returns a stream with its heads as they were said.
func undo(b []byte, list []Message, f func([]byte) []byte) []byte {
	if f == nil {
		return b
	}
	var out []byte
	for _, m := range list {
		end := m.End
		if end == 0 {
			end = len(b)
		}
		out = append(out, f(b[m.Start:m.HeadEnd])...)
		out = append(out, b[m.HeadEnd:end]...)
	}
	return out
}

// compare says where got leaves want. Abrupt, it may end early.
func compare(got, want []byte, abrupt bool) error {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	switch {
	case n < len(got) && n < len(want):
		return fmt.Errorf("byte %d of %d is wrong: got %s, want %s", n, len(want), excerpt(got, n), excerpt(want, n))
	case n < len(got):
		return fmt.Errorf("%d bytes more than the %d that were sent: %s", len(got)-n, len(want), excerpt(got, n))
	case n < len(want) && !abrupt:
		return fmt.Errorf("%d of %d bytes, ends after %s", n, len(want), excerpt(want[:n], n-24))
	}
	return nil
}

func excerpt(b []byte, at int) string {
	at = max(at, 0)
	return fmt.Sprintf("%q", b[at:min(at+24, len(b))])
}

func (r *Record) checkClient(conn int, v View) error {
	k, c := &r.Conversation.Connections[conn], r.Clients[conn]
	abrupt := r.abrupt(conn)
	s := &c.Stream
	if err := compare(s.Sent, r.Conversation.requests(conn), true); err != nil {
		return fmt.Errorf("sent: %w", err) // the harness's own fault
	}
	if err := compare(undo(s.Received, c.scan.list, v.Response), r.Conversation.responses(conn), abrupt); err != nil {
		return fmt.Errorf("received: %w (ended by %v %s, %s)", err, s.Ended, s.Why, s.Left)
	}
	switch {
	case c.scan.bad != "":
		return errors.New(c.scan.bad)
	case abrupt:
	case s.Left != "close":
		return fmt.Errorf("%s, received %v", s.Left, s.Ended)
	case s.Ended != EOF && k.End != EndClose:
		return fmt.Errorf("all was received, but then %v %s instead of FIN", s.Ended, s.Why)
	case s.Ended != EOF && s.Ended != Open:
		return fmt.Errorf("%v %s before it closed", s.Ended, s.Why)
	}
	return nil
}

// checkServers holds each connection of a server against the client's that it must
// be.
func (r *Record) checkServers(v View) (errs []error) {
	c := r.Conversation
	served := map[int]int{}
	for server, s := range r.Servers {
		for n, d := range s.Served {
			bad := func(conn int, err error) {
				errs = append(errs, fmt.Errorf("server %d, connection %d (%d of a client): %w", server, n, conn, err))
			}
			seen := undo(d.Stream.Received, d.Messages, v.Request)
			if len(d.Messages) == 0 {
				if !r.begins(server, d.Stream.Received) {
					bad(-1, fmt.Errorf("nobody says %s", excerpt(d.Stream.Received, 0)))
				}
				continue
			}
			conn, _, ok := c.find(d.Messages[0].Target)
			if !ok || c.Connections[conn].Server != server {
				bad(conn, fmt.Errorf("nobody asks it for %s", d.Messages[0].Target))
				continue
			}
			if served[conn]++; served[conn] > 1 {
				bad(conn, errors.New("came twice"))
			}
			// After close(2) gVisor answers even an old segment that comes late by RST.
			abrupt := r.abrupt(conn) || c.Connections[conn].End == EndClose && d.Stream.Ended == Reset
			if err := compare(seen, r.Clients[conn].Stream.Sent, abrupt); err != nil {
				bad(conn, err)
			}
			switch {
			case d.Bad != "":
				bad(conn, errors.New(d.Bad))
			case abrupt:
			case d.Stream.Ended != EOF || d.Stream.Left != "close":
				bad(conn, fmt.Errorf("ended by %v %s, %s, not by FIN", d.Stream.Ended, d.Stream.Why, d.Stream.Left))
			}
		}
	}
	for conn := range c.Connections {
		if !r.abrupt(conn) && len(c.Connections[conn].Exchanges) > 0 && served[conn] == 0 {
			errs = append(errs, fmt.Errorf("connection %d never came to its server", conn))
		}
	}
	return errs
}

// begins reports whether a client begins so. Without a whole head that only
// happens where it was cut off, or had nothing to say.
func (r *Record) begins(server int, b []byte) bool {
	for conn := range r.Clients {
		k := &r.Conversation.Connections[conn]
		if k.Server == server && (r.abrupt(conn) || len(k.Exchanges) == 0) && bytes.HasPrefix(r.Clients[conn].Stream.Sent, b) {
			return true
		}
	}
	return false
}
