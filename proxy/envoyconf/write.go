// Package envoyconf writes a mesh.Config as an Envoy bootstrap file and reads
// the same subset of a bootstrap file back, both with Envoy's own types, so
// that the host sidecar and the real Envoy run from the very same file.
package envoyconf

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	yaml "go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Envoy's names of the network filters that the bootstrap uses.
const (
	hcmName = "envoy.filters.network.http_connection_manager"
	tcpName = "envoy.filters.network.tcp_proxy"
)

// Bootstrap returns the Envoy bootstrap file (YAML) of the proxy that cfg
// describes: for every listener a TCP proxy, or an HTTP connection manager with its filters
// and access logs, for every cluster static endpoints. The same cfg always gives the same bytes. An error is a
// mistake in cfg (see mesh.Config.Validate).
func Bootstrap(cfg mesh.Config) ([]byte, error) {
	b, err := bootstrap(cfg)
	if err != nil {
		return nil, err
	}
	return toYAML(b)
}

func bootstrap(cfg mesh.Config) (*bootstrapv3.Bootstrap, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("envoyconf: write: %w", err)
	}
	b := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	if cfg.Node != "" {
		b.Node = &corev3.Node{Id: cfg.Node, Cluster: cfg.Node}
	}
	if cfg.Admin != "" {
		b.Admin = &bootstrapv3.Admin{Address: address(cfg.Admin)}
	}
	for i := range cfg.Listeners {
		l, all := &cfg.Listeners[i], &b.StaticResources.Listeners
		if i == 0 || l.Name != cfg.Listeners[i-1].Name || l.Address != cfg.Listeners[i-1].Address {
			*all = append(*all, &listenerv3.Listener{Name: l.Name, Address: address(l.Address)})
			intercept((*all)[len(*all)-1], l.Intercept)
			var err error
			if (*all)[len(*all)-1].AccessLog, err = accessLogs(l.ConnLogs); err != nil {
				return nil, fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
			}
		}
		if err := listener((*all)[len(*all)-1], l); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Clusters {
		c := cluster(&cfg.Clusters[i])
		if err := writeProtocol(c, &cfg.Clusters[i]); err != nil {
			return nil, err
		}
		if t := cfg.Clusters[i].TLS; t != nil {
			var err error
			if c.TransportSocket, err = transport(&tlsv3.UpstreamTlsContext{CommonTlsContext: common(&t.TLS), Sni: t.SNI}); err != nil {
				return nil, fmt.Errorf("envoyconf: cluster %s: %w", c.Name, err)
			}
		}
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, c)
	}
	return b, nil
}

// listener adds to out the filter chain that l is.
func listener(out *listenerv3.Listener, l *mesh.Listener) error {
	logs, err := accessLogs(l.Logs)
	if err != nil {
		return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
	}
	if l.TCP != nil {
		return chainOf(out, l, tcpName, tcpProxy(l, logs))
	}
	filters, err := httpFilters(l.Filters)
	if err != nil {
		return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
	}
	rc := &routev3.RouteConfiguration{
		Name:                l.Name,
		RequestHeadersToAdd: headerOptions(l.Mutate.Request.Add), RequestHeadersToRemove: l.Mutate.Request.Remove,
		ResponseHeadersToAdd: headerOptions(l.Mutate.Response.Add), ResponseHeadersToRemove: l.Mutate.Response.Remove,
	}
	for i := range l.VirtualHosts {
		h, err := virtualHost(&l.VirtualHosts[i])
		if err != nil {
			return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
		}
		rc.VirtualHosts = append(rc.VirtualHosts, h)
	}
	return chainOf(out, l, hcmName, &hcmv3.HttpConnectionManager{
		// Not AUTO: an HTTP/2 preface is a bad request to the sidecar, so it
		// must be one to Envoy.
		CodecType:      hcmv3.HttpConnectionManager_HTTP1,
		StatPrefix:     l.StatPrefix,
		AccessLog:      logs,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: rc},
		HttpFilters:    filters,
	})
}

// chainOf adds a filter chain with one filter.
func chainOf(out *listenerv3.Listener, l *mesh.Listener, name string, filter proto.Message) error {
	config, err := anypb.New(filter)
	if err != nil {
		return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
	}
	return addChain(out, l, []*listenerv3.Filter{{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config}}})
}

