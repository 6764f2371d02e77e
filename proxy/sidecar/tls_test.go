//go:build linux

package sidecar

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// authority is a certificate authority of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(36 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issued is a certificate that an authority has signed, and its key.
type issued struct {
	chain, key string
	pair       tls.Certificate
}

func (i issued) certificate() mesh.Certificate {
	return mesh.Certificate{Chain: mesh.Source{Inline: i.chain}, Key: mesh.Source{Inline: i.key}}
}

// issue signs a certificate for a SPIFFE name and DNS names, valid until end.
func (a *authority) issue(uri string, end time.Time, dns ...string) issued {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	u, err := url.Parse(uri)
	require.NoError(a.t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "leaf"}, URIs: []*url.URL{u}, DNSNames: dns,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	kder, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	out := issued{
		chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})),
	}
	out.pair, err = tls.X509KeyPair([]byte(out.chain), []byte(out.key))
	require.NoError(a.t, err)
	return out
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) validation(uris ...string) *mesh.Validation {
	v := &mesh.Validation{CA: mesh.Source{Inline: a.pem}}
	for _, u := range uris {
		v.SANs = append(v.SANs, mesh.SANName{Type: "URI", Match: mesh.StringMatch{Kind: mesh.MatchExact, Text: u}})
	}
	return v
}

var tomorrow = time.Now().Add(36 * time.Hour)

// secureWorld is a mesh of two: certificates for both, and others that are wrong.
type secureWorld struct {
	ca                                      *authority
	server, client, other, expired, unknown issued
}

func newSecureWorld(t testing.TB) *secureWorld {
	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "stranger")
	return &secureWorld{
		ca:      ca,
		server:  ca.issue("spiffe://mesh/server", tomorrow, "server.example"),
		client:  ca.issue("spiffe://mesh/client", tomorrow, "client.example"),
		other:   ca.issue("spiffe://mesh/other", tomorrow),
		expired: ca.issue("spiffe://mesh/client", time.Now().Add(-time.Hour)),
		unknown: stranger.issue("spiffe://mesh/client", tomorrow),
	}
}

// mutual is a relay to app that wants the client's certificate.
func (w *secureWorld) mutual(app string) mesh.Config {
	cfg := relay(0, mesh.Endpoint{Address: app})
	cfg.Listeners[0].TLS = &mesh.ServerTLS{
		TLS:               mesh.TLS{Certificates: []mesh.Certificate{w.server.certificate()}, Validation: w.ca.validation("spiffe://mesh/client"), ALPN: []string{"http/1.1"}},
		RequireClientCert: true,
	}
	return cfg
}

// originate has the cluster speak TLS as the client.
func (w *secureWorld) originate(cfg mesh.Config) mesh.Config {
	cfg.Clusters[0].TLS = &mesh.ClientTLS{
		TLS: mesh.TLS{Certificates: []mesh.Certificate{w.client.certificate()}, Validation: w.ca.validation("spiffe://mesh/server")},
		SNI: "server.example",
	}
	return cfg
}

// tlsClient is how a client with the given certificates, if any, connects.
func (w *secureWorld) tlsClient(certs ...issued) *tls.Config {
	c := &tls.Config{RootCAs: w.ca.pool(), ServerName: "server.example"}
	for _, i := range certs {
		c.Certificates = append(c.Certificates, i.pair)
	}
	return c
}

// answerTLS is answer behind TLS.
func (w *secureWorld) answerTLS(t testing.TB, config *tls.Config, f func(c net.Conn, r *bufio.Reader)) string {
	return answer(t, func(c net.Conn, _ *bufio.Reader) {
		tc := tls.Server(c, config)
		c.SetDeadline(time.Now().Add(20 * time.Second))
		f(tc, bufio.NewReader(tc))
		tc.Close()
	})
}

func (w *secureWorld) tlsServer(cert issued) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert.pair}, ClientCAs: w.ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
}

// A request over mutual TLS on both sides.
func TestMutualTLS(t *testing.T) {
	w := newSecureWorld(t)
	app := w.answerTLS(t, w.tlsServer(w.server), func(c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Proto: %s\r\n\r\nhello", req.Header.Get("X-Forwarded-Proto"))
		}
	})
	s := start(t, w.originate(w.mutual(app)), Options{Concurrency: 1})
	for i := range 3 {
		c := tls.Client(dial(t, s), w.tlsClient(w.client))
		r := bufio.NewReader(c)
		for range 5 {
			_, err := io.WriteString(c, get)
			require.NoError(t, err)
			resp, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b))
			require.Equal(t, "https", resp.Header.Get("X-Proto"))
		}
		require.NoError(t, c.Close())
		eventually(t, s, "http.in.downstream_cx_active", 0)
		require.Equal(t, uint64(i+1), stat(t, s, "listener."+addrOf(s.Addrs()[0])+".ssl.handshake"))
	}
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.ssl.handshake"))
	require.Equal(t, uint64(1), stat(t, s, "cluster.app.upstream_cx_total"))
}
