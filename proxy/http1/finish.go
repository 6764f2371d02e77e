package http1

// finish draws the conclusions that need all fields.
func (h *Head) finish(b []byte) Error {
	lengths, codings, hosts, expects, options := 0, 0, 0, 0, 0
	keepAlive, nominates := false, false
	absolute := h.Authority != Span{}
	for i := range h.fields[:h.n] {
		f := &h.fields[i]
		if f.ID == Other {
			continue
		}
		v := b[f.Value.Off:f.Value.End]
		switch f.ID {
		case ContentLength:
			lengths++
			n, ok := parseLength(v)
			if !ok {
				return ErrContentLength
			}
			h.ContentLength = n
		case TransferEncoding:
			codings++
			if !EqualFold(v, "chunked") {
				return ErrTransferEncoding
			}
			h.Chunked = true
		case Host:
			hosts++
			if !h.response && !validHost(v) {
				return ErrHost
			}
			if !absolute {
				h.Authority = f.Value
			}
		case Connection:
			more, err := h.connection(h.passedOn(f), &options, &keepAlive)
			if err != 0 {
				return err
			}
			nominates = nominates || more
		case ProxyConnection: // names no fields
			for tok, rest, ok := NextToken(h.passedOn(f)); ok; tok, rest, ok = NextToken(rest) {
				h.Close = h.Close || EqualFold(tok, "close")
				keepAlive = keepAlive || EqualFold(tok, "keep-alive")
			}
		case Upgrade:
			h.HasUpgrade = h.HasUpgrade || !equalAsPassedOn(v, "h2c")
		case Expect:
			// As in RFC 9110 §10.1.1 the only expectation there is. Several lines are one list.
			expects++
			h.Expect = expects == 1 && equalAsPassedOn(v, "100-continue")
		case TE:
			v = h.passedOn(f)
			for tok, rest, ok := NextToken(v); ok; tok, rest, ok = NextToken(rest) {
				h.TETrailers = h.TETrailers || EqualFold(tok, "trailers")
			}
		}
	}
	switch {
	case lengths > 1:
		return ErrContentLength
	case codings > 1:
		return ErrTransferEncoding
	case lengths > 0 && codings > 0:
		return ErrLengthAndChunked
	case h.response:
		h.Close = h.Close || h.Minor != 1 && !(h.Minor == 0 && keepAlive)
		if h.Status == 204 && (h.ContentLength > 0 || h.Chunked) {
			return ErrBodyNotAllowed
		}
		return 0
	case hosts > 1:
		return ErrHost
	case hosts == 0 && !absolute:
		return ErrNoHost
	case options > maxOptions:
		return ErrNominated
	case nominates:
		h.nominate(b)
	}
	return 0
}

// maxOptions is how many options the Connection fields of a request may have, as with
// Envoy: each is looked for among all fields.
const maxOptions = 9

// passedOn is what AppendField makes of f's value. It is a copy only where it
// differs.
func (h *Head) passedOn(f *Field) []byte {
	if !f.Dirty {
		return h.Bytes(f.Value)
	}
	return h.AppendValue(nil, f)
}

// equalAsPassedOn is EqualFold of what AppendField makes of v: without the CRs and
// LFs of folds and bare CRs. What is harmless here must not mean something there.
func equalAsPassedOn(v []byte, s string) bool {
	n := 0
	for _, c := range v {
		if c == '\r' || c == '\n' {
			continue
		}
		if n == len(s) || lower[c] != s[n] {
			return false
		}
		n++
	}
	return n == len(s)
}

// connection reads the options of a Connection field, counts them, and reports
// whether it names fields to remove.
func (h *Head) connection(v []byte, options *int, keepAlive *bool) (nominates bool, err Error) {
	for tok, rest, ok := NextToken(v); ok; tok, rest, ok = NextToken(rest) {
		*options++
		switch {
		case EqualFold(tok, "close"):
			h.Close = true
		case EqualFold(tok, "keep-alive"):
			*keepAlive = true
		case EqualFold(tok, "upgrade"):
			h.ConnUpgrade = true
		case tok[0] == ':':
			return false, ErrNominated
		default:
			switch idOf(tok) {
			case TE:
			case Host:
				if !h.response {
					return false, ErrNoHost
				}
			case XForwardedFor, XForwardedHost, XForwardedProto:
				// A client must not be able to take these off a request.
				if !h.response {
					return false, ErrNominated
				}
			default:
				nominates = true
			}
		}
	}
	return nominates, 0
}

// nominate marks the fields that Connection names.
func (h *Head) nominate(b []byte) {
	for i := range h.fields[:h.n] {
		c := &h.fields[i]
		if c.ID != Connection {
			continue
		}
		for tok, rest, ok := NextToken(h.passedOn(c)); ok; tok, rest, ok = NextToken(rest) {
			for j := range h.fields[:h.n] {
				f := &h.fields[j]
				name := b[f.Name.Off:f.Name.End]
				// Framing stays whatever Connection says; TE has a rule of its own.
				if f.ID == ContentLength || f.ID == TransferEncoding || f.ID == TE || len(name) != len(tok) {
					continue
				}
				same := true
				for k := range name {
					same = same && lower[name[k]] == lower[tok[k]]
				}
				f.Nominated = f.Nominated || same
				h.Expect = h.Expect && !(same && f.ID == Expect)
			}
		}
	}
}

// parseLength reads a Content-Length: digits only (RFC 9110 §8.6), below 2⁶³.
func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, c := range v {
		if !isDigit(c) || n > (1<<63-1-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// Body returns the framing of the body that follows h (RFC 9112 §6.3). head
// says that h is the response to a HEAD request.
func (h *Head) Body(head bool) Body {
	switch {
	case h.response && (head || h.Status/100 == 1 || h.Status == 204 || h.Status == 304):
		return Body{}
	case h.Chunked:
		return ChunkedBody()
	case h.ContentLength >= 0:
		return LengthBody(uint64(h.ContentLength))
	case h.response:
		return StreamBody()
	}
	return Body{}
}
