package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parse parses s whole and checks that every way of splitting it in two, and
// feeding it in small pieces into buffers that move, says the same.
func parse(t testing.TB, response bool, s string) (*Head, int, error) {
	t.Helper()
	h := &Head{}
	h.Reset(response)
	n, err := h.Parse([]byte(s))
	steps := [][]int{}
	for i := range len(s) {
		steps = append(steps, []int{i, len(s)})
	}
	if len(s) > 300 {
		steps = [][]int{{1, len(s)}, {len(s) / 2, len(s)}, {len(s) - 1, len(s)}}
	}
	var each []int
	for i := 1; i < len(s); i += 1 + len(s)/500 {
		each = append(each, i)
	}
	each = append(each, len(s))
	for _, ends := range append(steps, each) {
		g := &Head{}
		g.Reset(response)
		var m int
		var gerr error
		for _, e := range ends {
			if m, gerr = g.Parse([]byte(s[:e])); m != 0 || gerr != nil {
				break
			}
		}
		require.Equal(t, err, gerr, "split at %v of %q", ends, s)
		require.Equal(t, n, m, "split at %v of %q", ends, s)
		if n > 0 {
			require.Equal(t, text(h), text(g))
		}
	}
	return h, n, err
}

// text renders what a Head says.
func text(h *Head) string {
	var b strings.Builder
	if h.response {
		fmt.Fprintf(&b, "%d", h.Status)
	} else {
		fmt.Fprintf(&b, "%s %s %s", h.Bytes(h.MethodSpan), h.Bytes(h.Authority), h.Bytes(h.Path))
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{
		{h.Chunked, "chunked"}, {h.Close, "close"}, {h.ConnUpgrade, "upgrade"}, {h.HasUpgrade, "protocol"},
		{h.Expect, "expect"}, {h.TETrailers, "trailers"},
	} {
		if flag.on {
			b.WriteString(" " + flag.name)
		}
	}
	if h.ContentLength >= 0 {
		fmt.Fprintf(&b, " length=%d", h.ContentLength)
	}
	for i := range h.Fields() {
		f := &h.Fields()[i]
		mark := ""
		if f.Nominated {
			mark = "-"
		}
		b.WriteString("\n" + mark + strings.TrimSuffix(string(h.AppendField(nil, f)), "\r\n"))
	}
	return b.String()
}

func TestRequestHead(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "GET /a?b HTTP/1.1\r\nHost: x\r\nX-A:  1 2 \r\n\r\n", "GET x /a?b\nhost: x\nx-a: 1 2"},
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n", "GET x /\nhost: x"},
		{"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET x /\nhost: x"},
		{"spaces and tabs between words", "GET \t / \t HTTP/1.1 \r\nHost: x\r\n\r\n", "GET x /\nhost: x"},
		{"CR before CRLF", "GET / HTTP/1.1\r\r\nHost: x\r\r\n\r\n", "GET x /\nhost: x"},
		{"no value", "GET / HTTP/1.1\r\nHost:\r\nX:\r\n\r\n", "GET  /\nhost: \nx: "},
		{"folded", "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n 2\r\n\t3\r\n\r\n", "GET x /\nhost: x\na: 1 2\t3"},
		{"fold of nothing", "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\n \r\n\r\n", "GET x /\nhost: x\na: 1"},
		{"bare CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r2\r\n\r\n", "GET x /\nhost: x\na: 12"},
		{"obs-text", "GET / HTTP/1.1\r\nHost: x\r\nA: \xff\x80abcdefgh\r\n\r\n", "GET x /\nhost: x\na: \xff\x80abcdefgh"},
		{"tab in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: 1\t2\r\n\r\n", "GET x /\nhost: x\na: 1\t2"},
		{"absolute", "GET http://y:1/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET y:1 /a\nhost: x"},
		{"absolute without Host", "GET HTTPS://y HTTP/1.1\r\n\r\n", "GET y "},
		{"absolute with a query alone", "GET http://y?q HTTP/1.1\r\n\r\n", "GET y ?q"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS x *\nhost: x"},
		{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: y\r\n\r\n", "CONNECT x:1 \nhost: y"},
		{"length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 007\r\n\r\n", "POST x / length=7\nhost: x\ncontent-length: 007"},
		{"chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ChunKed\r\n\r\n", "POST x / chunked\nhost: x\ntransfer-encoding: ChunKed"},
		{"close with a bare CR", "GET / HTTP/1.1\r\nHost: x\r\nConnection: a,\rclos\re\r\n\r\n", "GET x / close\nhost: x\nconnection: a,close"},
		{"close among others", "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, , Close\r\n\r\n", "GET x / close\nhost: x\nconnection: keep-alive, , Close"},
		{"proxy-connection counts", "GET / HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n\r\n", "GET x / close\nhost: x\nproxy-connection: close"},
		{"nominated", "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nConnection: a, content-length\r\nContent-Length: 0\r\n\r\n",
			"GET x / length=0\nhost: x\n-a: 1\nconnection: a, content-length\ncontent-length: 0"},
		{"upgrade", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"GET x / upgrade protocol\nhost: x\nconnection: Upgrade\nupgrade: websocket"},
		{"h2c is not an upgrade", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", "GET x /\nhost: x\nupgrade: h2c"},
		{"expect", "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n", "GET x / expect\nhost: x\nexpect: 100-Continue"},
		{"nominated expect", "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: expect\r\n\r\n", "GET x /\nhost: x\n-expect: 100-continue\nconnection: expect"},
		{"te", "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip, trailers\r\n\r\n", "GET x / trailers\nhost: x\nte: gzip, trailers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := parse(t, false, tt.in)
			require.NoError(t, err)
			require.Equal(t, len(tt.in), n)
			require.Equal(t, tt.want, text(h))
		})
	}
}

func TestRequestHeadRefused(t *testing.T) {
	field := func(s string) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + s + "\r\n\r\n" }
	for _, tt := range []struct {
		name, in string
		want     Error
	}{
		{"TLS handshake", "\x16\x03\x01", ErrStartLine},
		{"leading space", " GET / HTTP/1.1\r\n", ErrStartLine},
		{"one word", "GET\r\n", ErrStartLine},
		{"HTTP/0.9", "GET /\r\n", ErrUpgradeRequired},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n", ErrUpgradeRequired},
		{"HTTP/1.2", "GET / HTTP/1.2\r\n", ErrUpgradeRequired},
		{"HTTP/2.0", "GET / HTTP/2.0\r\n", ErrUpgradeRequired},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n", ErrMethod},
		{"version without minor", "GET / HTTP/3\r\n", ErrVersion},
		{"lower case version", "GET / http/1.1\r\n", ErrVersion},
		{"space in the path", "GET /a b HTTP/1.1\r\n", ErrVersion},
		{"unknown method", "FOO / HTTP/1.1\r\n", ErrMethod},
		{"lower case method", "get / HTTP/1.1\r\n", ErrMethod},
		{"relative path", "GET a HTTP/1.1\r\n", ErrTarget},
		{"asterisk with GET", "GET * HTTP/1.1\r\n", ErrURL},
		{"control byte in the path", "GET /\x01 HTTP/1.1\r\n", ErrTargetByte},
		{"CR in the path", "GET /\ra HTTP/1.1\r\n", ErrTargetByte},
		{"high byte in the path", "GET /\x80 HTTP/1.1\r\n", ErrTarget},
		{"fragment", "GET /a#b HTTP/1.1\r\n", ErrFragment},
		{"another scheme", "GET ftp://x/ HTTP/1.1\r\n", ErrScheme},
		{"no authority", "GET http:///x HTTP/1.1\r\n", ErrURL},
		{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\n", ErrURL},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", ErrNoHost},
		{"two Hosts", field("Host: y"), ErrHost},
		{"space in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ErrHost},
		{"no colon", field("abc"), ErrFieldName},
		{"no name", field(": a"), ErrFieldName},
		{"space before the colon", field("A : b"), ErrFieldName},
		{"high byte in a name", field("\xc3: b"), ErrFieldName},
		{"NUL in a value", field("A: b\x00c"), ErrFieldValue},
		{"control byte in a value", field("A: abcdefghijk\x01"), ErrFieldValue},
		{"DEL in a value", field("A: b\x7f"), ErrFieldValue},
		{"control byte in a fold", field("A: b\r\n \x01"), ErrFieldValue},
		{"fold before any field", "GET / HTTP/1.1\r\n a\r\n", ErrFold},
		{"CR alone on a line", field("A: b\r\n\r\r\nB: c"), ErrFieldName},
		{"length and chunked", field("Content-Length: 1\r\nTransfer-Encoding: chunked"), ErrLengthAndChunked},
		{"chunked and length", field("Transfer-Encoding: chunked\r\nContent-Length: 1"), ErrLengthAndChunked},
		{"same length twice", field("Content-Length: 1\r\nContent-Length: 1"), ErrContentLength},
		{"list of lengths", field("Content-Length: 1, 1"), ErrContentLength},
		{"signed length", field("Content-Length: +1"), ErrContentLength},
		{"negative length", field("Content-Length: -1"), ErrContentLength},
		{"hexadecimal length", field("Content-Length: 0x1"), ErrContentLength},
		{"empty length", field("Content-Length:"), ErrContentLength},
		{"length of 2⁶³", field("Content-Length: 9223372036854775808"), ErrContentLength},
		{"folded length", field("Content-Length: 1\r\n 0"), ErrContentLength},
		{"gzip, chunked", field("Transfer-Encoding: gzip, chunked"), ErrTransferEncoding},
		{"identity", field("Transfer-Encoding: identity"), ErrTransferEncoding},
		{"chunked twice", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), ErrTransferEncoding},
		{"chunked with a vertical tab", field("Transfer-Encoding: \vchunked"), ErrFieldValue},
		{"chunked with a bare CR", field("Transfer-Encoding: chun\rked"), ErrTransferEncoding},
		{"folded chunked", field("Transfer-Encoding:\r\n chunked"), ErrTransferEncoding},
		{"nominated host", field("Connection: host"), ErrNoHost},
		{"nominated x-forwarded-proto", field("Connection: X-Forwarded-Proto"), ErrNominated},
		{"nominated pseudo-field", field("Connection: :path"), ErrNominated},
		{"ten connection options", field("Connection: a, b, c, d, e\r\nConnection: close, f, g, h, i"), ErrNominated},
		{"101 fields", field(strings.TrimSuffix(strings.Repeat("A: b\r\n", 100), "\r\n")), ErrTooManyFields},
		{"head too large", field("A: " + strings.Repeat("a", MaxRequestHead)), ErrHeadTooLarge},
		{"line that never ends", "GET /" + strings.Repeat("a", MaxRequestHead), ErrHeadTooLarge},
		{"too many empty lines", strings.Repeat("\r\n", 40) + "GET / HTTP/1.1\r\n", ErrStartLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, err := parse(t, false, tt.in)
			require.Equal(t, tt.want, err)
			require.Zero(t, n)
			require.Contains(t, err.Error(), "http1: ")
		})
	}
}

