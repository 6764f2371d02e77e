package bookinfo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The server is ours because net/http cannot speak as the originals do: it
// sorts header fields, fixes the reason phrases and refuses a request without
// Host. Requests are still parsed by net/http.

const (
	firstByteTimeout = 60 * time.Second       // of a new connection
	headTimeout      = 30 * time.Second       // from the first byte of a head to its last
	bodyTimeout      = 30 * time.Second       // between two reads of a body
	writeTimeout     = 30 * time.Second       // of one response
	graceTimeout     = 10 * time.Second       // for requests under way when the server stops
	hangTimeout      = 2 * time.Minute        // of a request that is never answered
	bodyMax          = 1 << 20                // bytes of a request body that are looked at
	drainMax         = 256 << 10              // bytes of an unread body before the connection is closed instead
	acceptPause      = 100 * time.Millisecond // after a passing failure to accept, as when descriptors run out
)

// field is one header field with its name as it goes on the wire.
type field struct{ name, value string }

// response is what a service answers; its style adds the rest.
type response struct {
	status int
	fields []field
	body   []byte
	close  bool // close the connection after it
	hang   bool // never answer: hold the connection until the peer closes it
}

type httpd struct {
	style style
	svc   service
	now   func() time.Time
	grace time.Duration
	hang  time.Duration

	mu      sync.Mutex
	closing bool
	conns   map[net.Conn]bool // true while it waits for a request
	wg      sync.WaitGroup
}

func newHTTPD(st style, svc service) *httpd {
	return &httpd{
		style: st, svc: svc, now: time.Now, grace: graceTimeout, hang: hangTimeout,
		conns: make(map[net.Conn]bool),
	}
}

// serve accepts until ctx ends or the listener breaks.
func (h *httpd) serve(ctx context.Context, ln net.Listener) error {
	work, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		c, err := ln.Accept()
		if err == nil {
			if h.track(c) {
				go h.conn(work, c)
			}
			continue
		}
		if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
			select { // the one passing failure of accept is a lack of descriptors
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		h.shutdown(giveUp)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

// shutdown closes idle connections, waits for the others, then cuts them.
func (h *httpd) shutdown(giveUp func()) {
	h.mu.Lock()
	h.closing = true
	h.closeConns(true)
	h.mu.Unlock()
	done := make(chan struct{})
	go func() { h.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(h.grace):
	}
	h.mu.Lock()
	h.closeConns(false) // before the handlers wake, so that none of them answers
	h.mu.Unlock()
	giveUp()
	<-done
}

func (h *httpd) closeConns(idleOnly bool) {
	for c, idle := range h.conns {
		if idle || !idleOnly {
			c.Close()
		}
	}
}

func (h *httpd) track(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		c.Close()
		return false
	}
	h.conns[c] = true
	h.wg.Add(1)
	return true
}

// setIdle notes whether c waits for a request, and reports whether the server
// still takes any.
func (h *httpd) setIdle(c net.Conn, idle bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = idle
	return !h.closing
}

func (h *httpd) conn(ctx context.Context, c net.Conn) {
	defer func() {
		c.Close()
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
		h.wg.Done()
	}()
	head := &io.LimitedReader{R: c}
	br := bufio.NewReader(head)
	wait := firstByteTimeout
	for h.setIdle(c, true) {
		c.SetReadDeadline(time.Now().Add(wait))
		head.N = h.style.maxHead
		if _, err := br.Peek(1); err != nil {
			return
		}
		h.setIdle(c, false)
		c.SetReadDeadline(time.Now().Add(headTimeout))
		r, err := http.ReadRequest(br)
		if err != nil {
			h.refuse(c, br, err, head.N <= 0)
			return
		}
		head.N = 1 << 62
		if !h.exchange(ctx, c, br, r) {
			return
		}
		wait = h.style.idle
	}
}

// refuse answers what is not a request.
func (h *httpd) refuse(c net.Conn, br *bufio.Reader, err error, tooLong bool) {
	var ne net.Error
	status := 400
	switch {
	case tooLong:
		status = 431
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, io.EOF):
		return // the peer left, or is too slow to deserve an answer
	}
	h.write(c, h.style.malformed(status))
	lingerClose(c, br)
}

// exchange serves one request and reports whether another may follow.
func (h *httpd) exchange(ctx context.Context, c net.Conn, br *bufio.Reader, r *http.Request) bool {
	if r.ProtoMajor != 1 || !slices.Contains(methods(), r.Method) || !validFields(r.Header) {
		h.write(c, h.style.malformed(400))
		lingerClose(c, br)
		return false
	}
	r.Body = io.NopCloser(&bodyReader{c: c, r: r.Body, n: bodyMax})
	if r.ContentLength != 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		if !h.write(c, []byte("HTTP/1.1 100 Continue\r\n\r\n")) {
			return false
		}
	}
	var resp response
	if h.style.needHost && r.Host == "" && r.ProtoAtLeast(1, 1) {
		resp = response{status: 400, close: true}
	} else {
		resp = h.svc.handle(ctx, r)
	}
	if resp.hang {
		c.SetReadDeadline(time.Now().Add(h.hang))
		stop := context.AfterFunc(ctx, func() { c.Close() })
		io.Copy(io.Discard, br)
		stop()
		return false
	}
	drained := drain(r.Body)
	keep := drained && !r.Close && !resp.close && h.setIdle(c, false)
	msg, keep := h.style.render(message{
		response: resp, head: r.Method == http.MethodHead, minor: r.ProtoMinor, keep: keep,
		date: h.now().UTC().Format(http.TimeFormat),
	})
	if !h.write(c, msg) {
		return false
	}
	if !keep && !drained {
		lingerClose(c, br)
	}
	return keep
}

func (h *httpd) write(c net.Conn, b []byte) bool {
	c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.Write(b)
	return err == nil
}

// drain reads what the service left of a body, so that the next request can be
// found behind it.
func drain(body io.Reader) bool {
	n, err := io.CopyN(io.Discard, body, drainMax)
	return n < drainMax && errors.Is(err, io.EOF)
}

// lingerClose reads on for a moment after the last response: closing a socket
// with unread bytes resets the connection and may lose the response.
func lingerClose(c net.Conn, br *bufio.Reader) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseWrite()
	}
	c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	io.CopyN(io.Discard, br, 8<<20)
}

// bodyReader bounds a request body in bytes and in time.
type bodyReader struct {
	c net.Conn
	r io.Reader
	n int64
}

var errBodyTooLong = errors.New("bookinfo: request body too long")

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.n <= 0 {
		return 0, errBodyTooLong
	}
	if int64(len(p)) > b.n {
		p = p[:b.n]
	}
	b.c.SetReadDeadline(time.Now().Add(bodyTimeout))
	n, err := b.r.Read(p)
	b.n -= int64(n)
	return n, err
}

// methods lists the methods that reach a service; others are malformed.
func methods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect,
	}
}

// validFields reports whether every name is a token and no value holds a
// control character: http.ReadRequest leaves that to the server.
func validFields(h http.Header) bool {
	for name, values := range h {
		for i := range len(name) {
			if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
				return false
			}
		}
		for _, v := range values {
			for i := range len(v) {
				if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
					return false
				}
			}
		}
	}
	return true
}
