package http1

// ID names the fields a proxy treats in a way of their own.
type ID uint8

// The fields with an ID. Other is every other field.
const (
	Other ID = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	TE
	KeepAlive
	ProxyConnection
	Upgrade
	Expect
	HTTP2Settings
	Date
	Server
	XRequestID
	XForwardedProto
	XForwardedFor
	XForwardedHost
	XForwardedClientCert
	XEnvoyUpstreamServiceTime
	XEnvoyOriginalPath
	XEnvoyOriginalHost
	XEnvoyAttemptCount
	XEnvoyControl // request controls of Envoy that a client from outside may not set
	numIDs
)

// NumIDs is one more than the largest ID, for tables indexed by it.
const NumIDs = int(numIDs)

// name is a field name in lower case and its ID.
type name struct {
	s  string
	id ID
}

// byLength holds the known names by their length, so that most unknown names
// are told apart without a comparison.
var byLength = func() (t [48][]name) {
	for _, n := range []name{
		{"host", Host},
		{"connection", Connection},
		{"content-length", ContentLength},
		{"transfer-encoding", TransferEncoding},
		{"te", TE},
		{"keep-alive", KeepAlive},
		{"proxy-connection", ProxyConnection},
		{"upgrade", Upgrade},
		{"expect", Expect},
		{"http2-settings", HTTP2Settings},
		{"date", Date},
		{"server", Server},
		{"x-request-id", XRequestID},
		{"x-forwarded-proto", XForwardedProto},
		{"x-forwarded-for", XForwardedFor},
		{"x-forwarded-host", XForwardedHost},
		{"x-forwarded-client-cert", XForwardedClientCert},
		{"x-envoy-upstream-service-time", XEnvoyUpstreamServiceTime},
		{"x-envoy-original-path", XEnvoyOriginalPath},
		{"x-envoy-original-host", XEnvoyOriginalHost},
		{"x-envoy-attempt-count", XEnvoyAttemptCount},
		{"x-envoy-expected-rq-timeout-ms", XEnvoyControl},
		{"x-envoy-max-retries", XEnvoyControl},
		{"x-envoy-retry-on", XEnvoyControl},
		{"x-envoy-retry-grpc-on", XEnvoyControl},
		{"x-envoy-retriable-status-codes", XEnvoyControl},
		{"x-envoy-retriable-header-names", XEnvoyControl},
		{"x-envoy-upstream-rq-timeout-ms", XEnvoyControl},
		{"x-envoy-upstream-rq-per-try-timeout-ms", XEnvoyControl},
		{"x-envoy-upstream-rq-timeout-alt-response", XEnvoyControl},
		{"x-envoy-upstream-alt-stat-name", XEnvoyControl},
		{"x-envoy-upstream-stream-duration-ms", XEnvoyControl},
		{"x-envoy-hedge-on-per-try-timeout", XEnvoyControl},
		{"x-envoy-internal", XEnvoyControl},
		{"x-envoy-force-trace", XEnvoyControl},
		{"x-envoy-ip-tags", XEnvoyControl},
		{"x-envoy-original-url", XEnvoyControl},
	} {
		t[len(n.s)] = append(t[len(n.s)], n)
	}
	return t
}()

func idOf(b []byte) ID {
	if len(b) >= len(byLength) {
		return Other
	}
	for _, n := range byLength[len(b)] {
		if last := len(b) - 1; lower[b[last]] == n.s[last] && EqualFold(b, n.s) {
			return n.id
		}
	}
	return Other
}

// Method is a request method.
type Method uint8

// The methods a proxy treats in a way of their own, and the rest.
const (
	MethodOther Method = iota
	MethodGet
	MethodHead
	MethodDelete
	MethodTrace
	MethodConnect
	MethodOptions
)

// methodOf returns b's method, false unless Envoy 1.40 knows it.
func methodOf(b []byte) (Method, bool) {
	switch string(b) {
	case "GET":
		return MethodGet, true
	case "HEAD":
		return MethodHead, true
	case "DELETE":
		return MethodDelete, true
	case "TRACE":
		return MethodTrace, true
	case "CONNECT":
		return MethodConnect, true
	case "OPTIONS":
		return MethodOptions, true
	case "POST", "PUT", "PATCH",
		"ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE",
		"MSEARCH", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE",
		"UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE":
		return MethodOther, true
	}
	return MethodOther, false
}
