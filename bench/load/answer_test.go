package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// read feeds b in pieces of at most step bytes and, if it is all, an end of the
// connection.
func read(p *parser, b []byte, step int, end bool) (body []byte, used int, done bool, err error) {
	for used < len(b) {
		n, d, err := p.feed(b[used:min(len(b), used+step)], func(x []byte) { body = append(body, x...) })
		used += n
		if err != nil || d {
			return body, used, d, err
		}
	}
	return body, used, end && p.eof(), nil
}

func TestParser(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, in string
		body     string
		status   int
		done     bool
		close    bool
		left     string // bytes after the answer
		err      string
	}{
		{"length", ok + "Content-Length: 3\r\n\r\nabc", "abc", 200, true, false, "", ""},
		{"length in odd case, padded", ok + "cOnTent-LENGTH: \t3 \t\r\n\r\nabc", "abc", 200, true, false, "", ""},
		{"no body", ok + "Content-Length: 0\r\n\r\n", "", 200, true, false, "", ""},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", 200, true, false, "", ""},
		{"two equal lengths", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false, "", ""},
		{"bytes left", ok + "Content-Length: 1\r\n\r\nxyz", "x", 200, true, false, "yz", ""},
		{"close", ok + "Connection: foo, Close\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, true, "", ""},
		{"1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, true, "", ""},
		{"1.0 keeps", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", "x", 200, true, false, "", ""},
		{"until close", ok + "\r\nabc", "abc", 200, true, true, "", ""},
		{"204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, false, "", ""},
		{"304 has no body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "", 304, true, false, "", ""},
		{"interim", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 Early\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", "x", 200, true, false, "", ""},
		{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00B;x=y\r\nhello world\r\n0\r\n\r\n", "abchello world", 200, true, false, "", ""},
		{"chunked with trailers", ok + "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\nz", "a", 200, true, false, "z", ""},
		{"length cut", ok + "Content-Length: 3\r\n\r\nab", "ab", 200, false, false, "", ""},
		{"chunked cut", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nab", "ab", 200, false, false, "", ""},
		{"head cut", ok + "Content-Le", "", 0, false, false, "", ""},

		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "", 0, false, false, "", "status line"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "", 0, false, false, "", "status line"},
		{"status of letters", "HTTP/1.1 2x0 OK\r\n\r\n", "", 0, false, false, "", "status line"},
		{"status of four digits", "HTTP/1.1 2000\r\n\r\n", "", 0, false, false, "", "status line"},
		{"status below 100", "HTTP/1.1 099 X\r\n\r\n", "", 0, false, false, "", "status line"},
		{"101", "HTTP/1.1 101 Switching\r\n\r\n", "", 0, false, false, "", "101"},
		{"different lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", "", 0, false, false, "", "two different"},
		{"negative length", ok + "Content-Length: -1\r\n\r\n", "", 0, false, false, "", "content-length"},
		{"list of lengths", ok + "Content-Length: 1, 1\r\n\r\nx", "", 0, false, false, "", "content-length"},
		{"length out of range", ok + "Content-Length: 9999999999999999999\r\n\r\n", "", 0, false, false, "", "content-length"},
		{"length and chunked", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "", 0, false, false, "", "both"},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", 0, false, false, "", "HTTP/1.0"},
		{"gzip coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "", 0, false, false, "", "transfer-encoding"},
		{"space before colon", ok + "Content-Length : 1\r\n\r\nx", "", 0, false, false, "", "header field"},
		{"folded line", ok + "A: b\r\n c: d\r\n\r\n", "", 0, false, false, "", "header field"},
		{"bare line feed", ok + "A: b\nContent-Length: 1\r\n\r\n", "", 0, false, false, "", "header field"},
		{"bare line feed in status line", "HTTP/1.0 200 0\n\r\n\r\n", "", 0, false, false, "", "status line"},
		{"bare carriage return", ok + "A: b\rc\r\n\r\n", "", 0, false, false, "", "header field"},
		{"bare line feed in trailer", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n", "", 200, false, false, "", "malformed chunk"},
		{"no colon", ok + "nonsense\r\n\r\n", "", 0, false, false, "", "header field"},
		{"chunk size missing", ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", "", 200, false, false, "", "malformed chunk"},
		{"chunk size of letters", ok + "Transfer-Encoding: chunked\r\n\r\nxy\r\n", "", 200, false, false, "", "malformed chunk"},
		{"chunk size too long", ok + "Transfer-Encoding: chunked\r\n\r\n0000000000000001\r\n", "", 200, false, false, "", "malformed chunk"},
		{"chunk longer than said", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "a", 200, false, false, "", "malformed chunk"},
		{"chunk line with bare line feed", ok + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", "", 200, false, false, "", "malformed chunk"},
		{"head without end", ok + strings.Repeat("A: b\r\n", 20000), "", 0, false, false, "", "longer than"},
		{"trailers without end", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: b\r\n", 20000), "", 200, false, false, "", "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				p := parser{head: make([]byte, 0, 8)}
				body, used, done, err := read(&p, []byte(tt.in), step, true)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err, "step %d", step)
					continue
				}
				require.NoError(t, err, "step %d", step)
				require.Equal(t, tt.done, done, "step %d", step)
				require.Equal(t, tt.body, string(body), "step %d", step)
				require.Equal(t, tt.status, p.status)
				require.Equal(t, tt.close, p.close)
				if done {
					require.Equal(t, tt.left, tt.in[used:], "step %d", step)
				}
			}
		})
	}
}

func TestParserHEAD(t *testing.T) {
	p := parser{noBody: true}
	_, used, done, err := read(&p, []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nrest"), 4, false)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, len("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), used)
}

func TestParserIsReusable(t *testing.T) {
	var p parser
	in := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n")
	for range 3 { // the third time in pieces, after two whole ones
		for _, step := range []int{1 << 20, 1, 5} {
			body, _, done, err := read(&p, in, step, false)
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, "a", string(body))
			p.reset()
			require.False(t, p.started)
		}
	}
}

// However an answer arrives, it is the same answer; what follows it is not
// looked at; and net/http, where it takes the answer too, agrees.
func FuzzParser(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, s := range []string{
		ok + "Content-Length: 3\r\n\r\nabc", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
		ok + "\r\nabc", "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", "HTTP/1.0 304 x\r\nConnection: keep-alive\r\n\r\n",
		ok + "Content-Length: 10\r\n\r\nabc",
	} {
		f.Add([]byte(s), uint8(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var whole, pieces parser
		body1, used1, done1, err1 := read(&whole, b, len(b)+1, true)
		body2, used2, done2, err2 := read(&pieces, b, int(step)+1, true)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, in pieces of %d: %v", err1, int(step)+1, err2)
		}
		if err1 != nil {
			return
		}
		if used1 != used2 || done1 != done2 || !bytes.Equal(body1, body2) || whole.status != pieces.status || whole.close != pieces.close {
			t.Fatalf("whole: %q %d %v %d, in pieces: %q %d %v %d", body1, used1, done1, whole.status, body2, used2, done2, pieces.status)
		}
		if !done1 {
			return
		}
		body3, status, ok := netHTTP(b)
		if ok && (status != whole.status || !bytes.Equal(body1, body3)) {
			t.Fatalf("%d %q, net/http reads %d %q", whole.status, body1, status, body3)
		}
	})
}

func netHTTP(b []byte) (body []byte, status int, ok bool) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: "GET"})
		if err != nil {
			return nil, 0, false
		}
		body, err = io.ReadAll(res.Body)
		if err != nil {
			return nil, 0, false
		}
		if res.StatusCode >= 200 {
			return body, res.StatusCode, true
		}
	}
}

