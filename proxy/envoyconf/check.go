package envoyconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	yaml "go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	typePrefix = "type.googleapis.com/"
	tlsPackage = "envoy.extensions.transport_sockets.tls.v3."
)

// carried lists, for each of Envoy's messages, the fields a mesh.Config carries.
// An entry with values is carried only with one of them.
var carried = map[protoreflect.FullName]map[string][]string{
	"envoy.config.bootstrap.v3.Bootstrap":                 {"node": nil, "admin": nil, "static_resources": nil},
	"envoy.config.bootstrap.v3.Bootstrap.StaticResources": {"listeners": nil, "clusters": nil},
	"envoy.config.bootstrap.v3.Admin":                     {"address": nil},
	"envoy.config.core.v3.Node":                           {"id": nil, "cluster": nil},
	"envoy.config.core.v3.Address":                        {"socket_address": nil},
	"envoy.config.core.v3.SocketAddress":                  {"address": nil, "port_value": nil, "protocol": {"TCP"}},
	"envoy.config.listener.v3.Listener": {
		"name": nil, "address": nil, "filter_chains": nil, "listener_filters": nil,
		"use_original_dst": nil, "transparent": nil, "bind_to_port": nil,
	},
	"envoy.extensions.filters.listener.original_dst.v3.OriginalDst":   {},
	"envoy.config.listener.v3.FilterChain":                            {"filter_chain_match": nil, "filters": nil, "transport_socket": nil, "transport_socket_connect_timeout": nil},
	"envoy.config.listener.v3.FilterChainMatch":                       {"destination_port": nil, "server_names": nil, "transport_protocol": nil},
	"envoy.config.listener.v3.ListenerFilter":                         {"name": nil, "typed_config": nil},
	"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": {},
	"envoy.config.core.v3.TransportSocket":                            {"name": nil, "typed_config": nil},
	tlsPackage + "DownstreamTlsContext":                               {"common_tls_context": nil, "require_client_certificate": nil},
	tlsPackage + "UpstreamTlsContext":                                 {"common_tls_context": nil, "sni": nil},
	tlsPackage + "CommonTlsContext":                                   {"tls_params": nil, "tls_certificates": nil, "validation_context": nil, "alpn_protocols": nil},
	tlsPackage + "TlsParameters": {
		"tls_minimum_protocol_version": append(mesh.TLSVersions(), "TLS_AUTO"), "tls_maximum_protocol_version": append(mesh.TLSVersions(), "TLS_AUTO"),
		"cipher_suites": nil, "ecdh_curves": nil,
	},
	tlsPackage + "TlsCertificate":               {"certificate_chain": nil, "private_key": nil},
	tlsPackage + "CertificateValidationContext": {"trusted_ca": nil, "match_typed_subject_alt_names": nil},
	tlsPackage + "SubjectAltNameMatcher":        {"san_type": mesh.SANTypes(), "matcher": nil},
	"envoy.config.listener.v3.Filter":           {"name": nil, "typed_config": nil},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
		"codec_type": {"HTTP1", "AUTO"}, "stat_prefix": nil, "route_config": nil, "http_filters": nil, "access_log": nil, "forward_client_cert_details": {"SANITIZE"},
	},
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {
		"stat_prefix": nil, "cluster": nil, "weighted_clusters": nil, "idle_timeout": nil, "max_connect_attempts": nil,
	},
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster": {"clusters": nil},
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": {
		"name": nil, "weight": nil,
	},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter": {"name": nil, "typed_config": nil},
	"envoy.config.accesslog.v3.AccessLog":                                    {"name": nil, "typed_config": nil, "filter": nil},
	"envoy.config.accesslog.v3.AccessLogFilter": {
		"status_code_filter": nil, "duration_filter": nil, "not_health_check_filter": nil, "runtime_filter": nil, "and_filter": nil, "or_filter": nil,
		"header_filter": nil, "response_flag_filter": nil, "log_type_filter": nil,
	},
	"envoy.config.accesslog.v3.StatusCodeFilter":                {"comparison": nil},
	"envoy.config.accesslog.v3.DurationFilter":                  {"comparison": nil},
	"envoy.config.accesslog.v3.ComparisonFilter":                {"op": mesh.Comparisons(), "value": nil},
	"envoy.config.accesslog.v3.NotHealthCheckFilter":            {},
	"envoy.config.accesslog.v3.RuntimeFilter":                   {"runtime_key": nil, "percent_sampled": nil, "use_independent_randomness": nil},
	"envoy.config.accesslog.v3.AndFilter":                       {"filters": nil},
	"envoy.config.accesslog.v3.OrFilter":                        {"filters": nil},
	"envoy.config.accesslog.v3.HeaderFilter":                    {"header": nil},
	"envoy.config.accesslog.v3.ResponseFlagFilter":              {"flags": nil},
	"envoy.config.accesslog.v3.LogTypeFilter":                   {"types": mesh.LogTypes(), "exclude": nil},
	"envoy.config.core.v3.RuntimeUInt32":                        {"default_value": nil},
	"envoy.extensions.access_loggers.file.v3.FileAccessLog":     {"path": nil, "log_format": nil},
	"envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": {"log_format": nil},
	"envoy.extensions.access_loggers.stream.v3.StderrAccessLog": {"log_format": nil},
	"envoy.config.core.v3.SubstitutionFormatString":             {"text_format_source": nil, "json_format": nil, "omit_empty_values": nil},
	"envoy.extensions.filters.http.router.v3.Router":            {},
	"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": {
		"stat_prefix": nil, "status": nil, "token_bucket": nil, "filter_enabled": nil, "filter_enforced": nil, "response_headers_to_add": nil,
	},
	"envoy.extensions.filters.http.fault.v3.HTTPFault": {
		"delay": nil, "abort": nil, "upstream_cluster": nil, "headers": nil, "downstream_nodes": nil, "max_active_faults": nil,
	},
	"envoy.extensions.filters.common.fault.v3.FaultDelay":             {"fixed_delay": nil, "header_delay": nil, "percentage": nil},
	"envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay": {},
	"envoy.extensions.filters.http.fault.v3.FaultAbort":               {"http_status": nil, "header_abort": nil, "percentage": nil, "response_body": nil},
	"envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort":   {},
	"envoy.type.v3.HttpStatus":                                        {"code": errorStatuses()},
	"envoy.type.v3.TokenBucket":                                       {"max_tokens": nil, "tokens_per_fill": nil, "fill_interval": nil},
	"envoy.config.core.v3.RuntimeFractionalPercent":                   {"default_value": nil},
	"envoy.type.v3.FractionalPercent":                                 {"numerator": nil, "denominator": mesh.Denominators()},
	"envoy.config.route.v3.RouteConfiguration":                        withMutations("name", "virtual_hosts"),
	"envoy.config.route.v3.VirtualHost":                               withMutations("name", "domains", "routes", "retry_policy", "include_request_attempt_count", "include_attempt_count_in_response", "typed_per_filter_config"),
	"envoy.config.route.v3.Route":                                     withMutations("name", "match", "route", "direct_response", "redirect", "typed_per_filter_config"),
	"envoy.config.core.v3.HeaderValueOption":                          {"header": nil, "append_action": mesh.AppendActions(), "keep_empty_value": nil},
	"envoy.config.core.v3.HeaderValue":                                {"key": nil, "value": nil},
	"envoy.config.route.v3.DirectResponseAction":                      {"status": nil, "body": nil},
	"envoy.config.core.v3.DataSource":                                 {"inline_string": nil, "filename": nil},
	"envoy.config.route.v3.RedirectAction": {
		"https_redirect": nil, "host_redirect": nil, "port_redirect": nil, "path_redirect": nil, "strip_query": nil,
		"response_code": {"MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"},
	},
	"envoy.config.route.v3.RouteMatch":            {"prefix": nil, "path": nil, "path_separated_prefix": nil, "safe_regex": nil, "headers": nil, "query_parameters": nil},
	"envoy.config.route.v3.QueryParameterMatcher": {"name": nil, "string_match": nil, "present_match": nil},
	"envoy.config.route.v3.RouteAction": {"cluster": nil, "timeout": nil, "idle_timeout": nil, "hash_policy": nil, "weighted_clusters": nil, "retry_policy": nil,
		"prefix_rewrite": nil, "regex_rewrite": nil, "host_rewrite_literal": nil},
	"envoy.config.route.v3.RetryPolicy": {"retry_on": nil, "num_retries": nil, "per_try_timeout": nil, "retry_back_off": nil, "retriable_status_codes": nil, "retriable_headers": nil,
		"retry_host_predicate": nil, "host_selection_retry_max_attempts": nil},
	"envoy.config.route.v3.RetryPolicy.RetryBackOff":                       {"base_interval": nil, "max_interval": nil},
	"envoy.config.route.v3.RetryPolicy.RetryHostPredicate":                 {"name": nil, "typed_config": nil},
	"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": {},
	"envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget":       {"budget_percent": nil, "min_retry_concurrency": nil},
	"envoy.type.v3.Percent":                               {"value": nil},
	"envoy.type.matcher.v3.RegexMatchAndSubstitute":       {"pattern": nil, "substitution": nil},
	"envoy.config.route.v3.WeightedCluster":               {"clusters": nil},
	"envoy.config.route.v3.WeightedCluster.ClusterWeight": {"name": nil, "weight": nil},
	"envoy.config.route.v3.HeaderMatcher":                 {"name": nil, "string_match": nil, "present_match": nil, "invert_match": nil},
	"envoy.type.matcher.v3.StringMatcher":                 {"exact": nil, "prefix": nil, "suffix": nil, "contains": nil, "safe_regex": nil, "ignore_case": nil},
	"envoy.type.matcher.v3.RegexMatcher":                  {"regex": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy":        {"header": nil, "cookie": nil, "terminal": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.Header": {"header_name": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.Cookie": {"name": nil},
	"envoy.config.cluster.v3.Cluster": {
		"name": nil, "type": {"STATIC", "STRICT_DNS", "ORIGINAL_DST"}, "connect_timeout": nil, "transport_socket": nil, "lb_policy": append(mesh.Policies(), "CLUSTER_PROVIDED"), "load_assignment": nil,
		"least_request_lb_config": nil, "ring_hash_lb_config": nil, "circuit_breakers": nil, "outlier_detection": nil, "common_lb_config": nil, "health_checks": nil,
		"cleanup_interval": nil, "dns_refresh_rate": nil, "dns_lookup_family": mesh.Families(),
	},
	"envoy.config.core.v3.HealthCheck": {
		"timeout": nil, "interval": nil, "no_traffic_interval": nil, "no_traffic_healthy_interval": nil, "unhealthy_interval": nil, "unhealthy_edge_interval": nil,
		"healthy_edge_interval": nil, "initial_jitter": nil, "interval_jitter": nil, "interval_jitter_percent": nil, "unhealthy_threshold": nil,
		"healthy_threshold": nil, "reuse_connection": nil, "http_health_check": nil, "tcp_health_check": nil,
	},
	"envoy.config.core.v3.HealthCheck.HttpHealthCheck": {"host": nil, "path": nil, "expected_statuses": nil, "retriable_statuses": nil},
	"envoy.config.core.v3.HealthCheck.TcpHealthCheck":  {"send": nil, "receive": nil},
	"envoy.config.core.v3.HealthCheck.Payload":         {"text": nil},
	"envoy.type.v3.Int64Range":                         {"start": nil, "end": nil},
	"envoy.config.cluster.v3.OutlierDetection": {
		"consecutive_5xx": nil, "consecutive_gateway_failure": nil, "interval": nil, "base_ejection_time": nil, "max_ejection_time": nil,
		"max_ejection_percent": nil, "always_eject_one_host": nil, "success_rate_minimum_hosts": nil, "success_rate_request_volume": nil,
		"success_rate_stdev_factor": nil, "failure_percentage_threshold": nil, "failure_percentage_minimum_hosts": nil, "failure_percentage_request_volume": nil,
		"enforcing_consecutive_5xx": nil, "enforcing_consecutive_gateway_failure": nil, "enforcing_success_rate": nil, "enforcing_failure_percentage": nil,
	},
	"envoy.config.cluster.v3.Cluster.CommonLbConfig":       {"healthy_panic_threshold": nil, "update_merge_window": nil},
	"envoy.config.cluster.v3.CircuitBreakers":              {"thresholds": nil},
	"envoy.config.cluster.v3.CircuitBreakers.Thresholds":   {"priority": {"DEFAULT"}, "max_connections": nil, "max_pending_requests": nil, "max_requests": nil, "max_retries": nil, "retry_budget": nil, "track_remaining": nil},
	"envoy.config.cluster.v3.Cluster.LeastRequestLbConfig": {"choice_count": nil},
	"envoy.config.cluster.v3.Cluster.RingHashLbConfig": {
		"minimum_ring_size": nil, "maximum_ring_size": nil, "hash_function": {"XX_HASH"},
	},
	"envoy.config.endpoint.v3.ClusterLoadAssignment": {"cluster_name": nil, "endpoints": nil},
	"envoy.config.endpoint.v3.LocalityLbEndpoints":   {"lb_endpoints": nil},
	"envoy.config.endpoint.v3.LbEndpoint":            {"endpoint": nil, "load_balancing_weight": nil},
	"envoy.config.endpoint.v3.Endpoint":              {"address": nil, "hostname": nil},
}

// withMutations are fields, and those that change headers.
func withMutations(fields ...string) map[string][]string {
	m := map[string][]string{"request_headers_to_add": nil, "request_headers_to_remove": nil, "response_headers_to_add": nil, "response_headers_to_remove": nil}
	for _, f := range fields {
		m[f] = nil
	}
	return m
}

// node is a value in the file and where it stands.
type node struct {
	*yaml.Node
	line, column int
}

// parse reads the file as YAML, of which JSON is a part.
func parse(file []byte) (*node, []Problem) {
	var doc yaml.Node
	if err := yaml.Unmarshal(file, &doc); err != nil {
		p := Problem{Line: 1, Column: 1, Why: strings.TrimPrefix(err.Error(), "yaml: ")}
		if m := lineOf.FindStringSubmatch(p.Why); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Why = m[2]
		}
		return nil, []Problem{p}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, []Problem{{Line: 1, Column: 1, Why: "is not a mapping"}}
	}
	return wrap(doc.Content[0]), nil
}

