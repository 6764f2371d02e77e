package bookinfo

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a cookie decodes to, it encodes to again; and without the key nothing
// decodes.
func FuzzSession(f *testing.F) {
	f.Add("eyJ1c2VyIjoiamFzb24ifQ.awSpJA", "jason")
	f.Add(".eJyrViotTi1SslJKHAVEA6VaACpIdSY.awSpJA", strings.Repeat("a", 300))
	f.Add("..", "\x00\xff")
	f.Fuzz(func(t *testing.T, text, user string) {
		if s := decodeSession(text, stamp); s.has {
			t.Fatalf("%q passes unsigned", text) // a find here would be a forged SHA-1 MAC
		}
		decodeSession(text+"."+b64(sign(text)), stamp) // signed, whatever it is: no panic
		s := session{has: true, user: &user}
		if len(user) < sessionMax/8 {
			want := string([]rune(user)) // what is not UTF-8 becomes U+FFFD
			if got := decodeSession(s.encode(stamp), stamp); got.name() != want {
				t.Fatalf("%q came back as %q", user, got.name())
			}
		}
	})
}

func FuzzProductID(f *testing.F) {
	for _, s := range []string{"/ratings/0", "/ratings/12abc", "/ratings/0x1f", "/ratings/-0", "/ratings/9e99?/7", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.Contains(target, "/") {
			return
		}
		id, ok := productID(target)
		if !ok {
			return
		}
		if id != "null" {
			if _, err := strconv.ParseFloat(id, 64); err != nil {
				t.Fatalf("%q: id %q is not a number", target, id)
			}
		}
		if n, ok := rubyInteger(target[1:]); ok {
			if again, ok := rubyInteger(n.String()); !ok || again.Cmp(n) != 0 {
				t.Fatalf("%q: %v does not read back", target, n)
			}
		}
	})
}

// Any bytes on a connection: every service answers with whole responses or
// closes, and never panics. Calls to others fail at once.
func FuzzConnection(f *testing.F) {
	for i, s := range []string{
		"GET /productpage HTTP/1.1\r\nHost: x\r\n\r\n", "POST /login HTTP/1.1\r\nContent-Length: 10\r\n\r\nusername=a",
		"POST /ratings/0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"GET /reviews/0 HTTP/1.1\r\n\r\nGET /health HTTP/1.0\r\n\r\n", "GET /details/0x HTTP/1.1\r\nX", "\r\n\r\n",
		"POST /login HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\n--",
	} {
		f.Add(uint8(i), []byte(s))
	}
	nobody := authority{"127.0.0.1", "1"}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := Services()[int(which)%len(Services())]
		s, err := New(Options{Service: name, Getenv: vars{}.get})
		if err != nil {
			t.Fatal(err)
		}
		switch svc := s.httpd.svc.(type) {
		case *productpage:
			svc.details.authority, svc.reviews.authority, svc.ratings.authority = nobody, nobody, nobody
		case *reviews:
			svc.ratings.authority = nobody
		}
		s.httpd.hang = time.Millisecond
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		client, server := net.Pipe()
		go func() {
			client.Write(data)
			client.Close()
		}()
		go io.Copy(io.Discard, client)
		if s.httpd.track(server) {
			s.httpd.conn(ctx, server)
		}
	})
}

// Any response of an upstream: no panic, and never more than the caller takes.
func FuzzUpstream(f *testing.F) {
	for _, s := range []string{
		ok(reviewsBody), "HTTP/1.1 100 Continue\r\n\r\n" + ok("{}"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		ok(`{"reviews":[{"rating":{"stars":1e9,"color":"red"},"text":"x"}]}`), "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", "x",
		ok(`{"reviews":[{"rating":{"stars":"a"}}]}`), ok(`{"reviews":{}}`), ok(`{"ratings":{"Reviewer1":1e300}}`),
	} {
		f.Add([]byte(s))
	}
	ps := newPages()
	f.Fuzz(func(t *testing.T, data []byte) {
		client, server := net.Pipe()
		go func() {
			io.Copy(io.Discard, io.LimitReader(server, 1))
			server.Write(data)
			server.Close()
		}()
		u := upstream{timeout: time.Second}
		c := &clientConn{Conn: client, timeout: time.Second}
		c.br = bufio.NewReader(c)
		r, err := u.exchange(t.Context(), c, []byte("x"))
		if err != nil || r.status != http.StatusOK {
			return
		}
		v, err := parseJSON(r.body)
		if err != nil {
			return
		}
		if _, err := ps.front("", answer{200, v}, answer{200, v}); err != nil {
			return
		}
		appendPython(nil, v)
	})
}
