package nictest

import (
	"bytes"
	"strconv"
	"strings"
)

// Message is where a request or response lies in a stream.
type Message struct {
	Start   int
	HeadEnd int  // behind the empty line
	End     int  // 0 while it is not whole
	Interim bool // 1xx
	Method  string
	Target  string // of a request; of a response X-Answers
}

// scanner finds messages in a stream that grows. It is this package's own, so that
// what is tested against it may use another.
type scanner struct {
	response bool
	methods  func(n int) string // of the request that response n, interim ones not counted, answers
	list     []Message
	finals   int // responses begun that are not interim
	at       int // read so far
	state    scanState
	left     int    // of a body or chunk
	bad      string // what could not be read
}

type scanState uint8

const (
	inHead scanState = iota
	inBody
	inStream
	inChunkSize
	inChunk
	inTrailer
)

// scan reads on in the stream, whose beginning is what it was.
func (s *scanner) scan(b []byte, eof bool) {
	for s.bad == "" && s.step(b) {
	}
	if eof && s.state == inStream {
		s.end(len(b))
	}
}

func (s *scanner) last() *Message { return &s.list[len(s.list)-1] }

func (s *scanner) end(at int) {
	s.last().End = at
	s.at, s.state = at, inHead
}

// whole returns how many messages are, interim ones not counted.
func (s *scanner) whole() (n int) {
	for i := range s.list {
		if s.list[i].End > 0 && !s.list[i].Interim {
			n++
		}
	}
	return n
}

// behind reports whether there is a head behind n whole messages, interim ones not counted.
func (s *scanner) behind(n int) bool {
	for i := range s.list {
		if n == 0 {
			return true
		}
		if s.list[i].End > 0 && !s.list[i].Interim {
			n--
		}
	}
	return false
}

// step reads a head, a line or what there is of a body.
func (s *scanner) step(b []byte) bool {
	rest := b[s.at:]
	switch s.state {
	case inHead:
		n := bytes.Index(rest, []byte("\r\n\r\n"))
		if n < 0 {
			return false
		}
		s.head(s.at, string(rest[:n]))
		return true
	case inBody, inChunk:
		n := min(s.left, len(rest))
		s.left -= n
		s.at += n
		if s.left > 0 {
			return false
		}
		if s.state == inBody {
			s.end(s.at)
		} else {
			s.state = inChunkSize
		}
		return true
	case inChunkSize, inTrailer:
		n := bytes.Index(rest, []byte("\r\n"))
		if n < 0 {
			return false
		}
		s.line(string(rest[:n]))
		return true
	}
	s.at = len(b)
	return false
}

// line reads a chunk's size or a trailer.
func (s *scanner) line(l string) {
	s.at += len(l) + 2
	if s.state == inTrailer {
		if l == "" {
			s.end(s.at)
		}
		return
	}
	size, _, _ := strings.Cut(l, ";")
	n, err := strconv.ParseUint(size, 16, 31)
	switch {
	case err != nil:
		s.bad = "chunk size " + strconv.Quote(l)
	case n == 0:
		s.state = inTrailer
	default:
		s.state, s.left = inChunk, int(n)+2
	}
}

// head reads a head that starts at a place and has these lines.
func (s *scanner) head(at int, h string) {
	lines := strings.Split(h, "\r\n")
	words := strings.SplitN(lines[0], " ", 3)
	if len(words) < 3 {
		s.bad = "first line " + strconv.Quote(lines[0])
		return
	}
	fields := map[string]string{}
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ":")
		fields[strings.ToLower(k)] = strings.TrimSpace(v)
	}
	m := Message{Start: at, HeadEnd: at + len(h) + 4, Method: words[0], Target: words[1]}
	bodyless := false
	if s.response {
		status := words[1]
		m.Target = fields["x-answers"]
		m.Interim = strings.HasPrefix(status, "1")
		m.Method = s.methods(s.finals)
		if !m.Interim {
			s.finals++
		}
		bodyless = m.Interim || status == "204" || status == "304" || m.Method == "HEAD"
	}
	s.list = append(s.list, m)
	s.at = m.HeadEnd
	length, counted := fields["content-length"]
	switch {
	case bodyless:
		s.end(s.at)
	case strings.EqualFold(fields["transfer-encoding"], "chunked"):
		s.state = inChunkSize
	case counted:
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 {
			s.bad = "content-length " + strconv.Quote(length)
			return
		}
		s.state, s.left = inBody, n
	case s.response:
		s.state = inStream
	default:
		s.end(s.at)
	}
}
