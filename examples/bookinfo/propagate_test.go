package bookinfo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reaches sends one request to a service in front of a recorder and returns
// the lines the recorder saw.
func reaches(t *testing.T, service, path string, r *recorder, lines ...string) []string {
	t.Helper()
	upstream := map[string]string{"productpage": "details", "reviews-v2": "ratings"}[service]
	a := start(t, Options{Service: service, Getenv: vars{}.with(upstream, r.address).get})
	get(t, a, path, lines...)
	heads, _ := r.seen()
	require.Len(t, heads, 1)
	return strings.Split(strings.TrimSuffix(heads[0], "\r\n"), "\r\n")
}

// Every header the three sources name, and some that they do not, through
// both services that make calls.
func TestPropagation(t *testing.T) {
	const trace, span = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
	for _, tt := range []struct {
		header, value string
		page, reviews bool
	}{
		{"x-request-id", "34eeb41d", true, true},
		{"x-ot-span-context", "a;b", true, true},
		{"x-datadog-trace-id", "1", true, true},
		{"x-datadog-parent-id", "2", true, true},
		{"x-datadog-sampling-priority", "3", true, true},
		{"traceparent", "00-" + trace + "-" + span + "-01", true, true},
		{"tracestate", "a=b", true, true},
		{"x-cloud-trace-context", "4", true, true},
		{"grpc-trace-bin", "AAB", true, true},
		{"sw8", "40c7fdf104e3de67", true, true},
		{"user-agent", "curl/8", true, true},
		{"cookie", "a=b", true, true},
		{"authorization", "Bearer x", true, true},
		{"jwt", "j", true, true},
		{"x-b3-traceid", trace, false, true}, // alone it is no pair
		{"x-b3-spanid", span, false, true},
		{"x-b3-parentspanid", span, false, true},
		{"x-b3-sampled", "1", false, true},
		{"x-b3-flags", "1", false, true},
		{"end-user", "jason", false, true}, // productpage: from the session only
		{"baggage", "k=v", false, false},
		{"b3", "0", false, false},
		{"accept-language", "en", false, false},
		{"x-forwarded-for", "10.0.0.1", false, false},
		{"x-envoy-attempt-count", "1", false, false},
		{"x-custom", "1", false, false},
	} {
		t.Run(tt.header, func(t *testing.T) {
			line := tt.header + ": " + tt.value
			for service, want := range map[string]bool{"productpage": tt.page, "reviews-v2": tt.reviews} {
				path := map[string]string{"productpage": "/api/v1/products/0", "reviews-v2": "/reviews/0"}[service]
				// It is sent in another case, and arrives in lower case.
				sent := strings.ToUpper(tt.header) + ": " + tt.value
				got := reaches(t, service, path, record(t, always(ok("{}"))), sent)
				if want {
					require.Contains(t, got, line, service)
				} else {
					require.NotContains(t, strings.ToLower(strings.Join(got, "\n")), tt.header+":", service)
				}
			}
		})
	}
}

