package envoyconf

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Read reads the proxy that an Envoy bootstrap file (YAML or JSON, v3)
// describes. name is the file's, for messages. A file that says more than a
// mesh.Config carries is refused, each surplus item with its line and path: run
// with only half of what a file says, a proxy would be a different one. The
// error is a failure.BadFile.
func Read(file []byte, name string) (mesh.Config, error) {
	cfg, problems := examine(file, name, nil)
	if len(problems) > 0 {
		return mesh.Config{}, bad(name, problems)
	}
	return cfg, nil
}

// examine is Read, with what is wrong; items, unless nil, gets the verdicts on the
// file's other items.
func examine(file []byte, name string, items *[]Item) (mesh.Config, []Problem) {
	n, problems := parse(file)
	if problems != nil {
		return mesh.Config{}, problems
	}
	c := check(n, items)
	if len(c.problems) > 0 {
		return mesh.Config{}, c.problems
	}
	j, err := n.json(strings.HasSuffix(name, ".json"), c.over)
	if err != nil {
		return mesh.Config{}, []Problem{{Why: err.Error()}}
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(j, &b); err != nil {
		return mesh.Config{}, []Problem{{Why: err.Error()}}
	}
	r := reader{root: n}
	cfg := r.bootstrap(&b)
	if len(r.problems) == 0 {
		if err := cfg.Validate(); err != nil {
			r.invalid(err)
		}
	}
	return cfg, r.problems
}

// reader turns Envoy's types, already known to hold nothing else, into ours.
type reader struct {
	root     *node
	problems []Problem
	chains   []string // by mesh.Listener: where its filter chain is
	fault    string   // the name of the fault among the filters of the chain that is being read
}

func (r *reader) fail(path, format string, args ...any) {
	p := r.root.find(path)
	r.problems = append(r.problems, Problem{Line: p.line, Column: p.column, Path: path, Why: fmt.Sprintf(format, args...)})
}

func (r *reader) bootstrap(b *bootstrapv3.Bootstrap) (cfg mesh.Config) {
	cfg.Node = b.GetNode().GetId()
	if b.GetAdmin() != nil {
		cfg.Admin = r.address("admin.address", b.GetAdmin().GetAddress())
	}
	for i, l := range b.GetStaticResources().GetListeners() {
		cfg.Listeners = append(cfg.Listeners, r.listener(fmt.Sprintf("static_resources.listeners[%d]", i), l)...)
	}
	for i, c := range b.GetStaticResources().GetClusters() {
		cfg.Clusters = append(cfg.Clusters, r.cluster(fmt.Sprintf("static_resources.clusters[%d]", i), c))
	}
	return cfg
}

func (r *reader) address(path string, a *corev3.Address) string {
	s := a.GetSocketAddress()
	ip, err := netip.ParseAddr(s.GetAddress())
	if err != nil {
		r.fail(path+".socket_address.address", "%q is not an IP address", s.GetAddress())
		return ""
	}
	if s.GetPortValue() > 65535 {
		r.fail(path+".socket_address.port_value", "%d is above 65535", s.GetPortValue())
		return ""
	}
	return netip.AddrPortFrom(ip, uint16(s.GetPortValue())).String()
}

// listener reads l, a Listener for each of its filter chains.
func (r *reader) listener(path string, l *listenerv3.Listener) (all []mesh.Listener) {
	base := mesh.Listener{Name: l.GetName(), Address: r.address(path+".address", l.GetAddress()), Intercept: interception(l)}
	base.ConnLogs = r.accessLogs(path+".access_log", l.GetAccessLog())
	if base.Name == "" {
		base.Name = base.Address
	}
	if len(l.GetFilterChains()) == 0 {
		r.fail(path, "has no filter_chains")
	}
	for i, c := range l.GetFilterChains() {
		all = append(all, r.filterChain(fmt.Sprintf("%s.filter_chains[%d]", path, i), base, c))
	}
	return all
}

func (r *reader) filterChain(path string, out mesh.Listener, c *listenerv3.FilterChain) mesh.Listener {
	r.chains = append(r.chains, path)
	out.Match, out.Handshake = chainMatch(c.GetFilterChainMatch()), r.handshake(path, c)
	out.TLS = r.serverTLS(path+".transport_socket", c.GetTransportSocket())
	fs := c.GetFilters()
	path += ".filters"
	if len(fs) != 1 {
		r.fail(path, "has %d entries, want the HTTP connection manager or the TCP proxy alone", len(fs))
		return out
	}
	path += "[0]"
	var tcp tcpv3.TcpProxy
	if fs[0].GetTypedConfig().UnmarshalTo(&tcp) == nil {
		out.StatPrefix, out.TCP = tcp.GetStatPrefix(), r.tcp(path+".typed_config", &tcp)
		out.Logs = r.accessLogs(path+".typed_config.access_log", tcp.GetAccessLog())
		return out
	}
	var m hcmv3.HttpConnectionManager
	if err := fs[0].GetTypedConfig().UnmarshalTo(&m); err != nil {
		r.fail(path+".typed_config", "is neither an HttpConnectionManager nor a TcpProxy")
		return out
	}
	path += ".typed_config"
	out.StatPrefix = m.GetStatPrefix()
	out.Filters = r.filters(path+".http_filters", m.GetHttpFilters())
	out.Logs = r.accessLogs(path+".access_log", m.GetAccessLog())
	if m.GetRouteConfig() == nil {
		r.fail(path, "has no route_config")
	}
	out.Mutate = r.mutations(path+".route_config", m.GetRouteConfig())
	for i, v := range m.GetRouteConfig().GetVirtualHosts() {
		out.VirtualHosts = append(out.VirtualHosts, r.virtualHost(fmt.Sprintf("%s.route_config.virtual_hosts[%d]", path, i), v))
	}
	return out
}

func (r *reader) virtualHost(path string, v *routev3.VirtualHost) mesh.VirtualHost {
	out := mesh.VirtualHost{Name: v.GetName(), Domains: v.GetDomains(), Mutate: r.mutations(path, v), Retry: r.retry(path+".retry_policy", v.GetRetryPolicy()),
		Fault: r.perFilter(path, v.GetTypedPerFilterConfig()), CountRequests: v.GetIncludeRequestAttemptCount(), CountResponses: v.GetIncludeAttemptCountInResponse()}
	for i, e := range v.GetRoutes() {
		p := fmt.Sprintf("%s.routes[%d]", path, i)
		m := mesh.Route{
			Name: e.GetName(), Prefix: e.GetMatch().GetPrefix(), Path: e.GetMatch().GetPath(),
			Separated: e.GetMatch().GetPathSeparatedPrefix(), Regex: e.GetMatch().GetSafeRegex().GetRegex(),
		}
		m.Mutate = r.mutations(p, e)
		m.Fault = r.perFilter(p, e.GetTypedPerFilterConfig())
		a := e.GetRoute()
		switch {
		case e.GetDirectResponse() != nil:
			d := e.GetDirectResponse()
			if d.GetBody().GetFilename() != "" {
				r.fail(p+".direct_response.body.filename", "is not supported here; write the body into inline_string")
			}
			m.Direct = &mesh.DirectResponse{Status: int(d.GetStatus()), Body: d.GetBody().GetInlineString()}
		case e.GetRedirect() != nil:
			m.Redirect = r.redirect(p+".redirect", e.GetRedirect())
		case a == nil:
			r.fail(p, "has no route, direct_response or redirect")
			continue
		default:
			m.Cluster, m.Timeout = a.GetCluster(), mesh.DefaultRouteTimeout
		}
		for j, c := range a.GetWeightedClusters().GetClusters() {
			m.Clusters = append(m.Clusters, mesh.WeightedCluster{
				Name: c.GetName(), Weight: c.GetWeight().GetValue(), Host: c.GetHostRewriteLiteral(),
				Mutate: r.mutations(fmt.Sprintf("%s.route.weighted_clusters.clusters[%d]", p, j), c),
			})
		}
		for j, h := range e.GetMatch().GetHeaders() {
			m.Headers = append(m.Headers, r.header(fmt.Sprintf("%s.match.headers[%d]", p, j), h))
		}
		for j, q := range e.GetMatch().GetQueryParameters() {
			m.Query = append(m.Query, r.query(fmt.Sprintf("%s.match.query_parameters[%d]", p, j), q))
		}
		for j, h := range a.GetHashPolicy() {
			m.Hash = append(m.Hash, r.hashPolicy(fmt.Sprintf("%s.route.hash_policy[%d]", p, j), h))
		}
		m.Rewrite = mesh.Rewrite{
			Prefix: a.GetPrefixRewrite(), Host: a.GetHostRewriteLiteral(), AutoHost: a.GetAutoHostRewrite().GetValue(), HostHeader: a.GetHostRewriteHeader(), AppendHost: a.GetAppendXForwardedHost(),
			Regex: a.GetRegexRewrite().GetPattern().GetRegex(), Substitution: a.GetRegexRewrite().GetSubstitution(),
		}
		if x := a.GetHostRewritePathRegex(); x != nil {
			m.Rewrite.HostRegex = &mesh.HostRegex{Regex: x.GetPattern().GetRegex(), Substitution: x.GetSubstitution()}
		}
		m.Retry = r.retry(p+".route.retry_policy", a.GetRetryPolicy())
		if a.GetTimeout() != nil {
			m.Timeout = r.duration(p+".route.timeout", a.GetTimeout())
		}
		if a.GetIdleTimeout() != nil {
			m.Idle = new(r.duration(p+".route.idle_timeout", a.GetIdleTimeout()))
		}
		out.Routes = append(out.Routes, m)
	}
	return out
}

// redirectStatus is the status of each of Envoy's response codes.
var redirectStatus = map[routev3.RedirectAction_RedirectResponseCode]int{
	routev3.RedirectAction_MOVED_PERMANENTLY: 0, routev3.RedirectAction_FOUND: 302, routev3.RedirectAction_SEE_OTHER: 303,
	routev3.RedirectAction_TEMPORARY_REDIRECT: 307, routev3.RedirectAction_PERMANENT_REDIRECT: 308,
}

func (r *reader) redirect(path string, x *routev3.RedirectAction) *mesh.Redirect {
	if x.GetPortRedirect() > 65535 {
		r.fail(path+".port_redirect", "%d is above 65535", x.GetPortRedirect())
	}
	return &mesh.Redirect{
		Status: redirectStatus[x.GetResponseCode()], HTTPS: x.GetHttpsRedirect(), Host: x.GetHostRedirect(),
		Port: uint16(x.GetPortRedirect()), Path: x.GetPathRedirect(), StripQuery: x.GetStripQuery(), Scheme: x.GetSchemeRedirect(),
		Prefix: x.GetPrefixRewrite(), Regex: x.GetRegexRewrite().GetPattern().GetRegex(), Substitution: x.GetRegexRewrite().GetSubstitution(),
	}
}

func (r *reader) header(path string, h *routev3.HeaderMatcher) mesh.HeaderMatch {
	out := mesh.HeaderMatch{Name: h.GetName(), Invert: h.GetInvertMatch()}
	switch h.GetHeaderMatchSpecifier().(type) {
	case nil:
		return out
	case *routev3.HeaderMatcher_PresentMatch:
		out.Invert = out.Invert == h.GetPresentMatch()
		return out
	}
	out.Value = r.text(path, h.GetStringMatch())
	return out
}

func (r *reader) query(path string, q *routev3.QueryParameterMatcher) mesh.QueryMatch {
	out := mesh.QueryMatch{Name: q.GetName()}
	switch x := q.GetQueryParameterMatchSpecifier().(type) {
	case *routev3.QueryParameterMatcher_StringMatch:
		out.Value = r.text(path, x.StringMatch)
	case *routev3.QueryParameterMatcher_PresentMatch:
		if !x.PresentMatch {
			r.fail(path+".present_match", "is false, supported: true")
		}
	}
	return out
}

func (r *reader) text(path string, s *matcherv3.StringMatcher) *mesh.StringMatch {
	v := &mesh.StringMatch{IgnoreCase: s.GetIgnoreCase()}
	switch x := s.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		v.Kind, v.Text = mesh.MatchExact, x.Exact
	case *matcherv3.StringMatcher_Prefix:
		v.Kind, v.Text = mesh.MatchPrefix, x.Prefix
	case *matcherv3.StringMatcher_Suffix:
		v.Kind, v.Text = mesh.MatchSuffix, x.Suffix
	case *matcherv3.StringMatcher_Contains:
		v.Kind, v.Text = mesh.MatchContains, x.Contains
	case *matcherv3.StringMatcher_SafeRegex:
		v.Kind, v.Text = mesh.MatchRegex, x.SafeRegex.GetRegex()
	default:
		r.fail(path+".string_match", "has none of exact, prefix, suffix, contains, safe_regex")
	}
	return v
}

