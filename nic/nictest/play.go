package nictest

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Play is a conversation that is being held: Clients[i] holds connection i,
// Servers[i] is server i.
type Play struct {
	Conversation *Conversation
	Clients      []*Client
	Servers      []*Server
	started      int
	err          error
}

// NewPlay begins a conversation between hosts of any kind: servers listen at their
// addresses, and connection i is dialled when its time has come, to to(i).
func NewPlay(c *Conversation, clients, servers []TCP, listen []netip.AddrPort, to func(conn int) netip.AddrPort) (*Play, error) {
	p := &Play{Conversation: c}
	for i, net := range servers {
		s := &Server{
			Script:  c.reply,
			Reading: func(target string) (r Reading) { r, _ = c.serving(target); return r },
			Idle:    func(target string) (d time.Duration) { _, d = c.serving(target); return d },
			Socket:  Socket{ReceiveBuffer: c.serverBuffer(i)},
		}
		if err := s.Start(net, listen[i]); err != nil {
			return nil, err
		}
		p.Servers = append(p.Servers, s)
	}
	for i := range c.Connections {
		cl := c.client(i)
		p.Clients = append(p.Clients, cl)
		net := clients[c.Connections[i].Client]
		net.After(c.Connections[i].At, func() {
			p.started++
			if err := cl.Start(net, to(i)); err != nil && p.err == nil {
				p.err = fmt.Errorf("connection %d: %w", i, err)
			}
		})
	}
	return p, nil
}

// Done reports whether all connections have come and gone, on both sides. Err
// says why one could not be opened.
func (p *Play) Done() bool {
	if p.err != nil {
		return true
	}
	for _, c := range p.Clients {
		if !c.Done() {
			return false
		}
	}
	for _, s := range p.Servers {
		if !s.Done() {
			return false
		}
	}
	return true
}

// Err returns why a connection could not be opened.
func (p *Play) Err() error { return p.err }

// find returns the exchange that a target names.
func (c *Conversation) find(target string) (conn, i int, ok bool) {
	a, b, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	conn, err := strconv.Atoi(a)
	if err != nil || conn < 0 || conn >= len(c.Connections) {
		return 0, 0, false
	}
	i, err = strconv.Atoi(b)
	return conn, i, err == nil && i >= 0 && i < len(c.Connections[conn].Exchanges)
}

func (c *Conversation) serving(target string) (Reading, time.Duration) {
	conn, _, ok := c.find(target)
	if !ok {
		return Reading{}, 0
	}
	return c.Connections[conn].Serving, c.Connections[conn].Idle
}

// serverBuffer is the smallest receive buffer that a connection of a server asks
// for: it is the listener's.
func (c *Conversation) serverBuffer(server int) (n int) {
	for i := range c.Connections {
		if k := &c.Connections[i]; k.Server == server && k.Serving.Buffer > 0 && (n == 0 || k.Serving.Buffer < n) {
			n = k.Serving.Buffer
		}
	}
	return n
}

// reply is the servers' script.
func (c *Conversation) reply(target string) *Reply {
	conn, i, ok := c.find(target)
	if !ok {
		return nil
	}
	e := &c.Connections[conn].Exchanges[i]
	a := &e.Answer
	r := &Reply{Early: a.Early, Delay: a.Delay, Gap: a.Gap, Close: a.closes(), Reset: a.Reset > 0}
	if e.Expect {
		r.Continue = []byte(goOn)
	}
	b := append(c.interim(conn, i), c.response(conn, i)...)
	if a.Reset > 0 {
		b = b[:min(a.Reset, len(b))]
	}
	r.Pieces = pieces(b, a.Pieces, id(conn, i))
	return r
}

// client returns who holds a connection.
func (c *Conversation) client(conn int) *Client {
	k := &c.Connections[conn]
	cl := &Client{Reading: k.Reading}
	if k.End == EndReset || k.End == EndAbort {
		cl.AbortAfter, cl.Reset = max(k.EndAfter, 1), k.End == EndReset
	}
	for i := range k.Exchanges {
		e := &k.Exchanges[i]
		cl.Methods = append(cl.Methods, e.method())
		raw, head := c.request(conn, i)
		first := Step{After: e.Think}
		if !e.Pipelined {
			first.Responses = i
		}
		upTo := len(raw)
		if e.Expect {
			upTo = head
		}
		for n, b := range pieces(raw[:upTo], e.Pieces, ^id(conn, i)) {
			s := first
			if n > 0 {
				s = Step{After: e.Gap}
			}
			s.Data = b
			cl.Steps = append(cl.Steps, s)
		}
		if e.Expect {
			cl.Steps = append(cl.Steps, Step{Responses: i, Told: true, Data: raw[upTo:]})
		}
	}
	n := len(k.Exchanges)
	switch k.End {
	case EndHalfClose:
		cl.Steps = append(cl.Steps, Step{FIN: true})
	case EndAnswered:
		cl.Steps = append(cl.Steps, Step{Responses: n, FIN: true})
	case EndClose:
		cl.Steps = append(cl.Steps, Step{Responses: n, Leave: true})
	}
	return cl
}
