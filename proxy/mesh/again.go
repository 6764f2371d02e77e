package mesh

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

const (
	expectedName = "x-envoy-expected-rq-timeout-ms"
	attemptName  = "x-envoy-attempt-count"
	firstAttempt = attemptName + ": 1\r\n"
)

// AppendAgain appends request, which AppendRequest and the body so far have made,
// as route r sends it in the try that t is at, elapsed after the end of the
// request: less of the timeout is left, and the count of tries has grown.
func AppendAgain(dst, request []byte, r *RouteEntry, t *Tries, elapsed time.Duration) []byte {
	begin, head := len(dst), bytes.Index(request, []byte("\r\n\r\n"))+2
	dst = append(dst, request[:head]...)
	fields := begin + bytes.IndexByte(request, '\n') + 1
	if d := r.expectedAfter(elapsed); d > 0 {
		dst = setNumber(dst, fields, expectedName, d.Milliseconds())
	}
	if r.countRequests {
		dst = setNumber(dst, fields, attemptName, int64(t.Attempt()))
	}
	return append(dst, request[head:]...)
}

// expectedAfter is how long the upstream has, as Envoy tells it: what is left of
// the route's timeout, or the try's own if that is less. 0 is no limit.
func (r *RouteEntry) expectedAfter(elapsed time.Duration) time.Duration {
	d := r.PerTry
	if r.Timeout > 0 {
		if left := max(r.Timeout-elapsed, time.Millisecond); d == 0 || left < d {
			d = left
		}
	}
	return d
}

// setNumber has the field of a name, of those in dst from from on, be n: the one
// that is there, or one more.
func setNumber(dst []byte, from int, name string, n int64) []byte {
	at := find(dst[from:], []byte(name))
	if at < 0 {
		dst = append(append(dst, name...), ": "...)
		return append(strconv.AppendInt(dst, n, 10), "\r\n"...)
	}
	at += from + len(name) + len(": ")
	var digits [20]byte
	return slices.Replace(dst, at, at+bytes.IndexByte(dst[at:], '\r'), strconv.AppendInt(digits[:0], n, 10)...)
}
