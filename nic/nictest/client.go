package nictest

import (
	"net/netip"
	"time"
)

// Step is one thing a Client does, after those before it.
type Step struct {
	Responses int           // waits for so many whole responses, interim ones not counted
	Told      bool          // and for a response head behind them, interim or not
	After     time.Duration // and then so long
	Data      []byte        // is written
	FIN       bool          // and the stream ended behind it
	Leave     bool          // close(2)
}

// Client opens a connection, goes through steps and writes down what it reads. If the
// server ends its stream, or the connection breaks, it closes, steps left or not.
type Client struct {
	Steps   []Step
	Methods []string // of the requests in Steps, so that responses can be told apart
	Reading Reading
	// AbortAfter, if above 0, is when the client leaves, whatever is under way: by
	// RST if Reset is set, by close(2) otherwise.
	AbortAfter time.Duration
	Reset      bool

	Stream  Stream
	peer    *peer
	scan    scanner
	there   bool // the connection
	at      int  // step
	waiting bool // for After of the step
}

// Start opens the connection.
func (c *Client) Start(net TCP, to netip.AddrPort) error {
	conn, err := net.Dial(to, Socket{ReceiveBuffer: c.Reading.Buffer})
	if err != nil {
		return err
	}
	c.scan = scanner{response: true, methods: func(n int) string {
		if n < len(c.Methods) {
			return c.Methods[n]
		}
		return "GET"
	}}
	c.peer = newPeer(net, conn, c.Reading, &c.Stream)
	c.peer.moved = c.moved
	if c.AbortAfter > 0 {
		how := "close"
		if c.Reset {
			how = "reset"
		}
		net.After(c.AbortAfter, func() { c.peer.leave(how) })
	}
	c.peer.start()
	return nil
}

// Done reports whether the client has left its connection.
func (c *Client) Done() bool { return c.peer != nil && c.peer.gone() }

func (c *Client) moved() {
	c.scan.scan(c.Stream.Received, c.Stream.Ended == EOF)
	if c.Stream.Ended != Open {
		c.peer.leave("close")
		return
	}
	if !c.there {
		_, err := c.peer.conn.Write(nil)
		c.there = err == nil
	}
	for c.there && c.at < len(c.Steps) && !c.peer.gone() && c.step(&c.Steps[c.at]) {
	}
}

// step takes a step, or reports that it has to wait.
func (c *Client) step(s *Step) bool {
	if c.waiting || len(c.peer.out) > 0 || c.scan.whole() < s.Responses || s.Told && !c.scan.behind(s.Responses) {
		return false
	}
	if s.After > 0 {
		c.waiting = true
		c.peer.net.After(s.After, func() {
			c.waiting = false
			c.take(s)
			c.moved()
		})
		return false
	}
	c.take(s)
	return true
}

func (c *Client) take(s *Step) {
	if c.peer.gone() {
		return
	}
	c.at++
	c.peer.out = append(c.peer.out, s.Data...)
	c.peer.fin = c.peer.fin || s.FIN
	c.peer.write()
	if s.Leave {
		c.peer.leave("close")
	}
}
