package envoyconf

import (
	"fmt"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	inspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	tlsName       = "envoy.transport_sockets.tls"
	inspectorName = "envoy.filters.listener.tls_inspector"
)

func (r *reader) serverTLS(path string, t *corev3.TransportSocket) *mesh.ServerTLS {
	var c tlsv3.DownstreamTlsContext
	if t == nil {
		return nil
	}
	if err := t.GetTypedConfig().UnmarshalTo(&c); err != nil {
		r.fail(path+".typed_config", "is not a DownstreamTlsContext")
		return nil
	}
	return &mesh.ServerTLS{
		TLS:               r.tls(path+".typed_config.common_tls_context", c.GetCommonTlsContext()),
		RequireClientCert: c.GetRequireClientCertificate().GetValue(),
	}
}

func (r *reader) clientTLS(path string, t *corev3.TransportSocket) *mesh.ClientTLS {
	var c tlsv3.UpstreamTlsContext
	if t == nil {
		return nil
	}
	if err := t.GetTypedConfig().UnmarshalTo(&c); err != nil {
		r.fail(path+".typed_config", "is not an UpstreamTlsContext")
		return nil
	}
	return &mesh.ClientTLS{TLS: r.tls(path+".typed_config.common_tls_context", c.GetCommonTlsContext()), SNI: c.GetSni()}
}

func (r *reader) tls(path string, c *tlsv3.CommonTlsContext) mesh.TLS {
	p := c.GetTlsParams()
	out := mesh.TLS{
		MinVersion: version(p.GetTlsMinimumProtocolVersion()), MaxVersion: version(p.GetTlsMaximumProtocolVersion()),
		Ciphers: p.GetCipherSuites(), Curves: p.GetEcdhCurves(), ALPN: c.GetAlpnProtocols(),
	}
	for _, t := range c.GetTlsCertificates() {
		out.Certificates = append(out.Certificates, mesh.Certificate{Chain: source(t.GetCertificateChain()), Key: source(t.GetPrivateKey())})
	}
	for _, s := range c.GetTlsCertificateSdsSecretConfigs() {
		out.Certificates = append(out.Certificates, mesh.Certificate{Secret: mesh.Secret{Name: s.GetName(), Path: s.GetSdsConfig().GetPathConfigSource().GetPath()}})
	}
	if v := c.GetValidationContext(); v != nil {
		out.Validation = &mesh.Validation{CA: source(v.GetTrustedCa())}
		for i, n := range v.GetMatchTypedSubjectAltNames() {
			q := fmt.Sprintf("%s.validation_context.match_typed_subject_alt_names[%d]", path, i)
			out.Validation.SANs = append(out.Validation.SANs, mesh.SANName{Type: n.GetSanType().String(), Match: *r.text(q+".matcher", n.GetMatcher())})
		}
	}
	return out
}

func version(v tlsv3.TlsParameters_TlsProtocol) string {
	if v == tlsv3.TlsParameters_TLS_AUTO {
		return ""
	}
	return v.String()
}

func source(d *corev3.DataSource) mesh.Source {
	return mesh.Source{File: d.GetFilename(), Inline: d.GetInlineString()}
}

func chainMatch(m *listenerv3.FilterChainMatch) mesh.ChainMatch {
	return mesh.ChainMatch{Port: m.GetDestinationPort().GetValue(), ServerNames: m.GetServerNames(), Transport: m.GetTransportProtocol()}
}

func isInspector(f *listenerv3.ListenerFilter) bool { return f.Name == inspectorName }

