package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// IdleConfig describes connections that do nothing: each has one request
// answered and is then kept open until the process is ended.
type IdleConfig struct {
	Target      netip.AddrPort `json:"target"`
	Connections int            `json:"connections"`          // 1 to 10000
	Timeout     time.Duration  `json:"timeout_ns,omitempty"` // of one connection's request; default 10 s
	Placement

	// Ready is called once, when all of them are idle.
	Ready func() `json:"-"`
}

// IdleResult is what Idle has held open.
type IdleResult struct {
	Schema      string `json:"schema"`
	Mode        string `json:"mode"` // "idle"
	Connections int    `json:"connections"`
	Closed      int    `json:"closed"` // that the other side ended meanwhile
}

func (c IdleConfig) withDefaults() (IdleConfig, error) {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	switch {
	case !c.Target.IsValid() || c.Target.Port() == 0:
		return c, failure.Usagef("load: target %q is not an address and a port", c.Target)
	case c.Connections < 1 || c.Connections > 10000:
		return c, failure.Usagef("load: connections is %d, want 1 to 10000", c.Connections)
	case c.Timeout < time.Millisecond || c.Timeout > maxTimeout:
		return c, failure.Usagef("load: timeout is %v, want 1 ms to %v", c.Timeout, maxTimeout)
	}
	return c, nil
}

// Idle opens c.Connections connections, one after the other, has one request
// answered on each, and keeps them until ctx ends. An answer that is not 200, or
// does not come, is an error.
func Idle(ctx context.Context, c IdleConfig) (*IdleResult, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	for range c.Connections {
		conn, err := idleConnection(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("load: idle connection %d of %d: %w", len(open)+1, c.Connections, err)
		}
		open = append(open, conn)
	}
	if c.Ready != nil {
		c.Ready()
	}
	var closed atomic.Int64
	var readers sync.WaitGroup
	for _, conn := range open {
		conn.SetDeadline(time.Time{})
		readers.Go(func() { // nothing comes but its end
			if _, err := conn.Read(make([]byte, 1)); ctx.Err() == nil && err != nil {
				closed.Add(1)
			}
		})
	}
	<-ctx.Done()
	for _, conn := range open {
		conn.Close()
	}
	readers.Wait()
	return &IdleResult{Schema: Schema, Mode: "idle", Connections: len(open), Closed: int(closed.Load())}, nil
}

func idleConnection(ctx context.Context, c IdleConfig) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: c.Timeout}).DialContext(ctx, "tcp", c.Target.String())
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(c.Timeout))
	if _, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %v\r\n\r\n", c.Target); err == nil {
		var r *http.Response
		if r, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if err == nil && r.StatusCode != http.StatusOK {
				err = fmt.Errorf("answered %s", r.Status)
			}
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// IdleLine is the line that Main writes when all connections are idle.
type IdleLine struct {
	Schema string `json:"schema"`
	Idle   int    `json:"idle"`
}

func announceIdle(w io.Writer, connections int) func() {
	return func() {
		// A parent that is gone is noticed by endWithParent.
		_ = json.NewEncoder(w).Encode(IdleLine{Schema: Schema, Idle: connections})
	}
}
