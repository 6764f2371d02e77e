package bookinfo

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

// timeline notes what happened in which order.
type timeline struct {
	mu     sync.Mutex
	events []string
}

func (l *timeline) add(e string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// slow answers after a pause in which a caller that does not wait would go on.
func (l *timeline) slow(name, response string) func(int, string) string {
	return func(int, string) string {
		l.add(name + " asked")
		time.Sleep(20 * time.Millisecond)
		l.add(name + " answers")
		return response
	}
}

const reviewsBody = `{"id": "0","podname": "p","clustername": "null","reviews": []}`

func TestCallsAreSerialAndUnpooled(t *testing.T) {
	var l timeline
	details := record(t, l.slow("details", ok("{}")))
	ratings := record(t, l.slow("ratings", ok(`{"ratings":{"Reviewer1":1,"Reviewer2":2}}`)))
	e := vars{}.with("details", details.address).with("ratings", ratings.address)
	reviews := start(t, Options{Service: "reviews-v3", Getenv: e.get})
	a := start(t, Options{Service: "productpage", Getenv: e.with("reviews", reviews).get})
	const pages = 4
	for range pages {
		_, body := headBody(t, get(t, a, "/productpage"))
		require.Equal(t, 3, strings.Count(body, fullStar))
	}
	var want []string
	for range pages {
		want = append(want, "details asked", "details answers", "ratings asked", "ratings answers")
	}
	require.Equal(t, want, l.events)
	_, opens := details.seen()
	require.Equal(t, pages, opens, "productpage opens a connection for every call")
	_, opens = ratings.seen()
	require.Equal(t, 1, opens, "reviews keeps its connection")
}

func TestReviewsPool(t *testing.T) {
	t.Run("an idle connection is closed", func(t *testing.T) {
		r := record(t, always(ok("{}")))
		a := start(t, Options{Service: "reviews-v2", Getenv: vars{}.with("ratings", r.address).get}, func(s *Server) {
			s.httpd.svc.(*reviews).ratings.pool.idle = 20 * time.Millisecond
		})
		for i := range 3 {
			get(t, a, "/reviews/0")
			_, opens := r.seen()
			require.Equal(t, i+1, opens)
			time.Sleep(60 * time.Millisecond)
		}
	})
	t.Run("a request on a connection the server closed is sent again", func(t *testing.T) {
		var conn net.Conn
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		closed := make(chan bool)
		go func() { // answers one request on the first connection, then closes it
			for i := 0; ; i++ {
				if conn, err = ln.Accept(); err != nil {
					return
				}
				conn.Read(make([]byte, 4096))
				fmt.Fprint(conn, ok(`{"ratings":{"Reviewer1":3}}`))
				if i == 0 {
					time.Sleep(20 * time.Millisecond) // after the caller has put it away
				}
				conn.Close()
				closed <- true
			}
		}()
		a := start(t, Options{Service: "reviews-v2", Getenv: vars{}.with("ratings", ln.Addr().String()).get})
		for range 2 {
			require.Contains(t, get(t, a, "/reviews/0"), `"stars": 3`)
			<-closed
		}
	})
	t.Run("a connection the server closes is not kept", func(t *testing.T) {
		r := record(t, always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"))
		a := start(t, Options{Service: "reviews-v2", Getenv: vars{}.with("ratings", r.address).get})
		get(t, a, "/reviews/0")
		get(t, a, "/reviews/0")
		_, opens := r.seen()
		require.Equal(t, 2, opens)
	})
	t.Run("at most five are kept", func(t *testing.T) {
		p := &pool{idle: time.Minute}
		for i := range 7 {
			here, there := net.Pipe()
			defer here.Close()
			defer there.Close()
			require.Equal(t, i < poolMax, p.put(&clientConn{Conn: here}))
		}
		newest := p.conns[poolMax-1]
		require.Same(t, newest, p.take())
	})
}

const hung = ""

// patience is how long to wait for an answer, which is short where none comes.
func patience(answer string) time.Duration {
	if answer == hung {
		return 50 * time.Millisecond
	}
	return time.Minute
}

// What a failing dependency does to the API and to the page.
func TestDependencyFailures(t *testing.T) {
	status := func(s string) string { return "HTTP/1.1 " + s + "\r\nContent-Length: 0\r\n\r\n" }
	for _, tt := range []struct {
		name, kind, answer string
		status, calls      int
	}{
		{"details 503", "details", status("503 Service Unavailable"), 503, 1},
		{"reviews 503 is asked twice", "reviews", status("503 Service Unavailable"), 503, 2},
		{"ratings 404", "ratings", status("404 Not Found"), 404, 1},
		{"details hangs", "details", hung, 500, 1},
		{"reviews hangs", "reviews", hung, 500, 2},
		{"a redirect is not followed", "details", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, 1},
		{"no HTTP", "details", "nonsense\r\n\r\n", 500, 1},
		{"body cut short", "details", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{}", 500, 1},
		{"endless interims", "details", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20), 500, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := record(t, always(tt.answer))
			e := vars{}.with(tt.kind, r.address)
			wait := patience(tt.answer)
			a := start(t, Options{Service: "productpage", Getenv: e.get}, func(s *Server) {
				p := s.httpd.svc.(*productpage)
				p.details.timeout, p.reviews.timeout, p.ratings.timeout = wait, wait, wait
			})
			path := "/api/v1/products/0"
			if tt.kind != "details" {
				path += "/" + tt.kind
			}
			began := time.Now()
			head, body := headBody(t, get(t, a, path))
			if tt.answer == hung {
				require.GreaterOrEqual(t, time.Since(began), time.Duration(tt.calls)*wait)
			}
			require.True(t, strings.HasPrefix(head, "HTTP/1.1 "+itoa(tt.status)+" "), head)
			require.Equal(t, `{"error": "Sorry, product `+tt.kind+` are currently unavailable for this book."}`, body)
			heads, _ := r.seen()
			require.Len(t, heads, tt.calls)
			metrics := get(t, a, "/metrics")
			require.Contains(t, metrics, fmt.Sprintf("request_result_total{destination_app=%q,response_code=\"%d\"} 1.0\n", tt.kind, tt.status))
			require.Contains(t, metrics, fmt.Sprintf("request_result_created{destination_app=%q,response_code=\"%d\"} 1.", tt.kind, tt.status))
		})
	}
}

// The page answers 200 whatever fails, and says what did.
func TestPageWithFailures(t *testing.T) {
	r := record(t, always("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
	e := vars{}.with("details", r.address).with("reviews", r.address)
	a := start(t, Options{Service: "productpage", Getenv: e.get})
	head, body := headBody(t, get(t, a, "/productpage"))
	require.Contains(t, head, "200 OK")
	for _, text := range []string{
		"Error fetching product details", "Sorry, product details are currently unavailable for this book.",
		"Error fetching product reviews", "Sorry, product reviews are currently unavailable for this book.",
	} {
		require.Contains(t, body, text)
	}
	require.NotContains(t, body, "Book Details")
}

// An upstream that answers 200 with something else breaks the original too.
func TestNonsenseFromUpstream(t *testing.T) {
	for body, page := range map[string]int{
		"<html>": 500, "{": 500, `{"n":1e999}`: 200, // a number Python cannot write again breaks the API only
	} {
		r := record(t, always(ok(body)))
		e := vars{}.with("details", r.address).with("reviews", r.address)
		a := start(t, Options{Service: "productpage", Getenv: e.get})
		require.Contains(t, get(t, a, "/api/v1/products/0"), "HTTP/1.1 500 INTERNAL SERVER ERROR\r\n", body)
		require.Contains(t, get(t, a, "/productpage"), "HTTP/1.1 "+itoa(page)+" ", body)
	}
	for _, body := range []string{"[]", `{"ratings":1}`, `{"ratings":{"Reviewer1":"5"}}`, "x"} {
		r := record(t, always(ok(body)))
		a := start(t, Options{Service: "reviews-v2", Getenv: vars{}.with("ratings", r.address).get})
		require.Contains(t, get(t, a, "/reviews/0"), "HTTP/1.1 500 Internal Server Error\r\n", body)
	}
}

func TestFlood(t *testing.T) {
	r := record(t, always(ok(reviewsBody)))
	e := vars{"FLOOD_FACTOR": "5"}.with("details", r.address).with("reviews", r.address)
	a := start(t, Options{Service: "productpage", Getenv: e.get})
	get(t, a, "/productpage")
	heads, opens := r.seen()
	require.Len(t, heads, 1+5+1)
	require.Equal(t, 7, opens)
	require.Equal(t, "100", images("productpage")[1].env["FLOOD_FACTOR"])
}

// How reviews shows what ratings says, or does not say.
func TestStars(t *testing.T) {
	gone := "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
	stars := func(n string) string { return `"rating": {"stars": ` + n + `, "color": "black"}` }
	const unavailable = `"rating": {"error": "Ratings service is currently unavailable"}`
	for _, tt := range []struct {
		name, answer  string
		first, second string
	}{
		{"both", ok(`{"id":0,"ratings":{"Reviewer1":5,"Reviewer2":0}}`), stars("5"), stars("0")},
		{"one", ok(`{"ratings":{"Reviewer2":2}}`), unavailable, stars("2")},
		{"none", ok(`{}`), unavailable, unavailable},
		{"a fraction is cut", ok(`{"ratings":{"Reviewer1":4.9,"Reviewer2":1e3}}`), stars("4"), stars("1000")},
		{"503", gone, unavailable, unavailable},
		{"hangs", hung, unavailable, unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := record(t, always(tt.answer))
			a := start(t, Options{Service: "reviews-v2", Getenv: vars{}.with("ratings", r.address).get}, func(s *Server) {
				s.httpd.svc.(*reviews).ratings.timeout = patience(tt.answer)
			})
			head, body := headBody(t, get(t, a, "/reviews/0"))
			require.Contains(t, head, "200 OK")
			first, second, cut := strings.Cut(body, "Reviewer2")
			require.True(t, cut)
			require.Contains(t, first, tt.first)
			require.Contains(t, second, tt.second)
			page := start(t, Options{Service: "productpage", Getenv: vars{}.with("reviews", a).get})
			require.Contains(t, get(t, page, "/productpage"), "Book Reviews")
		})
	}
	t.Run("refused", func(t *testing.T) {
		a := start(t, Options{Service: "reviews-v3", Getenv: vars{}.with("ratings", "127.0.0.1:1").get})
		require.Equal(t, 2, strings.Count(get(t, a, "/reviews/0"), unavailable))
	})
}

func TestTimeoutsOfTheOriginals(t *testing.T) {
	p, err := newProductpage(env{vars{}.get, nil}, nil, nil)
	require.NoError(t, err)
	for _, u := range []upstream{p.details, p.reviews, p.ratings} {
		require.Equal(t, 3*time.Second, u.timeout)
		require.Nil(t, u.pool)
	}
	for color, want := range map[string]time.Duration{"": 10 * time.Second, "black": 10 * time.Second, "red": 2500 * time.Millisecond, "blue": 2500 * time.Millisecond} {
		s, err := newReviews(env{vars{"STAR_COLOR": color}.get, nil}, nil, nil)
		require.NoError(t, err)
		require.Equal(t, want, s.ratings.timeout, color)
		require.Equal(t, 5*time.Second, s.ratings.pool.idle)
	}
}

// Who waits longer than the originals gets what comes too late for those.
func TestCallTimeout(t *testing.T) {
	for _, tt := range []struct {
		service, calls, path string
		original             time.Duration
		answered, not        string
	}{
		{"productpage", "details", "/api/v1/products/0", 3 * time.Second, `{"a": 1`, "Sorry, product details are currently unavailable"},
		{"reviews-v3", "ratings", "/reviews/0", 2500 * time.Millisecond, `{"stars": 5, "color": "red"}`, "Ratings service is currently unavailable"},
	} {
		t.Run(tt.service+" waits", func(t *testing.T) {
			t.Parallel()
			late := record(t, func(int, string) string {
				time.Sleep(tt.original + 500*time.Millisecond)
				return ok(`{"a":1,"ratings":{"Reviewer1":5,"Reviewer2":5}}`)
			})
			got := get(t, start(t, Options{Service: tt.service, CallTimeout: time.Minute, Getenv: vars{}.with(tt.calls, late.address).get}), tt.path)
			require.Contains(t, got, tt.answered)
			require.NotContains(t, got, tt.not)
		})
		t.Run(tt.service+" gives up", func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody takes its connections
			require.NoError(t, err)
			defer ln.Close()
			began := time.Now()
			require.Contains(t, get(t, start(t, Options{Service: tt.service, Getenv: vars{}.with(tt.calls, ln.Addr().String()).get}), tt.path), tt.not)
			require.GreaterOrEqual(t, time.Since(began), tt.original)
		})
	}
	s, err := New(Options{Service: "productpage", CallTimeout: time.Minute, Getenv: vars{}.get})
	require.NoError(t, err)
	p := s.httpd.svc.(*productpage)
	require.Equal(t, []time.Duration{time.Minute, time.Minute, time.Minute}, []time.Duration{p.details.timeout, p.reviews.timeout, p.ratings.timeout})
	_, err = New(Options{Service: "details", CallTimeout: -1, Getenv: vars{}.get})
	require.Equal(t, failure.Usage, failure.KindOf(err))
	require.ErrorContains(t, err, "call timeout of -1ns")
}

// The timeout bounds silence, not the call: a body that trickles in is read.
func TestTimeoutIsPerRead(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	answer := []byte(ok(`{"a":1}`))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for _, b := range answer {
			c.Write([]byte{b})
			time.Sleep(3 * limit / 2 / time.Duration(len(answer)))
		}
	}()
	a := start(t, Options{Service: "productpage", Getenv: vars{}.with("details", ln.Addr().String()).get}, func(s *Server) {
		s.httpd.svc.(*productpage).details.timeout = limit // less than the whole takes
	})
	_, body := headBody(t, get(t, a, "/api/v1/products/0"))
	require.Equal(t, `{"a": 1}`, body)
}

func TestContentEncodings(t *testing.T) {
	var gz, zl bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write([]byte(`{"a":1}`))
	g.Close()
	z := zlib.NewWriter(&zl)
	z.Write([]byte(`{"a":1}`))
	z.Close()
	for encoding, body := range map[string]string{
		"gzip": gz.String(), "deflate": zl.String(), "Deflate": zl.String()[2 : zl.Len()-4], "identity": `{"a":1}`,
	} {
		r := record(t, always(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", encoding, len(body), body)))
		a := start(t, Options{Service: "productpage", Getenv: vars{}.with("details", r.address).get})
		_, got := headBody(t, get(t, a, "/api/v1/products/0"))
		require.Equal(t, `{"a": 1}`, got, encoding)
	}
}