// addChain adds to out the filter chain that l is: its match, its TLS and its
// filters.
func addChain(out *listenerv3.Listener, l *mesh.Listener, filters []*listenerv3.Filter) error {
	c := &listenerv3.FilterChain{Filters: filters}
	if m := &l.Match; !m.Empty() {
		c.FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: m.ServerNames, TransportProtocol: m.Transport}
		if m.Port != 0 {
			c.FilterChainMatch.DestinationPort = wrapperspb.UInt32(m.Port)
		}
		if (len(m.ServerNames) > 0 || m.Transport != "") && !slices.ContainsFunc(out.ListenerFilters, isInspector) {
			a, err := anypb.New(&inspectorv3.TlsInspector{})
			if err != nil {
				return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
			}
			out.ListenerFilters = append(out.ListenerFilters, &listenerv3.ListenerFilter{Name: inspectorName, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: a}})
		}
	}
	if l.Handshake > 0 {
		c.TransportSocketConnectTimeout = durationpb.New(l.Handshake)
	}
	if l.TLS != nil {
		t := &tlsv3.DownstreamTlsContext{CommonTlsContext: common(&l.TLS.TLS)}
		if l.TLS.RequireClientCert {
			t.RequireClientCertificate = wrapperspb.Bool(true)
		}
		var err error
		if c.TransportSocket, err = transport(t); err != nil {
			return fmt.Errorf("envoyconf: listener %s: %w", l.Name, err)
		}
	}
	out.FilterChains = append(out.FilterChains, c)
	return nil
}

func transport(m proto.Message) (*corev3.TransportSocket, error) {
	a, err := anypb.New(m)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{Name: tlsName, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: a}}, nil
}

func common(t *mesh.TLS) *tlsv3.CommonTlsContext {
	out := &tlsv3.CommonTlsContext{AlpnProtocols: t.ALPN}
	if t.MinVersion != "" || t.MaxVersion != "" || len(t.Ciphers) > 0 || len(t.Curves) > 0 {
		out.TlsParams = &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TlsProtocol(tlsv3.TlsParameters_TlsProtocol_value[t.MinVersion]), // auto is 0
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TlsProtocol(tlsv3.TlsParameters_TlsProtocol_value[t.MaxVersion]),
			CipherSuites:              t.Ciphers, EcdhCurves: t.Curves,
		}
	}
	for i := range t.Certificates {
		c := &t.Certificates[i]
		if c.Secret != (mesh.Secret{}) {
			out.TlsCertificateSdsSecretConfigs = append(out.TlsCertificateSdsSecretConfigs, secretConfig(c.Secret))
			continue
		}
		out.TlsCertificates = append(out.TlsCertificates, certificate(c))
	}
	if v := t.Validation; v != nil {
		x := &tlsv3.CertificateValidationContext{TrustedCa: dataSource(&v.CA)}
		for i := range v.SANs {
			x.MatchTypedSubjectAltNames = append(x.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
				SanType: tlsv3.SubjectAltNameMatcher_SanType(tlsv3.SubjectAltNameMatcher_SanType_value[v.SANs[i].Type]),
				Matcher: stringMatcher(&v.SANs[i].Match),
			})
		}
		out.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: x}
	}
	return out
}

func dataSource(s *mesh.Source) *corev3.DataSource {
	if s.File != "" {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: s.File}}
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s.Inline}}
}

// redactKeys takes the inline private keys out of a configuration that is shown.
func redactKeys(cfg mesh.Config) mesh.Config {
	hide := func(t mesh.TLS) mesh.TLS {
		t.Certificates = append([]mesh.Certificate(nil), t.Certificates...)
		for i := range t.Certificates {
			if k := &t.Certificates[i].Key; k.Inline != "" {
				k.Inline = "[redacted]"
			}
		}
		return t
	}
	cfg.Listeners = append([]mesh.Listener(nil), cfg.Listeners...)
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.TLS != nil {
			t := *l.TLS
			t.TLS = hide(t.TLS)
			l.TLS = &t
		}
	}
	cfg.Clusters = append([]mesh.Cluster(nil), cfg.Clusters...)
	for i := range cfg.Clusters {
		if c := &cfg.Clusters[i]; c.TLS != nil {
			t := *c.TLS
			t.TLS = hide(t.TLS)
			c.TLS = &t
		}
	}
	return cfg
}

func (r *reader) handshake(path string, c *listenerv3.FilterChain) time.Duration {
	if c.GetTransportSocketConnectTimeout() == nil {
		return 0
	}
	return r.duration(path+".transport_socket_connect_timeout", c.GetTransportSocketConnectTimeout())
}
