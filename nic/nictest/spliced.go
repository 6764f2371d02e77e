package nictest

import (
	"errors"
	"fmt"
)

// checkSpliced holds each request that a server saw against what was said, wherever
// it came.
func (r *Record) checkSpliced(v View) (errs []error) {
	c := r.Conversation
	seen := map[uint64]int{}
	for server, s := range r.Servers {
		for n, d := range s.Served {
			for _, m := range d.Messages {
				if err := r.checkMessage(d, m, v, seen); err != nil {
					errs = append(errs, fmt.Errorf("server %d, connection %d, %s %s: %w", server, n, m.Method, m.Target, err))
				}
			}
			if d.Bad != "" {
				errs = append(errs, fmt.Errorf("server %d, connection %d: %s", server, n, d.Bad))
			}
		}
	}
	for conn := range c.Connections {
		k := &c.Connections[conn]
		for i := range k.answered() {
			switch n := seen[id(conn, i)]; {
			case n > 1:
				errs = append(errs, fmt.Errorf("request /%d/%d came to the servers %d times", conn, i, n))
			case n == 0 && !r.abrupt(conn):
				errs = append(errs, fmt.Errorf("request /%d/%d came to no server", conn, i))
			}
		}
	}
	return errs
}

func (r *Record) checkMessage(d *Served, m Message, v View, seen map[uint64]int) error {
	c := r.Conversation
	conn, i, ok := c.find(m.Target)
	if !ok {
		return errors.New("nobody asks for it")
	}
	seen[id(conn, i)]++
	k := &c.Connections[conn]
	end := m.End
	if end == 0 {
		end = len(d.Stream.Received)
	}
	raw, _ := c.request(conn, i)
	got := undo(d.Stream.Received[:end], []Message{m}, v.Request)
	if v.Request == nil {
		got = got[m.Start:]
	}
	// An answer that closes may come before the body is in, and ends it.
	cut := r.abrupt(conn) || i >= k.answered() || k.Exchanges[i].Answer.closes() && k.Exchanges[i].Answer.Early
	return compare(got, raw, cut)
}
