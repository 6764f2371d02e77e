package mesh

import (
	"strconv"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
)

// AppendRequest appends the head of the request h as it goes upstream by route
// r: the host first, names in lower case, hop-by-hop fields and Envoy's own
// controls taken out, x-forwarded-proto and x-request-id added unless they are
// there. e is for headers with format strings, which only a route with Formats
// has. A request without a route, nil, is as it would be logged. It allocates
// nothing if dst has room.
func AppendRequest(dst []byte, h *http1.Head, r *RouteEntry, ids *RequestIDs, e *Entry) []byte {
	if r == nil {
		r = &noRoute
	}
	start := len(dst)
	dst = append(dst, h.Bytes(h.MethodSpan)...)
	dst = append(dst, ' ')
	dst, rewritten := r.appendTarget(dst, h)
	dst = append(dst, " HTTP/1.1\r\nhost: "...)
	if len(r.host) > 0 {
		dst = append(dst, r.host...)
	} else {
		dst = append(dst, h.Bytes(h.Authority)...)
	}
	dst = append(dst, "\r\n"...)
	begin := len(dst)
	changed := len(r.host) > 0 && !r.silent
	var proto, id, te, wasPath, wasHost, counted bool
	var again repeats
	fields := h.Fields()
	for i := range fields {
		f := &fields[i]
		if f.ID == http1.Host || !visible(h, f) {
			continue
		}
		switch f.ID {
		case http1.TE:
			if !te {
				dst = append(dst, "te: trailers\r\n"...)
				te = true
			}
			continue
		case http1.XForwardedProto:
			if f.Value.Off == f.Value.End {
				continue
			}
			proto = true
		case http1.XEnvoyOriginalPath:
			if rewritten {
				if !wasPath {
					dst = appendOriginalPath(dst, h)
				}
				wasPath = true
				continue
			}
		case http1.XEnvoyOriginalHost:
			if changed {
				if !wasHost {
					dst = appendOriginalHost(dst, h)
				}
				wasHost = true
				continue
			}
		case http1.XEnvoyAttemptCount:
			if r.countRequests {
				if !counted {
					dst = append(dst, firstAttempt...)
				}
				counted = true
				continue
			}
		case http1.XRequestID:
			if id {
				break
			}
			id = true
			if f.Value.Off == f.Value.End {
				dst = append(dst, "x-request-id: "...)
				dst = append(ids.Append(dst), "\r\n"...)
				continue
			}
		}
		n := len(dst)
		dst = h.AppendField(dst, f)
		dst = again.join(dst, begin, n, len(h.Bytes(f.Name)), joinedOfRequests)
	}
	if !proto {
		dst = append(dst, r.proto...)
	}
	if !id {
		dst = append(dst, "x-request-id: "...)
		dst = append(ids.Append(dst), "\r\n"...)
	}
	dst = append(dst, r.expect...)
	if r.countRequests && !counted {
		dst = append(dst, firstAttempt...)
	}
	switch {
	case r.request == nil:
	case r.Formats:
		e.Head, e.Method, e.Path, e.Authority = true, h.Bytes(h.MethodSpan), h.Bytes(h.Path), h.Bytes(h.Authority)
		dst = mutate(dst, begin, r.request, joinedOfRequests, e, &e.Request)
	default:
		dst = mutate(dst, begin, r.request, joinedOfRequests, nil, nil)
	}
	if changed && !wasHost {
		dst = appendOriginalHost(dst, h)
	}
	if r.late != nil {
		if name := r.late.name(h, dst[begin:]); name != "" {
			dst = setHost(dst, start, len(dst), name, r.appendHost)
		}
	}
	if rewritten && !wasPath {
		dst = appendOriginalPath(dst, h)
	}
	switch {
	case h.Chunked:
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case h.ContentLength < 0 && mayHaveBody(h.Method):
		dst = append(dst, "content-length: 0\r\n"...)
	}
	return append(dst, "\r\n"...)
}

var noRoute = RouteEntry{proto: "x-forwarded-proto: http\r\n"}

