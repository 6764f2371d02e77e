package mesh

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// anyRoute is a route that matches everything.
func anyRoute(timeout time.Duration) (*Table, *RequestIDs) {
	c := config()
	c.Listeners[0].VirtualHosts[0].Routes[0].Timeout = timeout
	t, err := Compile(c)
	if err != nil {
		panic(err)
	}
	return t, NewRequestIDs([32]byte{})
}

func TestAppendRequest(t *testing.T) {
	id := string(NewRequestIDs([32]byte{}).Append(nil))
	for _, tt := range []struct {
		name    string
		in, out []string
		timeout time.Duration
	}{
		{name: "plain", in: []string{"GET /a HTTP/1.1", "Accept: b", "Host: X"},
			out: []string{"GET /a HTTP/1.1", "host: X", "accept: b", "x-forwarded-proto: http", "x-request-id: " + id}},
		{name: "timeout", timeout: 1500 * time.Millisecond, in: []string{"GET / HTTP/1.1", "Host: x", "x-envoy-expected-rq-timeout-ms: 5"},
			out: []string{"GET / HTTP/1.1", "host: x", "x-forwarded-proto: http", "x-request-id: " + id, "x-envoy-expected-rq-timeout-ms: 1500"}},
		{name: "hop by hop", in: []string{"GET / HTTP/1.1", "Host: x", "Connection: keep-alive, X-A, TE", "X-A: 1", "Keep-Alive: 5",
			"Proxy-Connection: keep-alive", "Upgrade: h2c", "HTTP2-Settings: AA", "TE: gzip, trailers"},
			out: []string{"GET / HTTP/1.1", "host: x", "te: trailers", "x-forwarded-proto: http", "x-request-id: " + id}},
		{name: "its own kept", in: []string{"GET / HTTP/1.1", "Host: x", "X-Request-ID: abc", "X-Forwarded-Proto: https", "X-Forwarded-For: 1"},
			out: []string{"GET / HTTP/1.1", "host: x", "x-request-id: abc", "x-forwarded-proto: https", "x-forwarded-for: 1"}},
		{name: "empty ones replaced", in: []string{"GET / HTTP/1.1", "Host: x", "X-Request-ID:", "X-Forwarded-Proto:"},
			out: []string{"GET / HTTP/1.1", "host: x", "x-request-id: " + id, "x-forwarded-proto: http"}},
		{name: "controls taken out", in: []string{"GET / HTTP/1.1", "Host: x", "x-envoy-max-retries: 1", "x-envoy-internal: true",
			"x-forwarded-client-cert: By=a", "x-envoy-attempt-count: 3"},
			out: []string{"GET / HTTP/1.1", "host: x", "x-envoy-attempt-count: 3", "x-forwarded-proto: http", "x-request-id: " + id}},
		{name: "POST without a body", in: []string{"POST / HTTP/1.1", "Host: x"},
			out: []string{"POST / HTTP/1.1", "host: x", "x-forwarded-proto: http", "x-request-id: " + id, "content-length: 0"}},
		{name: "chunked last", in: []string{"POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "A: b"},
			out: []string{"POST / HTTP/1.1", "host: x", "a: b", "x-forwarded-proto: http", "x-request-id: " + id, "transfer-encoding: chunked"}},
		{name: "expect answered", in: []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 1", "Expect: 100-continue"},
			out: []string{"POST / HTTP/1.1", "host: x", "content-length: 1", "x-forwarded-proto: http", "x-request-id: " + id}},
		{name: "other expectations kept", in: []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 1", "Expect: x"},
			out: []string{"POST / HTTP/1.1", "host: x", "content-length: 1", "expect: x", "x-forwarded-proto: http", "x-request-id: " + id}},
		{name: "absolute", in: []string{"GET http://y?q HTTP/1.1", "Host: x"},
			out: []string{"GET /?q HTTP/1.1", "host: y", "x-forwarded-proto: http", "x-request-id: " + id}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, ids := anyRoute(tt.timeout)
			h := head(t, strings.Join(tt.in, "\r\n")+"\r\n\r\n")
			out := AppendRequest(nil, h, table.Listeners[0].Route(h), ids, nil)
			require.Equal(t, strings.Join(tt.out, "\r\n")+"\r\n\r\n", string(out))
		})
	}
}

