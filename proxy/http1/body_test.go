package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run feeds s to b in pieces of the given size and returns how many bytes it
// took and the data among them.
func run(b *Body, s string, size int) (n int, data string, err error) {
	var out strings.Builder
	for n < len(s) && !b.Done() {
		piece := s[n:min(n+size, len(s))]
		for len(piece) > 0 && !b.Done() {
			m, isData, err := b.Next([]byte(piece))
			if isData {
				out.WriteString(piece[:m])
			}
			n += m
			if err != nil {
				return n, out.String(), err
			}
			if m == 0 {
				return n, out.String(), fmt.Errorf("no progress at %d", n)
			}
			piece = piece[m:]
		}
	}
	return n, out.String(), nil
}

func TestBody(t *testing.T) {
	for _, tt := range []struct {
		name string
		body Body
		in   string
		data string
		rest string // what does not belong to the body
		done bool
		err  Error
	}{
		{"none", Body{}, "abc", "", "abc", true, 0},
		{"length 0", LengthBody(0), "abc", "", "abc", true, 0},
		{"length", LengthBody(3), "abcdef", "abc", "def", true, 0},
		{"length, short", LengthBody(4), "abc", "abc", "", false, 0},
		{"stream", StreamBody(), "abc", "abc", "", false, 0},
		{"chunked", ChunkedBody(), "3\r\nabc\r\n0\r\n\r\nX", "abc", "X", true, 0},
		{"empty", ChunkedBody(), "0\r\n\r\n", "", "", true, 0},
		{"two chunks", ChunkedBody(), "1\r\na\r\nA\r\n0123456789\r\n00\r\n\r\n", "a0123456789", "", true, 0},
		{"extensions", ChunkedBody(), "1;a;b=\"c d\"\r\na\r\n0;x\r\n\r\n", "a", "", true, 0},
		{"blank before the extension", ChunkedBody(), "1 \t;a\r\na\r\n0 \r\n\r\n", "a", "", true, 0},
		{"trailers", ChunkedBody(), "0\r\nA: b\r\nC:\r\n\r\nX", "", "X", true, 0},
		{"CRLF in the data", ChunkedBody(), "4\r\n\r\n0\r\r\n0\r\n\r\n", "\r\n0\r", "", true, 0},

		{"bare LF after the size", ChunkedBody(), "3\nabc\r\n0\r\n\r\n", "", "", false, ErrChunkSize},
		{"bare CR after the size", ChunkedBody(), "3\rabc", "", "", false, ErrChunk},
		{"data beyond the chunk", ChunkedBody(), "3\r\nabcd\r\n0\r\n\r\n", "abc", "", false, ErrChunk},
		{"bare LF after the data", ChunkedBody(), "3\r\nabc\n0\r\n\r\n", "abc", "", false, ErrChunk},
		{"no size", ChunkedBody(), "\r\n", "", "", false, ErrChunkSize},
		{"not hexadecimal", ChunkedBody(), "g\r\n", "", "", false, ErrChunkSize},
		{"0x", ChunkedBody(), "0x3\r\nabc", "", "", false, ErrChunkSize},
		{"negative", ChunkedBody(), "-1\r\n", "", "", false, ErrChunkSize},
		{"two sizes", ChunkedBody(), "3 3\r\nabc", "", "", false, ErrChunkSize},
		{"size of 2⁶⁴", ChunkedBody(), "10000000000000000\r\n", "", "", false, ErrChunkSize},
		{"control byte in an extension", ChunkedBody(), "1;a\x01\r\n", "", "", false, ErrChunk},
		{"LF in an extension", ChunkedBody(), "1;a\n", "", "", false, ErrChunk},
		{"endless extension", ChunkedBody(), "1;" + strings.Repeat("a", 1<<15), "", "", false, ErrChunkSize},
		{"trailer without a colon", ChunkedBody(), "0\r\nabc\r\n\r\n", "", "", false, ErrTrailer},
		{"trailer with a space", ChunkedBody(), "0\r\nA : b\r\n\r\n", "", "", false, ErrTrailer},
		{"folded trailer", ChunkedBody(), "0\r\nA: b\r\n c\r\n\r\n", "", "", false, ErrTrailer},
		{"bare LF in a trailer", ChunkedBody(), "0\r\nA: b\n\r\n", "", "", false, ErrTrailer},
		{"bare LF at the end", ChunkedBody(), "0\r\n\n", "", "", false, ErrTrailer},
		{"endless trailers", ChunkedBody(), "0\r\n" + strings.Repeat("A: b\r\n", 1<<13), "", "", false, ErrTrailer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 1 << 20} {
				b := tt.body
				n, data, err := run(&b, tt.in, size)
				require.Equal(t, tt.data, data)
				if tt.err != 0 {
					require.Equal(t, tt.err, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, tt.rest, tt.in[n:])
				require.Equal(t, tt.done, b.Done())
				c := tt.body
				m, done, err := c.Advance([]byte(tt.in))
				require.NoError(t, err)
				require.Equal(t, n, m)
				require.Equal(t, tt.done, done)
			}
		})
	}
}