var lineOf = regexp.MustCompile(`^line (\d+): (.*)$`)

func wrap(n *yaml.Node) *node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return &node{Node: n, line: n.Line, column: n.Column}
}

// json is n as JSON. Keys are what they are written as, whatever YAML 1.1 would
// take "n" and "on" for; in YAML a number that is not one of
// 32 bits is text, as it is to Envoy. The fields whose keys are in over are left
// out.
func (n *node) json(isJSON bool, over map[*yaml.Node]bool) ([]byte, error) {
	v, err := plain(n.Node, isJSON, over)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func plain(n *yaml.Node, isJSON bool, over map[*yaml.Node]bool) (v any, err error) {
	switch n = wrap(n).Node; n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if over[n.Content[i]] {
				continue
			}
			if m[wrap(n.Content[i]).Value], err = plain(n.Content[i+1], isJSON, over); err != nil {
				return nil, err
			}
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			if list[i], err = plain(e, isJSON, over); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	switch tag := n.ShortTag(); {
	case tag == "!!int" && !isJSON:
		if i, err := strconv.ParseInt(n.Value, 0, 32); err == nil {
			return i, nil
		}
		return n.Value, nil
	case tag == "!!bool", tag == "!!int", tag == "!!null", tag == "!!float" && isJSON:
		err = n.Decode(&v)
		return v, err
	case oldBool(n):
		w := strings.ToLower(n.Value)
		return w == "y" || w == "yes" || w == "on", nil
	}
	return n.Value, nil
}

// oldBool reports whether Envoy, like YAML before 1.2, takes n for a boolean
// because it is not in quotes.
func oldBool(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false
	}
	return isOldBool(n.Value)
}

