package envoyconf

import (
	"google.golang.org/protobuf/reflect/protoreflect"

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
		"use_original_dst": nil, "transparent": nil, "bind_to_port": nil, "access_log": nil,
	},
	"envoy.extensions.filters.listener.original_dst.v3.OriginalDst":   {},
	"envoy.config.listener.v3.FilterChain":                            {"filter_chain_match": nil, "filters": nil, "transport_socket": nil, "transport_socket_connect_timeout": nil},
	"envoy.config.listener.v3.FilterChainMatch":                       {"destination_port": nil, "server_names": nil, "transport_protocol": nil},
	"envoy.config.listener.v3.ListenerFilter":                         {"name": nil, "typed_config": nil},
	"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": {},
	"envoy.config.core.v3.TransportSocket":                            {"name": nil, "typed_config": nil},
	tlsPackage + "DownstreamTlsContext":                               {"common_tls_context": nil, "require_client_certificate": nil},
	tlsPackage + "UpstreamTlsContext":                                 {"common_tls_context": nil, "sni": nil},
	tlsPackage + "CommonTlsContext":                                   {"tls_params": nil, "tls_certificates": nil, "tls_certificate_sds_secret_configs": nil, "validation_context": nil, "alpn_protocols": nil},
	tlsPackage + "TlsParameters": {
		"tls_minimum_protocol_version": append(mesh.TLSVersions(), "TLS_AUTO"), "tls_maximum_protocol_version": append(mesh.TLSVersions(), "TLS_AUTO"),
		"cipher_suites": nil, "ecdh_curves": nil,
	},
	tlsPackage + "SdsSecretConfig":              {"name": nil, "sds_config": nil},
	tlsPackage + "Secret":                       {"name": nil, "tls_certificate": nil},
	"envoy.config.core.v3.ConfigSource":         {"path_config_source": nil, "resource_api_version": {"V3"}},
	"envoy.config.core.v3.PathConfigSource":     {"path": nil},
	tlsPackage + "TlsCertificate":               {"certificate_chain": nil, "private_key": nil},
	tlsPackage + "CertificateValidationContext": {"trusted_ca": nil, "match_typed_subject_alt_names": nil},
	tlsPackage + "SubjectAltNameMatcher":        {"san_type": mesh.SANTypes(), "matcher": nil},
	"envoy.config.listener.v3.Filter":           {"name": nil, "typed_config": nil},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
		"codec_type": {"HTTP1", "AUTO"}, "stat_prefix": nil, "route_config": nil, "http_filters": nil, "access_log": nil, "forward_client_cert_details": {"SANITIZE"},
	},
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {
		"stat_prefix": nil, "cluster": nil, "weighted_clusters": nil, "idle_timeout": nil, "max_connect_attempts": nil, "access_log": nil,
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
		"https_redirect": nil, "scheme_redirect": nil, "prefix_rewrite": nil, "regex_rewrite": nil, "host_redirect": nil, "port_redirect": nil, "path_redirect": nil, "strip_query": nil,
		"response_code": {"MOVED_PERMANENTLY", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"},
	},
	"envoy.config.route.v3.RouteMatch":            {"prefix": nil, "path": nil, "path_separated_prefix": nil, "safe_regex": nil, "headers": nil, "query_parameters": nil},
	"envoy.config.route.v3.QueryParameterMatcher": {"name": nil, "string_match": nil, "present_match": nil},
	"envoy.config.route.v3.RouteAction": {"cluster": nil, "timeout": nil, "idle_timeout": nil, "hash_policy": nil, "weighted_clusters": nil, "retry_policy": nil,
		"prefix_rewrite": nil, "regex_rewrite": nil, "host_rewrite_literal": nil, "auto_host_rewrite": nil, "host_rewrite_header": nil, "host_rewrite_path_regex": nil, "append_x_forwarded_host": nil},
	"envoy.config.route.v3.RetryPolicy": {"retry_on": nil, "num_retries": nil, "per_try_timeout": nil, "retry_back_off": nil, "retriable_status_codes": nil, "retriable_headers": nil,
		"retry_host_predicate": nil, "host_selection_retry_max_attempts": nil},
	"envoy.config.route.v3.RetryPolicy.RetryBackOff":                       {"base_interval": nil, "max_interval": nil},
	"envoy.config.route.v3.RetryPolicy.RetryHostPredicate":                 {"name": nil, "typed_config": nil},
	"envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": {},
	"envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget":       {"budget_percent": nil, "min_retry_concurrency": nil},
	"envoy.type.v3.Percent":                                             {"value": nil},
	"envoy.type.matcher.v3.RegexMatchAndSubstitute":                     {"pattern": nil, "substitution": nil},
	"envoy.config.route.v3.WeightedCluster":                             {"clusters": nil},
	"envoy.config.route.v3.WeightedCluster.ClusterWeight":               withMutations("name", "weight", "host_rewrite_literal"),
	"envoy.config.route.v3.HeaderMatcher":                               {"name": nil, "string_match": nil, "present_match": nil, "invert_match": nil},
	"envoy.type.matcher.v3.StringMatcher":                               {"exact": nil, "prefix": nil, "suffix": nil, "contains": nil, "safe_regex": nil, "ignore_case": nil},
	"envoy.type.matcher.v3.RegexMatcher":                                {"regex": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy":                      {"header": nil, "cookie": nil, "query_parameter": nil, "connection_properties": nil, "terminal": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.Header":               {"header_name": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.Cookie":               {"name": nil, "ttl": nil, "path": nil, "attributes": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute":      {"name": nil, "value": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter":       {"name": nil},
	"envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties": {"source_ip": nil},
	"envoy.config.cluster.v3.Cluster": {
		"name": nil, "type": {"STATIC", "STRICT_DNS", "ORIGINAL_DST"}, "connect_timeout": nil, "transport_socket": nil, "lb_policy": append(mesh.Policies(), "CLUSTER_PROVIDED"), "load_assignment": nil,
		"least_request_lb_config": nil, "ring_hash_lb_config": nil, "circuit_breakers": nil, "outlier_detection": nil, "common_lb_config": nil, "health_checks": nil,
		"cleanup_interval": nil, "dns_refresh_rate": nil, "dns_lookup_family": mesh.Families(),
		"typed_extension_protocol_options": nil,
	},
	optionsName:                                 {"common_http_protocol_options": nil, "explicit_http_config": nil},
	optionsName + ".ExplicitHttpConfig":         {"http_protocol_options": nil},
	"envoy.config.core.v3.HttpProtocolOptions":  {"idle_timeout": nil},
	"envoy.config.core.v3.Http1ProtocolOptions": {},
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
