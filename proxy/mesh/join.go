package mesh

import (
	"bytes"
	"slices"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Headers of which Envoy keeps one: of a message that has several lines of it,
// the values go on joined by commas. Read off Envoy 1.40 by asking it with two
// lines of each.
var (
	joinedOfRequests = set("user-agent", "accept", "via", "x-forwarded-for", "authorization", "content-type", "x-request-id",
		"x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "accept-encoding", "cache-control", "referer",
		"x-envoy-attempt-count", "x-envoy-decorator-operation", "origin", "grpc-timeout", "if-none-match", "if-match",
		"if-modified-since", "x-envoy-external-address", "x-client-trace-id", "pragma", "x-envoy-original-path",
		"x-envoy-original-host", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
		"x-envoy-is-timeout-retry", "access-control-request-headers", "access-control-request-method", "content-encoding",
		"proxy-status", "access-control-request-private-network", "expect")
	joinedOfResponses = set("via", "content-type", "x-request-id", "cache-control", "x-envoy-attempt-count",
		"x-envoy-decorator-operation", "etag", "access-control-allow-origin", "access-control-allow-headers",
		"access-control-allow-methods", "access-control-allow-credentials", "access-control-expose-headers",
		"access-control-max-age", "content-encoding", "date", "vary", "location", "expires", "age", "last-modified", "grpc-status",
		"grpc-message", "x-envoy-degraded", "x-envoy-immediate-health-check-fail", "x-envoy-upstream-canary",
		"x-envoy-upstream-healthchecked-cluster", "proxy-status", "access-control-allow-private-network")
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// repeats finds the fields of a head that come again, with few look-ups: names
// that share a bit are compared.
type repeats uint64

// join is called after a field was appended to dst at n, with a name of so many
// bytes; the fields begin at begin. If it comes again, and is one of names, its
// value goes to the line that is there.
func (r *repeats) join(dst []byte, begin, n, name int, names map[string]bool) []byte {
	bit := repeats(1) << ((uint(name) + uint(dst[n])*5 + uint(dst[n+name-1])*11) % 64)
	if *r&bit == 0 {
		*r |= bit
		return dst
	}
	at := find(dst[begin:n], dst[n:n+name])
	if at < 0 || !names[string(dst[n:n+name])] {
		return dst
	}
	return joined(dst, begin+at, n, name)
}

// joined moves the value of the line at n, the last one, to that at first, which
// has the same name of so many bytes.
func joined(dst []byte, first, n, name int) []byte {
	end, from, to := len(dst), n+name+2, len(dst)-2
	p := first + bytes.IndexByte(dst[first:], '\n') - 1 // where the value there ends
	switch {
	case from >= to: // nothing to say
		return dst[:n]
	case p > first+name+2:
		dst = append(dst, ',')
	}
	dst = append(dst, dst[from:to]...)
	k := len(dst) - end
	copy(dst[p+k:], dst[p:n])
	copy(dst[p:], dst[end:])
	return dst[:n+k]
}

// together is the value of a header whose lines are joined. It allocates if there
// are several.
func together(h *http1.Head, name string) (value []byte, ok bool) {
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if !http1.EqualFold(h.Bytes(f.Name), name) || !visible(h, f) {
			continue
		}
		switch v := valueOf(h, f); {
		case len(value) == 0:
			value = v
		case len(v) > 0:
			value = append(append(slices.Clip(value), ','), v...)
		}
		ok = true
	}
	return value, ok
}

// find is where in fields the line of a name begins, below 0 if there is none.
func find(fields, name []byte) int {
	for at := 0; at < len(fields); at += bytes.IndexByte(fields[at:], '\n') + 1 {
		if l := fields[at:]; len(l) > len(name) && l[len(name)] == ':' && bytes.Equal(l[:len(name)], name) {
			return at
		}
	}
	return -1
}
