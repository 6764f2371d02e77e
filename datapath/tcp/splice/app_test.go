package splice_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
)

// script is an App that does what the request's target says, and tells what it is
// told. Heads end with an empty line; the head that goes on is another one:
// a request has "via: nic" added, a response loses its reason phrase.
//
//	/0 /1 ...   to that endpoint
//	/keep       to endpoint 0, held until the response begins; after a failure again, to endpoint 1
//	/park       the same, 100 ms after the failure
//	/late       to endpoint 0, Due 200 ms later: a reply
//	/last       to endpoint 0, and the client's connection ends with the response
//	/reply      a reply
//	/raw        two streams
//	/abort      a reset
type script struct {
	e      *splice.Engine
	tell   func(format string, args ...any)
	target map[splice.Flow]string
	head   map[splice.Flow]bool // the request is HEAD
	left   map[splice.Flow][2]chunks
	waits  map[splice.Flow]bool // for Due
}

func newScript() *script {
	return &script{
		tell: func(string, ...any) {}, target: map[splice.Flow]string{}, head: map[splice.Flow]bool{},
		left: map[splice.Flow][2]chunks{}, waits: map[splice.Flow]bool{},
	}
}

func (a *script) Listens(at splice.Addr) bool { return at.Port == listenPort }

func (a *script) Opened(_ sim.Cycle, f splice.Flow, _, _ splice.Addr) { a.tell("opened") }

func (a *script) Closed(_ sim.Cycle, f splice.Flow) {
	a.tell("closed")
	delete(a.target, f)
}

func (a *script) Completed(_ sim.Cycle, f splice.Flow) { a.tell("completed %s", a.target[f]) }

func (a *script) Aborted(_ sim.Cycle, f splice.Flow, why splice.Failure) {
	a.tell("aborted %s, %s", a.target[f], failures[why])
}

func (a *script) Upstream(_ sim.Cycle, ep splice.Endpoint, what splice.ConnEvent) {
	a.tell("endpoint %d %s", ep, events[what])
}

var (
	failures = [...]string{"refused", "unreachable", "table full", "server reset", "server closed", "unanswered", "client reset", "client closed", "bad message", "dropped"}
	events   = [...]string{"dialed", "connected", "reused", "idle", "gone", "gone idle", "idle over", "silent", "heard"}
)

func headOf(b []byte) (head string, ok bool) {
	n := bytes.Index(b, []byte("\r\n\r\n"))
	if n < 0 {
		return "", false
	}
	return string(b[:n+4]), true
}

// frame says by the head how the body is framed.
func (a *script) frame(f splice.Flow, dir splice.Direction, head string, d *splice.Decision) {
	switch {
	case strings.Contains(head, "chunked"):
		d.Framing = splice.Scanned
		l := a.left[f]
		l[dir] = chunks{}
		a.left[f] = l
	case dir == splice.Response && !strings.Contains(head, "length: ") && !a.head[f] && !strings.Contains(head, " 204"):
		d.Framing = splice.ToTheEnd
	default:
		if _, v, ok := strings.Cut(head, "length: "); ok && !a.head[f] {
			v, _, _ = strings.Cut(v, "\r\n")
			n, _ := strconv.Atoi(v)
			d.Body = uint64(n)
		}
	}
	d.Close = strings.Contains(head, "close")
}

var busy = []byte("HTTP/1.1 503 Busy\r\nlength: 0\r\n\r\n")