func (r *reader) cluster(path string, c *clusterv3.Cluster) mesh.Cluster {
	out := mesh.Cluster{Name: c.GetName(), TLS: r.clientTLS(path+".transport_socket", c.GetTransportSocket()), Outliers: r.outliers(path+".outlier_detection", c.GetOutlierDetection())}
	if c.GetConnectTimeout() != nil {
		out.ConnectTimeout = r.duration(path+".connect_timeout", c.GetConnectTimeout())
		if out.ConnectTimeout == 0 {
			r.fail(path+".connect_timeout", "is 0, want more")
		}
	}
	if p := mesh.Policy(c.GetLbPolicy().String()); p != mesh.RoundRobin {
		out.Policy = p
	}
	r.originalDst(path, c, &out)
	out.DNS = r.dns(path, c)
	if n := c.GetLeastRequestLbConfig().GetChoiceCount(); n != nil {
		if out.Choices = n.GetValue(); out.Choices < 2 {
			r.fail(path+".least_request_lb_config.choice_count", "is %d, want 2 or more", out.Choices)
		}
	}
	if c.GetLeastRequestLbConfig() != nil && out.Policy != mesh.LeastRequest {
		r.fail(path+".least_request_lb_config", "is for %s, and lb_policy is not", mesh.LeastRequest)
	}
	if x := c.GetRingHashLbConfig(); x != nil {
		out.MinRing, out.MaxRing = uint32(x.GetMinimumRingSize().GetValue()), uint32(x.GetMaximumRingSize().GetValue())
		if out.Policy != mesh.RingHash {
			r.fail(path+".ring_hash_lb_config", "is for %s, and lb_policy is not", mesh.RingHash)
		}
	}
	out.Idle = r.protocol(path+".typed_extension_protocol_options", c.GetTypedExtensionProtocolOptions())
	out.Check = r.check(path+".health_checks", c.GetHealthChecks())
	r.commonLB(path+".common_lb_config", c.GetCommonLbConfig(), &out)
	out.Breakers = r.breakers(path+".circuit_breakers", c.GetCircuitBreakers())
	la := c.GetLoadAssignment()
	if la.GetClusterName() != c.GetName() && la != nil {
		r.fail(path+".load_assignment.cluster_name", "is %q, want the cluster's name %q", la.GetClusterName(), c.GetName())
	}
	if n := len(la.GetEndpoints()); n > 1 {
		r.fail(path+".load_assignment.endpoints", "has %d localities, want 1", n)
		return out
	}
	for _, loc := range la.GetEndpoints() {
		for i, e := range loc.GetLbEndpoints() {
			p := fmt.Sprintf("%s.load_assignment.endpoints[0].lb_endpoints[%d].endpoint.address", path, i)
			read := r.address
			if out.DNS != nil {
				read = r.host
			}
			out.Endpoints = append(out.Endpoints, mesh.Endpoint{
				Address:  read(p, e.GetEndpoint().GetAddress()),
				Hostname: e.GetEndpoint().GetHostname(),
				Weight:   e.GetLoadBalancingWeight().GetValue(),
			})
		}
	}
	return out
}