func TestAppendResponse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in, out []string
		info    ResponseInfo
	}{
		{name: "server and date kept in place", in: []string{"HTTP/1.1 404 NOT FOUND", "Server: gunicorn", "Date: x", "Connection: keep-alive", "Content-Length: 0"},
			out: []string{"HTTP/1.1 404 Not Found", "server: envoy", "date: x", "content-length: 0", "x-envoy-upstream-service-time: 3"}},
		{name: "both missing", in: []string{"HTTP/1.1 200 Fine", "A: b"},
			out: []string{"HTTP/1.1 200 OK", "a: b", "x-envoy-upstream-service-time: 3", "date: D", "server: envoy"}},
		{name: "an upstream proxy's time replaced in place", in: []string{"HTTP/1.1 200 OK", "X-Envoy-Upstream-Service-Time: 77", "A: b", "Server: a", "Server: b", "Date:"},
			out: []string{"HTTP/1.1 200 OK", "x-envoy-upstream-service-time: 3", "a: b", "server: envoy", "date: "}},
		{name: "closing and chunked", info: ResponseInfo{Close: true, Chunked: true},
			in:  []string{"HTTP/1.1 299 Odd", "Transfer-Encoding: chunked", "Keep-Alive: 1", "Proxy-Connection: x", "Upgrade: y"},
			out: []string{"HTTP/1.1 299 Unknown", "x-envoy-upstream-service-time: 3", "date: D", "server: envoy", "connection: close", "transfer-encoding: chunked"}},
		{name: "before the request is complete", info: ResponseInfo{ServiceTime: -1},
			in:  []string{"HTTP/1.1 200 OK", "Content-Length: 0"},
			out: []string{"HTTP/1.1 200 OK", "content-length: 0", "date: D", "server: envoy"}},
		{name: "204 has no length", in: []string{"HTTP/1.1 204 No", "Content-Length: 0"},
			out: []string{"HTTP/1.1 204 No Content", "x-envoy-upstream-service-time: 3", "date: D", "server: envoy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &http1.Head{}
			h.Reset(true)
			_, err := h.Parse([]byte(strings.Join(tt.in, "\r\n") + "\r\n\r\n"))
			require.NoError(t, err)
			tt.info.Date = []byte("D")
			if tt.info.ServiceTime == 0 {
				tt.info.ServiceTime = 3999 * time.Microsecond
			}
			require.Equal(t, strings.Join(tt.out, "\r\n")+"\r\n\r\n", string(AppendResponse(nil, h, &tt.info)))
		})
	}
}

func TestAppendReply(t *testing.T) {
	date := []byte("D")
	require.Equal(t, "HTTP/1.1 404 Not Found\r\ndate: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
		string(AppendReply(nil, &ReplyNotFound, nil, nil, date, false, false)))
	require.Equal(t, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 19\r\ncontent-type: text/plain\r\ndate: D\r\nserver: envoy\r\n"+
		"connection: close\r\n\r\nno healthy upstream", string(AppendReply(nil, &ReplyNoHealthy, nil, nil, date, false, true)))
	require.Equal(t, "HTTP/1.1 503 Service Unavailable\r\nx-envoy-overloaded: true\r\ncontent-length: 81\r\ncontent-type: text/plain\r\n"+
		"date: D\r\nserver: envoy\r\n\r\n", string(AppendReply(nil, &ReplyOverflow, nil, nil, date, true, false)))
	for err, want := range map[error]Reply{
		http1.ErrNoHost:           {Status: 400, Details: "missing_host_header"},
		http1.ErrTarget:           {Status: 400, Body: "Bad Request", Flag: FlagDPE, Details: "http1.codec_error"},
		http1.ErrUpgradeRequired:  {Status: 426, Body: "Upgrade Required", Flag: FlagDPE, Details: "low_version"},
		http1.ErrTooManyFields:    {Status: 431, Body: "Request Header Fields Too Large", Flag: FlagDPE, Details: "http1.too_many_headers"},
		http1.ErrTransferEncoding: {Status: 501, Body: "Not Implemented", Flag: FlagDPE, Details: "http1.invalid_transfer_encoding"},
		io.EOF:                    {Status: 400, Body: "Bad Request", Flag: FlagDPE, Details: "http1.codec_error"},
	} {
		require.Equal(t, want, ReplyMalformed(err), err)
	}
}

