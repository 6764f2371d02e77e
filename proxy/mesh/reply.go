package mesh

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Reply is an answer the proxy gives by itself, with Envoy's status and text.
type Reply struct {
	Status     int
	Body       string
	Location   string // of a redirect
	Overloaded bool   // adds x-envoy-overloaded
	Flag       Flags  // Envoy's response flags, for the log
	Details    string // and why, in its words
	Failure    string // of the way to the upstream

	lost     loss
	add      []mutator // headers of the filter that answers
	filtered bool      // a filter does, before the route

	attempt int // what x-envoy-attempt-count says, where the route wants it
}

// loss is what became of a request upstream.
type loss uint8

const (
	lostNothing    loss = iota // or the proxy's own doing
	lostConnecting             // it was not sent
	lostStream
)

// After returns r as the client is told of it after t.
func (r Reply) After(t *Tries) Reply {
	if rest, ok := strings.CutPrefix(r.Body, resetPrefix); ok && t.Retried() {
		r.Body = resetRetried + rest
	}
	r.attempt = t.Attempt()
	r.Flag = t.Flag().And(r.Flag)
	return r
}

// Envoy's own answers. The names of its response flags are in their comments.
var (
	ReplyNotFound       = Reply{Status: 404, Flag: FlagNR, Details: "route_not_found"}
	ReplyNotRelative    = Reply{Status: 404, Details: "absolute_path_rejected"} // a target that is not a path
	ReplyForbidden      = Reply{Status: 403, Details: "upgrade_failed"}         // an upgrade that no route allows
	ReplyNoHealthy      = Reply{Status: 503, Body: "no healthy upstream", Flag: FlagUH, Details: "no_healthy_upstream"}
	ReplyConnectFailed  = reset(503, "remote connection failure", FlagUF, lostConnecting)
	ReplyConnectTimeout = reset(503, "connection timeout", FlagUF, lostConnecting)
	ReplyTerminated     = reset(503, "connection termination", FlagUC, lostStream)
	ReplyProtocolError  = reset(502, "protocol error", FlagUPE, lostStream)
	ReplyOverflow       = overloaded(reset(503, "overflow", FlagUO, lostNothing))
	ReplyTimeout        = Reply{Status: 504, Body: "upstream request timeout", Flag: FlagUT, Details: "response_timeout"}
	ReplyPerTryTimeout  = Reply{Status: 504, Body: "upstream request timeout", Flag: FlagUT, lost: lostStream, Details: "upstream_per_try_timeout"}
	ReplyTooLarge       = Reply{Status: 507, Body: "exceeded request buffer limit while retrying upstream", Details: "request_payload_exceeded_retry_buffer_limit"}
	ReplyStreamIdle     = Reply{Status: 408, Body: "stream timeout", Flag: FlagSI, Details: "stream_idle_timeout"}
	ReplyHeadTimeout    = Reply{Status: 408, Body: "request header timeout", Details: "request_header_timeout"}
)

// Late is why a response that had begun was cut short, in Envoy's words.
func (r *Reply) Late() string {
	return strings.Replace(r.Details, "before_response", "after_response", 1)
}

// ClientLeft is the flag and the details of a request whose client has gone, or
// whose connection we have closed.
func ClientLeft(local bool) (flag Flags, details string) {
	if local {
		return FlagDC, "downstream_local_disconnect"
	}
	return FlagDC, "downstream_remote_disconnect"
}

// reset is the answer to a request whose upstream is lost before it has answered.
func reset(status int, reason string, flag Flags, lost loss) Reply {
	return Reply{Status: status, Body: resetPrefix + reason, Flag: flag, lost: lost,
		Details: "upstream_reset_before_response_started{" + strings.ReplaceAll(reason, " ", "_") + "}"}
}

func overloaded(r Reply) Reply {
	r.Overloaded = true
	return r
}

const (
	resetPrefix  = "upstream connect error or disconnect/reset before headers. reset reason: "
	resetRetried = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
)