func TestRequestHeadAtTheLimits(t *testing.T) {
	ok := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 99) + "\r\n"
	_, n, err := parse(t, false, ok)
	require.NoError(t, err)
	require.Equal(t, len(ok), n)
	start := "GET / HTTP/1.1\r\nHost: x\r\nA: "
	full := start + strings.Repeat("a", MaxRequestHead-len(start)-4) + "\r\n\r\n"
	_, n, err = parse(t, false, full)
	require.NoError(t, err)
	require.Equal(t, MaxRequestHead, n)
}

func TestResponseHead(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		err            Error
	}{
		{"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "200\na: b", 0},
		{"no reason", "HTTP/1.1 404\r\n\r\n", "404", 0},
		{"reason with spaces", "HTTP/1.1 404 NOT  FOUND \r\n\r\n", "404", 0},
		{"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\n\r\n", "200 close", 0},
		{"HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", "200\nconnection: Keep-Alive", 0},
		{"HTTP/1.2 closes", "HTTP/1.2 200 OK\r\n\r\n", "200 close", 0},
		{"nominations do nothing", "HTTP/1.1 200 OK\r\nConnection: a, host\r\nA: b\r\n\r\n", "200\nconnection: a, host\na: b", 0},
		{"204 with length 0", "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "204 length=0\ncontent-length: 0", 0},
		{"not HTTP", "xyz", "", ErrStartLine},
		{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", "", ErrStartLine},
		{"HTTP/2", "HTTP/2 200 OK\r\n\r\n", "", ErrVersion},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "", ErrVersion},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "", ErrStatus},
		{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "", ErrStatus},
		{"099", "HTTP/1.1 099 OK\r\n\r\n", "", ErrStatus},
		{"204 with a body", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "", ErrBodyNotAllowed},
		{"204 chunked", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "", ErrBodyNotAllowed},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "", ErrContentLength},
		{"too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", MaxResponseHead) + "\r\n\r\n", "", ErrHeadTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := parse(t, true, tt.in)
			if tt.err != 0 {
				require.Equal(t, tt.err, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, len(tt.in), n)
			require.Equal(t, tt.want, text(h))
		})
	}
}

