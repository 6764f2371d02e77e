package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHead bounds an answer's head, and chunk extensions and trailers together.
const maxHead = 64 << 10

// parser reads one HTTP/1.x answer in whatever pieces it arrives (RFC 9112). It
// is strict: what a measuring tool forgives, it hides. The zero value reads the
// first answer; reset prepares for the next.
type parser struct {
	state   state
	head    []byte // the head's beginning, when it does not arrive in one piece
	length  uint64 // left of the body or of the chunk
	digits  int    // of the chunk size
	extra   int    // bytes of chunk extensions and trailers
	started bool   // a byte of the answer has come

	noBody bool // the request was HEAD; set by the owner
	status int  // of the final answer, once the head is through
	close  bool // the connection ends with this answer
}

type state uint8

const (
	inHead state = iota
	inBody
	untilClose
	inChunkSize
	inChunkExt
	inChunkSizeLF
	inChunk
	inChunkCR
	inChunkLF
	inTrailerStart
	inTrailer
	inTrailerLF
	inTrailerEnd
	inDone
)

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

var (
	errHeadTooLong = errors.New("head longer than 64 KiB")
	errChunk       = errors.New("malformed chunk")
	errChunkExtra  = errors.New("chunk extensions and trailers longer than 64 KiB")
)

func (p *parser) reset() {
	*p = parser{head: p.head[:0], noBody: p.noBody}
}

// feed takes the next bytes, hands body bytes to body and returns how many
// bytes belong to this answer and whether it is complete. The slices handed on
// are b's.
func (p *parser) feed(b []byte, body func([]byte)) (used int, done bool, err error) {
	if len(b) > 0 {
		p.started = true
	}
	for used < len(b) && p.state != inDone {
		rest := b[used:]
		switch p.state {
		case inHead:
			n, err := p.feedHead(rest)
			if err != nil {
				return used, false, err
			}
			used += n
		case inBody, inChunk:
			n := int(min(uint64(len(rest)), p.length))
			body(rest[:n])
			used += n
			p.length -= uint64(n)
			if p.length == 0 {
				if p.state == inBody {
					p.state = inDone
				} else {
					p.state = inChunkCR
				}
			}
		case untilClose:
			body(rest)
			used = len(b)
		default:
			if err := p.feedChunked(rest[0]); err != nil {
				return used, false, err
			}
			used++
		}
	}
	return used, p.state == inDone, nil
}

// eof tells that the connection has ended in order. It reports whether that
// completes the answer.
func (p *parser) eof() bool {
	if p.state == untilClose {
		p.state = inDone
	}
	return p.state == inDone
}

func (p *parser) feedHead(b []byte) (used int, err error) {
	if len(p.head) == 0 {
		if i := bytes.Index(b, crlfcrlf); i >= 0 && i <= maxHead {
			return i + 4, p.parseHead(b[:i+2])
		}
	}
	had := len(p.head)
	p.head = append(p.head, b[:min(len(b), maxHead+4-had)]...)
	i := bytes.Index(p.head[max(0, had-3):], crlfcrlf)
	if i < 0 {
		if len(p.head) >= maxHead+4 {
			return 0, errHeadTooLong
		}
		return len(b), nil
	}
	i += max(0, had-3)
	err = p.parseHead(p.head[:i+2])
	p.head = p.head[:0]
	return i + 4 - had, err
}

// parseHead reads a status line and fields, each with its CRLF.
func (p *parser) parseHead(h []byte) error {
	line, h, _ := bytes.Cut(h, crlf)
	// HTTP/1.x SSS and, after a space, a reason
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || (line[7] != '0' && line[7] != '1') ||
		(len(line) > 12 && line[12] != ' ') || bare(line) {
		return fmt.Errorf("status line %q", clip(line))
	}
	status := 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return fmt.Errorf("status line %q", clip(line))
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return fmt.Errorf("status line %q", clip(line))
	}
	http10 := line[7] == '0'
	f := fields{length: -1, close: http10}
	for len(h) > 0 {
		line, h, _ = bytes.Cut(h, crlf)
		if err := f.add(line); err != nil {
			return err
		}
	}
	if status < 200 {
		if status == 101 {
			return errors.New("status 101: nobody asked for another protocol")
		}
		return nil // an interim answer; the next head follows
	}
	if http10 && f.chunked {
		return errors.New("Transfer-Encoding in HTTP/1.0") // RFC 9112 §6.1: faulty framing
	}
	p.status, p.close = status, f.close
	return p.frame(f)
}

// frame decides how the body ends (RFC 9112 §6.3).
func (p *parser) frame(f fields) error {
	switch {
	case f.chunked && f.length >= 0:
		return errors.New("both Transfer-Encoding and Content-Length")
	case p.noBody || p.status == 204 || p.status == 304:
		p.state = inDone
	case f.chunked:
		p.state = inChunkSize
	case f.length == 0:
		p.state = inDone
	case f.length > 0:
		p.state, p.length = inBody, uint64(f.length)
	default:
		p.state, p.close = untilClose, true
	}
	return nil
}

// fields holds what the head's fields say about framing.
type fields struct {
	length  int64 // -1: not given
	chunked bool
	close   bool
}