func virtualHost(h *mesh.VirtualHost) (_ *routev3.VirtualHost, err error) {
	out := &routev3.VirtualHost{
		Name: h.Name, Domains: h.Domains, RetryPolicy: retryPolicy(h.Retry),
		IncludeRequestAttemptCount: h.CountRequests, IncludeAttemptCountInResponse: h.CountResponses,
		RequestHeadersToAdd: headerOptions(h.Mutate.Request.Add), RequestHeadersToRemove: h.Mutate.Request.Remove,
		ResponseHeadersToAdd: headerOptions(h.Mutate.Response.Add), ResponseHeadersToRemove: h.Mutate.Response.Remove,
	}
	if out.TypedPerFilterConfig, err = perFilter(h.Fault); err != nil {
		return nil, err
	}
	for _, r := range h.Routes {
		m := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: r.Prefix}}
		switch {
		case r.Path != "":
			m.PathSpecifier = &routev3.RouteMatch_Path{Path: r.Path}
		case r.Separated != "":
			m.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: r.Separated}
		case r.Regex != "":
			m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: r.Regex}}
		}
		for i := range r.Headers {
			m.Headers = append(m.Headers, headerMatcher(&r.Headers[i]))
		}
		for i := range r.Query {
			m.QueryParameters = append(m.QueryParameters, queryMatcher(&r.Query[i]))
		}
		a := &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: r.Cluster},
			// Always written: left out it would mean 15 s.
			Timeout:     durationpb.New(r.Timeout),
			HashPolicy:  hashPolicies(r.Hash),
			RetryPolicy: retryPolicy(r.Retry),
		}
		if r.Idle != nil {
			a.IdleTimeout = durationpb.New(*r.Idle)
		}
		a.PrefixRewrite = r.Rewrite.Prefix
		if r.Rewrite.Regex != "" {
			a.RegexRewrite = substitute(r.Rewrite.Regex, r.Rewrite.Substitution)
		}
		writeHost(a, &r.Rewrite)
		if len(r.Clusters) > 0 {
			w := &routev3.WeightedCluster{}
			for _, c := range r.Clusters {
				w.Clusters = append(w.Clusters, clusterWeight(&c))
			}
			a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: w}
		}
		route := &routev3.Route{Name: r.Name, Match: m, Action: &routev3.Route_Route{Route: a}}
		switch {
		case r.Direct != nil:
			d := &routev3.DirectResponseAction{Status: uint32(r.Direct.Status)}
			if r.Direct.Body != "" {
				d.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: r.Direct.Body}}
			}
			route.Action = &routev3.Route_DirectResponse{DirectResponse: d}
		case r.Redirect != nil:
			route.Action = &routev3.Route_Redirect{Redirect: redirect(r.Redirect)}
		}
		route.RequestHeadersToAdd, route.RequestHeadersToRemove = headerOptions(r.Mutate.Request.Add), r.Mutate.Request.Remove
		route.ResponseHeadersToAdd, route.ResponseHeadersToRemove = headerOptions(r.Mutate.Response.Add), r.Mutate.Response.Remove
		if route.TypedPerFilterConfig, err = perFilter(r.Fault); err != nil {
			return nil, err
		}
		out.Routes = append(out.Routes, route)
	}
	return out, nil
}

func redirect(d *mesh.Redirect) *routev3.RedirectAction {
	out := &routev3.RedirectAction{HostRedirect: d.Host, PortRedirect: uint32(d.Port), StripQuery: d.StripQuery}
	for code, status := range redirectStatus {
		if status == d.Status || status == 0 && d.Status == 301 {
			out.ResponseCode = code
		}
	}
	switch {
	case d.HTTPS:
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true}
	case d.Scheme != "":
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: d.Scheme}
	}
	switch {
	case d.Path != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: d.Path}
	case d.Prefix != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: d.Prefix}
	case d.Regex != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: substitute(d.Regex, d.Substitution)}
	}
	return out
}

func clusterWeight(c *mesh.WeightedCluster) *routev3.WeightedCluster_ClusterWeight {
	out := &routev3.WeightedCluster_ClusterWeight{
		Name: c.Name, Weight: wrapperspb.UInt32(c.Weight),
		RequestHeadersToAdd: headerOptions(c.Mutate.Request.Add), RequestHeadersToRemove: c.Mutate.Request.Remove,
		ResponseHeadersToAdd: headerOptions(c.Mutate.Response.Add), ResponseHeadersToRemove: c.Mutate.Response.Remove,
	}
	if c.Host != "" {
		out.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: c.Host}
	}
	return out
}

func writeHost(a *routev3.RouteAction, w *mesh.Rewrite) {
	a.AppendXForwardedHost = w.AppendHost
	switch {
	case w.Host != "":
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: w.Host}
	case w.AutoHost:
		a.HostRewriteSpecifier = &routev3.RouteAction_AutoHostRewrite{AutoHostRewrite: wrapperspb.Bool(true)}
	case w.HostHeader != "":
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteHeader{HostRewriteHeader: w.HostHeader}
	case w.HostRegex != nil:
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewritePathRegex{HostRewritePathRegex: substitute(w.HostRegex.Regex, w.HostRegex.Substitution)}
	}
}