func isOldBool(s string) bool {
	switch lower := strings.ToLower(s); lower {
	case "y", "n", "yes", "no", "on", "off":
		// In one case, or with a capital alone.
		return s == lower || s == strings.ToUpper(s) || s[1:] == lower[1:]
	}
	return false
}

// has reports whether there is a value at a path, and not just above it.
func (n *node) has(path string) bool {
	for first, rest, more := "", path, true; more; {
		if first, rest, more = strings.Cut(rest, "."); n.Kind != yaml.MappingNode {
			return false
		}
		below := n.find(first)
		if below == n {
			return false
		}
		n = below
	}
	return true
}

// find returns the value at a path like "a.b[0].c", or the nearest above it.
func (n *node) find(path string) *node {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	for i := 0; i < len(parts); i++ {
		part, next := parts[i], (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.SequenceNode:
			if at, err := strconv.Atoi(part); err == nil && at < len(n.Content) {
				next = n.Content[at]
			}
		case yaml.MappingNode:
			for j := 0; j+1 < len(n.Content); j += 2 {
				if k := n.Content[j].Value; k == part || snake(k) == part {
					next = n.Content[j+1]
				} else if dots := strings.Count(k, "."); dots > 0 && i+dots < len(parts) && strings.Join(parts[i:i+dots+1], ".") == k {
					next = n.Content[j+1]
					i += dots
					break
				}
			}
		}
		if next == nil {
			return n
		}
		n = wrap(next)
	}
	return n
}

