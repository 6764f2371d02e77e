// Package istio is what Istio's control plane gives the sidecars of a cluster's
// pods: the configuration of each, as one Envoy bootstrap file, and certificates.
package istio

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"time"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// TrustDomain begins the identities of a cluster.
const TrustDomain = "cluster.local"

// rsaBits is the size of the keys that Istio's agent makes unless told otherwise.
const rsaBits = 2048

// skew is how much before the present a certificate begins to hold: Istio's.
const skew = 2 * time.Minute

// Identity is the name in a certificate of a service account (SPIFFE).
func Identity(namespace, account string) string {
	return "spiffe://" + TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// CA signs the certificates of one cluster.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	root []byte
	life time.Duration
}

// rootLife is how long the CA's own certificate holds: ten years, Istio's.
const rootLife = 10 * 365 * 24 * time.Hour

// NewCA makes an authority. The certificates it signs hold for life.
func NewCA(now time.Time, life time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("istio: key of the CA: %w", err)
	}
	t := template(now, rootLife)
	t.Subject = pkix.Name{Organization: []string{TrustDomain}}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("istio: certificate of the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	return &CA{cert, key, encode("CERTIFICATE", der), life}, err
}

// Root is the CA's own certificate, PEM.
func (ca *CA) Root() []byte { return ca.root }

// Issue returns a certificate for both ends of a connection and its RSA key, PEM.
func (ca *CA) Issue(now time.Time, identity string) (chain, key []byte, err error) {
	uri, err := url.Parse(identity)
	if err != nil {
		return nil, nil, fmt.Errorf("istio: identity: %w", err)
	}
	private, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, fmt.Errorf("istio: key of %s: %w", identity, err)
	}
	t := template(now, ca.life)
	t.URIs = []*url.URL{uri}
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, private.Public(), ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("istio: certificate of %s: %w", identity, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("istio: key of %s: %w", identity, err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8), nil
}

// SecretName is what the sidecars' configuration calls their certificate, as Istio's.
const SecretName = "default"

// Deliver issues a certificate and puts it where a sidecar reads it, path, in one
// step: a sidecar that runs takes it for the connections that begin from then on.
func (ca *CA) Deliver(now time.Time, identity, path string) error {
	chain, key, err := ca.Issue(now, identity)
	if err != nil {
		return err
	}
	text, err := envoyconf.SecretFile(SecretName, mesh.Certificate{Chain: mesh.Source{Inline: string(chain)}, Key: mesh.Source{Inline: string(key)}})
	if err != nil {
		return err
	}
	if err = os.WriteFile(path+".new", text, 0o600); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("istio: certificate of %s: %w", identity, err)
	}
	return nil
}

func template(now time.Time, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // never fails: crypto/rand
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-skew), NotAfter: now.Add(life)}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
