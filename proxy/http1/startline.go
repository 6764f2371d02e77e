package http1

import "bytes"

// startLine parses the first line, b[off:end].
func (h *Head) startLine(b []byte, off, end int) Error {
	var words [3]Span
	n, i := 0, off
	if off == end || isSpace(b[off]) {
		return ErrStartLine
	}
	for end > off && (isSpace(b[end-1]) || b[end-1] == '\r') {
		end--
	}
	for i < end && n < 3 {
		start := i
		// A reason phrase, the third word of a response, may hold spaces.
		if h.response && n == 2 {
			i = end
		}
		for i < end && !isSpace(b[i]) {
			i++
		}
		words[n] = Span{uint32(start), uint32(i)}
		n++
		for i < end && isSpace(b[i]) {
			i++
		}
	}
	if i < end {
		return ErrVersion // a fourth word: "GET /a b HTTP/1.1"
	}
	word := func(i int) []byte { return b[words[i].Off:words[i].End] }
	if h.response {
		return h.statusLine(word(0), word(1), word(2))
	}
	m, known := methodOf(word(0))
	if !known {
		return ErrMethod
	}
	h.Method, h.MethodSpan, h.Target = m, words[0], words[1]
	switch {
	case n < 2:
		return ErrStartLine
	case n == 2 && bytes.HasPrefix(word(1), []byte("HTTP/")): // no target
		return ErrStartLine
	case n == 2: // HTTP/0.9
		return ErrUpgradeRequired
	}
	major, minor, ok := version(word(2))
	if !ok {
		return ErrVersion
	}
	if major != 1 || minor != 1 {
		return ErrUpgradeRequired
	}
	h.Minor = minor
	return h.target(b)
}

func version(b []byte) (major, minor int, ok bool) {
	if len(b) != 8 || string(b[:5]) != "HTTP/" || b[6] != '.' || !isDigit(b[5]) || !isDigit(b[7]) {
		return 0, 0, false
	}
	return int(b[5] - '0'), int(b[7] - '0'), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (h *Head) statusLine(v, status, reason []byte) Error {
	major, minor, ok := version(v)
	if !ok || major != 1 {
		return ErrVersion
	}
	if len(status) != 3 || !isDigit(status[0]) || status[0] == '0' || !isDigit(status[1]) || !isDigit(status[2]) {
		return ErrStatus
	}
	if ok, _ := checkValue(reason); !ok {
		return ErrStartLine
	}
	h.Minor = minor
	h.Status = int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
	return 0
}

// target sorts the request target into the forms of RFC 9112 §3.2.
func (h *Head) target(b []byte) Error {
	t := b[h.Target.Off:h.Target.End]
	fragment := false
	for _, c := range t {
		switch {
		case c <= ' ' || c == 0x7f:
			return ErrTargetByte
		case c > 0x7f:
			return ErrTarget
		}
		fragment = fragment || c == '#'
	}
	switch {
	case h.Method == MethodConnect:
		if !validHost(t) || t[0] == '/' {
			return ErrURL
		}
		h.Authority = h.Target
		return 0
	case t[0] == '/':
		h.Path = h.Target
	case h.Method == MethodOptions && len(t) == 1 && t[0] == '*':
		h.Path, h.Asterisk = h.Target, true
	default:
		rest := cutScheme(t)
		switch {
		case rest != nil:
		case len(t) == 1 && t[0] == '*':
			return ErrURL
		case bytes.Contains(t, []byte("://")):
			return ErrScheme
		default:
			return ErrTarget
		}
		end := bytes.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		user := bytes.LastIndexByte(rest[:end], '@') + 1 // RFC 9110 §4.2.4: not passed on
		if end == user || !validHost(rest[user:end]) {
			return ErrURL
		}
		off := h.Target.End - uint32(len(rest))
		h.Authority = Span{off + uint32(user), off + uint32(end)}
		h.Path = Span{off + uint32(end), h.Target.End}
	}
	if fragment {
		return ErrFragment
	}
	return 0
}

// cutScheme returns what follows "http://" or "https://", nil if t has neither.
func cutScheme(t []byte) []byte {
	for _, s := range [...]string{"http", "https"} {
		if n := len(s); len(t) > n+3 && EqualFold(t[:n], s) && string(t[n:n+3]) == "://" {
			return t[n+3:]
		}
	}
	return nil
}
