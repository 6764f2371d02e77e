package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// TLS is what Envoy's two TLS contexts have in common. What is left out is as in
// Envoy.
type TLS struct {
	MinVersion   string        `json:"tls_minimum_protocol_version,omitempty"` // of TLSVersions; empty means TLSv1_2
	MaxVersion   string        `json:"tls_maximum_protocol_version,omitempty"` // empty means TLSv1_3 for a listener, TLSv1_2 for a cluster
	Ciphers      []string      `json:"cipher_suites,omitempty"`                // of TLS 1.2, by OpenSSL's names; a | b in [] counts as two
	Curves       []string      `json:"ecdh_curves,omitempty"`                  // empty means X25519MLKEM768, X25519 and P-256
	Certificates []Certificate `json:"tls_certificates,omitempty"`
	Validation   *Validation   `json:"validation_context,omitempty"` // nil: a peer's certificate is not looked at
	ALPN         []string      `json:"alpn_protocols,omitempty"`
}

// ServerTLS is a listener's TLS: Envoy's DownstreamTlsContext.
type ServerTLS struct {
	TLS
	RequireClientCert bool `json:"require_client_certificate,omitempty"`
}

// ClientTLS is a cluster's TLS: Envoy's UpstreamTlsContext.
type ClientTLS struct {
	TLS
	SNI string `json:"sni,omitempty"` // empty means that none is sent
}

// Source is PEM text, in a file or in the configuration itself. Inline is shown
// wherever the configuration is, private keys excepted.
type Source struct {
	File   string `json:"filename,omitempty"`
	Inline string `json:"inline_string,omitempty"`
}

// Certificate is a chain, the leaf first, and its private key; or where both are to
// be had.
type Certificate struct {
	Chain  Source `json:"certificate_chain,omitzero"`
	Key    Source `json:"private_key,omitzero"`
	Secret Secret `json:"sds_secret_config,omitzero"`
}

// Secret is a certificate, by name, in a file of secrets, which is read again once
// another file has taken its place: Envoy's SDS by a path.
type Secret struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// Validation is what a peer's certificate has to be.
type Validation struct {
	CA   Source    `json:"trusted_ca"`                              // who has to have signed it
	SANs []SANName `json:"match_typed_subject_alt_names,omitempty"` // one of its names has to match one of these, if there are any
}

// SANName matches a subject alternative name.
type SANName struct {
	Type  string      `json:"san_type"` // of SANTypes
	Match StringMatch `json:"matcher"`
}

// ChainMatch says which connections a filter chain is for. The empty one takes
// those that no other does.
type ChainMatch struct {
	Port        uint32   `json:"destination_port,omitempty"`   // 0 means any
	ServerNames []string `json:"server_names,omitempty"`       // of the client's SNI: whole, or "*.suffix"
	Transport   string   `json:"transport_protocol,omitempty"` // of Transports; empty means any
}

// Empty reports whether m takes every connection.
func (m *ChainMatch) Empty() bool { return m.Port == 0 && len(m.ServerNames) == 0 && m.Transport == "" }

// TLSVersions lists the protocol versions, oldest first, by Envoy's names.
func TLSVersions() []string { return []string{"TLSv1_2", "TLSv1_3"} }

// SANTypes lists the kinds of subject alternative names, by Envoy's names.
func SANTypes() []string { return []string{"DNS", "URI", "EMAIL", "IP_ADDRESS"} }

// Transports lists what a filter chain can ask of a connection's first bytes.
func Transports() []string { return []string{"tls", "raw_buffer"} }

// TLSCiphers lists the cipher suites of TLS 1.2 that there are, by OpenSSL's names.
// Those of TLS 1.3 cannot be chosen, as in Envoy.
func TLSCiphers() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
		"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"AES128-GCM-SHA256", "AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES256-GCM-SHA384", "AES256-SHA",
	}
}

// TLSCurves lists the key exchange groups that there are.
func TLSCurves() []string { return []string{"X25519", "P-256", "P-384", "P-521", "X25519MLKEM768"} }

// SplitCiphers returns the suites of a list in which "[a|b]" stands for two that
// are as good as each other.
func SplitCiphers(list []string) (out []string) {
	for _, s := range list {
		if inner, ok := strings.CutPrefix(s, "["); ok {
			out = append(out, strings.Split(strings.TrimSuffix(inner, "]"), "|")...)
		} else {
			out = append(out, s)
		}
	}
	return out
}

