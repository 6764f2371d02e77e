package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// patience is how long a step waits for what does not come.
const patience = 5 * time.Second

// peer is one end of a connection in the test's hands.
type peer struct {
	net.Conn
	r       *bufio.Reader
	n       int
	cluster string
	watched atomic.Bool // by the server, until there is something to read
	writing chan error  // what becomes of a large write
}

// large is what may be more than the buffers between two ends hold: it is written
// while others go on.
const large = 64 << 10

// written waits for a large write.
func (p *peer) written() error {
	err := <-p.writing
	p.writing = nil
	return err
}

// String names an upstream's connection.
func (p *peer) String() string {
	if p.cluster == "up" {
		return fmt.Sprint("connection ", p.n)
	}
	return fmt.Sprint("connection ", p.n, " of ", p.cluster)
}

func newPeer(c net.Conn, n int) *peer { return &peer{Conn: c, r: bufio.NewReaderSize(c, 1<<17), n: n} }

func (p *peer) do(w []string, s *step, response bool) string {
	if end := time.Now().Add(patience); w[0] == "send" {
		p.SetWriteDeadline(end)
	} else {
		p.SetDeadline(end)
	}
	if p.writing != nil && w[0] != "reset" && w[0] != "close" && (w[0] != "recv" || response) {
		if w[0] == "recv" || w[0] == "closed" {
			defer p.written()
		} else if err := p.written(); err != nil {
			return "write failed\n"
		}
	}
	switch w[0] {
	case "open":
		return ""
	case "send":
		data, err := s.data()
		if err != nil {
			return err.Error() + "\n"
		}
		if len(data) > large {
			p.writing = make(chan error, 1)
			go func() {
				_, err := p.Write(data)
				p.writing <- err
			}()
			return ""
		}
		if _, err := p.Write(data); err != nil {
			return "write failed\n"
		}
		return ""
	case "recv":
		return p.message(response, len(w) > 1)
	case "read":
		n, _ := strconv.Atoi(w[1])
		b := make([]byte, n)
		n, err := io.ReadFull(p.r, b)
		if err != nil {
			return fmt.Sprintf("%d bytes %q, then %s\n", n, b[:n], Reason(err))
		}
		return fmt.Sprintf("%q\n", b)
	case "closed":
		b, err := io.ReadAll(p.r)
		if len(b) > 0 {
			return fmt.Sprintf("%q, then %s\n", b, Reason(err))
		}
		return Reason(err) + "\n"
	case "shutdown":
		p.Conn.(*net.TCPConn).CloseWrite()
		return ""
	case "reset":
		p.Conn.(*net.TCPConn).SetLinger(0)
		p.Conn.Close()
		return ""
	case "close":
		p.Conn.Close()
		return ""
	}
	return "unknown step\n"
}

// Reason names the end of a stream. A reset says no more than a close does about
// what the proxy decided: it follows from what was left unread.
func Reason(err error) string {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return "still open"
	}
	return "closed"
}

var (
	dateLine    = regexp.MustCompile(`^date: \w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$`)
	idLine      = regexp.MustCompile(`^x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	givenCookie = regexp.MustCompile(`^(set-cookie: [^=]*)="[0-9a-f]{16}"`) // a hash of the connection's ports
	serviceLine = regexp.MustCompile(`^x-envoy-upstream-service-time: \d+$`)
)

// message reads one message and renders its head line by line and its body
// quoted.
func (p *peer) message(response, headOnly bool) string {
	var b strings.Builder
	length, chunked := -1, false
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			if line != "" {
				fmt.Fprintf(&b, "%q, then ", line)
			}
			return b.String() + Reason(err) + "\n"
		}
		if line == "\r\n" {
			break
		}
		l, crlf := strings.CutSuffix(line, "\r\n")
		switch {
		case !crlf:
			l = fmt.Sprintf("%q", line)
		case dateLine.MatchString(l):
			l = "date: DATE"
		case idLine.MatchString(l):
			l = "x-request-id: UUID"
		case strings.HasPrefix(l, "x-request-id: "):
			l = anyID.ReplaceAllString(l, "UUID")
		case givenCookie.MatchString(l):
			l = givenCookie.ReplaceAllString(l, "$1=HASH")
		case serviceLine.MatchString(l):
			l = "x-envoy-upstream-service-time: N"
		}
		if v, ok := strings.CutPrefix(l, "content-length: "); ok {
			length, _ = strconv.Atoi(v)
		}
		chunked = chunked || l == "transfer-encoding: chunked"
		if q := strconv.Quote(l); q != `"`+l+`"` && !strings.ContainsAny(l, `"\`) {
			l = q
		}
		if len(l) > 200 {
			l = fmt.Sprintf("%s... %d bytes", l[:20], len(l))
		}
		b.WriteString(l + "\n")
	}
	switch {
	case headOnly, response && (strings.HasPrefix(b.String(), "HTTP/1.1 1") || strings.HasPrefix(b.String(), "HTTP/1.1 204") || strings.HasPrefix(b.String(), "HTTP/1.1 304")):
	case chunked:
		b.WriteString(p.chunks())
	case length > 0:
		body := make([]byte, length)
		n, err := io.ReadFull(p.r, body)
		b.WriteString(Abridge(body[:n]))
		if err != nil {
			b.WriteString(", then " + Reason(err))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Abridge quotes b, of a long one its beginning.
func Abridge(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%q... %d bytes", b[:20], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// chunks reads a chunked body. How it is cut is not compared: that depends on
// how the bytes came in. Extensions and trailers are what is left out nowadays.
func (p *peer) chunks() string {
	var data bytes.Buffer
	more := ""
	fail := func(err error) string {
		return fmt.Sprintf("chunked %s, then %s\n", Abridge(data.Bytes()), Reason(err))
	}
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return fail(err)
		}
		size, ext, extended := strings.Cut(strings.TrimSuffix(line, "\r\n"), ";")
		if extended {
			more += fmt.Sprintf(", extension %q", ext)
		}
		n, err := strconv.ParseUint(strings.TrimRight(size, " "), 16, 31)
		if err != nil {
			return fmt.Sprintf("chunked %s, then bad size %q\n", Abridge(data.Bytes()), line)
		}
		if n == 0 {
			for {
				end, err := p.r.ReadString('\n')
				if err != nil {
					return fail(err)
				}
				if end == "\r\n" {
					return fmt.Sprintf("chunked %s%s\n", Abridge(data.Bytes()), more)
				}
				more += fmt.Sprintf(", trailer %q", strings.TrimSuffix(end, "\r\n"))
			}
		}
		if _, err := io.CopyN(&data, p.r, int64(n)); err != nil {
			return fail(err)
		}
		if _, err := io.ReadFull(p.r, make([]byte, 2)); err != nil {
			return fail(err)
		}
	}
}