func TestBodyOfHead(t *testing.T) {
	for _, tt := range []struct {
		name, in       string
		response, head bool
		want           Body
	}{
		{"request without", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, false, Body{}},
		{"request with length", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", false, false, LengthBody(5)},
		{"request chunked", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, ChunkedBody()},
		{"response to the end", "HTTP/1.1 200 OK\r\n\r\n", true, false, StreamBody()},
		{"response with length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, false, LengthBody(5)},
		{"response to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, true, Body{}},
		{"304", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", true, false, Body{}},
		{"204", "HTTP/1.1 204 No\r\n\r\n", true, false, Body{}},
		{"HTTP/1.0 chunked, as Envoy reads it", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, false, ChunkedBody()},
		{"103", "HTTP/1.1 103 Hints\r\n\r\n", true, false, Body{}},
	} {
		h, _, err := parse(t, tt.response, tt.in)
		require.NoError(t, err, tt.name)
		require.Equal(t, tt.want, h.Body(tt.head), tt.name)
	}
}

func TestLookup(t *testing.T) {
	h, _, err := parse(t, false, "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\n\r\n")
	require.NoError(t, err)
	v, ok := h.Lookup("a")
	require.True(t, ok)
	require.Equal(t, "1", string(v))
	_, ok = h.Lookup("b")
	require.False(t, ok)
}

// What net/http and we both accept, we understand alike; and what we pass on,
// net/http accepts and understands as we did.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		"GET /a?b HTTP/1.1\r\nHost: x\r\nX-A:  1 2 \r\n\r\n",
		"POST / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nA: b\r\n c\r\n\r\n",
		"GET http://y/a HTTP/1.1\r\nHost: x\r\nConnection: a, close\r\nA: b\rc\r\n\r\n",
		"\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := &Head{}
		h.Reset(false)
		n, err := h.Parse(b)
		g := &Head{}
		g.Reset(false)
		var m int
		var gerr error
		for i := 0; i <= len(b) && m == 0 && gerr == nil; i++ {
			m, gerr = g.Parse(append([]byte(nil), b[:i]...))
		}
		if n != m || err != gerr {
			t.Fatalf("whole: %d, %v; byte by byte: %d, %v", n, err, m, gerr)
		}
		if n == 0 {
			return
		}
		if h.Method == MethodConnect {
			return // net/http has a shape of its own for it
		}
		if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:n]))); err == nil {
			agree(t, "as it came", h, r)
		}
		out := append([]byte(nil), h.Bytes(h.MethodSpan)...)
		out = append(append(append(out, ' '), h.Bytes(h.Target)...), " HTTP/1.1\r\n"...)
		for i := range h.Fields() {
			out = h.AppendField(out, &h.Fields()[i])
		}
		out = append(out, "\r\n"...)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if err != nil {
			if strings.Contains(err.Error(), "malformed Host") || strings.Contains(err.Error(), "parse ") {
				return // net/url's idea of a host or an escape is narrower than Envoy's
			}
			t.Fatalf("net/http refuses what we pass on: %v\n%q", err, out)
		}
		agree(t, "as we pass it on", h, r)
	})
}