// snake turns protojson's other spelling, camelCase, into the one of the
// definition.
func snake(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// check holds the file against Envoy's definition and against carried.
func check(n *node, items *[]Item) *checker {
	c := &checker{items: items, over: map[*yaml.Node]bool{}}
	c.message(n, "", (&bootstrapv3.Bootstrap{}).ProtoReflect().Descriptor())
	return c
}

type checker struct {
	items    *[]Item             // where verdicts go, nil for nowhere
	over     map[*yaml.Node]bool // keys of fields that are ignored
	problems []Problem
	depth    int
	messages int
}

// Limits of what aliases may make of a file: they can nest it without end, and
// multiply it.
const (
	maxDepth    = 64
	maxMessages = 1 << 20
)

func (c *checker) fail(n *node, path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Line: n.line, Column: n.column, Path: path, Why: fmt.Sprintf(format, args...)})
}

func (c *checker) message(n *node, path string, d protoreflect.MessageDescriptor) {
	c.depth++
	defer func() { c.depth-- }()
	if c.messages++; c.depth > maxDepth || c.messages > maxMessages {
		if c.depth <= maxDepth && c.messages > maxMessages+1 {
			return // said once
		}
		c.fail(n, path, "is nested too deeply, or too much")
		return
	}
	if n.Kind != yaml.MappingNode {
		c.fail(n, path, "want a mapping (%s)", d.Name())
		return
	}
	c.judged(n, path, d)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := wrap(n.Content[i]), wrap(n.Content[i+1])
		p := strings.TrimPrefix(path+"."+snake(k.Value), ".")
		f := d.Fields().ByName(protoreflect.Name(k.Value))
		if f == nil {
			f = d.Fields().ByJSONName(k.Value)
		}
		if f == nil {
			c.fail(k, p, "%s has no such field", d.Name())
			continue
		}
		name := string(f.Name())
		if seen[name] {
			c.fail(k, p, "is given twice")
			continue
		}
		seen[name] = true
		if why, ok := ignored[d.FullName()][name]; ok {
			c.over[n.Content[i]] = true
			if c.items != nil {
				*c.items = append(*c.items, Item{k.line, k.column, p, Ignored, why})
			}
			continue
		}
		values, ok := carried[d.FullName()][name]
		if !ok {
			c.fail(k, p, "is not supported; carried of %s: %s", d.Name(), list(carried[d.FullName()]))
			continue
		}
		c.field(v, p, f, values)
	}
}