// The b3 rule, as measured on the real productpage (OpenTelemetry 1.32.1).
func TestForwardB3(t *testing.T) {
	const trace, span = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
	b3 := func(trace, sampled string) []string {
		return []string{"x-b3-traceid: " + trace, "x-b3-spanid: " + span, "x-b3-sampled: " + sampled}
	}
	for _, tt := range []struct {
		name string
		in   []string
		want []string
	}{
		{"pair with flags and parent", []string{"x-b3-traceid: " + trace, "x-b3-spanid: " + span, "x-b3-parentspanid: " + span, "x-b3-flags: 1"}, b3(trace, "1")},
		{"16 digits, upper case", []string{"x-b3-traceid: " + strings.ToUpper(trace[16:]), "x-b3-spanid: " + strings.ToUpper(span), "x-b3-sampled: 1"}, b3("0000000000000000"+trace[16:], "1")},
		{"sampled true", []string{"x-b3-traceid: " + trace, "x-b3-spanid: " + span, "x-b3-sampled: true"}, b3(trace, "1")},
		{"sampled 0", []string{"x-b3-traceid: " + trace, "x-b3-spanid: " + span, "x-b3-sampled: 0"}, b3(trace, "0")},
		{"no decision", []string{"x-b3-traceid: " + trace, "x-b3-spanid: " + span}, b3(trace, "0")},
		{"all zero", []string{"x-b3-traceid: " + strings.Repeat("0", 32), "x-b3-spanid: " + span}, b3(strings.Repeat("0", 32), "0")},
		{"single", []string{"b3: " + trace + "-" + span + "-1"}, b3(trace, "1")},
		{"single deferred", []string{"b3: " + trace + "-" + span}, b3(trace, "1")},
		{"single with parent", []string{"b3: " + trace + "-" + span + "-0-" + span}, b3(trace, "0")},
		{"trace only", []string{"x-b3-traceid: " + trace}, nil},
		{"bad span", []string{"x-b3-traceid: " + trace, "x-b3-spanid: zz57b5a2e4d86bd1"}, nil},
		{"odd length", []string{"x-b3-traceid: " + trace[1:], "x-b3-spanid: " + span}, nil},
		{"single hides the others", []string{"b3: 0", "x-b3-traceid: " + trace, "x-b3-spanid: " + span}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := reaches(t, "productpage", "/api/v1/products/0", record(t, always(ok("{}"))), tt.in...)
			require.Equal(t, append([]string{}, tt.want...), append([]string{}, got[6:]...))
		})
	}
}

// The whole head of a call, order included.
func TestCallHeads(t *testing.T) {
	in := []string{"X-Request-Id: 1", "Sw8: q", "Traceparent: tp", "User-Agent: UA", "Cookie: a=b", "Cookie: c=d", "Authorization: a", "JWT: j", "End-User: eve"}
	for _, tt := range []struct {
		service, path string
		lines         []string
		want          string
	}{
		{"productpage", "/api/v1/products/0", nil,
			"GET /details/0 HTTP/1.1|Host: ADDR|User-Agent: python-requests/2.32.3|Accept-Encoding: gzip, deflate|Accept: */*|Connection: keep-alive"},
		{"productpage", "/api/v1/products/0", in,
			"GET /details/0 HTTP/1.1|Host: ADDR|user-agent: UA|Accept-Encoding: gzip, deflate|Accept: */*|Connection: keep-alive|" +
				"x-request-id: 1|traceparent: tp|sw8: q|cookie: a=b,c=d|authorization: a|jwt: j"},
		{"productpage", "/api/v1/products/a%20b%3Fc%23d", []string{"User-Agent:"},
			"GET /details/a%20b?c HTTP/1.1|Host: ADDR|user-agent: |Accept-Encoding: gzip, deflate|Accept: */*|Connection: keep-alive"},
		{"reviews-v2", "/reviews/0", nil,
			"GET /ratings/0 HTTP/1.1|Accept: application/json|User-Agent: Apache-CXF/3.1.18|Cache-Control: no-cache|Pragma: no-cache|Host: ADDR|Connection: keep-alive"},
		{"reviews-v2", "/reviews/0", in,
			"GET /ratings/0 HTTP/1.1|Accept: application/json|x-request-id: 1|traceparent: tp|sw8: q|end-user: eve|user-agent: UA|cookie: a=b,c=d|authorization: a|jwt: j|" +
				"Cache-Control: no-cache|Pragma: no-cache|Host: ADDR|Connection: keep-alive"},
	} {
		r := record(t, always(ok("{}")))
		got := strings.Join(reaches(t, tt.service, tt.path, r, tt.lines...), "|")
		require.Equal(t, strings.Replace(tt.want, "ADDR", r.address, 1), got)
	}
}

func TestHostHeaderLeavesOutPort80(t *testing.T) {
	require.Equal(t, "details", authority{"details", "80"}.header())
	require.Equal(t, "details.default:9080", authority{"details.default", "9080"}.header())
	require.Equal(t, "[::1]:9080", authority{"[::1]", "9080"}.dial())
}
