package nictest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// noise fills a body. It has what a reader of heads might stumble over: line ends,
// empty lines, what looks like a head.
func noise(n int, a, b uint64) []byte {
	r := rand.New(rand.NewPCG(a, b))
	out := make([]byte, 0, n+32)
	for len(out) < n {
		switch x := r.Uint64(); x % 64 {
		case 0:
			out = append(out, "\r\n\r\n"...)
		case 1:
			out = append(out, "HTTP/1.1 200 OK\r\n"...)
		case 2:
			out = append(out, "0\r\n\r\nGET / HTTP/1.1\r\n"...)
		default:
			out = append(out, byte(x>>8), byte(x>>16), 'a'+byte(x>>24)%26, 'a'+byte(x>>32)%26)
		}
	}
	return out[:n]
}

// chunks frames a body in chunks of drawn sizes.
func chunks(body []byte, a, b uint64) []byte {
	r := rand.New(rand.NewPCG(a, ^b))
	var out []byte
	for len(body) > 0 {
		n := min(len(body), 1+r.IntN(1+min(len(body), 4096)))
		out = append(out, strconv.FormatInt(int64(n), 16)...)
		if r.IntN(8) == 0 {
			out = append(out, ";note=1"...)
		}
		out = append(out, "\r\n"...)
		out = append(out, body[:n]...)
		out = append(out, "\r\n"...)
		body = body[n:]
	}
	out = append(out, "0\r\n"...)
	if r.IntN(4) == 0 {
		out = append(out, "x-trailer: end\r\n"...)
	}
	return append(out, "\r\n"...)
}

// id is a number of an exchange that no other has.
func id(conn, i int) uint64 { return uint64(conn)<<32 | uint64(i) }

func padding(b *bytes.Buffer, n int, a uint64) {
	if n > 0 {
		fmt.Fprintf(b, "x-padding: %s\r\n", bytes.Repeat([]byte{'a' + byte(a%26)}, n))
	}
}

// request returns the bytes of a request, and how many of them are its head.
func (c *Conversation) request(conn, i int) (raw []byte, head int) {
	e := &c.Connections[conn].Exchanges[i]
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s /%d/%d HTTP/1.1\r\nHost: server-%d\r\n", e.method(), conn, i, c.Connections[conn].Server)
	padding(&b, e.Padding, id(conn, i))
	if e.Expect {
		b.WriteString("Expect: 100-continue\r\n")
	}
	body := noise(e.Body, c.Seed, id(conn, i))
	switch {
	case e.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
		body = chunks(body, c.Seed, id(conn, i))
	case e.Body > 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", e.Body)
	}
	b.WriteString("\r\n")
	return append(b.Bytes(), body...), b.Len()
}

// interim returns the responses before the response, that to Expect excepted.
func (c *Conversation) interim(conn, i int) []byte {
	var b bytes.Buffer
	for n := range c.Connections[conn].Exchanges[i].Answer.Interim {
		fmt.Fprintf(&b, "HTTP/1.1 103 Early Hints\r\nLink: </%d/%d/%d>\r\n\r\n", conn, i, n)
	}
	return b.Bytes()
}

const goOn = "HTTP/1.1 100 Continue\r\n\r\n"

// response returns the bytes of the final response.
func (c *Conversation) response(conn, i int) []byte {
	e := &c.Connections[conn].Exchanges[i]
	a := &e.Answer
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d Reason\r\nX-Answers: /%d/%d\r\n", a.status(), conn, i)
	padding(&b, a.Padding, id(conn, i))
	if a.Close {
		b.WriteString("Connection: close\r\n")
	}
	body := noise(a.Body, ^c.Seed, id(conn, i))
	switch {
	case a.status() == 204: // RFC 9110 §8.6: has no Content-Length
	case a.Framing == Length:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", a.Body)
	case a.Framing == Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n")
		body = chunks(body, ^c.Seed, id(conn, i))
	}
	b.WriteString("\r\n")
	if !e.bodyless() {
		b.Write(body)
	}
	return b.Bytes()
}

// pieces cuts b into n parts, none of them empty, at places drawn from a; the first
// cut lies in the first 64 bytes as often as not.
func pieces(b []byte, n int, a uint64) [][]byte {
	r := rand.New(rand.NewPCG(a, uint64(len(b))))
	var out [][]byte
	for n > 1 && len(b) > 1 {
		k := 1 + r.IntN(len(b)-1)
		if r.IntN(2) == 0 {
			k = 1 + k%min(64, len(b)-1)
		}
		out = append(out, b[:k])
		b = b[k:]
		n--
	}
	return append(out, b)
}