// What goes upstream is a request that net/http reads as we framed it, and that
// carries none of what must stay here.
func FuzzAppendRequest(f *testing.F) {
	f.Add([]byte("GET http://y?q HTTP/1.1\r\nHost: x\r\nConnection: a\r\nA: b\r\n c\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\nHost: x\nContent-Length: 3\nX-Request-Id:\n\n"))
	table, ids := anyRoute(time.Second)
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &http1.Head{}
		h.Reset(false)
		if n, err := h.Parse(b); n == 0 || err != nil {
			return
		}
		r := table.Listeners[0].Route(h)
		if r == nil {
			return
		}
		out := AppendRequest(nil, h, r, ids, nil)
		g := &http1.Head{}
		g.Reset(false)
		if n, err := g.Parse(out); err != nil || n != len(out) {
			if err == http1.ErrTooManyFields || err == http1.ErrHeadTooLarge {
				return // what we add may pass the limit
			}
			t.Fatalf("we refuse what we wrote: %d, %v\n%q", n, err, out)
		}
		length := h.ContentLength
		if length < 0 && mayHaveBody(h.Method) && !h.Chunked {
			length = 0
		}
		if g.Chunked != h.Chunked || g.ContentLength != length || g.Close || g.ConnUpgrade || g.HasUpgrade || g.Expect {
			t.Fatalf("framing changed: %q", out)
		}
		if bytes.Count(out, []byte("\n")) != bytes.Count(out, []byte("\r\n")) || bytes.Count(out, []byte("\r")) != bytes.Count(out, []byte("\r\n")) {
			t.Fatalf("stray CR or LF: %q", out)
		}
		if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out))); err != nil &&
			!strings.Contains(err.Error(), "malformed Host") && !strings.Contains(err.Error(), "parse ") {
			t.Fatalf("net/http refuses what we wrote: %v\n%q", err, out)
		}
	})
}

const typical = "GET /productpage HTTP/1.1\r\nHost: productpage:9080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"

func TestDecisionsDoNotAllocate(t *testing.T) {
	table, ids := anyRoute(time.Second)
	in, h, dst := []byte(typical), &http1.Head{}, make([]byte, 0, 4096)
	lb := newRoundRobin([]uint32{1, 2, 3}, 0)
	resp := []byte("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n")
	info := ResponseInfo{Date: []byte("D")}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h.Reset(false)
		h.Parse(in)
		AppendRequest(dst, h, table.Listeners[0].Route(h), ids, nil)
		lb.pick()
		h.Reset(true)
		h.Parse(resp)
		AppendResponse(dst, h, &info)
		AppendReply(dst, &ReplyNotFound, nil, nil, info.Date, false, false)
	}))
}

func BenchmarkRequest(b *testing.B) {
	table, ids := anyRoute(time.Second)
	in, h, dst := []byte(typical), &http1.Head{}, make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		h.Reset(false)
		if n, err := h.Parse(in); n == 0 {
			b.Fatal(err)
		}
		AppendRequest(dst, h, table.Listeners[0].Route(h), ids, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/request")
}