func (a *script) Request(now sim.Cycle, f splice.Flow, b []byte) splice.Decision {
	head, ok := headOf(b)
	if !ok {
		if len(b) > maxHead {
			a.tell("head of more than %d bytes", len(b))
			return splice.Decision{Do: splice.Reply, Head: len(b), Out: busy, Close: true}
		}
		return splice.Decision{}
	}
	method, rest, _ := strings.Cut(head, " ")
	target, _, _ := strings.Cut(rest, " ")
	a.target[f], a.head[f] = target, method == "HEAD"
	d := splice.Decision{Do: splice.Send, Head: len(head), Out: []byte(strings.TrimSuffix(head, "\r\n") + "via: nic\r\n\r\n")}
	isHead := a.head[f]
	a.head[f] = false
	a.frame(f, splice.Request, head, &d)
	a.head[f] = isHead
	if strings.Contains(head, "expect") {
		d.Interim = []byte("HTTP/1.1 100 Go\r\n\r\n")
	}
	switch target {
	case "/keep", "/park":
		d.Keep = true
	case "/late":
		a.e.SetDeadline(f, now+200)
	case "/last":
	case "/reply":
		d.Do, d.Out = splice.Reply, []byte("HTTP/1.1 404 No\r\nlength: 2\r\n\r\nno")
	case "/raw":
		d.Do = splice.Raw
	case "/abort":
		d.Do = splice.Abort
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(target, "/"))
		if err != nil || n > 1 {
			return splice.Decision{Do: splice.Reply, Head: len(head), Out: busy, Close: true}
		}
		d.To = splice.Endpoint(n)
	}
	a.tell("request %s", target)
	return d
}

func (a *script) Response(_ sim.Cycle, f splice.Flow, b []byte) splice.Decision {
	head, ok := headOf(b)
	if !ok {
		return splice.Decision{}
	}
	_, rest, _ := strings.Cut(head, " ")
	status, fields, _ := strings.Cut(rest, " ")
	if strings.HasPrefix(status, "1") {
		a.tell("interim response %s", status)
		return splice.Decision{Do: splice.Skip, Head: len(head)}
	}
	_, fields, _ = strings.Cut(fields, "\r\n")
	d := splice.Decision{Do: splice.Send, Head: len(head), Out: []byte("HTTP/1.1 " + status + "\r\n" + fields)}
	a.frame(f, splice.Response, head, &d)
	d.Bad = d.Close
	d.Close = d.Framing == splice.ToTheEnd || a.target[f] == "/last"
	a.tell("response %s to %s", status, a.target[f])
	return d
}

func (a *script) Failed(now sim.Cycle, f splice.Flow, why splice.Failure) splice.Decision {
	a.tell("failed %s, %s", a.target[f], failures[why])
	switch target := a.target[f]; target {
	case "/keep":
		a.target[f] = "/again"
		return splice.Decision{Do: splice.Send, To: 1, Kept: true}
	case "/park":
		a.target[f] = "/again"
		a.waits[f] = true
		a.e.SetDeadline(f, now+100)
		return splice.Decision{Do: splice.Park}
	}
	return splice.Decision{Do: splice.Reply, Out: busy}
}

func (a *script) Due(_ sim.Cycle, f splice.Flow) splice.Decision {
	a.tell("due %s", a.target[f])
	switch {
	case a.waits[f]:
		delete(a.waits, f)
		return splice.Decision{Do: splice.Send, To: 1, Kept: true}
	case a.target[f] == "/late":
		return splice.Decision{Do: splice.Reply, Out: busy}
	}
	return splice.Decision{Do: splice.Finish}
}

// chunks is where in a body of chunks one is: "5\r\nabcde\r\n0\r\n\r\n", without
// trailers.
type chunks struct {
	line string
	left int
	last bool
}

var errChunk = errors.New("no size of a chunk")

func (a *script) Body(f splice.Flow, d splice.Direction, b []byte) (n int, skip uint64, done bool, err error) {
	l := a.left[f]
	n, skip, done, err = l[d].read(b)
	a.left[f] = l
	return n, skip, done, err
}

func (c *chunks) read(b []byte) (n int, skip uint64, done bool, err error) {
	for n < len(b) {
		if c.left > 0 {
			k := min(c.left, len(b)-n)
			c.left -= k
			n += k
			continue
		}
		c.line += string(b[n])
		n++
		if !strings.HasSuffix(c.line, "\n") {
			continue
		}
		line := strings.TrimSuffix(c.line, "\r\n")
		c.line = ""
		if c.last {
			return n, 0, true, nil
		}
		size, err := strconv.ParseUint(line, 16, 16)
		if err != nil {
			return n, 0, false, fmt.Errorf("%w: %q", errChunk, line)
		}
		c.last = size == 0
		if c.left = int(size) + 2; c.last {
			c.left = 0
		}
	}
	skip, c.left = uint64(c.left), 0
	return n, skip, false, nil
}
