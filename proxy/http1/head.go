package http1

import "bytes"

// Limits of a head. Envoy's defaults: reference value of max_request_headers_kb
// and of max_headers_count; an HTTP/1 response head may be 80 KiB.
const (
	MaxRequestHead  = 60 << 10
	MaxResponseHead = 80 << 10
	MaxFields       = 100
)

// Span is a part of the buffer that a Head was parsed from.
type Span struct{ Off, End uint32 }

// Field is one field line of a Head.
type Field struct {
	Name, Value Span
	ID          ID
	Dirty       bool // the value holds CR or LF (a fold or a bare CR), which AppendField drops
	Nominated   bool // named by Connection (RFC 9110 §7.6.1)
	tidy        bool // the line is as AppendField writes it, but for the name's case
}

// Head is one message head, and the parser of it. Use: Reset, then Parse with
// ever more of the message until it reports the head's length. The zero Head
// parses a request. Its spans hold for the buffer last given to Parse, which the
// caller keeps unchanged while it uses them; the buffer may move between calls.
type Head struct {
	// Of a request.
	Method     Method
	MethodSpan Span
	Target     Span // as it came
	Authority  Span // from Host or from an absolute target; lower case is the caller's business
	Path       Span // path and query; empty with an absolute target that has none, or only a query
	Asterisk   bool // the target is "*"

	// Of a response.
	Status int

	Minor         int   // minor protocol version
	ContentLength int64 // -1 without one
	Chunked       bool
	Close         bool // Connection: close, or an HTTP/1.0 message without keep-alive
	ConnUpgrade   bool // Connection names upgrade
	HasUpgrade    bool // an Upgrade field that asks for something else than h2c
	Expect        bool // Expect: 100-continue
	TETrailers    bool // TE accepts trailers
	Len           int  // bytes of the head, its final empty line included; 0 until it is complete

	response bool
	started  bool // the first line is parsed
	begin    int  // where the first line begins
	line     int  // where the unparsed line begins
	scan     int  // up to where a LF has been looked for
	buf      []byte
	n        int
	fields   [MaxFields]Field
}

// Reset makes h ready for a new message, a response if response is true.
func (h *Head) Reset(response bool) {
	// Not *h = Head{}: that would clear 2 KiB of fields for every message.
	h.Method, h.MethodSpan, h.Target, h.Authority, h.Path, h.Asterisk = MethodOther, Span{}, Span{}, Span{}, Span{}, false
	h.Status, h.Minor, h.ContentLength, h.Chunked = 0, 0, -1, false
	h.Close, h.ConnUpgrade, h.HasUpgrade, h.Expect, h.TETrailers, h.Len = false, false, false, false, false, 0
	h.response, h.started, h.begin, h.line, h.scan, h.buf, h.n = response, false, 0, 0, 0, nil, 0
}

// Parse parses the head at the front of b and returns its length, 0 if b does
// not hold all of it yet. Call it again with a longer b that begins with the
// same bytes; nothing is looked at twice, so feeding byte by byte costs no more
// than twice the whole. An error is an Error and is final.
func (h *Head) Parse(b []byte) (int, error) {
	limit := MaxRequestHead
	if h.response {
		limit = MaxResponseHead
	}
	h.buf = b
	if !h.started && len(b) > 0 && !h.plausible(b[0]) {
		return 0, ErrStartLine
	}
	for {
		i := bytes.IndexByte(b[h.scan:], '\n')
		if i < 0 {
			h.scan = len(b)
			if len(b)-h.begin > limit {
				return 0, ErrHeadTooLarge
			}
			return 0, nil
		}
		off, end := h.line, h.scan+i
		h.scan = end + 1
		h.line = h.scan
		if h.line-h.begin > limit {
			return 0, ErrHeadTooLarge
		}
		if end > off && b[end-1] == '\r' {
			end--
		}
		switch {
		case !h.started && off == end && !h.response && h.line <= maxLeading:
			h.begin = h.line // RFC 9112 §2.2: empty lines before a request are ignored
		case !h.started:
			h.started = true
			if err := h.startLine(b, off, end); err != 0 {
				return 0, err
			}
		case off == end:
			if err := h.finish(b); err != 0 {
				return 0, err
			}
			h.Len = h.line
			return h.Len, nil
		default:
			if err := h.field(b, off, end); err != 0 {
				return 0, err
			}
		}
	}
}