func (r *reader) breakers(path string, b *clusterv3.CircuitBreakers) *mesh.Breakers {
	switch n := len(b.GetThresholds()); n {
	case 0:
		return nil
	case 1:
	default:
		r.fail(path+".thresholds", "has %d entries, want the one of priority DEFAULT", n)
	}
	t, d := b.GetThresholds()[0], mesh.DefaultBreakers
	return &mesh.Breakers{
		MaxConnections: or(t.GetMaxConnections(), d.MaxConnections),
		MaxPending:     or(t.GetMaxPendingRequests(), d.MaxPending),
		MaxRequests:    or(t.GetMaxRequests(), d.MaxRequests),
		MaxRetries:     or(t.GetMaxRetries(), d.MaxRetries),
		Budget:         budget(t.GetRetryBudget()),
		TrackRemaining: t.GetTrackRemaining(),
	}
}

func or(given *wrapperspb.UInt32Value, otherwise uint32) uint32 {
	if given == nil {
		return otherwise
	}
	return given.GetValue()
}

func (r *reader) duration(path string, d *durationpb.Duration) time.Duration {
	if err := d.CheckValid(); err != nil || d.AsDuration() < 0 {
		r.fail(path, "is not a duration of 0 or more")
	}
	return d.AsDuration()
}

// Problem is one item of a file that cannot be carried, or is wrong.
type Problem struct {
	Line, Column int // 0 if unknown
	Path         string
	Why          string
}

// String renders "line:column: path: why".
func (p Problem) String() string {
	s := p.Why
	if p.Path != "" {
		s = p.Path + ": " + s
	}
	if p.Line > 0 {
		s = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, s)
	}
	return s
}

func bad(name string, problems []Problem) error {
	why := ""
	for i, p := range problems {
		if i > 0 {
			why += "\n"
		}
		why += name + ":" + p.String()
	}
	return failure.New(failure.BadFile, "envoyconf: read "+name, why, "take the named items out of the file, or correct them")
}
