package envoyconf

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// secured has everything that a Config can say of TLS.
func secured() mesh.Config {
	common := mesh.TLS{
		MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3",
		Ciphers: []string{"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]", "ECDHE-RSA-AES256-GCM-SHA384"}, Curves: []string{"X25519", "P-256"},
		Certificates: []mesh.Certificate{{Chain: mesh.Source{File: "/etc/cert.pem"}, Key: mesh.Source{File: "/etc/key.pem"}}},
		Validation: &mesh.Validation{CA: mesh.Source{Inline: "PEM\n"}, SANs: []mesh.SANName{
			{Type: "URI", Match: mesh.StringMatch{Kind: mesh.MatchExact, Text: "spiffe://mesh/client"}},
			{Type: "DNS", Match: mesh.StringMatch{Kind: mesh.MatchSuffix, Text: ".example", IgnoreCase: true}},
			{Type: "EMAIL", Match: mesh.StringMatch{Kind: mesh.MatchRegex, Text: ".*@example"}},
			{Type: "IP_ADDRESS", Match: mesh.StringMatch{Kind: mesh.MatchPrefix, Text: "10."}},
		}},
		ALPN: []string{"http/1.1"},
	}
	chain := func(m mesh.ChainMatch, t *mesh.ServerTLS) mesh.Listener {
		return mesh.Listener{
			Name: "in", Address: "127.0.0.1:15006", StatPrefix: "in", Match: m, TLS: t, Handshake: 2 * time.Second,
			VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Cluster: "app"}}}},
		}
	}
	return mesh.Config{
		Listeners: []mesh.Listener{
			chain(mesh.ChainMatch{Port: 15006, ServerNames: []string{"a.example", "*.b.example"}}, &mesh.ServerTLS{TLS: common, RequireClientCert: true}),
			chain(mesh.ChainMatch{Transport: "tls"}, &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{{Secret: mesh.Secret{Name: "default", Path: "/etc/sds.yaml"}}}}}),
			chain(mesh.ChainMatch{Transport: "raw_buffer"}, nil),
		},
		Clusters: []mesh.Cluster{{
			Name: "app", ConnectTimeout: time.Second, Endpoints: []mesh.Endpoint{{Address: "127.0.0.1:9080"}},
			TLS: &mesh.ClientTLS{TLS: common, SNI: "app.example"},
		}},
	}
}

func TestTLSRoundTrip(t *testing.T) {
	file, err := Bootstrap(secured())
	require.NoError(t, err)
	got, err := Read(file, "tls.yaml")
	require.NoError(t, err)
	require.Equal(t, secured(), got)
}

func TestDumpHidesKeys(t *testing.T) {
	cfg := secured()
	cfg.Listeners[0].TLS.Certificates[0].Key = mesh.Source{Inline: "hidden"}
	cfg.Clusters[0].TLS.Certificates = []mesh.Certificate{{Chain: mesh.Source{Inline: "public"}, Key: mesh.Source{Inline: "hidden"}}}
	b, err := Dump(cfg, time.Unix(0, 0))
	require.NoError(t, err)
	require.NotContains(t, string(b), "hidden")
	require.Contains(t, string(b), "public")
	require.Equal(t, "hidden", cfg.Listeners[0].TLS.Certificates[0].Key.Inline, "the configuration itself is left alone")
}

func TestTLSRefuses(t *testing.T) {
	const head = `static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config: {virtual_hosts: [{name: any, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
          http_filters: [{name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.`
	for _, c := range []struct{ name, rest, want string }{
		{"no certificate", "DownstreamTlsContext", "tls_certificates"},
		{"the wrong context", "UpstreamTlsContext", "is not a DownstreamTlsContext"},
		{"a secret over the network", "DownstreamTlsContext\n          common_tls_context: {tls_certificate_sds_secret_configs: [{name: x, sds_config: {api_config_source: {api_type: GRPC}}}]}", "transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0].sds_config.api_config_source: is not supported"},
		{"a secret from nowhere", "DownstreamTlsContext\n          common_tls_context: {tls_certificate_sds_secret_configs: [{name: x}]}", "tls_certificate_sds_secret_configs[0].sds_config.path_config_source.path: is empty"},
		{"a secret without a name", "DownstreamTlsContext\n          common_tls_context: {tls_certificate_sds_secret_configs: [{sds_config: {path_config_source: {path: a}}}]}", "tls_certificate_sds_secret_configs[0].name: is empty"},
		{"a secret and a certificate", "DownstreamTlsContext\n          common_tls_context: {tls_certificates: [{certificate_chain: {filename: a}, private_key: {filename: b}}], tls_certificate_sds_secret_configs: [{name: x, sds_config: {path_config_source: {path: a}}}]}", "want one of them"},
		{"an old version", "DownstreamTlsContext\n          common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_0}}", `is "TLSv1_0", supported: TLSv1_2, TLSv1_3, TLS_AUTO`},
		{"HTTP/2", "DownstreamTlsContext\n          common_tls_context: {alpn_protocols: [h2], tls_certificates: [{certificate_chain: {filename: a}, private_key: {filename: b}}]}", `is "h2", want http/1.1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read([]byte(head+c.rest+"\n"), "f.yaml")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSecretFile(t *testing.T) {
	want := mesh.Certificate{Chain: mesh.Source{Inline: "CHAIN\n"}, Key: mesh.Source{File: "/etc/key.pem"}}
	file, err := SecretFile("default", want)
	require.NoError(t, err)
	got, err := ReadSecret(file, "sds.yaml", "default")
	require.NoError(t, err)
	require.Equal(t, want, got)
	const typed = `resources: [{"@type": type.googleapis.com/`
	for text, says := range map[string]string{
		string(file):      `resources: has no tls_certificate of name "other"`,
		"resources: []":   "has no tls_certificate",
		"resources: x":    "want a list",
		"{":               "sds.yaml:1",
		"nonce: x":        "nonce: is not supported",
		"resources: [{}]": "@type",
		"resources: [[]]": "want a mapping",
		typed + "envoy.config.core.v3.Node, id: x}]":                                                  "resources[0]: is no secret",
		typed + "envoy.extensions.transport_sockets.tls.v3.Secret, name: other, generic_secret: {}}]": "generic_secret: is not supported",
	} {
		_, err := ReadSecret([]byte(text), "sds.yaml", "other")
		require.ErrorContains(t, err, says, text)
	}
}

func FuzzReadSecret(f *testing.F) {
	file, err := SecretFile("a", mesh.Certificate{Chain: mesh.Source{Inline: "CHAIN"}, Key: mesh.Source{Inline: "KEY"}})
	require.NoError(f, err)
	f.Add(string(file))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadSecret([]byte(text), "f.yaml", "a")
		if err != nil {
			return
		}
		file, err := SecretFile("a", c)
		require.NoError(t, err)
		again, err := ReadSecret(file, "f.yaml", "a")
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
