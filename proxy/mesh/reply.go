package mesh

import (
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
	Flag       string // Envoy's response flag, for the log

	lost    loss
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
	if r.attempt = t.Attempt(); t.Flag() != "" {
		r.Flag += "," + t.Flag()
	}
	return r
}

// Envoy's own answers. The names of its response flags are in their comments.
var (
	ReplyNotFound       = Reply{Status: 404, Flag: "NR"}
	ReplyForbidden      = Reply{Status: 403} // an upgrade that no route allows
	ReplyNoHealthy      = Reply{Status: 503, Body: "no healthy upstream", Flag: "UH"}
	ReplyConnectFailed  = Reply{Status: 503, Body: resetPrefix + "remote connection failure", Flag: "UF", lost: lostConnecting}
	ReplyConnectTimeout = Reply{Status: 503, Body: resetPrefix + "connection timeout", Flag: "UF", lost: lostConnecting}
	ReplyTerminated     = Reply{Status: 503, Body: resetPrefix + "connection termination", Flag: "UC", lost: lostStream}
	ReplyProtocolError  = Reply{Status: 502, Body: resetPrefix + "protocol error", Flag: "UPE", lost: lostStream}
	ReplyOverflow       = Reply{Status: 503, Body: resetPrefix + "overflow", Overloaded: true, Flag: "UO"}
	ReplyTimeout        = Reply{Status: 504, Body: "upstream request timeout", Flag: "UT"}
	ReplyPerTryTimeout  = Reply{Status: 504, Body: "upstream request timeout", Flag: "UT", lost: lostStream}
	ReplyTooLarge       = Reply{Status: 507, Body: "exceeded request buffer limit while retrying upstream"}
	ReplyStreamIdle     = Reply{Status: 408, Body: "stream timeout", Flag: "SI"}
	ReplyHeadTimeout    = Reply{Status: 408, Body: "request header timeout"}
)

const (
	resetPrefix  = "upstream connect error or disconnect/reset before headers. reset reason: "
	resetRetried = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
)

// ReplyMalformed returns the answer to a request that err, of package http1, is
// wrong with.
func ReplyMalformed(err error) Reply {
	e, ok := err.(http1.Error)
	if !ok {
		return Reply{Status: 400, Body: "Bad Request", Flag: "DPE"}
	}
	switch e {
	case http1.ErrNoHost, http1.ErrFragment:
		return Reply{Status: 400, Flag: "DPE"}
	}
	s := e.Status()
	return Reply{Status: s, Body: reasons[s], Flag: "DPE"}
}

var contentType = []byte("content-type")

// AppendReply appends r as a message: route is the one whose mutations apply, or
// nil; date is the value of its Date field, head
// leaves the body out (the answer to a HEAD request), closing adds connection:
// close.
func AppendReply(dst []byte, r *Reply, route *RouteEntry, date []byte, head, closing bool) []byte {
	dst = appendStatusLine(dst, r.Status)
	begin := len(dst)
	if r.Location != "" {
		dst = append(dst, "location: "...)
		dst = append(append(dst, r.Location...), "\r\n"...)
	}
	if route != nil && route.response != nil {
		dst = mutate(dst, begin, route.response, joinedOfResponses)
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
	case r.Body != "":
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