// Many small chunks are no attack: the limit is on framing without data.
func TestManyChunks(t *testing.T) {
	b := ChunkedBody()
	_, data, err := run(&b, strings.Repeat("1;a=b\r\nx\r\n", 1<<14)+LastChunk, 1<<20)
	require.NoError(t, err)
	require.Len(t, data, 1<<14)
}

func TestAppendChunkSize(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 255, 65536, 1<<62 - 1} {
		require.Equal(t, fmt.Sprintf("%x\r\n", n), string(AppendChunkSize(nil, n)))
	}
}

var blankBeforeExt = regexp.MustCompile(`(?m)^[0-9a-fA-F]+[ \t]+;`)

// Chunked bodies that we take, net/http takes, with the same data and the same
// end; and no split of the input changes what we say.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\nrest"), 1)
	f.Add([]byte("a\r\n0123456789\r\n0\r\n\r\n"), 4)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size < 1 || size > 1<<16 {
			size = 1
		}
		whole, split := ChunkedBody(), ChunkedBody()
		n, data, err := run(&whole, string(in), 1<<30)
		m, data2, err2 := run(&split, string(in), size)
		if n != m || data != data2 || err != err2 {
			t.Fatalf("whole: %d %q %v; split by %d: %d %q %v", n, data, err, size, m, data2, err2)
		}
		if err != nil || !whole.Done() {
			return
		}
		msg := append([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), in[:n]...)
		buf := bufio.NewReader(bytes.NewReader(append(msg, "END"...)))
		r, err := http.ReadRequest(buf)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil {
			// net/http forbids framing fields in trailers, and is stricter about
			// the share of framing in a body.
			s := err.Error()
			if strings.Contains(s, "trailer") || strings.Contains(s, "Trailer") || strings.Contains(s, "too much") || strings.Contains(s, "excessive") {
				return
			}
			// RFC 9112 §7.1.1 has white space in front of an extension.
			if strings.Contains(s, "invalid byte in chunk length") && blankBeforeExt.Match(in[:n]) {
				return
			}
			// Leading zeros: a numeral may be long (RFC 9112 §7.1), its value is not.
			if strings.Contains(s, "chunk length too large") {
				return
			}
			t.Fatalf("net/http refuses %q: %v", in[:n], err)
		}
		if string(got) != data {
			t.Fatalf("data %q, net/http has %q", data, got)
		}
		if rest, _ := io.ReadAll(buf); string(rest) != "END" {
			t.Fatalf("net/http ends elsewhere: %q left", rest)
		}
	})
}

func BenchmarkChunked(b *testing.B) {
	in := []byte(strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 16) + LastChunk)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		body := ChunkedBody()
		if n, done, err := body.Advance(in); n != len(in) || !done || err != nil {
			b.Fatal(n, done, err)
		}
	}
}