func (f *fields) add(line []byte) error {
	i := bytes.IndexByte(line, ':')
	if i <= 0 || line[i-1] == ' ' || line[i-1] == '\t' || line[0] == ' ' || line[0] == '\t' || bare(line) {
		return fmt.Errorf("header field %q", clip(line))
	}
	value := bytes.Trim(line[i+1:], " \t")
	switch {
	case fold(line[:i], "content-length"):
		if len(value) == 0 || len(value) > 18 {
			return fmt.Errorf("content-length %q", clip(value))
		}
		var n int64
		for _, c := range value {
			if c < '0' || c > '9' {
				return fmt.Errorf("content-length %q", clip(value))
			}
			n = n*10 + int64(c-'0')
		}
		if f.length >= 0 && f.length != n {
			return fmt.Errorf("two different Content-Length fields, %d and %d", f.length, n)
		}
		f.length = n
	case fold(line[:i], "transfer-encoding"):
		if f.chunked || !fold(value, "chunked") {
			return fmt.Errorf("transfer-encoding %q", clip(value))
		}
		f.chunked = true
	case fold(line[:i], "connection"):
		for len(value) > 0 {
			var token []byte
			token, value, _ = bytes.Cut(value, []byte(","))
			token = bytes.Trim(token, " \t")
			if fold(token, "close") {
				f.close = true
			} else if fold(token, "keep-alive") {
				f.close = false
			}
		}
	}
	return nil
}

// bare reports whether a line holds half a line end.
func bare(line []byte) bool {
	return bytes.IndexByte(line, '\n') >= 0 || bytes.IndexByte(line, '\r') >= 0
}

// fold reports whether b is s, which is lower case, in any case.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

func (p *parser) feedChunked(c byte) error {
	switch p.state {
	case inChunkSize:
		if v, ok := hex(c); ok {
			if p.digits++; p.digits > 15 {
				return errChunk
			}
			p.length = p.length<<4 | v
			return nil
		}
		switch {
		case p.digits == 0:
			return errChunk
		case c == ';' || c == ' ' || c == '\t':
			p.state = inChunkExt
		case c == '\r':
			p.state = inChunkSizeLF
		default:
			return errChunk
		}
	case inChunkExt:
		if c == '\r' {
			p.state = inChunkSizeLF
		} else if c == '\n' {
			return errChunk
		}
		return p.count()
	case inChunkSizeLF:
		if c != '\n' {
			return errChunk
		}
		p.digits = 0
		if p.state = inChunk; p.length == 0 {
			p.state = inTrailerStart
		}
	case inChunkCR:
		if c != '\r' {
			return errChunk
		}
		p.state = inChunkLF
	case inChunkLF:
		if c != '\n' {
			return errChunk
		}
		p.state = inChunkSize
	case inTrailerStart:
		p.state = inTrailer
		if c == '\r' {
			p.state = inTrailerEnd
		}
		return p.count()
	case inTrailer:
		if c == '\r' {
			p.state = inTrailerLF
		} else if c == '\n' {
			return errChunk
		}
		return p.count()
	case inTrailerLF:
		if c != '\n' {
			return errChunk
		}
		p.state = inTrailerStart
	case inTrailerEnd:
		if c != '\n' {
			return errChunk
		}
		p.state = inDone
	}
	return nil
}

func (p *parser) count() error {
	if p.extra++; p.extra > maxHead {
		return errChunkExtra
	}
	return nil
}

func hex(c byte) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}

// clip shortens what goes into an error text.
func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// body compares an answer's body with what Check asks for, piece by piece.
type body struct {
	check *Check
	want  []byte   // check.Body
	parts [][]byte // check.Contains
	never [][]byte // check.Excludes
	n     int64
	bad   bool   // differs from want
	keep  []byte // for Contains and Excludes
}

func newBody(c *Check) body {
	b := body{check: c, want: []byte(c.Body)}
	for _, s := range c.Contains {
		b.parts = append(b.parts, []byte(s))
	}
	for _, s := range c.Excludes {
		b.never = append(b.never, []byte(s))
	}
	return b
}

func (b *body) reset() {
	b.n, b.bad, b.keep = 0, false, b.keep[:0]
}

func (b *body) write(p []byte) {
	if len(b.want) > 0 && !b.bad {
		b.bad = b.n+int64(len(p)) > int64(len(b.want)) || !bytes.Equal(b.want[b.n:b.n+int64(len(p))], p)
	}
	b.n += int64(len(p))
	if b.searched() && b.n <= int64(b.check.MaxBody) {
		b.keep = append(b.keep, p...)
	}
}

// searched reports whether the body has to be kept to be searched.
func (b *body) searched() bool { return len(b.parts)+len(b.never) > 0 }

// ok reports whether the complete body is right.
func (b *body) ok() bool {
	if b.bad || (len(b.want) > 0 && b.n != int64(len(b.want))) || (b.check.BodyLen != nil && b.n != *b.check.BodyLen) {
		return false
	}
	if b.searched() && b.n > int64(b.check.MaxBody) {
		return false
	}
	for _, s := range b.parts {
		if !bytes.Contains(b.keep, s) {
			return false
		}
	}
	for _, s := range b.never {
		if bytes.Contains(b.keep, s) {
			return false
		}
	}
	return true
}

// why says in words what is wrong with a body that is not ok.
func (b *body) why() string {
	size := strconv.FormatInt(b.n, 10) + " bytes"
	switch {
	case b.bad || (len(b.want) > 0 && b.n != int64(len(b.want))):
		return "body of " + size + " is not the expected one of " + strconv.Itoa(len(b.want))
	case b.check.BodyLen != nil && b.n != *b.check.BodyLen:
		return "body has " + size + ", want " + strconv.FormatInt(*b.check.BodyLen, 10)
	case b.n > int64(b.check.MaxBody):
		return "body of " + size + " is too long to be searched"
	}
	for _, s := range b.parts {
		if !bytes.Contains(b.keep, s) {
			return fmt.Sprintf("body of %s lacks %q", size, clip(s))
		}
	}
	for _, s := range b.never {
		if bytes.Contains(b.keep, s) {
			return fmt.Sprintf("body of %s has %q", size, clip(s))
		}
	}
	return ""
}
