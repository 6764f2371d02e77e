package sidecar

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// tlsContext is one of the configuration's TLS contexts, its files read.
type tlsContext struct {
	config *tls.Config
	noALPN *tls.Config // a server's, for a client all of whose protocols are others; nil if there are none
	other  *tls.Config // a client's, where it is not for requests: the protocols are those of the file
	digest [sha256.Size]byte
	shown  []shownCertificate
	sans   []sanMatcher

	secrets []secretFile // that it was made of
}

// shownCertificate is what the admin's /certs shows of one certificate chain or CA.
type shownCertificate struct {
	ca    bool
	path  string
	certs []*x509.Certificate
}

// sanMatcher is one compiled SANName.
type sanMatcher struct {
	kind  string
	m     *mesh.Matcher
	exact string // of a DNS name: the name may be a wildcard
}

// same reports whether a and b are the same context, both possibly nil.
func (a *tlsContext) same(b *tlsContext) bool {
	return a == b || a != nil && b != nil && a.digest == b.digest
}

// serverContext reads the files of a listener's TLS. path is where it stands.
func serverContext(path string, t *mesh.ServerTLS) (*tlsContext, error) {
	if t == nil {
		return nil, nil
	}
	c := &tlsContext{config: common(&t.TLS, tls.VersionTLS13)}
	h := sha256.New()
	fmt.Fprintf(h, "server %#v", t.RequireClientCert)
	pool, err := c.load(path, &t.TLS, h)
	if err != nil {
		return nil, err
	}
	h.Sum(c.digest[:0])
	if v := t.Validation; v != nil {
		c.config.ClientCAs = pool
		c.config.ClientAuth = tls.VerifyClientCertIfGiven
		if t.RequireClientCert {
			c.config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c.config.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			return c.checkName(s.PeerCertificates[0])
		}
	}
	if len(t.ALPN) > 0 {
		c.noALPN = c.config.Clone()
		c.noALPN.NextProtos = nil
		c.config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return c.forClient(hello), nil }
	}
	return c, nil
}

// forClient returns the configuration that answers hello. A client that offers
// only protocols that we do not have goes on without one, as with Envoy; crypto/tls
// would refuse it.
func (c *tlsContext) forClient(hello *tls.ClientHelloInfo) *tls.Config {
	if c.noALPN != nil && !slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(c.config.NextProtos, p) }) {
		return c.noALPN
	}
	return c.config
}

// clientContext reads the files of a cluster's TLS.
func clientContext(path string, t *mesh.ClientTLS, endpoints int) (*tlsContext, error) {
	if t == nil {
		return nil, nil
	}
	c := &tlsContext{config: common(&t.TLS, tls.VersionTLS12)}
	h := sha256.New()
	fmt.Fprintf(h, "client %q", t.SNI)
	pool, err := c.load(path, &t.TLS, h)
	if err != nil {
		return nil, err
	}
	h.Sum(c.digest[:0])
	c.config.ServerName = t.SNI
	c.config.ClientSessionCache = tls.NewLRUClientSessionCache(max(endpoints, 1))
	// Not crypto/tls's own check, which holds the certificate against the SNI:
	// Envoy's holds it against the names that the context wants.
	c.config.InsecureSkipVerify = true
	if t.Validation != nil {
		c.config.VerifyConnection = func(s tls.ConnectionState) error { return c.verify(s.PeerCertificates, pool) }
	}
	if c.other = c.config; len(t.ALPN) == 0 {
		c.config = c.other.Clone()
		c.config.NextProtos = []string{"http/1.1"} // as Envoy's HTTP/1 pools
	}
	return c, nil
}

// verify checks a server's certificate.
func (c *tlsContext) verify(certs []*x509.Certificate, roots *x509.CertPool) error {
	if len(certs) == 0 {
		return errors.New("sidecar: the server has no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, i := range certs[1:] {
		opts.Intermediates.AddCert(i)
	}
	if _, err := certs[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
	}
	return c.checkName(certs[0])
}

// errName says that a certificate has none of the names that are wanted.
var errName = errors.New("sidecar: none of the certificate's names is wanted")

func (c *tlsContext) checkName(cert *x509.Certificate) error {
	if len(c.sans) == 0 {
		return nil
	}
	for i := range c.sans {
		if c.sans[i].matches(cert) {
			return nil
		}
	}
	return errName
}

func (s *sanMatcher) matches(cert *x509.Certificate) bool {
	switch s.kind {
	case "DNS":
		return slices.ContainsFunc(cert.DNSNames, func(n string) bool {
			return s.m.Match(n) || s.exact != "" && wildcard(n, s.exact)
		})
	case "URI":
		for _, u := range cert.URIs {
			if s.m.Match(u.String()) {
				return true
			}
		}
	case "EMAIL":
		return slices.ContainsFunc(cert.EmailAddresses, s.m.Match)
	case "IP_ADDRESS":
		return slices.ContainsFunc(cert.IPAddresses, func(ip net.IP) bool { return s.m.Match(ip.String()) })
	}
	return false
}

// wildcard reports whether pattern, as in a certificate, stands for name.
func wildcard(pattern, name string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(pattern), "*.")
	_, tail, dot := strings.Cut(strings.ToLower(name), ".")
	return ok && dot && rest == tail
}