func agree(t *testing.T, what string, h *Head, r *http.Request) {
	t.Helper()
	if r.Method != string(h.Bytes(h.MethodSpan)) {
		t.Fatalf("%s: method %q, want %q", what, r.Method, h.Bytes(h.MethodSpan))
	}
	chunked := len(r.TransferEncoding) == 1 && r.TransferEncoding[0] == "chunked"
	if chunked != h.Chunked {
		t.Fatalf("%s: chunked %v, want %v", what, chunked, h.Chunked)
	}
	if want := max(h.ContentLength, 0); !chunked && r.ContentLength != want {
		t.Fatalf("%s: length %d, want %d", what, r.ContentLength, want)
	}
	if r.Close != h.Close && !bytes.Contains(bytes.ToLower(h.buf), []byte("proxy-connection")) {
		t.Fatalf("%s: close %v, want %v", what, r.Close, h.Close)
	}
}

func FuzzResponseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), false)
	f.Add([]byte("HTTP/1.0 204 \nConnection: keep-alive\n\n"), true)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\tc\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		h := &Head{}
		h.Reset(true)
		n, err := h.Parse(b)
		if err != nil || n == 0 {
			return
		}
		req := &http.Request{Method: "GET"}
		if head {
			req.Method = "HEAD"
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:n])), req)
		if err != nil {
			return
		}
		if r.StatusCode != h.Status {
			t.Fatalf("status %d, want %d", h.Status, r.StatusCode)
		}
		body := h.Body(head)
		left, known := body.Left()
		if known && r.ContentLength >= 0 && !head && h.Status != 304 && int64(left) != r.ContentLength {
			t.Fatalf("body of %d, want %d", left, r.ContentLength)
		}
		// net/http ignores the coding of an HTTP/1.0 message; Envoy reads it.
		chunked := len(r.TransferEncoding) > 0 || h.Minor == 0 && h.Chunked
		if body.Chunked() != chunked && !head && h.Status != 304 && h.Status/100 != 1 {
			t.Fatalf("chunked %v, want %v", body.Chunked(), chunked)
		}
	})
}