// mayHaveBody reports whether Envoy says "content-length: 0" of a request by
// method m that has no body.
func mayHaveBody(m http1.Method) bool {
	switch m {
	case http1.MethodGet, http1.MethodHead, http1.MethodDelete, http1.MethodTrace, http1.MethodConnect:
		return false
	}
	return true
}

// ResponseInfo is what the head of a response depends on besides the upstream's
// words.
type ResponseInfo struct {
	Route       *RouteEntry   // whose mutations apply; nil is none
	Entry       *Entry        // for those that have format strings
	Client      *Client       // who is given cookies; nil is nobody
	ServiceTime time.Duration // of the upstream, from the end of the request; below 0 if that is not reached
	Date        []byte        // the value of a Date field the upstream left out
	Attempt     int           // which of the request's tries this answers, where the route wants to tell
	Close       bool          // adds connection: close
	Chunked     bool          // the body, or what it would be of a HEAD, goes out chunked
}

// AppendResponse appends the head of the response h as it goes downstream: names
// in lower case, hop-by-hop fields taken out, the server overwritten, the
// upstream's service time added.
func AppendResponse(dst []byte, h *http1.Head, info *ResponseInfo) []byte {
	dst = appendStatusLine(dst, h.Status)
	begin := len(dst)
	var date, server, service bool
	var again repeats
	fields := h.Fields()
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade:
			continue
		case http1.ContentLength:
			if h.Status == 204 { // RFC 9110 §8.6
				continue
			}
		case http1.Date:
			date = true
		case http1.Server:
			if !server {
				dst = append(dst, "server: envoy\r\n"...)
			}
			server = true
			continue
		case http1.XEnvoyUpstreamServiceTime:
			if !service && info.ServiceTime >= 0 {
				dst = appendServiceTime(dst, info.ServiceTime)
				service = true
				continue
			}
		}
		n := len(dst)
		dst = h.AppendField(dst, f)
		dst = again.join(dst, begin, n, len(h.Bytes(f.Name)), joinedOfResponses)
	}
	if !service && info.ServiceTime >= 0 {
		dst = appendServiceTime(dst, info.ServiceTime)
	}
	if info.Client != nil && info.Client.given != 0 {
		dst = info.Route.appendCookies(dst, info.Client)
	}
	dst = info.Route.mutateResponse(dst, begin, info.Entry)
	if info.Route != nil && info.Route.countResponses {
		dst = setNumber(dst, begin, attemptName, int64(info.Attempt))
	}
	if !date {
		dst = append(dst, "date: "...)
		dst = append(append(dst, info.Date...), "\r\n"...)
	}
	if !server {
		dst = append(dst, "server: envoy\r\n"...)
	}
	if info.Close {
		dst = append(dst, "connection: close\r\n"...)
	}
	if info.Chunked {
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// mutateResponse makes the route's changes to the fields in dst from begin on.
func (r *RouteEntry) mutateResponse(dst []byte, begin int, e *Entry) []byte {
	switch {
	case r == nil || r.response == nil:
		return dst
	case r.Formats:
		return mutate(dst, begin, r.response, joinedOfResponses, e, &e.Response)
	}
	return mutate(dst, begin, r.response, joinedOfResponses, nil, nil)
}

// mutateBy makes the changes of a filter.
func mutateBy(dst []byte, begin int, levels []mutator, e *Entry) []byte {
	if formatted(levels) {
		return mutate(dst, begin, levels, joinedOfResponses, e, &e.Response)
	}
	return mutate(dst, begin, levels, joinedOfResponses, nil, nil)
}

// Forwards reports whether r sends requests to a cluster.
func (r *RouteEntry) Forwards() bool { return r.direct == nil && r.redirect == nil }

func appendServiceTime(dst []byte, d time.Duration) []byte {
	dst = append(dst, "x-envoy-upstream-service-time: "...)
	dst = strconv.AppendInt(dst, d.Milliseconds(), 10)
	return append(dst, "\r\n"...)
}

// AppendDate appends the value of a Date field (RFC 9110 §5.6.7) for a time in
// seconds since 1970.
func AppendDate(dst []byte, unix int64) []byte {
	return time.Unix(unix, 0).UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
}