// The null server's reader: a head's length does not depend on what follows,
// and a head it takes net/http takes, too, or refuses for a stated reason.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"))
	f.Add([]byte("POST /x HTTP/1.0\r\nContent-Length: 4\r\n\r\nabcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, n := readAsk(b)
		if n == 0 {
			if len(b) >= maxHead {
				t.Fatal("no end of head and no refusal")
			}
			return
		}
		if n > len(b) || a.skip < 0 || (a.bad != 0 && !a.close) {
			t.Fatalf("%+v, %d of %d bytes", a, n, len(b))
		}
		if a2, n2 := readAsk(b[:n]); len(b) < maxHead && (a2 != a || n2 != n) {
			t.Fatalf("alone it reads %+v %d, with more behind %+v %d", a2, n2, a, n)
		}
	})
}

func TestBodyCheck(t *testing.T) {
	three := int64(3)
	for _, tt := range []struct {
		name  string
		check Check
		body  string
		why   string
	}{
		{"anything", Check{}, "xyz", ""},
		{"exact", Check{Body: "abcdef"}, "abcdef", ""},
		{"exact, other byte", Check{Body: "abcdef"}, "abcdeF", "not the expected"},
		{"exact, too short", Check{Body: "abcdef"}, "abcde", "not the expected"},
		{"exact, too long", Check{Body: "abcdef"}, "abcdefg", "not the expected"},
		{"length", Check{BodyLen: &three}, "abc", ""},
		{"other length", Check{BodyLen: &three}, "abcd", "has 4 bytes, want 3"},
		{"contains", Check{Contains: []string{"bc", "ef"}}, "abcdef", ""},
		{"lacks", Check{Contains: []string{"bc", "fe"}}, "abcdef", `lacks "fe"`},
		{"excludes", Check{Excludes: []string{"xy"}}, "abcdef", ""},
		{"has", Check{Excludes: []string{"cd"}}, "abcdef", `has "cd"`},
		{"too long to search for what must not be", Check{Excludes: []string{"x"}, MaxBody: 5}, "abcdef", "too long"},
		{"too long to search", Check{Contains: []string{"a"}, MaxBody: 5}, "abcdef", "too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.check.MaxBody == 0 {
				tt.check.MaxBody = 100
			}
			b := newBody(&tt.check)
			for _, step := range []int{1, 2, 100} {
				for s := tt.body; len(s) > 0; s = s[min(step, len(s)):] {
					b.write([]byte(s[:min(step, len(s))]))
				}
				require.Equal(t, tt.why == "", b.ok(), "step %d", step)
				require.Contains(t, b.why(), tt.why)
				b.reset()
			}
		})
	}
}
