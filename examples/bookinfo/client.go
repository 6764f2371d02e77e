package bookinfo

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	replyMax    = 16 << 20        // bytes of a response body
	poolMax     = 5               // idle connections kept to one host (JDK: http.maxConnections)
	poolIdle    = 5 * time.Second // and for how long (JDK's default; Node says timeout=5 too)
	interimsMax = 8               // 1xx responses before the real one
)

// authority is where a service is called.
type authority struct{ host, port string }

// dial is what net.Dial takes.
func (a authority) dial() string {
	return net.JoinHostPort(strings.TrimSuffix(strings.TrimPrefix(a.host, "["), "]"), a.port)
}

// header is the Host field: the port is left out when it is HTTP's own.
func (a authority) header() string {
	if a.port == "80" {
		return a.host
	}
	return a.host + ":" + a.port
}

// url is the base URL as productpage shows it.
func (a authority) url() string { return "http://" + a.host + ":" + a.port }

// upstream calls one service. A caller writes the whole request head, so that
// names, order and spelling are those of the original.
type upstream struct {
	authority
	timeout time.Duration // to connect, and for each read
	pool    *pool         // nil: a new connection for every call
}

// reply is a response read to its end.
type reply struct {
	status int
	body   []byte
}

// get sends a request head (a GET without body) and reads the response.
func (u *upstream) get(ctx context.Context, head []byte) (reply, error) {
	if c := u.pool.take(); c != nil {
		r, err := u.exchange(ctx, c, head)
		if err == nil || !c.unanswered || isTimeout(err) {
			return r, err
		}
		// The server closed an idle connection while the request was on its
		// way. Nothing was answered, so it is sent once more.
	}
	d := net.Dialer{Timeout: u.timeout}
	nc, err := d.DialContext(ctx, "tcp", u.dial())
	if err != nil {
		return reply{}, err
	}
	c := &clientConn{Conn: nc, timeout: u.timeout}
	c.br = bufio.NewReader(c)
	return u.exchange(ctx, c, head)
}

func (u *upstream) exchange(ctx context.Context, c *clientConn, head []byte) (r reply, err error) {
	stop := context.AfterFunc(ctx, func() { c.Conn.Close() })
	reusable := false
	defer func() {
		if stop() && reusable && u.pool.put(c) {
			return
		}
		c.Conn.Close()
	}()
	c.unanswered = true
	c.SetWriteDeadline(time.Now().Add(u.timeout))
	if _, err := c.Conn.Write(head); err != nil {
		return reply{}, err
	}
	resp, err := readResponse(c.br)
	if err != nil {
		return reply{}, err
	}
	body, err := readBody(resp)
	if err != nil {
		return reply{}, err
	}
	reusable = !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols && c.br.Buffered() == 0
	return reply{resp.StatusCode, body}, nil
}

// readResponse skips interim responses.
func readResponse(br *bufio.Reader) (*http.Response, error) {
	for range interimsMax {
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("bookinfo: too many interim responses")
}

// readBody reads a whole body and undoes the encodings the callers offer.
func readBody(resp *http.Response) ([]byte, error) {
	raw, err := readMax(resp.Body)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(strings.NewReader(string(raw)))
		if err != nil {
			return nil, err
		}
		return readMax(z)
	case "deflate": // RFC 9110 says zlib; some servers send raw deflate
		if z, err := zlib.NewReader(strings.NewReader(string(raw))); err == nil {
			return readMax(z)
		}
		return readMax(flate.NewReader(strings.NewReader(string(raw))))
	}
	return raw, nil
}

func readMax(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, replyMax+1))
	if err == nil && len(b) > replyMax {
		err = fmt.Errorf("bookinfo: response body over %d bytes", replyMax)
	}
	return b, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// clientConn is a connection whose every read has the call's timeout, as in
// Python's requests and in CXF: it bounds the silence, not the whole call.
type clientConn struct {
	net.Conn
	br         *bufio.Reader
	timeout    time.Duration
	unanswered bool // no byte has come since the last request
	expire     *time.Timer
}

func (c *clientConn) Read(p []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.timeout))
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.unanswered = false
	}
	return n, err
}

// pool keeps idle connections, the newest first, as the JDK does.
type pool struct {
	idle time.Duration

	mu    sync.Mutex
	conns []*clientConn
}

func (p *pool) take() *clientConn {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns)
	if n == 0 {
		return nil
	}
	c := p.conns[n-1]
	p.conns = p.conns[:n-1]
	c.expire.Stop()
	return c
}

func (p *pool) put(c *clientConn) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= poolMax {
		return false
	}
	p.conns = append(p.conns, c)
	c.expire = time.AfterFunc(p.idle, func() { p.drop(c) })
	return true
}

// drop closes c if it is still idle.
func (p *pool) drop(c *clientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.conns {
		if x == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			c.Conn.Close()
			return
		}
	}
}