func list(m map[string][]string) string {
	if len(m) == 0 {
		return "nothing"
	}
	var names []string
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (c *checker) field(v *node, path string, f protoreflect.FieldDescriptor, values []string) {
	if f.IsMap() {
		c.byName(v, path, f.MapValue())
		return
	}
	if !f.IsList() {
		c.value(v, path, f, values)
		return
	}
	if v.Kind != yaml.SequenceNode {
		c.fail(v, path, "want a list")
		return
	}
	for i, e := range v.Content {
		c.value(wrap(e), fmt.Sprintf("%s[%d]", path, i), f, values)
	}
}

// byName checks a mapping whose keys are names.
func (c *checker) byName(v *node, path string, f protoreflect.FieldDescriptor) {
	if v.Kind != yaml.MappingNode {
		c.fail(v, path, "want a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k := wrap(v.Content[i])
		if seen[k.Value] || k.Kind != yaml.ScalarNode {
			c.fail(k, path, "%q is no key, or is given twice", k.Value)
		}
		seen[k.Value] = true
		c.value(wrap(v.Content[i+1]), path+"."+k.Value, f, nil)
	}
}

func (c *checker) value(v *node, path string, f protoreflect.FieldDescriptor, values []string) {
	if f.Kind() == protoreflect.MessageKind {
		switch f.Message().FullName() {
		case "google.protobuf.Any":
			c.any(v, path)
		case "google.protobuf.Duration":
			if err := checkDuration(v); err != nil {
				c.fail(v, path, "%v", err)
			}
		case "google.protobuf.BoolValue":
			c.truth(v, path)
		case "google.protobuf.Struct":
			if v.Kind != yaml.MappingNode {
				c.fail(v, path, "want a mapping")
				return
			}
			c.free(v, path)
		case "google.protobuf.UInt32Value", "google.protobuf.UInt64Value": // the latter are sizes below 2³²
			c.number(v, path)
		default:
			c.message(v, path, f.Message())
		}
		return
	}
	if f.Kind() == protoreflect.BoolKind {
		c.truth(v, path)
		return
	}
	if v.Kind != yaml.ScalarNode {
		c.fail(v, path, "want a single value (%s)", f.Kind())
		return
	}
	switch f.Kind() {
	case protoreflect.EnumKind:
		if !slices.Contains(values, v.Value) {
			c.fail(v, path, "is %q, supported: %s", v.Value, strings.Join(values, ", "))
		}
	case protoreflect.Uint32Kind, protoreflect.Int64Kind: // of the latter there are counts
		c.number(v, path)
	case protoreflect.DoubleKind:
		if _, err := strconv.ParseFloat(v.Value, 64); err != nil {
			c.fail(v, path, "%q is not a number", v.Value)
		}
	case protoreflect.StringKind:
		if v.ShortTag() != "!!str" || oldBool(v.Node) {
			c.fail(v, path, "%s is not a string; put it in quotes", v.Value)
		}
	}
}

func (c *checker) truth(v *node, path string) {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!bool" {
		c.fail(v, path, "want true or false")
	}
}

// free checks a value that may be anything JSON has.
func (c *checker) free(v *node, path string) {
	c.depth++
	defer func() { c.depth-- }()
	if c.messages++; c.depth > maxDepth || c.messages > maxMessages {
		if c.depth > maxDepth || c.messages == maxMessages+1 {
			c.fail(v, path, "is nested too deeply, or too much")
		}
		return
	}
	switch v.Kind {
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i+1 < len(v.Content); i += 2 {
			k := wrap(v.Content[i])
			if seen[k.Value] || k.Kind != yaml.ScalarNode {
				c.fail(k, path, "%q is no key, or is given twice", k.Value)
			}
			seen[k.Value] = true
			c.free(wrap(v.Content[i+1]), path+"."+k.Value)
		}
	case yaml.SequenceNode:
		for i, e := range v.Content {
			c.free(wrap(e), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (c *checker) number(v *node, path string) {
	if _, err := strconv.ParseUint(v.Value, 10, 32); err != nil || v.Kind != yaml.ScalarNode {
		c.fail(v, path, "%q is not a number of 0 to %d", v.Value, uint32(1<<32-1))
	}
}

// checkDuration accepts what protojson does: seconds with up to nine decimals
// and an s.
func checkDuration(v *node) error {
	if v.Kind != yaml.ScalarNode || !durationText.MatchString(v.Value) {
		return fmt.Errorf("%q is not a duration like 5s or 0.25s", v.Value)
	}
	if _, err := time.ParseDuration(v.Value); err != nil {
		return errors.New("is too long a duration")
	}
	return nil
}

var durationText = regexp.MustCompile(`^\d+(\.\d{1,9})?s$`)

// any checks a typed_config by the type that its @type names.
func (c *checker) any(v *node, path string) {
	if v.Kind != yaml.MappingNode {
		c.fail(v, path, "want a mapping with @type")
		return
	}
	rest := &yaml.Node{Kind: yaml.MappingNode, Line: v.line, Column: v.column}
	var url *node
	for i := 0; i+1 < len(v.Content); i += 2 {
		if v.Content[i].Value == "@type" {
			url = wrap(v.Content[i+1])
		} else {
			rest.Content = append(rest.Content, v.Content[i], v.Content[i+1])
		}
	}
	if url == nil {
		c.fail(v, path, "has no @type")
		return
	}
	name := protoreflect.FullName(strings.TrimPrefix(url.Value, typePrefix))
	if _, ok := carried[name]; !ok {
		c.fail(url, path+".@type", "%s is not supported", url.Value)
		return
	}
	m, err := protoregistry.GlobalTypes.FindMessageByURL(url.Value)
	if err != nil {
		c.fail(url, path+".@type", "%v", err)
		return
	}
	c.message(wrap(rest), path, m.Descriptor())
}
