//go:build linux

package sidecar

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A conversation is a text file in testdata/conversations: steps of a client and
// of an upstream server with the proxy between them, and what each of them sees.
// The same file is played through our sidecar and, where it is at hand, through
// the real Envoy, both running from the same bootstrap file. MESHNIC_UPDATE=1
// writes down what Envoy does, so that a diff of these files is a diff against
// Envoy. A file with a line "# differs: REASON" is one where we mean to differ;
// it holds what we do.
//
//	client send              writes the quoted strings below it; x3 "a" is "aaa"
//	client recv [head]       reads a response, its head alone after a HEAD request
//	client closed            waits for the proxy to close
//	client shutdown|close    closes the sending side, or all
//	client open              goes on with a new connection
//	upstream recv [head]     reads a request, or its head alone
//	upstream read N          reads N bytes
//	upstream send            writes the quoted strings below it
//	upstream closed          waits for the proxy to close
//	upstream close|reset     closes
//	upstream quiet           sees that nothing comes
//	wait 300ms
type conversation struct {
	path    string
	comment []string
	differs bool
	steps   []step
}

type step struct {
	cmd  string
	data []byte   // what to send
	text []string // the lines data came from
	want string
}

func conversations(t testing.TB) (all []conversation) {
	t.Helper()
	files, err := filepath.Glob("testdata/conversations/*.txt")
	require.NoError(t, err)
	for _, f := range files {
		all = append(all, parseConversation(t, f))
	}
	return all
}

func parseConversation(t testing.TB, path string) conversation {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	c := conversation{path: path}
	var s *step
	output := false
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		switch {
		case s == nil && strings.HasPrefix(line, "#"):
			c.comment = append(c.comment, line)
			c.differs = c.differs || strings.HasPrefix(line, "# differs: ")
		case line == "":
			s = nil
		case s == nil:
			c.steps = append(c.steps, step{cmd: line})
			s, output = &c.steps[len(c.steps)-1], false
		case line == "----":
			output = true
		case output:
			s.want += line + "\n"
		default:
			s.text = append(s.text, line)
			n, quoted := 1, line
			if rest, ok := strings.CutPrefix(line, "x"); ok {
				count, q, _ := strings.Cut(rest, " ")
				n, err = strconv.Atoi(count)
				require.NoError(t, err, "%s: %s", path, line)
				quoted = q
			}
			u, err := strconv.Unquote(quoted)
			require.NoError(t, err, "%s: %s", path, line)
			s.data = append(s.data, strings.Repeat(u, n)...)
		}
	}
	return c
}

