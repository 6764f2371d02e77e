package bookinfo

import (
	"net/http"
	"strings"
)

// traceHeaders are the fields that all three callers of the originals pass on,
// in the order in which they send them, up to where the b3 fields stand.
func traceHeaders() []string {
	return []string{
		"x-request-id", "x-ot-span-context",
		"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority",
		"traceparent", "tracestate", "x-cloud-trace-context", "grpc-trace-bin",
	}
}

// contextHeaders are the rest of them.
func contextHeaders() []string {
	return []string{"user-agent", "cookie", "authorization", "jwt"}
}

// productpageHeaders are passed on by productpage as they come. The b3 fields
// go through forwardB3; end-user comes from the session only.
func productpageHeaders() []string {
	return append(append(traceHeaders(), "sw8"), contextHeaders()...)
}

// reviewsHeaders are passed on by reviews; details lists the same ones, but
// makes no call.
func reviewsHeaders() []string {
	h := append(traceHeaders(), "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "sw8", "end-user")
	return append(h, contextHeaders()...)
}

// forward picks the named fields of h, in the order of names and in lower
// case. A repeated field is joined with commas.
func forward(h http.Header, names []string) []field {
	var out []field
	for _, n := range names {
		if v, ok := joined(h, n); ok {
			out = append(out, field{n, v})
		}
	}
	return out
}

// joined returns the values of a field joined with commas, as WSGI and JAX-RS
// show them to the application.
func joined(h http.Header, name string) (string, bool) {
	v := h.Values(name)
	if len(v) == 0 {
		return "", false
	}
	return strings.Join(v, ","), true
}

// forwardB3 is what OpenTelemetry's B3 propagator makes of the incoming
// fields, extracted and injected again: a trace id of 16 or 32 hex digits and
// a span id of 16, together or not at all, written in lower case at full
// length; the sampling decision as 0 or 1; parent and flags dropped. The
// single b3 field is read first when there is one, and becomes three.
func forwardB3(h http.Header) []field {
	trace, span, sampled, flags := h.Get("X-B3-TraceId"), h.Get("X-B3-SpanId"), h.Get("X-B3-Sampled"), h.Get("X-B3-Flags")
	if single := h.Get("B3"); single != "" {
		trace, span, sampled, flags = "", "", "", ""
		switch p := strings.SplitN(single, "-", 5); len(p) {
		case 2:
			trace, span, sampled = p[0], p[1], "d" // the decision is deferred: the propagator samples
		case 3, 4:
			trace, span, sampled = p[0], p[1], p[2]
		}
	}
	if !isHex(trace) || !isHex(span) || len(span) != 16 || len(trace) != 16 && len(trace) != 32 {
		return nil
	}
	decision := "0"
	switch sampled {
	case "1", "d", "true", "True":
		decision = "1"
	}
	if flags == "1" {
		decision = "1"
	}
	return []field{
		{"x-b3-traceid", strings.Repeat("0", 32-len(trace)) + strings.ToLower(trace)},
		{"x-b3-spanid", strings.ToLower(span)},
		{"x-b3-sampled", decision},
	}
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return s != ""
}

// headerBytes encodes a header value as Python's requests does: Latin-1, no
// leading white space, no line breaks. What cannot be encoded fails the call.
func headerBytes(s string) (string, bool) {
	if strings.ContainsAny(s, "\r\n\x00") || s != strings.TrimLeft(s, " \t\v\f") {
		return "", false
	}
	var b strings.Builder
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		b.WriteByte(byte(r))
	}
	return b.String(), true
}