const typicalRequest = "GET /productpage HTTP/1.1\r\nHost: productpage:9080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
	"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n" +
	"x-request-id: 547ab228-cb30-4fef-991c-95c17116ce7f\r\ncookie: session=abcdef0123456789\r\n\r\n"

const typicalResponse = "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Mon, 23 Nov 2026 21:00:00 GMT\r\nConnection: keep-alive\r\n" +
	"Content-Type: text/html; charset=utf-8\r\nContent-Length: 15034\r\n\r\n"

func BenchmarkHead(b *testing.B) {
	for _, bb := range []struct {
		name, in string
		response bool
	}{{"request", typicalRequest, false}, {"response", typicalResponse, true}, {"wrk", "GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", false}} {
		b.Run(bb.name, func(b *testing.B) {
			in, h := []byte(bb.in), &Head{}
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				h.Reset(bb.response)
				if n, err := h.Parse(in); n != len(in) {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/head")
		})
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	in, bad, h := []byte(typicalRequest), []byte("GET / HTTP/1.0\r\n"), &Head{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		h.Reset(false)
		h.Parse(in[:50])
		h.Parse(in)
		h.Reset(false)
		h.Parse(bad)
	}))
}

// EqualFold is what it would be byte by byte, of any bytes.
func TestEqualFold(t *testing.T) {
	const name = "x-envoy-upstream_alt^z"
	for at := range name {
		for c := range 256 {
			b := bytes.ToUpper([]byte(name))
			b[at] = byte(c)
			require.Equal(t, lower[c] == name[at], EqualFold(b, name), "%q", b)
		}
	}
	require.False(t, EqualFold([]byte(name), name[1:]))
}

func TestToLower(t *testing.T) {
	var token []byte
	for c := range 256 {
		if lower[c] != 0 {
			token = append(token, byte(c))
		}
	}
	for from := range token { // every byte at every place of a word
		b := slices.Clone(token[from:])
		toLower(b)
		for i, c := range b {
			require.Equal(t, lower[token[from+i]], c)
		}
	}
}