func common(t *mesh.TLS, newest uint16) *tls.Config {
	out := &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: newest,
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}, // Envoy's
		NextProtos:       slices.Clone(t.ALPN),
		// A proxy's records are as large as what is at hand.
		DynamicRecordSizingDisabled: true,
	}
	if v := tlsVersions[t.MinVersion]; v != 0 {
		out.MinVersion = v
		out.MaxVersion = max(out.MaxVersion, v)
	}
	if v := tlsVersions[t.MaxVersion]; v != 0 {
		out.MaxVersion = v
	}
	names := t.Ciphers
	if len(names) == 0 {
		names = mesh.TLSCiphers()[:6] // Envoy's
	}
	for _, n := range mesh.SplitCiphers(names) {
		for id, name := range ciphers {
			if name == n {
				out.CipherSuites = append(out.CipherSuites, id)
			}
		}
	}
	if len(t.Curves) > 0 {
		out.CurvePreferences = nil
		for _, n := range t.Curves {
			for id, name := range curves {
				if name == n {
					out.CurvePreferences = append(out.CurvePreferences, id)
				}
			}
		}
	}
	return out
}

// load reads the certificates and the CA of t, and puts all that the context
// depends on into h.
func (c *tlsContext) load(path string, t *mesh.TLS, h hash.Hash) (*x509.CertPool, error) {
	fmt.Fprintf(h, "%#v %#v %#v %#v %#v", t.MinVersion, t.MaxVersion, t.Ciphers, t.Curves, t.ALPN)
	for i := range t.Certificates {
		p := fmt.Sprintf("%s.tls_certificates[%d]", path, i)
		from := t.Certificates[i]
		if from.Secret != (mesh.Secret{}) {
			p = fmt.Sprintf("%s.tls_certificate_sds_secret_configs[%d]", path, i)
			var file secretFile
			var err error
			if from, file, err = readSecret(p, from.Secret); err != nil {
				return nil, err
			}
			c.secrets = append(c.secrets, file)
		}
		chain, err := readPEM(p+".certificate_chain", &from.Chain, h)
		if err != nil {
			return nil, err
		}
		key, err := readPEM(p+".private_key", &from.Key, h)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, failure.Wrap(failure.BadFile, err, "sidecar: "+p, "give a PEM certificate, the leaf first, and the private key that belongs to it")
		}
		c.config.Certificates = append(c.config.Certificates, pair)
		c.shown = append(c.shown, shownCertificate{path: shownPath(&from.Chain), certs: parseAll(chain)})
	}
	v := t.Validation
	if v == nil {
		return nil, nil
	}
	p := path + ".validation_context.trusted_ca"
	ca, err := readPEM(p, &v.CA, h)
	if err != nil {
		return nil, err
	}
	pool, certs := x509.NewCertPool(), parseAll(ca)
	if len(certs) == 0 {
		return nil, failure.New(failure.BadFile, "sidecar: "+p, "holds no certificate", "give PEM certificates")
	}
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	c.shown = append(c.shown, shownCertificate{ca: true, path: shownPath(&v.CA), certs: certs})
	for _, s := range v.SANs {
		fmt.Fprintf(h, "%#v", s)
		m := sanMatcher{kind: s.Type, m: s.Match.Compile()}
		if s.Type == "DNS" && s.Match.Kind == mesh.MatchExact {
			m.exact = s.Match.Text
		}
		c.sans = append(c.sans, m)
	}
	return pool, nil
}

func shownPath(s *mesh.Source) string {
	if s.File == "" {
		return "<inline>"
	}
	return s.File
}

func readPEM(path string, s *mesh.Source, h hash.Hash) ([]byte, error) {
	b := []byte(s.Inline)
	if s.File != "" {
		var err error
		if b, err = os.ReadFile(s.File); err != nil {
			return nil, failure.Wrap(failure.BadFile, err, "sidecar: "+path, "name a PEM file that can be read")
		}
	}
	h.Write(b)
	return b, nil
}

// parseAll returns the certificates in PEM text, passing over what is none.
func parseAll(text []byte) (out []*x509.Certificate) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return out
		}
		if c, err := x509.ParseCertificate(b.Bytes); err == nil && b.Type == "CERTIFICATE" {
			out = append(out, c)
		}
	}
}

var tlsVersions = map[string]uint16{"TLSv1_2": tls.VersionTLS12, "TLSv1_3": tls.VersionTLS13}

// ciphers are OpenSSL's names, which Envoy's configuration and stats have.
var ciphers = map[uint16]string{
	tls.TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256", tls.TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
	tls.TLS_CHACHA20_POLY1305_SHA256:                  "TLS_CHACHA20_POLY1305_SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:                  "AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:                  "AES256-SHA",
}

var curves = map[tls.CurveID]string{
	tls.X25519: "X25519", tls.CurveP256: "P-256", tls.CurveP384: "P-384", tls.CurveP521: "P-521", tls.X25519MLKEM768: "X25519MLKEM768",
}

// tally counts a handshake that succeeded.
func tally(c *mesh.TLSCounters, s *tls.ConnectionState) {
	version := "TLSv1.3"
	if s.Version == tls.VersionTLS12 {
		version = "TLSv1.2"
	}
	c.Agreed(ciphers[s.CipherSuite], version, curves[s.CurveID])
	if s.DidResume {
		c.SessionReused++
	}
	if len(s.PeerCertificates) == 0 {
		c.NoCertificate++
	}
}

// tallyFailure counts one that failed in err.
func tallyFailure(c *mesh.TLSCounters, err error) {
	var bad *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errName):
		c.FailVerifySAN++
	case errors.As(err, &bad):
		c.FailVerifyError++
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		c.FailVerifyNoCert++
	case errors.Is(err, errLeft) && !errors.Is(err, errCut): // is no error of TLS
	default:
		c.ConnectionError++
	}
}

// errLeft ends the handshake of a connection that the peer has closed, or we.
var errLeft = errors.New("sidecar: the peer has left")

// errCut is the errLeft of a peer that has reset the connection, which Envoy counts
// among TLS's errors.
var errCut = fmt.Errorf("%w with a reset", errLeft)
