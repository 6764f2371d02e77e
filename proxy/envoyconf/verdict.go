package envoyconf

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Verdict is what becomes of an item of a bootstrap file.
type Verdict string

// The verdicts. What is NIC is carried by the host sidecar and by the NIC's proxy,
// which looks at heads alone; what is Host the NIC leaves to a host sidecar beside it.
// Names and original destinations of clusters, which are not items of their own, it
// leaves too: see nic/offload.Explain.
const (
	NIC     Verdict = "nic"
	Host    Verdict = "host"    // carried by the host sidecar
	Ignored Verdict = "ignored" // read over: it changes nothing that the sidecar does
	Refused Verdict = "refused" // the sidecar does not run with it
)

// Item is a part of a file and what becomes of it.
type Item struct {
	Line    int     `json:"line"`
	Column  int     `json:"column"`
	Path    string  `json:"path"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Check says of each item of a bootstrap file what becomes of it, and why, in the
// file's order. name is the file's.
func Check(file []byte, name string) (items []Item) {
	_, problems := examine(file, name, &items)
	for _, p := range problems {
		items = append(items, Item{max(p.Line, 1), max(p.Column, 1), p.Path, Refused, p.Why})
	}
	slices.SortStableFunc(items, func(a, b Item) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return items
}

// judge is the verdict on a message that has some of its fields.
type judge func(has func(field string) bool) (Verdict, string)

func always(v Verdict, why string) judge {
	return func(func(string) bool) (Verdict, string) { return v, why }
}

const (
	byHead = "is decided by the request's head"
	kept   = "retries: what came with a request's head is kept, a request of which more was acknowledged is not sent again"
)

// judges are those of the messages that are items of a file.
var judges = map[protoreflect.FullName]judge{
	"envoy.config.core.v3.Node":       always(Host, "is shown by the admin"),
	"envoy.config.bootstrap.v3.Admin": always(Host, "is a server of the host's"),
	"envoy.config.listener.v3.Listener": func(has func(string) bool) (Verdict, string) {
		if has("access_log") {
			return Host, mesh.NoConnectionLog
		}
		return NIC, "takes connections in"
	},
	"envoy.config.listener.v3.FilterChain": func(has func(string) bool) (Verdict, string) {
		if has("transport_socket") {
			return Host, mesh.NoTLS
		}
		return NIC, "is chosen before anything is read"
	},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": always(NIC, "reads heads and passes bodies on"),
	"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":                            always(Host, mesh.NoTCPProxy),
	"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit":                   always(NIC, byHead),
	"envoy.extensions.filters.http.fault.v3.HTTPFault":                                  always(NIC, "is decided by the request's head, which waits where it is gathered"),
	"envoy.config.accesslog.v3.AccessLog":                                               always(NIC, "is written of heads, by another thread"),
	"envoy.config.route.v3.VirtualHost": func(has func(string) bool) (Verdict, string) {
		if has("retry_policy") {
			return NIC, kept
		}
		return NIC, byHead
	},
	"envoy.config.route.v3.Route": func(has func(string) bool) (Verdict, string) {
		if has("route.retry_policy") {
			return NIC, kept
		}
		return NIC, byHead
	},
	"envoy.config.cluster.v3.Cluster": func(has func(string) bool) (Verdict, string) {
		switch {
		case has("transport_socket"):
			return Host, mesh.NoUpstreamTLS
		case has("health_checks"):
			return Host, mesh.NoHealthCheck
		}
		return NIC, "its endpoints are chosen by the request's head"
	},
}

// ignored are the fields that change nothing that the sidecar does, and why.
var ignored = map[protoreflect.FullName]map[string]string{
	"envoy.config.bootstrap.v3.Bootstrap":           {"stats_flush_interval": "there is no sink to flush to"},
	"envoy.config.core.v3.Node":                     {"metadata": forControl, "locality": "all endpoints are of one locality"},
	"envoy.config.listener.v3.Listener":             {"metadata": forFilters, "traffic_direction": "is told to tracers, and there are none"},
	"envoy.config.route.v3.VirtualHost":             {"metadata": forFilters},
	"envoy.config.route.v3.WeightedCluster":         {"total_weight": "the weights are added up, as in Envoy", "runtime_key_prefix": noRuntime},
	"envoy.config.route.v3.Route":                   {"metadata": forFilters},
	"envoy.config.cluster.v3.Cluster":               {"metadata": forFilters},
	"envoy.config.endpoint.v3.LbEndpoint":           {"metadata": forFilters},
	"envoy.config.core.v3.RuntimeFractionalPercent": {"runtime_key": noRuntime},
	"envoy.config.core.v3.RuntimeUInt32":            {"runtime_key": noRuntime},
	"envoy.extensions.filters.http.fault.v3.HTTPFault": {
		"delay_percent_runtime": noRuntime, "abort_percent_runtime": noRuntime, "delay_duration_runtime": noRuntime, "abort_http_status_runtime": noRuntime,
		"max_active_faults_runtime": noRuntime, "abort_grpc_status_runtime": noRuntime, "response_rate_limit_percent_runtime": noRuntime,
		"disable_downstream_cluster_stats": "counters by x-envoy-downstream-service-cluster are not kept",
	},
}

const (
	forControl = "is for control planes, and there is none"
	noRuntime  = "there is no runtime to look it up in"
	forFilters = "is for filters and logs that read it, and none does"
)

// judged notes the item that n is, if it is one.
func (c *checker) judged(n *node, path string, d protoreflect.MessageDescriptor) {
	j := judges[d.FullName()]
	if c.items == nil || j == nil {
		return
	}
	v, why := j(func(field string) bool { return n.has(field) })
	if of, log := cutLog(path); log && slices.ContainsFunc(*c.items, func(i Item) bool { return i.Path == of && i.Verdict == Host }) {
		v, why = Host, "is of connections that the host sidecar carries"
	}
	*c.items = append(*c.items, Item{n.line, n.column, path, v, why})
}

// cutLog is the path of what the access log at path is of, ok is false if there is
// none there.
func cutLog(path string) (of string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 || !strings.HasPrefix(path[i:], ".access_log[") {
		return "", false
	}
	return path[:i], true
}