// maxLeading bounds the empty lines before a request.
const maxLeading = 64

// plausible lets a message that begins with a control byte (a TLS handshake) be
// refused before its first line ends.
func (h *Head) plausible(c byte) bool {
	if h.response {
		return c == 'H'
	}
	return c > ' ' && c < 0x7f || c == '\r' || c == '\n'
}

// field parses the line b[off:end], which is not empty.
func (h *Head) field(b []byte, off, end int) Error {
	if isSpace(b[off]) { // obs-fold
		if h.n == 0 {
			return ErrFold
		}
		if ok, _ := checkValue(b[off:end]); !ok {
			return ErrFieldValue
		}
		f := &h.fields[h.n-1]
		if o, e := trim(b, off, end); o < e {
			f.Value.End, f.Dirty, f.tidy = uint32(e), true, false
		}
		return 0
	}
	colon := end
	for i, c := range b[off:end] {
		if lower[c] == 0 {
			colon = off + i
			break
		}
	}
	if colon == off || colon == end || b[colon] != ':' {
		return ErrFieldName
	}
	if h.n == MaxFields {
		return ErrTooManyFields
	}
	vo, ve := trim(b, colon+1, end)
	ok, dirty := checkValue(b[vo:ve])
	if !ok {
		return ErrFieldValue
	}
	h.fields[h.n] = Field{
		Name: Span{uint32(off), uint32(colon)}, Value: Span{uint32(vo), uint32(ve)},
		ID: idOf(b[off:colon]), Dirty: dirty,
		tidy: !dirty && vo == colon+2 && b[colon+1] == ' ' && ve == end && h.line == end+2,
	}
	h.n++
	return 0
}

// Fields returns the fields in the order in which they came. They are h's own.
func (h *Head) Fields() []Field { return h.fields[:h.n] }

// Bytes returns the part of the buffer that s spans.
func (h *Head) Bytes(s Span) []byte { return h.buf[s.Off:s.End] }

// Copy makes to a copy of h, which is complete, on bytes of its own. They are
// appended to dst, which is returned.
func (h *Head) Copy(to *Head, dst []byte) []byte {
	n := len(dst)
	dst = append(dst, h.buf[:h.Len]...)
	*to = *h
	to.buf = dst[n:]
	return dst
}

// Lookup returns the value of the first field called name, which is in lower
// case, and whether there is one.
func (h *Head) Lookup(name string) ([]byte, bool) {
	for i := range h.fields[:h.n] {
		if f := &h.fields[i]; EqualFold(h.Bytes(f.Name), name) {
			return h.Bytes(f.Value), true
		}
	}
	return nil, false
}

// AppendField appends f as "name: value\r\n", the name in lower case, the value
// on one line.
func (h *Head) AppendField(dst []byte, f *Field) []byte {
	n, name := len(dst), int(f.Name.End-f.Name.Off)
	if f.tidy {
		dst = append(dst, h.buf[f.Name.Off:f.Value.End+2]...)
		toLower(dst[n : n+name])
		return dst
	}
	dst = append(dst, h.Bytes(f.Name)...)
	toLower(dst[n:])
	dst = append(dst, ": "...)
	return append(h.AppendValue(dst, f), "\r\n"...)
}

// AppendValue appends f's value, on one line.
func (h *Head) AppendValue(dst []byte, f *Field) []byte {
	v := h.Bytes(f.Value)
	if !f.Dirty {
		return append(dst, v...)
	}
	for _, c := range v {
		if c != '\r' && c != '\n' {
			dst = append(dst, c)
		}
	}
	return dst
}
