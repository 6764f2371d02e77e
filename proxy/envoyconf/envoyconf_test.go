package envoyconf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// envoy returns the real Envoy's path: $MESHNIC_ENVOY, or "envoy" on the PATH.
func envoy(t testing.TB) string {
	t.Helper()
	path := os.Getenv("MESHNIC_ENVOY")
	if path == "" {
		path, _ = exec.LookPath("envoy")
	}
	if path == "" {
		if os.Getenv("MESHNIC_REQUIRE_NET") == "1" {
			t.Fatal("no Envoy: MESHNIC_ENVOY is not set and envoy is not on the PATH")
		}
		t.Skip("no Envoy: MESHNIC_ENVOY is not set and envoy is not on the PATH")
	}
	return path
}

// reviews is the outbound side of a productpage with everything a Config has.
func reviews() mesh.Config {
	return mesh.Config{
		Node:  "productpage",
		Admin: "127.0.0.1:9901",
		Listeners: []mesh.Listener{{
			Name: "outbound", Address: "127.0.0.1:15001", StatPrefix: "outbound",
			VirtualHosts: []mesh.VirtualHost{{
				Name: "reviews", Domains: []string{"reviews", "reviews:9080", "*.reviews", "reviews.*"},
				Routes: []mesh.Route{
					{Path: "/health", Cluster: "details", Headers: []mesh.HeaderMatch{
						{Name: "end-user", Value: &mesh.StringMatch{Kind: mesh.MatchExact, Text: "jason", IgnoreCase: true}},
						{Name: "a", Value: &mesh.StringMatch{Kind: mesh.MatchPrefix, Text: "x"}, Invert: true},
						{Name: "b", Value: &mesh.StringMatch{Kind: mesh.MatchSuffix, Text: "x"}},
						{Name: "c", Value: &mesh.StringMatch{Kind: mesh.MatchContains, Text: "x"}},
						{Name: "d", Value: &mesh.StringMatch{Kind: mesh.MatchRegex, Text: "x+|y"}},
						{Name: "e"}, {Name: "f", Invert: true},
					}},
					{Path: "/robots.txt", Direct: &mesh.DirectResponse{Status: 200, Body: "no\n"}}, {Path: "/gone", Direct: &mesh.DirectResponse{Status: 410}},
					{Path: "/old", Redirect: &mesh.Redirect{Status: 308, HTTPS: true, Host: "new.example", Port: 8443, Path: "/new", StripQuery: true}},
					{Path: "/older", Redirect: &mesh.Redirect{Host: "new.example"}},
					{Prefix: "/oldest/", Redirect: &mesh.Redirect{Scheme: "http", Prefix: "/old/"}}, {Path: "/oldest", Redirect: &mesh.Redirect{Regex: "est$", Substitution: "er"}},
					{Prefix: "/moved/", Cluster: "details", Rewrite: mesh.Rewrite{Prefix: "/", Host: "inside.example"}, Mutate: mesh.HeaderMutations{
						Request:  mesh.Mutations{Remove: []string{"x-debug"}, Add: []mesh.HeaderValue{{Name: "x-load", Value: "100%%"}, {Name: "x-client", Value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}, {Name: "x-empty", KeepEmpty: true}}},
						Response: mesh.Mutations{Remove: []string{"x-powered-by"}, Add: []mesh.HeaderValue{{Name: "x-frame-options", Value: "DENY", Action: mesh.OverwriteOrAdd}}},
					}},
					{Path: "/named", Cluster: "details", Rewrite: mesh.Rewrite{AutoHost: true, AppendHost: true}}, {Path: "/told", Cluster: "details", Rewrite: mesh.Rewrite{HostHeader: "x-host"}},
					{Prefix: "/hosts/", Cluster: "details", Rewrite: mesh.Rewrite{HostRegex: &mesh.HostRegex{Regex: "^/hosts/([^/]*).*$", Substitution: `\1`}}},
					{Prefix: "/service/", Cluster: "details", Rewrite: mesh.Rewrite{Regex: "^/service/([^/]+)", Substitution: `/\1`}},
					{Prefix: "/asked", Cluster: "details", Query: []mesh.QueryMatch{{Name: "debug"}, {Name: "v", Value: &mesh.StringMatch{Kind: mesh.MatchExact, Text: "2"}}}},
					{Prefix: "/again", Cluster: "details", Retry: &mesh.RetryPolicy{
						On: []string{"5xx", "reset", "retriable-headers"}, Retries: 3, PerTry: time.Second, Base: 10 * time.Millisecond, Max: 40 * time.Millisecond,
						Statuses: []uint32{429, 409}, Headers: []mesh.HeaderMatch{{Name: "x-again"}, {Name: "x-why", Value: &mesh.StringMatch{Kind: mesh.MatchExact, Text: "busy"}}},
						OtherHosts: true, HostAttempts: 5}},
					{Prefix: "/once", Cluster: "details", Retry: &mesh.RetryPolicy{On: []string{"reset"}}},
					{Separated: "/api", Cluster: "details"}, {Regex: "/v[12]/.*", Cluster: "details"},
					{Path: "/canary", Clusters: []mesh.WeightedCluster{{Name: "reviews", Weight: 90}, {Name: "details", Weight: 10, Host: "canary.example", Mutate: mesh.HeaderMutations{
						Request:  mesh.Mutations{Remove: []string{"x-debug"}, Add: []mesh.HeaderValue{{Name: "x-canary", Value: "%PROTOCOL%"}}},
						Response: mesh.Mutations{Remove: []string{"x-inside"}, Add: []mesh.HeaderValue{{Name: "x-canary", Value: "1", Action: mesh.OverwriteOrAdd}}}}}}},
					{Name: "rest", Prefix: "/", Cluster: "reviews", Timeout: 2500 * time.Millisecond, Idle: new(time.Duration(0)), Hash: []mesh.HashPolicy{{Header: "x-user", Terminal: true}, {Cookie: "session"}, {Query: "id"}, {SourceIP: true},
						{Cookie: "given", Give: &mesh.GivenCookie{TTL: time.Minute, Path: "/", Attributes: []mesh.CookieAttribute{{Name: "Secure"}, {Name: "SameSite", Value: "Lax"}}}}}},
				},
			}, {
				Name: "any", Domains: []string{"*"}, Fault: &mesh.Fault{Abort: &mesh.FaultAbort{Percentage: mesh.Fraction{Numerator: 100}}},
				Routes: []mesh.Route{{Prefix: "/", Cluster: "details", Fault: &mesh.Fault{
					Delay: &mesh.FaultDelay{Percentage: mesh.Fraction{Numerator: 1, Denominator: "MILLION"}}, Nodes: []string{"n"}, MaxActive: new(uint32(0)),
				}}, {Prefix: "/sound", Cluster: "details", Fault: &mesh.Fault{}}},
			}},
			Filters: []mesh.Filter{{Fault: &mesh.Fault{
				Delay:   &mesh.FaultDelay{Fixed: 1500 * time.Millisecond, Percentage: mesh.Fraction{Numerator: 5}},
				Abort:   &mesh.FaultAbort{Status: 503, Body: "on purpose", Percentage: mesh.Fraction{Numerator: 10, Denominator: "TEN_THOUSAND"}},
				Cluster: "reviews", Headers: []mesh.HeaderMatch{{Name: "end-user", Value: &mesh.StringMatch{Kind: mesh.MatchExact, Text: "jason"}}}, MaxActive: new(uint32(7)),
			}}},
		}, {
			Name: "inbound", Address: "[::1]:15006", StatPrefix: "inbound", Intercept: mesh.Interception{OriginalDst: true, Transparent: true},
			Logs: []mesh.AccessLog{
				{Path: "/dev/null", Filter: &mesh.LogFilter{And: []mesh.LogFilter{
					{Status: &mesh.Comparison{Op: "GE", Value: 400}}, {Duration: &mesh.Comparison{Op: "EQ"}}, {NotHealthCheck: true},
					{Or: []mesh.LogFilter{{Header: &mesh.HeaderMatch{Name: "x-debug"}}, {Flagged: &mesh.FlagFilter{}}, {Flagged: &mesh.FlagFilter{Flags: []string{"UF", "DI"}}}}},
					{Types: &mesh.TypeFilter{Types: []string{"DownstreamEnd", "NotSet"}, Exclude: true}}, {Types: &mesh.TypeFilter{}},
					{Sample: &mesh.Sample{Key: "k", Percentage: mesh.Fraction{Numerator: 1, Denominator: "MILLION"}, Independent: true}},
				}}},
				{Path: "/dev/null"}, {Path: "/dev/null", Text: "%START_TIME(%s.%3f)% %REQ(A?B):5%\n"},
				{Path: "/dev/null", OmitEmpty: true, JSON: map[string]any{"status": "%RESPONSE_CODE%", "of": map[string]any{"n": 15., "off": "on", "list": []any{true, nil, "100%%"}}}},
			},
			Filters: []mesh.Filter{{RateLimit: &mesh.RateLimit{
				StatPrefix: "limited", Max: 10, Fill: 5, Interval: 100 * time.Millisecond, Enabled: mesh.Fraction{Numerator: 100}, Enforced: mesh.Fraction{Numerator: 2500, Denominator: "TEN_THOUSAND"},
				Status: 503, Add: []mesh.HeaderValue{{Name: "x-limited", Value: "%PROTOCOL%", Action: mesh.OverwriteOrAdd}},
			}}},
			Mutate: mesh.HeaderMutations{Response: mesh.Mutations{Add: []mesh.HeaderValue{{Name: "x-listener", Value: "1", Action: mesh.AddIfAbsent}}}},
			VirtualHosts: []mesh.VirtualHost{{
				Name: "any", Domains: []string{"*"},
				Mutate: mesh.HeaderMutations{Request: mesh.Mutations{Add: []mesh.HeaderValue{{Name: "x-host", Value: "1", Action: mesh.OverwriteIfExists}}}},
				Retry:  &mesh.RetryPolicy{PerTry: time.Second}, CountRequests: true, CountResponses: true,
				Routes: []mesh.Route{{Prefix: "/", Cluster: "empty", Timeout: 15 * time.Second}},
			}},
		}, {
			Name: "mongo", Address: "127.0.0.1:27017", StatPrefix: "mongo", Intercept: mesh.Interception{OriginalDst: true, HandOver: true}, TCP: &mesh.TCPProxy{Cluster: "details", Idle: 90 * time.Second, Attempts: 3},
			Logs:     []mesh.AccessLog{{Path: "/dev/null", Text: "%UPSTREAM_HOST%\n", Filter: &mesh.LogFilter{Flagged: &mesh.FlagFilter{}}}},
			ConnLogs: []mesh.AccessLog{{Path: "/dev/null"}, {Path: "/dev/null", JSON: map[string]any{"id": "%CONNECTION_ID%"}}},
		}, {
			Name: "mysql", Address: "127.0.0.1:3306", StatPrefix: "mysql", Intercept: mesh.Interception{Unbound: true}, TCP: &mesh.TCPProxy{Clusters: []mesh.WeightedCluster{{Name: "reviews", Weight: 90}, {Name: "details", Weight: 10}}},
		}},
		Clusters: []mesh.Cluster{
			{Name: "reviews", ConnectTimeout: time.Second, Idle: new(4 * time.Second), Endpoints: []mesh.Endpoint{
				{Address: "127.0.0.14:9080", Weight: 3}, {Address: "127.0.0.15:9080"}, {Address: "[::1]:9080", Weight: 2}}},
			{Name: "details", Breakers: &mesh.Breakers{MaxConnections: 100, MaxPending: 1, MaxRequests: 0, MaxRetries: 7, Budget: &mesh.RetryBudget{Percent: 12.5, Least: 1}, TrackRemaining: true}, Endpoints: []mesh.Endpoint{{Address: "127.0.0.12:9080"}}},
			{Name: "empty", Idle: new(time.Duration(0))},
			{Name: "asked", Check: &mesh.HealthCheck{
				Timeout: time.Second, Interval: 2 * time.Second, NoTraffic: 3 * time.Second, NoTrafficHealthy: 4 * time.Second, Unhealthy: 5 * time.Second, UnhealthyEdge: 6 * time.Second,
				HealthyEdge: 7 * time.Second, InitialJitter: 8 * time.Second, Jitter: 9 * time.Second, JitterPercent: 10, UnhealthyThreshold: 2, HealthyThreshold: 3, Once: true,
				HTTP: &mesh.HTTPCheck{Host: "h", Path: "/health?x", Expected: []mesh.StatusRange{{Start: 200, End: 201}, {Start: 300, End: 400}}, Retriable: []mesh.StatusRange{{Start: 500, End: 600}}}}},
			{Name: "connected", Check: &mesh.HealthCheck{
				Timeout: time.Second, Interval: 2 * time.Second, NoTraffic: 60 * time.Second, NoTrafficHealthy: 60 * time.Second, Unhealthy: 2 * time.Second, UnhealthyEdge: 2 * time.Second,
				HealthyEdge: 2 * time.Second, UnhealthyThreshold: 1, HealthyThreshold: 1, TCP: &mesh.TCPCheck{Send: []byte("ping"), Receive: [][]byte{[]byte("po"), []byte("ng")}}}},
			{Name: "judged", Panic: new(12.5), MergeWindow: new(time.Duration(0)), Outliers: &mesh.OutlierDetection{
				Consecutive5xx: 1, ConsecutiveGateway: 2, Interval: 3 * time.Second, BaseEjection: 4 * time.Second, MaxEjection: 5 * time.Second, MaxPercent: 6, AlwaysEjectOne: true,
				SuccessHosts: 7, SuccessVolume: 8, SuccessStdev: 9, FailureThreshold: 10, FailureHosts: 11, FailureVolume: 12, Enforce5xx: 13, EnforceGateway: 14, EnforceSuccess: 15, EnforceFailure: 16}},
			{Name: "original", OriginalDst: true, ConnectTimeout: time.Second}, {Name: "passing", OriginalDst: true, Cleanup: 30 * time.Second},
			{Name: "named", DNS: &mesh.DNS{}, Endpoints: []mesh.Endpoint{{Address: "reviews.example:9080", Weight: 2}, {Address: "[::1]:9080"}}},
			{Name: "asked for", DNS: &mesh.DNS{Refresh: 30 * time.Second, Family: mesh.FamilyPrefer}, Endpoints: []mesh.Endpoint{{Address: "localhost:9080", Hostname: "here"}}},
			{Name: "least", Policy: mesh.LeastRequest, Choices: 3, Endpoints: []mesh.Endpoint{{Address: "127.0.0.12:9080", Weight: 2}, {Address: "127.0.0.13:9080"}}},
			{Name: "ring", Policy: mesh.RingHash, MinRing: 100, MaxRing: 1000, Endpoints: []mesh.Endpoint{{Address: "127.0.0.12:9080", Weight: 2}, {Address: "127.0.0.13:9080"}}},
			{Name: "table", Policy: mesh.Maglev, Endpoints: []mesh.Endpoint{{Address: "127.0.0.12:9080"}}},
			{Name: "chance", Policy: mesh.Random, Endpoints: []mesh.Endpoint{{Address: "127.0.0.12:9080", Weight: 2}, {Address: "127.0.0.13:9080"}}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	cfg := reviews()
	file, err := Bootstrap(cfg)
	require.NoError(t, err)
	got, err := Read(file, "envoy.yaml")
	require.NoError(t, err)
	require.Equal(t, cfg, got)
	again, err := Bootstrap(got)
	require.NoError(t, err)
	require.Equal(t, string(file), string(again))
}

// The file is golden: a change of its form is a change of what both proxies run.
func TestBootstrapGolden(t *testing.T) {
	file, err := Bootstrap(reviews())
	require.NoError(t, err)
	golden := filepath.Join("testdata", "reviews.yaml")
	if os.Getenv("MESHNIC_UPDATE") == "1" {
		require.NoError(t, os.WriteFile(golden, file, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(file))
}

func TestBootstrapRefusesMistakes(t *testing.T) {
	cfg := reviews()
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Cluster = "nowhere"
	_, err := Bootstrap(cfg)
	require.ErrorContains(t, err, `listeners[0].virtual_hosts[0].routes[0].cluster: no cluster is named "nowhere"`)
}

func TestEnvoyAcceptsTheFile(t *testing.T) {
	path := envoy(t)
	for name, cfg := range map[string]mesh.Config{"reviews": reviews(), "least": {
		Listeners: []mesh.Listener{{Name: "l", Address: "127.0.0.1:0", StatPrefix: "l"}},
	}} {
		file, err := Bootstrap(cfg)
		require.NoError(t, err)
		f := filepath.Join(t.TempDir(), name+".yaml")
		require.NoError(t, os.WriteFile(f, file, 0o644))
		out, err := exec.Command(path, "--mode", "validate", "-c", f).CombinedOutput()
		require.NoError(t, err, "%s\n%s", out, file)
		require.Contains(t, string(out), "OK")
	}
}

// handwritten is a file as people write them: camelCase here and there, an
// anchor, defaults left out.
const handwritten = `
admin:
  address: &local
    socket_address: {address: 127.0.0.1, port_value: 9901}
staticResources:
  listeners:
  - address:
      socketAddress: {address: 127.0.0.1, portValue: 8080}
    filter_chains:
    - filters:
      - name: anything
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          codec_type: AUTO
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: app}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: app
    connect_timeout: 0.25s
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {address: *local}
`

// named is handwritten with a name for an address.
var named = strings.NewReplacer("    connect_timeout: 0.25s", "    type: STRICT_DNS\n    dns_refresh_rate: 2s",
	"{address: *local}", "{address: {socket_address: {address: a.example, port_value: 80}}}").Replace(handwritten)

func TestReadNames(t *testing.T) {
	cfg, err := Read([]byte(named), "envoy.yaml")
	require.NoError(t, err)
	require.Equal(t, []mesh.Cluster{{Name: "app", DNS: &mesh.DNS{Refresh: 2 * time.Second}, Endpoints: []mesh.Endpoint{{Address: "a.example:80"}}}}, cfg.Clusters)
}

func TestReadHandwritten(t *testing.T) {
	cfg, err := Read([]byte(handwritten), "envoy.yaml")
	require.NoError(t, err)
	require.Equal(t, mesh.Config{
		Admin: "127.0.0.1:9901",
		Listeners: []mesh.Listener{{
			Name: "127.0.0.1:8080", Address: "127.0.0.1:8080", StatPrefix: "in",
			VirtualHosts: []mesh.VirtualHost{{Name: "all", Domains: []string{"*"},
				Routes: []mesh.Route{{Prefix: "/", Cluster: "app", Timeout: 15 * time.Second}}}},
		}},
		Clusters: []mesh.Cluster{{Name: "app", ConnectTimeout: 250 * time.Millisecond, Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:9901"}}}},
	}, cfg)
}

// What a file leaves out of its outlier_detection is Envoy's default.
func TestReadOutlierDefaults(t *testing.T) {
	for text, change := range map[string]func(o *mesh.OutlierDetection){
		"{}": func(*mesh.OutlierDetection) {},
		"{consecutive_5xx: 0, base_ejection_time: 400s}": func(o *mesh.OutlierDetection) {
			o.Consecutive5xx, o.BaseEjection, o.MaxEjection = 0, 400*time.Second, 400*time.Second
		},
	} {
		cfg, err := Read([]byte(strings.Replace(handwritten, "connect_timeout: 0.25s", "outlier_detection: "+text, 1)), "f.yaml")
		require.NoError(t, err)
		want := mesh.DefaultOutliers
		change(&want)
		require.Equal(t, &want, cfg.Clusters[0].Outliers)
	}
}

func TestReadJSON(t *testing.T) {
	cfg, err := Read([]byte(`{"static_resources": {"listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
 "filter_chains": [{"filters": [{"name": "h", "typed_config": {
  "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "stat_prefix": "l", "route_config": {},
  "http_filters": [{"name": "r", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]}}`), "envoy.json")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", cfg.Listeners[0].Address)
}

// protocol is handwritten with options of its cluster's connections by a name.
func protocol(name, options string) string {
	return strings.Replace(handwritten, "connect_timeout: 0.25s", "typed_extension_protocol_options: {"+name+`: {"@type": `+typePrefix+optionsName+", "+options+"}}", 1)
}

func TestReadIdleTimeout(t *testing.T) {
	const http1 = ", explicit_http_config: {http_protocol_options: {}}"
	for text, want := range map[string]*time.Duration{
		"common_http_protocol_options: {idle_timeout: 4.5s}" + http1: new(4500 * time.Millisecond),
		"common_http_protocol_options: {idle_timeout: 0s}" + http1:   new(time.Duration(0)),
		"common_http_protocol_options: {}" + http1:                   nil,
	} {
		cfg, err := Read([]byte(protocol(optionsName, text)), "f.yaml")
		require.NoError(t, err)
		require.Equal(t, want, cfg.Clusters[0].Idle)
	}
}

func TestReadRefuses(t *testing.T) {
	const manager = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
	replace := func(old, new string) string {
		if !strings.Contains(handwritten, old) {
			panic(old)
		}
		return strings.Replace(handwritten, old, new, 1)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"not YAML", "a: b: c", "f.yaml:1:1: mapping values are not allowed"},
		{"not a mapping", "- a", "f.yaml:1:1: is not a mapping"},
		{"empty", "", "f.yaml:1:1: is empty, want a mapping with static_resources"},
		{"half-written", "static_resources:\n  listeners:\n  - {name: l\n", "f.yaml:3:1: did not find expected ',' or '}'"},
		{"field that Envoy does not have", replace("admin:", "amdin:"), "f.yaml:2:1: amdin: Bootstrap has no such field"},
		{"field that we do not carry", replace("admin:", "layered_runtime: {}\nadmin:"),
			"f.yaml:2:1: layered_runtime: is not supported; carried of Bootstrap: admin, node, static_resources"},
		{"field given in both spellings", handwritten + "static_resources: {}\n", "static_resources: is given twice"},
		{"hedging", replace("{cluster: app}", "{cluster: app, hedge_policy: {}}"),
			manager + ".route_config.virtual_hosts[0].routes[0].route.hedge_policy: is not supported"},
		{"retry on another word", replace("{cluster: app}", "{cluster: app, retry_policy: {retry_on: '5xx,4xx'}}"), `retry_on[1]: is "4xx", want one of 5xx`},
		{"back-off without a base", replace("{cluster: app}", "{cluster: app, retry_policy: {retry_back_off: {max_interval: 1s}}}"), "retry_back_off: has no base_interval"},
		{"another predicate", replace("{cluster: app}", "{cluster: app, retry_policy: {retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts}]}}"),
			"retry_host_predicate[0].typed_config: is not a PreviousHostsPredicate"},
		{"another priority", replace("{cluster: app}", "{cluster: app, retry_policy: {retry_priority: {name: x}}}"), "retry_policy.retry_priority: is not supported"},
		{"too many attempts", replace("{cluster: app}", "{cluster: app, retry_policy: {host_selection_retry_max_attempts: 99999}}"), "host_selection_retry_max_attempts: is 99999, want 0 to 65536"},
		{"a budget that is no number", replace("connect_timeout: 0.25s", "circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: all}}}]}"), `budget_percent.value: "all" is not a number`},
		{"another filter", replace("envoy.extensions.filters.http.router.v3.Router", "envoy.extensions.filters.http.buffer.v3.Buffer"),
			manager + ".http_filters[0].typed_config.@type: type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer is not supported"},
		{"no @type", replace(`              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router`, "              {}"), "typed_config: has no @type"},
		{"router as network filter", replace("network.http_connection_manager.v3.HttpConnectionManager", "http.router.v3.Router"),
			"stat_prefix: Router has no such field"},
		{"HTTP/2", replace("codec_type: AUTO", "codec_type: HTTP2"), `codec_type: is "HTTP2", supported: HTTP1, AUTO`},
		{"another policy", replace("connect_timeout: 0.25s", "lb_policy: LOAD_BALANCING_POLICY_CONFIG"), `lb_policy: is "LOAD_BALANCING_POLICY_CONFIG", supported: ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH, MAGLEV, CLUSTER_PROVIDED`},
		{"policy of the original destination", replace("connect_timeout: 0.25s", "lb_policy: CLUSTER_PROVIDED"), `lb_policy: is CLUSTER_PROVIDED, which is for the original destination`},
		{"choices of another policy", replace("connect_timeout: 0.25s", "least_request_lb_config: {choice_count: 3}"), `least_request_lb_config: is for LEAST_REQUEST, and lb_policy is not`},
		{"a half header match", replace(`match: {prefix: "/"}`, `match: {prefix: "/", headers: [{name: a, string_match: {ignore_case: true}}]}`), `string_match: has none of exact, prefix, suffix, contains, safe_regex`},
		{"a range match", replace(`match: {prefix: "/"}`, `match: {prefix: "/", headers: [{name: a, range_match: {start: 1, end: 2}}]}`), `headers[0].range_match: is not supported`},
		{"two clusters", replace(`route: {cluster: app}`, `route: {weighted_clusters: {clusters: [{name: app, weight: 1}, {name: nowhere, weight: 1}]}}`), `no cluster is named "nowhere"`},
		{"a percentage beyond 100", replace("connect_timeout: 0.25s", "outlier_detection: {enforcing_consecutive_5xx: 101}"), "outlier_detection.enforcing_consecutive_5xx: is 101, want 0 to 100"},
		{"errors told apart", replace("connect_timeout: 0.25s", "outlier_detection: {split_external_local_origin_errors: true}"), "split_external_local_origin_errors: is not supported"},
		{"no time to be ejected", replace("connect_timeout: 0.25s", "outlier_detection: {max_ejection_time: 1s}"), "max_ejection_time: is 1s, want no less than base_ejection_time (30s)"},
		{"a panic beyond 100", replace("connect_timeout: 0.25s", "common_lb_config: {healthy_panic_threshold: {value: 100.5}}"), "healthy_panic_threshold: is 100.5, want 0 to 100"},
		{"neither true nor false", replace("connect_timeout: 0.25s", "outlier_detection: {always_eject_one_host: 1}"), "always_eject_one_host: want true or false"},
		{"a check of nothing", replace("connect_timeout: 0.25s", "health_checks: [{timeout: 1s, interval: 1s, healthy_threshold: 1, unhealthy_threshold: 1}]"), "health_check: has none of http and tcp"},
		{"a check without thresholds", replace("connect_timeout: 0.25s", "health_checks: [{timeout: 1s, interval: 1s, tcp_health_check: {}}]"), "unhealthy_threshold: is 0 and healthy_threshold 0, want 1 or more"},
		{"a check of no time", replace("connect_timeout: 0.25s", "health_checks: [{interval: 1s, healthy_threshold: 1, unhealthy_threshold: 1, tcp_health_check: {}}]"), "timeout: is 0s, want 1 ms or more"},
		{"a payload that is none", replace("connect_timeout: 0.25s", "health_checks: [{tcp_health_check: {send: {text: xyz}}}]"), `send.text: "xyz" is not bytes in hexadecimal`},
		{"two checks", replace("connect_timeout: 0.25s", "health_checks: [{}, {}]"), "health_checks: has 2 entries, want 1"},
		{"a check by gRPC", replace("connect_timeout: 0.25s", "health_checks: [{grpc_health_check: {}}]"), "grpc_health_check: is not supported"},
		{"one choice", replace("connect_timeout: 0.25s", "least_request_lb_config: {choice_count: 1}"), `choice_count: is 1, want 2 or more`},
		{"another kind of DNS", replace("connect_timeout: 0.25s", "type: LOGICAL_DNS"), `f.yaml:29:11: static_resources.clusters[0].type: is "LOGICAL_DNS", supported: STATIC, STRICT_DNS, ORIGINAL_DST`},
		{"all families", replace("connect_timeout: 0.25s", "dns_lookup_family: ALL"), `f.yaml:29:24: static_resources.clusters[0].dns_lookup_family: is "ALL", supported: AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED`},
		{"the life of an answer", replace("connect_timeout: 0.25s", "respect_dns_ttl: true"), `f.yaml:29:5: static_resources.clusters[0].respect_dns_ttl: is not supported`},
		{"a refresh of nothing", replace("connect_timeout: 0.25s", "dns_refresh_rate: 1s"), `f.yaml:29:23: static_resources.clusters[0].dns_refresh_rate: is for STRICT_DNS, and type is not`},
		{"a family of nothing", replace("connect_timeout: 0.25s", "dns_lookup_family: V4_ONLY"), `f.yaml:29:24: static_resources.clusters[0].dns_lookup_family: is for STRICT_DNS, and type is not`},
		{"a name that is none", strings.Replace(named, "a.example", "'a b'", 1), `f.yaml:35:58: static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "a b" is neither an IP address nor a host name`},
		{"a name's port beyond 65535", strings.Replace(named, "port_value: 80}", "port_value: 65536}", 1), `port_value: 65536 is above 65535`},
		{"a name without a port", strings.Replace(named, "port_value: 80}", "port_value: 0}", 1), `a.example:0 has port 0`},
		{"a name's pause of nothing", strings.Replace(named, "2s", "0.001s", 1), `dns_refresh_rate: is 1ms, want more than 1ms`},
		{"a name where there are none", strings.Replace(named, "type: STRICT_DNS\n    dns_refresh_rate: 2s", "type: STATIC", 1), `"a.example" is not an IP address`},
		{"HTTP/2 to a cluster", protocol(optionsName, "common_http_protocol_options: {}, explicit_http_config: {http2_protocol_options: {}}"),
			"typed_extension_protocol_options." + optionsName + ".explicit_http_config.http2_protocol_options: is not supported; carried of ExplicitHttpConfig: http_protocol_options"},
		{"any protocol to a cluster", protocol(optionsName, "auto_config: {}"), "auto_config: is not supported; carried of HttpProtocolOptions: common_http_protocol_options, explicit_http_config"},
		{"requests of a connection", protocol(optionsName, "common_http_protocol_options: {max_requests_per_connection: 9}, explicit_http_config: {http_protocol_options: {}}"),
			"f.yaml:29:213: static_resources.clusters[0].typed_extension_protocol_options." + optionsName + ".common_http_protocol_options.max_requests_per_connection: is not supported; carried of HttpProtocolOptions: idle_timeout"},
		{"no protocol to a cluster", protocol(optionsName, "common_http_protocol_options: {idle_timeout: 1s}"),
			"f.yaml:29:96: static_resources.clusters[0].typed_extension_protocol_options." + optionsName + ": has no explicit_http_config with http_protocol_options: {}"},
		{"options by another name", protocol("http", "explicit_http_config: {http_protocol_options: {}}"), "typed_extension_protocol_options.http: is not " + optionsName + " by that name"},
		{"options of TCP", replace("connect_timeout: 0.25s", `typed_extension_protocol_options: {a: {"@type": type.googleapis.com/envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions}}`), "TcpProtocolOptions is not supported"},
		{"the field before", replace("connect_timeout: 0.25s", "common_http_protocol_options: {idle_timeout: 1s}"), "static_resources.clusters[0].common_http_protocol_options: is not supported"},
		{"duration without a unit", replace("0.25s", "0.25"), `f.yaml:29:22: static_resources.clusters[0].connect_timeout: "0.25" is not a duration`},
		{"duration of 0", replace("0.25s", "0s"), "connect_timeout: is 0, want more"},
		{"negative duration", replace("0.25s", "-1s"), `"-1s" is not a duration`},
		{"port beyond 65535", replace("portValue: 8080", "portValue: 80800"), "listeners[0].address.socket_address.port_value: 80800 is above 65535"},
		{"port that is no number", replace("portValue: 8080", "portValue: http"), `port_value: "http" is not a number`},
		{"name for an address", replace("{address: 127.0.0.1, portValue", "{address: localhost, portValue"),
			`f.yaml:8:32: static_resources.listeners[0].address.socket_address.address: "localhost" is not an IP address`},
		{"list for a mapping", replace("admin:\n", "admin: []\nnode:\n"), "f.yaml:2:8: admin: want a mapping (Admin)"},
		{"mapping for a list", replace(`domains: ["*"]`, `domains: {}`), "domains: want a list"},
		{"mapping for a value", replace("stat_prefix: in", "stat_prefix: {}"), "stat_prefix: want a single value (string)"},
		{"number for a string", replace("stat_prefix: in", "stat_prefix: 1"), "stat_prefix: 1 is not a string"},
		{"redirect of two kinds", replace("route: {cluster: app}", "redirect: {path_redirect: /a, prefix_rewrite: /b}"),
			"f.yaml:22:47: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].redirect.prefix_rewrite: is given besides path_redirect, want one of them"},
		{"redirect by no expression", replace("route: {cluster: app}", "redirect: {regex_rewrite: {pattern: {regex: '('}}}"), "routes[0].redirect.regex_rewrite: error parsing regexp"},
		{"hash of nothing of a connection", replace("{cluster: app}", "{cluster: app, hash_policy: [{connection_properties: {}}]}"), "f.yaml:22:77: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.hash_policy[0].connection_properties: has no source_ip: true"},
		{"hash of a filter's state", replace("{cluster: app}", "{cluster: app, hash_policy: [{filter_state: {key: k}}]}"), "f.yaml:22:54: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.hash_policy[0].filter_state: is not supported"},
		{"cookie that is not given", replace("{cluster: app}", "{cluster: app, hash_policy: [{cookie: {name: a, path: /}}]}"), "hash_policy[0].cookie: has a path or attributes and no ttl"},
		{"two hosts", replace("{cluster: app}", "{cluster: app, host_rewrite_literal: a, auto_host_rewrite: true}"), "route.auto_host_rewrite: is given besides host_rewrite_literal, want one of them"},
		{"weighted cluster with a filter", replace("{cluster: app}", "{weighted_clusters: {clusters: [{name: app, weight: 1, typed_per_filter_config: {}}]}}"), "weighted_clusters.clusters[0].typed_per_filter_config: is not supported"},
		{"weighted cluster by a header", replace("{cluster: app}", "{weighted_clusters: {header_name: x, clusters: [{name: app, weight: 1}]}}"), "weighted_clusters.header_name: is not supported"},
		{"host of no header", replace("{cluster: app}", "{cluster: app, host_rewrite_header: ':path'}"), `routes[0].route.host_rewrite_header: ":path" is not a header's name`},
		{"cluster that is not there", replace("{cluster: app}", "{cluster: ap}"), `f.yaml:22:34: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: no cluster is named "ap"`},
		{"assignment of another name", replace("cluster_name: app", "cluster_name: ap"), `cluster_name: is "ap", want the cluster's name "app"`},
		{"no filters", replace("    - filters:", "    - filters: []\n    ##"), "did not find expected"},
		{"two chains", replace("    - filters:", "    - filters: []\n    - filters:"), "filter_chains[0].filters: has 0 entries"},
		{"no router", replace("          http_filters:", "          http_filters: []\n          #"), ""},
		{"itself inside itself", `static_resources: {listeners: [{filter_chains: [{filters: [{typed_config: &h {
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
  http_filters: [{typed_config: *h}]}}]}]}]}`, "is nested too deeply"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read([]byte(tt.file), "f.yaml")
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, failure.BadFile, failure.KindOf(err))
			var f *failure.Error
			require.True(t, errors.As(err, &f))
			require.NotEmpty(t, f.Next)
		})
	}
}

// limited is handwritten with a rate limit in front of the router.
func limited(config string) string {
	return strings.Replace(handwritten, "          http_filters:\n", `          http_filters:
          - name: limit
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: l`+config+"}\n", 1)
}

func TestReadRateLimit(t *testing.T) {
	for text, want := range map[string]mesh.RateLimit{
		", token_bucket: {max_tokens: 3, fill_interval: 1s}": {StatPrefix: "l", Max: 3, Fill: 1, Interval: time.Second},
		", status: {code: 503}, token_bucket: {max_tokens: 3, tokens_per_fill: 2, fill_interval: 0.05s}, filter_enabled: {runtime_key: k, default_value: {numerator: 7, denominator: MILLION}}, filter_enforced: {default_value: {}}": {
			StatPrefix: "l", Max: 3, Fill: 2, Interval: 50 * time.Millisecond, Status: 503, Enabled: mesh.Fraction{Numerator: 7, Denominator: "MILLION"}},
		", status: {code: TooManyRequests}, token_bucket: {max_tokens: 3, fill_interval: 1s}": {StatPrefix: "l", Max: 3, Fill: 1, Interval: time.Second},
	} {
		cfg, err := Read([]byte(limited(text)), "f.yaml")
		require.NoError(t, err)
		require.Equal(t, []mesh.Filter{{RateLimit: &want}}, cfg.Listeners[0].Filters)
	}
}

func TestReadRefusesFilters(t *testing.T) {
	const bucket = ", token_bucket: {max_tokens: 3, fill_interval: 1s}"
	for text, want := range map[string]string{
		limited(""): "http_filters[0].typed_config: has no token_bucket",
		limited(", token_bucket: {max_tokens: 3, fill_interval: 0.01s}"):                 "token_bucket.fill_interval: is 10ms, want 50ms or more",
		limited(", token_bucket: {fill_interval: 1s}"):                                   "max_tokens: is 0 and tokens_per_fill 1, want 1 or more",
		limited(bucket + ", stage: 1"):                                                   "f.yaml:25:188: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.stage: is not supported",
		limited(bucket + ", descriptors: []"):                                            "typed_config.descriptors: is not supported",
		limited(bucket + ", enable_x_ratelimit_headers: DRAFT_VERSION_03"):               "enable_x_ratelimit_headers: is not supported",
		limited(bucket + ", status: {code: OK}"):                                         `status.code: is "OK", supported: `,
		limited(bucket + ", filter_enabled: {runtime_key: k}"):                           "filter_enabled: has no default_value",
		limited(bucket + ", filter_enabled: {default_value: {denominator: TEN}}"):        `denominator: is "TEN", supported: HUNDRED, TEN_THOUSAND, MILLION`,
		limited(bucket + ", response_headers_to_add: [{header: {key: date, value: x}}]"): "date cannot be changed",
		strings.Replace(limited(bucket), "          - name: router\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n", "", 1): "http_filters: want the router filter at the end",
	} {
		_, err := Read([]byte(text), "f.yaml")
		require.ErrorContains(t, err, want)
	}
}

// filtered is handwritten with an access log with a filter.
func filtered(filter string) string {
	return strings.Replace(handwritten, "          http_filters:\n", `          access_log:
          - name: file
            filter: {`+filter+`}
            typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null}
          http_filters:
`, 1)
}

func TestReadLogFilter(t *testing.T) {
	for text, want := range map[string]mesh.LogFilter{
		"status_code_filter: {comparison: {op: NE, value: {default_value: 200, runtime_key: k}}}": {Status: &mesh.Comparison{Op: "NE", Value: 200}},
		"duration_filter: {comparison: {value: {}}}":                                              {Duration: &mesh.Comparison{Op: "EQ"}},
		"runtime_filter: {runtime_key: k}":                                                        {Sample: &mesh.Sample{Key: "k"}},
		"not_health_check_filter: {}":                                                             {NotHealthCheck: true},
		"log_type_filter: {types: [DownstreamEnd]}":                                               {Types: &mesh.TypeFilter{Types: []string{"DownstreamEnd"}}},
	} {
		cfg, err := Read([]byte(filtered(text)), "f.yaml")
		require.NoError(t, err)
		require.Equal(t, &want, cfg.Listeners[0].Logs[0].Filter)
	}
}

// Logs of connections are read from where Envoy has them, and what is wrong with them
// is said there.
func TestReadConnectionLogs(t *testing.T) {
	const listener, tcp = "static_resources.listeners[0].", "static_resources.listeners[0].filter_chains[0].filters[0].typed_config."
	read := func(proxy, whole string) (mesh.Config, error) {
		for _, s := range []*string{&proxy, &whole} {
			if *s != "" {
				*s = ", " + *s
			}
		}
		const file = `{"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog`
		return Read([]byte(`static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    access_log: [{typed_config: `+file+`}`+whole+`}]
    filter_chains:
    - filters:
      - typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: in
          cluster: app
          access_log: [{typed_config: `+file+`}`+proxy+`}]
  clusters: [{name: app}]
`), "f.yaml")
	}
	cfg, err := read("filter: {not_health_check_filter: {}}", "filter: {duration_filter: {comparison: {value: {default_value: 5, runtime_key: k}}}}")
	require.NoError(t, err)
	require.Equal(t, []mesh.AccessLog{{Path: "/dev/stdout", Filter: &mesh.LogFilter{NotHealthCheck: true}}}, cfg.Listeners[0].Logs)
	require.Equal(t, []mesh.AccessLog{{Path: "/dev/stdout", Filter: &mesh.LogFilter{Duration: &mesh.Comparison{Op: "EQ", Value: 5}}}}, cfg.Listeners[0].ConnLogs)
	const flags = "filter: {response_flag_filter: {flags: [NR, XX]}}"
	_, err = read("", flags)
	require.ErrorContains(t, err, "f.yaml:4:")
	require.ErrorContains(t, err, listener+"access_log[0].filter.response_flag_filter.flags[1]: is \"XX\"")
	_, err = read(flags, "")
	require.ErrorContains(t, err, "f.yaml:11:")
	require.ErrorContains(t, err, tcp+"access_log[0].filter.response_flag_filter.flags[1]: is \"XX\"")
	_, err = read("filter: {}", "filter: {}")
	require.ErrorContains(t, err, listener+"access_log[0].filter: has no filter")
	require.ErrorContains(t, err, tcp+"access_log[0].filter: has no filter")
}

func TestReadRefusesLogFilters(t *testing.T) {
	const one = "{not_health_check_filter: {}}"
	deep := func(n int) string {
		return strings.Repeat("or_filter: {filters: ["+one+", {", n) + "not_health_check_filter: {}" + strings.Repeat("}]}", n)
	}
	_, err := Read([]byte(filtered(deep(15))), "f.yaml")
	require.NoError(t, err)
	const path = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.access_log[0].filter"
	for text, want := range map[string]string{
		"":                       "f.yaml:25:21: " + path + ": has no filter",
		"traceable_filter: {}":   "f.yaml:25:22: " + path + ".traceable_filter: is not supported",
		"grpc_status_filter: {}": path + ".grpc_status_filter: is not supported",
		"metadata_filter: {}":    path + ".metadata_filter: is not supported",
		"extension_filter: {}":   path + ".extension_filter: is not supported",
		"status_code_filter: {}": path + ".status_code_filter: has no comparison with a value",
		"status_code_filter: {comparison: {op: GT, value: {default_value: 1}}}": path + `.status_code_filter.comparison.op: is "GT", supported: EQ, GE, LE, NE`,
		"runtime_filter: {}":                             path + ".runtime_filter: has no runtime_key",
		"and_filter: {filters: [" + one + "]}":           path + ".and_filter: has 1 filters, want 2 or more",
		"or_filter: {filters: [" + one + ", {}]}":        path + ".or_filter.filters[1]: has no filter",
		"header_filter: {}":                              path + ".header_filter: has no header",
		"header_filter: {header: {present_match: true}}": "name: is empty",
		"response_flag_filter: {flags: [NR, XX]}":        `response_flag_filter.flags[1]: is "XX", want one of LH, UH`,
		"log_type_filter: {types: [Other]}":              path + `.log_type_filter.types[0]: is "Other", supported: NotSet`,
		deep(16):                                         "is 17 filters deep, want at most 16",
		"status_code_filter: {comparison: {value: {}}}, " + one[1:len(one)-1]: path + ".not_health_check_filter: is given besides status_code_filter, want one of them",
	} {
		_, err := Read([]byte(filtered(text)), "f.yaml")
		require.ErrorContains(t, err, want)
	}
}

// faulty is handwritten with a fault in front of the router, and one of the virtual
// host's.
func faulty(listeners, hosts string) string {
	const fault = `{"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault`
	file := strings.Replace(handwritten, "          http_filters:\n", "          http_filters:\n          - name: my.fault\n            typed_config: "+fault+listeners+"}\n", 1)
	return strings.Replace(file, `              domains: ["*"]`+"\n", `              domains: ["*"]`+"\n              typed_per_filter_config: {my.fault: "+fault+hosts+"}}\n", 1)
}

func TestReadFault(t *testing.T) {
	cfg, err := Read([]byte(faulty(", abort: {http_status: 500}, delay_percent_runtime: k, disable_downstream_cluster_stats: true", ", delay: {header_delay: {}, percentage: {numerator: 3}}")), "f.yaml")
	require.NoError(t, err)
	require.Equal(t, []mesh.Filter{{Fault: &mesh.Fault{Abort: &mesh.FaultAbort{Status: 500}}}}, cfg.Listeners[0].Filters)
	require.Equal(t, &mesh.Fault{Delay: &mesh.FaultDelay{Percentage: mesh.Fraction{Numerator: 3}}}, cfg.Listeners[0].VirtualHosts[0].Fault)
}

func TestReadRefusesFaults(t *testing.T) {
	const listener = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
	const filter = "f.yaml:26:107: " + listener + ".http_filters[0].typed_config"
	const host = listener + ".route_config.virtual_hosts[0].typed_per_filter_config"
	for file, want := range map[string]string{
		faulty(", response_rate_limit: {}", ""):                                                    filter + ".response_rate_limit: is not supported",
		faulty(", filter_metadata: {}", ""):                                                        filter + ".filter_metadata: is not supported",
		faulty(", abort: {grpc_status: 5}", ""):                                                    ".http_filters[0].typed_config.abort.grpc_status: is not supported",
		faulty("", ", abort: {grpc_status: 5}"):                                                    host + ".my.fault.abort.grpc_status: is not supported",
		faulty(", abort: {percentage: {}}", ""):                                                    "abort: has neither http_status nor header_abort",
		faulty(", abort: {http_status: 0}", ""):                                                    "abort.http_status: is 0, want 200 to 599",
		faulty(", abort: {http_status: 600}", ""):                                                  "f.yaml:26:128: " + listener + ".http_filters[0].typed_config.abort.http_status: is 600, want 200 to 599",
		faulty(", delay: {percentage: {}}", ""):                                                    "delay: has neither fixed_delay nor header_delay",
		faulty(", delay: {fixed_delay: 0s}", ""):                                                   "delay.fixed_delay: is 0, want more",
		faulty("", ", delay: {fixed_delay: 0s}"):                                                   "f.yaml:20:152: " + host + ".my.fault.delay.fixed_delay: is 0, want more",
		strings.Replace(faulty("", ""), "{my.fault:", "{your.fault:", 1):                           "f.yaml:20:53: " + host + `.your.fault: is not a fault that has the name of one among http_filters, which is "my.fault"`,
		strings.Replace(faulty("", ""), "{my.fault:", "[my.fault, ", 1):                            "did not find expected",
		strings.Replace(faulty("", ""), "{my.fault:", "{x: {}, x:", 1):                             `"x" is no key, or is given twice`,
		strings.Replace(faulty("", ""), "config: {my.fault:", "config: #", 1):                      "typed_per_filter_config: want a mapping",
		strings.Replace(faulty("", ""), "http.fault.v3.HTTPFault}}", "http.router.v3.Router}}", 1): host + ".my.fault: is not a fault",
	} {
		_, err := Read([]byte(file), "f.yaml")
		require.ErrorContains(t, err, want)
	}
}

func TestReadNamesEverySurplusItem(t *testing.T) {
	_, err := Read([]byte("hds_config: {}\nstats_sinks: []\n"), "f.yaml")
	require.ErrorContains(t, err, "f.yaml:1:1: hds_config")
	require.ErrorContains(t, err, "f.yaml:2:1: stats_sinks")
}

// What Read accepts, Bootstrap writes and Read reads back the same.
func FuzzRead(f *testing.F) {
	file, err := Bootstrap(reviews())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(handwritten))
	f.Add([]byte(filtered("or_filter: {filters: [{runtime_filter: {runtime_key: k}}, {response_flag_filter: {flags: [UF]}}, {duration_filter: {comparison: {op: GE, value: {default_value: 5}}}}]}")))
	f.Add([]byte(faulty(", abort: {http_status: 500}, delay: {fixed_delay: 1s, percentage: {numerator: 3}}, max_active_faults: 1", ", delay: {header_delay: {}}, headers: [{name: a}]")))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := Read(b, "f")
		if err != nil {
			if failure.KindOf(err) != failure.BadFile {
				t.Fatalf("not a BadFile: %v", err)
			}
			return
		}
		file, err := Bootstrap(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Read(file, "again")
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		require.Equal(t, cfg, again)
	})
}

func ExampleBootstrap() {
	file, _ := Bootstrap(mesh.Config{
		Listeners: []mesh.Listener{{Name: "in", Address: "127.0.0.1:8080", StatPrefix: "in"}},
	})
	os.Stdout.WriteString(strings.SplitAfter(string(file), "port_value: 8080\n")[0])
	// Output:
	// static_resources:
	//   listeners:
	//     - name: in
	//       address:
	//         socket_address:
	//           address: 127.0.0.1
	//           port_value: 8080
}
