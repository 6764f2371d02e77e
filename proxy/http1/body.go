package http1

// Body follows a message body through the bytes of a stream, in pieces of any
// size, and says where it ends. It is a value of a few words without pointers: a
// flow can hold one. The zero Body has no bytes.
type Body struct {
	left  uint64 // bytes of data left: of the body or of the chunk
	over  uint32 // framing bytes since the last data byte
	state bodyState
}

type bodyState uint8

const (
	bodyEnd bodyState = iota
	bodyLength
	bodyStream // ends with the stream
	chunkSizeFirst
	chunkSize
	chunkBlank // white space after the size
	chunkExt
	chunkSizeLF
	chunkData
	chunkCR
	chunkLF
	trailerFirst // first byte of a trailer line
	trailerName
	trailerValue
	trailerLF
	finalLF
)

// maxFraming bounds what a chunk's size line, and the whole trailer section,
// may hold: bytes the receiver must read for the sake of nothing.
const maxFraming = 16 << 10

// LengthBody returns a Body of n bytes.
func LengthBody(n uint64) Body {
	if n == 0 {
		return Body{}
	}
	return Body{state: bodyLength, left: n}
}

// ChunkedBody returns a Body in the chunked coding (RFC 9112 §7.1).
func ChunkedBody() Body { return Body{state: chunkSizeFirst} }

// StreamBody returns a Body that ends when its connection does.
func StreamBody() Body { return Body{state: bodyStream} }

// Done reports whether the body's last byte has been seen.
func (b *Body) Done() bool { return b.state == bodyEnd }

// EndsWithStream reports whether the body ends where its stream does.
func (b *Body) EndsWithStream() bool { return b.state == bodyStream }

// Chunked reports whether the body is in the chunked coding and not over.
func (b *Body) Chunked() bool { return b.state >= chunkSizeFirst }

// Left returns how many bytes a body of known length still has, and false for
// other bodies.
func (b *Body) Left() (uint64, bool) { return b.left, b.state == bodyLength || b.state == bodyEnd }

// Ahead is how many of the bytes that come next are data for sure, and no framing.
func (b *Body) Ahead() uint64 {
	switch b.state {
	case bodyLength, chunkData:
		return b.left
	}
	return 0
}

// Skip is Advance over n bytes that are not at hand; there are no more than Ahead.
func (b *Body) Skip(n uint64) {
	if n > b.Ahead() {
		panic("http1: Skip beyond what is known")
	}
	if b.left -= n; b.left > 0 {
		return
	}
	switch b.state {
	case bodyLength:
		b.state = bodyEnd
	case chunkData:
		b.state = chunkCR
	}
}

// Advance moves over the bytes p of the stream, which follow those of the call
// before. n of them belong to the body, framing included; done says that the
// body ends after them. An error is an Error and is final.
func (b *Body) Advance(p []byte) (n int, done bool, err error) {
	for n < len(p) && b.state != bodyEnd {
		m, _, err := b.Next(p[n:])
		n += m
		if err != nil {
			return n, false, err
		}
	}
	return n, b.state == bodyEnd, nil
}

// Next moves over the longest run at the front of p that is one kind of thing:
// data of the body, or framing (chunk sizes, extensions, trailers). It returns
// the run's length, which is 0 only if p is empty or the body has ended.
func (b *Body) Next(p []byte) (n int, data bool, err error) {
	switch b.state {
	case bodyEnd:
		return 0, false, nil
	case bodyStream:
		return len(p), true, nil
	case bodyLength, chunkData:
		n = len(p)
		if uint64(n) >= b.left {
			n = int(b.left)
			if b.state == bodyLength {
				b.state = bodyEnd
			} else {
				b.state = chunkCR
			}
		}
		b.left -= uint64(n)
		return n, true, nil
	}
	for n < len(p) {
		if e := b.framing(p[n]); e != 0 {
			return n, false, e
		}
		n++
		if b.state == chunkData || b.state == bodyEnd {
			break
		}
	}
	return n, false, nil
}

// framing takes one byte of the chunked coding that is not data. A line must end
// in CRLF here: a bare LF is what two parties most easily disagree about.
func (b *Body) framing(c byte) Error {
	if b.over++; b.over > maxFraming {
		if b.state >= trailerFirst {
			return ErrTrailer
		}
		return ErrChunkSize
	}
	switch b.state {
	case chunkSizeFirst, chunkSize:
		d, hex := hexDigit(c)
		switch {
		case hex && b.left>>59 != 0:
			return ErrChunkSize
		case hex:
			b.left, b.state = b.left<<4|uint64(d), chunkSize
		case b.state == chunkSizeFirst:
			return ErrChunkSize
		default:
			return b.afterSize(c)
		}
	case chunkBlank:
		return b.afterSize(c)
	case chunkExt:
		switch {
		case c == '\r':
			b.state = chunkSizeLF
		case c < ' ' && c != '\t', c == 0x7f:
			return ErrChunk
		}
	case chunkSizeLF:
		if c != '\n' {
			return ErrChunk
		}
		if b.state = chunkData; b.left == 0 {
			b.state = trailerFirst
		} else {
			b.over = 0
		}
	case chunkCR:
		if c != '\r' {
			return ErrChunk
		}
		b.state = chunkLF
	case chunkLF:
		if c != '\n' {
			return ErrChunk
		}
		b.state, b.over = chunkSizeFirst, 0
	default:
		return b.trailer(c)
	}
	return 0
}

func (b *Body) afterSize(c byte) Error {
	switch {
	case isSpace(c):
		b.state = chunkBlank
	case c == ';':
		b.state = chunkExt
	case c == '\r':
		b.state = chunkSizeLF
	default:
		return ErrChunkSize
	}
	return 0
}

func (b *Body) trailer(c byte) Error {
	switch b.state {
	case trailerFirst:
		switch {
		case c == '\r':
			b.state = finalLF
		case lower[c] != 0:
			b.state = trailerName
		default:
			return ErrTrailer
		}
	case trailerName:
		switch {
		case c == ':':
			b.state = trailerValue
		case lower[c] == 0:
			return ErrTrailer
		}
	case trailerValue:
		switch {
		case c == '\r':
			b.state = trailerLF
		case c < ' ' && c != '\t', c == 0x7f:
			return ErrTrailer
		}
	case trailerLF:
		if c != '\n' {
			return ErrTrailer
		}
		b.state = trailerFirst
	case finalLF:
		if c != '\n' {
			return ErrTrailer
		}
		b.state = bodyEnd
	}
	return 0
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// AppendChunkSize appends the line that precedes a chunk of n bytes.
func AppendChunkSize(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	var buf [18]byte
	i := len(buf) - 2
	buf[i], buf[i+1] = '\r', '\n'
	for v := uint64(n); ; v >>= 4 {
		i--
		buf[i] = digits[v&15]
		if v < 16 {
			break
		}
	}
	return append(dst, buf[i:]...)
}

// LastChunk ends a body in the chunked coding: the chunk of size zero and an
// empty trailer section.
const LastChunk = "0\r\n\r\n"