func substitute(pattern, by string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: pattern}, Substitution: by}
}

func headerMatcher(h *mesh.HeaderMatch) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: h.Name, InvertMatch: h.Invert}
	if h.Value == nil {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		return out
	}
	out.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatcher(h.Value)}
	return out
}

func queryMatcher(q *mesh.QueryMatch) *routev3.QueryParameterMatcher {
	out := &routev3.QueryParameterMatcher{Name: q.Name}
	if q.Value == nil {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}
	} else {
		out.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatcher(q.Value)}
	}
	return out
}

func stringMatcher(v *mesh.StringMatch) *matcherv3.StringMatcher {
	s := &matcherv3.StringMatcher{IgnoreCase: v.IgnoreCase}
	switch t := v.Text; v.Kind {
	case mesh.MatchExact:
		s.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: t}
	case mesh.MatchPrefix:
		s.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: t}
	case mesh.MatchSuffix:
		s.MatchPattern = &matcherv3.StringMatcher_Suffix{Suffix: t}
	case mesh.MatchContains:
		s.MatchPattern = &matcherv3.StringMatcher_Contains{Contains: t}
	case mesh.MatchRegex:
		s.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: t}}
	}
	return s
}

func cluster(c *mesh.Cluster) *clusterv3.Cluster {
	eps := &endpointv3.LocalityLbEndpoints{}
	for _, e := range c.Endpoints {
		lb := &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: hostAddress(&e), Hostname: e.Hostname}},
		}
		if e.Weight != 0 {
			lb.LoadBalancingWeight = wrapperspb.UInt32(e.Weight)
		}
		eps.LbEndpoints = append(eps.LbEndpoints, lb)
	}
	la := &endpointv3.ClusterLoadAssignment{ClusterName: c.Name}
	if len(eps.LbEndpoints) > 0 {
		la.Endpoints = append(la.Endpoints, eps)
	}
	out := &clusterv3.Cluster{
		Name:                 c.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       duration(c.ConnectTimeout),
		LbPolicy:             clusterv3.Cluster_LbPolicy(clusterv3.Cluster_LbPolicy_value[string(c.Policy)]), // ROUND_ROBIN is 0
		LoadAssignment:       la,
		OutlierDetection:     outlierDetection(c.Outliers),
		CommonLbConfig:       commonLBConfig(c),
		HealthChecks:         healthChecks(c.Check),
	}
	if c.OriginalDst {
		out.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
		out.LbPolicy, out.LoadAssignment, out.CleanupInterval = clusterv3.Cluster_CLUSTER_PROVIDED, nil, duration(c.Cleanup)
	}
	writeDNS(out, c.DNS)
	if b := c.Breakers; b != nil {
		out.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxConnections: wrapperspb.UInt32(b.MaxConnections), MaxPendingRequests: wrapperspb.UInt32(b.MaxPending), MaxRequests: wrapperspb.UInt32(b.MaxRequests),
			MaxRetries: wrapperspb.UInt32(b.MaxRetries), RetryBudget: retryBudget(b.Budget), TrackRemaining: b.TrackRemaining,
		}}}
	}
	if c.Choices != 0 {
		out.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{ChoiceCount: wrapperspb.UInt32(c.Choices)}}
	}
	if c.MinRing != 0 || c.MaxRing != 0 {
		x := &clusterv3.Cluster_RingHashLbConfig{}
		if c.MinRing != 0 {
			x.MinimumRingSize = wrapperspb.UInt64(uint64(c.MinRing))
		}
		if c.MaxRing != 0 {
			x.MaximumRingSize = wrapperspb.UInt64(uint64(c.MaxRing))
		}
		out.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: x}
	}
	return out
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// address converts a validated ip:port.
func address(s string) *corev3.Address {
	ap := netip.MustParseAddrPort(s)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       ap.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(ap.Port())},
	}}}
}

// toYAML renders m in block style, fields in the order of Envoy's definition.
// protojson varies its white space from build to build on purpose; going
// through YAML nodes, which keep order and drop white space, undoes that.
func toYAML(m proto.Message) ([]byte, error) {
	j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("envoyconf: encode: %w", err)
	}
	var n yaml.Node
	if err := yaml.Unmarshal(j, &n); err != nil {
		return nil, fmt.Errorf("envoyconf: encode: %w", err)
	}
	block(&n)
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return nil, fmt.Errorf("envoyconf: encode: %w", err)
	}
	return out.Bytes(), nil
}

// block takes JSON's flow style and needless quotes off n and what is below it.
func block(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && isOldBool(n.Value) {
		n.Style = yaml.DoubleQuotedStyle
	}
	if len(n.Content) == 0 && (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		block(c)
	}
}