func (v *validator) tls(path string, t *TLS, needsCertificate bool) {
	for _, x := range []struct{ field, value string }{{"tls_minimum_protocol_version", t.MinVersion}, {"tls_maximum_protocol_version", t.MaxVersion}} {
		if x.value != "" && !slices.Contains(TLSVersions(), x.value) {
			v.fail(path+"."+x.field, "is %q, want one of %s", x.value, strings.Join(TLSVersions(), ", "))
		}
	}
	if t.MinVersion != "" && t.MaxVersion != "" && t.MinVersion > t.MaxVersion {
		v.fail(path+".tls_minimum_protocol_version", "is %s, above the maximum, %s", t.MinVersion, t.MaxVersion)
	}
	for i, c := range SplitCiphers(t.Ciphers) {
		if !slices.Contains(TLSCiphers(), c) {
			v.fail(fmt.Sprintf("%s.cipher_suites[%d]", path, i), "is %q, want one of %s", c, strings.Join(TLSCiphers(), ", "))
		}
	}
	for i, c := range t.Curves {
		if !slices.Contains(TLSCurves(), c) {
			v.fail(fmt.Sprintf("%s.ecdh_curves[%d]", path, i), "is %q, want one of %s", c, strings.Join(TLSCurves(), ", "))
		}
	}
	if needsCertificate && len(t.Certificates) == 0 {
		v.fail(path+".tls_certificates", "is empty, want at least one")
	}
	for i := range t.Certificates {
		p, c := fmt.Sprintf("%s.tls_certificates[%d]", path, i), &t.Certificates[i]
		if (c.Secret == Secret{}) != (t.Certificates[0].Secret == Secret{}) {
			v.fail(path+".tls_certificate_sds_secret_configs", "is not empty, and neither is tls_certificates: want one of them")
		}
		if c.Secret != (Secret{}) {
			v.secret(fmt.Sprintf("%s.tls_certificate_sds_secret_configs[%d]", path, i), c)
			continue
		}
		v.source(p+".certificate_chain", &t.Certificates[i].Chain)
		v.source(p+".private_key", &t.Certificates[i].Key)
	}
	if x := t.Validation; x != nil {
		v.source(path+".validation_context.trusted_ca", &x.CA)
		for i := range x.SANs {
			p := fmt.Sprintf("%s.validation_context.match_typed_subject_alt_names[%d]", path, i)
			if !slices.Contains(SANTypes(), x.SANs[i].Type) {
				v.fail(p+".san_type", "is %q, want one of %s", x.SANs[i].Type, strings.Join(SANTypes(), ", "))
			}
			v.text(p+".matcher", &x.SANs[i].Match)
		}
	}
	for i, p := range t.ALPN {
		if p != "http/1.1" {
			v.fail(fmt.Sprintf("%s.alpn_protocols[%d]", path, i), "is %q, want http/1.1", p)
		}
	}
}

func (v *validator) secret(path string, c *Certificate) {
	switch {
	case c.Secret.Name == "":
		v.fail(path+".name", "is empty")
	case c.Secret.Path == "":
		v.fail(path+".sds_config.path_config_source.path", "is empty")
	case c.Chain != Source{} || c.Key != Source{}:
		v.fail(path, "has a chain or a key beside it")
	}
}

func (v *validator) source(path string, s *Source) {
	if (s.File == "") == (s.Inline == "") {
		v.fail(path, "want one of filename and inline_string")
	}
}

// chain checks what makes l one filter chain among others.
func (v *validator) chain(path string, l *Listener) {
	if l.Match.Port > 65535 {
		v.fail(path+".filter_chain_match.destination_port", "is %d, above 65535", l.Match.Port)
	}
	if t := l.Match.Transport; t != "" && !slices.Contains(Transports(), t) {
		v.fail(path+".filter_chain_match.transport_protocol", "is %q, want one of %s", t, strings.Join(Transports(), ", "))
	}
	for i, n := range l.Match.ServerNames {
		if n == "" || strings.Contains(strings.TrimPrefix(n, "*."), "*") {
			v.fail(fmt.Sprintf("%s.filter_chain_match.server_names[%d]", path, i), "is %q, want a name or *.name", n)
		}
	}
	if l.TLS != nil {
		v.tls(path+".tls", &l.TLS.TLS, true)
		if l.TLS.RequireClientCert && l.TLS.Validation == nil {
			v.fail(path+".tls.require_client_certificate", "is true, and there is no validation_context")
		}
	}
}