// ReplyMalformed returns the answer to a request that err, of package http1, is
// wrong with.
func ReplyMalformed(err error) Reply {
	e, ok := err.(http1.Error)
	switch {
	case !ok:
		return Reply{Status: 400, Body: "Bad Request", Flag: FlagDPE, Details: codecError}
	case e == http1.ErrNoHost, e == http1.ErrFragment:
		return Reply{Status: 400, Details: malformed[e]}
	}
	s := e.Status()
	return Reply{Status: s, Body: reasons[s], Flag: FlagDPE, Details: cmp.Or(malformed[e], codecError)}
}

const codecError = "http1.codec_error"

// malformed are Envoy's words of what is wrong with a request, where it has some
// of its own.
var malformed = map[http1.Error]string{
	http1.ErrNoHost: "missing_host_header", http1.ErrFragment: "path_normalization_failed", http1.ErrUpgradeRequired: "low_version",
	http1.ErrURL: "http1.invalid_url", http1.ErrScheme: "http1.invalid_scheme", http1.ErrTargetByte: "http1.invalid_characters", http1.ErrFieldValue: "http1.invalid_characters",
	http1.ErrHeadTooLarge: "http1.headers_too_large", http1.ErrTooManyFields: "http1.too_many_headers", http1.ErrHost: "http.invalid_authority",
	http1.ErrTransferEncoding: "http1.invalid_transfer_encoding", http1.ErrLengthAndChunked: "http1.content_length_and_chunked_not_allowed",
	http1.ErrNominated: "http1.connection_header_rejected",
}

// ReplyUnreachable is the answer to a request whose endpoint the system could not
// connect to, because of why; at once if it said so in the call itself.
func ReplyUnreachable(why string, atOnce bool) Reply {
	r := ReplyConnectFailed
	when := "delayed"
	if atOnce {
		when = "immediate"
	}
	r.Failure = when + "_connect_error:_" + strings.ToUpper(why[:1]) + strings.ReplaceAll(why[1:], " ", "_")
	r.Details = strings.TrimSuffix(r.Details, "}") + "|" + r.Failure + "}"
	return r
}

var contentType = []byte("content-type")

// AppendReply appends r as a message: route is the one whose mutations apply, or
// nil; e is for those of them that have format strings; date is the value of its
// Date field, head leaves the body out (the answer to a HEAD request), closing
// adds connection: close.
func AppendReply(dst []byte, r *Reply, route *RouteEntry, e *Entry, date []byte, head, closing bool) []byte {
	dst = appendStatusLine(dst, r.Status)
	begin := len(dst)
	if r.Location != "" {
		dst = append(dst, "location: "...)
		dst = append(append(dst, r.Location...), "\r\n"...)
	}
	if !r.filtered || route != nil && route.Forwards() {
		dst = route.mutateResponse(dst, begin, e)
	}
	if r.add != nil {
		dst = mutateBy(dst, begin, r.add, e)
	}
	if r.Overloaded {
		dst = append(dst, "x-envoy-overloaded: true\r\n"...)
	}
	if route != nil && route.countResponses && r.attempt > 0 {
		dst = setNumber(dst, begin, attemptName, int64(r.attempt))
	}
	mutated := len(dst)
	if r.Body != "" {
		dst = append(dst, "content-length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, "\r\n"...)
		if begin == mutated || find(dst[begin:], contentType) < 0 {
			dst = append(dst, "content-type: text/plain\r\n"...)
		}
	}
	dst = append(dst, "date: "...)
	dst = append(dst, date...)
	dst = append(dst, "\r\nserver: envoy\r\n"...)
	if closing {
		dst = append(dst, "connection: close\r\n"...)
	}
	switch {
	case r.Body != "", r.Status == 204, r.Status == 304:
	case head: // as Envoy does, which does not know what a GET would have got
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	default:
		dst = append(dst, "content-length: 0\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	if !head {
		dst = append(dst, r.Body...)
	}
	return dst
}