func (c *conversation) String() string {
	var b strings.Builder
	for _, l := range c.comment {
		b.WriteString(l + "\n")
	}
	for i, s := range c.steps {
		if i > 0 || len(c.comment) > 0 {
			b.WriteString("\n")
		}
		b.WriteString(s.cmd + "\n")
		for _, l := range s.text {
			b.WriteString(l + "\n")
		}
		if s.want != "" {
			b.WriteString("----\n" + s.want)
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// play holds the conversation with the proxy at addr, whose upstream is ln, and
// returns it with what was seen.
func (c *conversation) play(addr string, ln net.Listener) *conversation {
	up := &server{ln: ln, conns: make(chan *peer, 16)}
	go up.accept()
	defer up.close()
	out := &conversation{comment: c.comment}
	var client *peer
	for _, s := range c.steps {
		s.want = ""
		w := strings.Fields(s.cmd)
		if w[0] == "client" && (client == nil || w[1] == "open") {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				s.want = err.Error()
				out.steps = append(out.steps, s)
				return out
			}
			defer conn.Close()
			client = newPeer(conn, 0)
		}
		switch w[0] {
		case "client":
			s.want = client.do(w[1:], s.data, true)
		case "upstream":
			s.want = up.do(w[1:], s.data)
		case "wait":
			d, err := time.ParseDuration(w[1])
			if err != nil {
				s.want = err.Error() + "\n"
			}
			time.Sleep(d)
		default:
			s.want = "unknown step\n"
		}
		out.steps = append(out.steps, s)
	}
	return out
}

// patience is how long a step waits for what does not come.
const patience = 5 * time.Second

// peer is one end of a connection in the test's hands.
type peer struct {
	net.Conn
	r *bufio.Reader
	n int
}

func newPeer(c net.Conn, n int) *peer { return &peer{Conn: c, r: bufio.NewReaderSize(c, 1<<17), n: n} }

func (p *peer) do(w []string, data []byte, response bool) string {
	p.SetDeadline(time.Now().Add(patience))
	switch w[0] {
	case "open":
		return ""
	case "send":
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
			return fmt.Sprintf("%d bytes %q, then %s\n", n, b[:n], reason(err))
		}
		return fmt.Sprintf("%q\n", b)
	case "closed":
		b, err := io.ReadAll(p.r)
		if len(b) > 0 {
			return fmt.Sprintf("%q, then %s\n", b, reason(err))
		}
		return reason(err) + "\n"
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

// reason names the end of a stream. A reset says no more than a close does about
// what the proxy decided: it follows from what was left unread.
func reason(err error) string {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return "still open"
	}
	return "closed"
}

var (
	dateLine    = regexp.MustCompile(`^date: \w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$`)
	idLine      = regexp.MustCompile(`^x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
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
			return b.String() + reason(err) + "\n"
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
		b.WriteString(abridge(body[:n]))
		if err != nil {
			b.WriteString(", then " + reason(err))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func abridge(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%q... %d bytes", b[:20], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// chunks reads a chunked body. How it is cut is not compared: that depends on
// how the bytes came in.
func (p *peer) chunks() string {
	var data bytes.Buffer
	fail := func(err error) string {
		return fmt.Sprintf("chunked %s, then %s\n", abridge(data.Bytes()), reason(err))
	}
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return fail(err)
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 31)
		if err != nil {
			return fmt.Sprintf("chunked %s, then bad size %q\n", abridge(data.Bytes()), line)
		}
		if n == 0 {
			end, err := p.r.ReadString('\n')
			if err != nil {
				return fail(err)
			}
			if end != "\r\n" {
				return fmt.Sprintf("chunked %s, then trailer %q\n", abridge(data.Bytes()), end)
			}
			return fmt.Sprintf("chunked %s\n", abridge(data.Bytes()))
		}
		if _, err := io.CopyN(&data, p.r, int64(n)); err != nil {
			return fail(err)
		}
		if _, err := io.ReadFull(p.r, make([]byte, 2)); err != nil {
			return fail(err)
		}
	}
}

// server is the upstream: whichever of its connections has a request is the one
// that answers.
type server struct {
	ln    net.Listener
	conns chan *peer
	ready sync.WaitGroup

	mu   sync.Mutex
	open []*peer
	cur  *peer
}

func (s *server) accept() {
	for n := 1; ; n++ {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		p := newPeer(c, n)
		s.mu.Lock()
		s.open = append(s.open, p)
		s.mu.Unlock()
		s.watch(p)
	}
}

// watch puts p in line once there is something to read from it.
func (s *server) watch(p *peer) {
	s.ready.Add(1)
	go func() {
		defer s.ready.Done()
		p.SetReadDeadline(time.Time{})
		if _, err := p.r.Peek(1); err == nil {
			s.conns <- p
		}
	}()
}

func (s *server) do(w []string, data []byte) string {
	switch w[0] {
	case "quiet":
		select {
		case p := <-s.conns:
			b, _ := p.r.Peek(p.r.Buffered())
			return fmt.Sprintf("connection %d: %q\n", p.n, b)
		case <-time.After(150 * time.Millisecond):
			return ""
		}
	case "recv":
		if s.cur != nil {
			s.watch(s.cur)
			s.cur = nil
		}
		select {
		case s.cur = <-s.conns:
		case <-time.After(patience):
			return "nothing\n"
		}
		return fmt.Sprintf("connection %d\n", s.cur.n) + s.cur.do(w, data, false)
	}
	if s.cur == nil {
		return "no connection\n"
	}
	return s.cur.do(w, data, false)
}

func (s *server) close() {
	s.ln.Close()
	s.mu.Lock()
	for _, p := range s.open {
		p.Close()
	}
	s.mu.Unlock()
	s.ready.Wait()
}
