package istio

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

func sidecar() Sidecar {
	at := netip.MustParseAddr
	return Sidecar{Pod: "reviews-v1", Namespace: "default", Target: 9080, Log: "/dev/stdout", Domain: "cluster.local",
		Files: Files{Secret: "./reviews.yaml", Root: "root.pem"},
		Services: []Service{
			{Name: "ratings", Namespace: "default", IP: "10.96.0.13", Port: 9080, Target: 9080, Account: "bookinfo-ratings", Pods: []netip.Addr{at("10.77.90.13")}},
			{Name: "reviews", Namespace: "default", IP: "10.96.0.14", Port: 9080, Target: 9081, Account: "bookinfo-reviews", Pods: []netip.Addr{at("10.77.90.14"), at("10.77.90.15")}},
			{Name: "web", Namespace: "shop", IP: "10.96.0.15", Port: 80, Target: 8080, Account: "web"},
		}}
}

func TestConfig(t *testing.T) {
	cfg := sidecar().Config()
	require.NoError(t, cfg.Validate())
	yaml, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	read, err := envoyconf.Read(yaml, "sidecar.yaml")
	require.NoError(t, err)
	require.Equal(t, cfg.Clusters[0].TLS, read.Clusters[0].TLS)
	require.Len(t, read.Listeners, len(cfg.Listeners))

	by := map[string]mesh.Listener{}
	for _, l := range cfg.Listeners {
		by[l.Name+l.Match.Transport] = l
	}
	require.True(t, by["virtualOutbound"].Intercept.HandOver)
	require.Equal(t, passthrough, by["virtualOutbound"].TCP.Cluster)
	out := by["0.0.0.0_9080"]
	require.True(t, out.Intercept.Unbound)
	require.Len(t, out.VirtualHosts, 3, "two services at that port, and the rest")
	require.Contains(t, out.VirtualHosts[0].Domains, "ratings:9080")
	require.Contains(t, out.VirtualHosts[0].Domains, "10.96.0.13:9080")
	require.Equal(t, "outbound|9080||ratings.default.svc.cluster.local", out.VirtualHosts[0].Routes[0].Cluster)
	require.NotContains(t, by["0.0.0.0_80"].VirtualHosts[0].Domains, "web", "of another namespace")
	require.True(t, by["virtualInboundtls"].TLS.RequireClientCert)
	require.Nil(t, by["virtualInboundraw_buffer"].TLS, "permissive")
	require.Equal(t, inboundPassthrough, by["virtualInbound"].TCP.Cluster)
	require.EqualValues(t, 9080, by["virtualInboundtls"].Match.Port)

	c := cfg.Clusters[1]
	require.Equal(t, "10.77.90.15:9081", c.Endpoints[1].Address)
	require.Equal(t, "outbound_.9080_._.reviews.default.svc.cluster.local", c.TLS.SNI)
	require.Equal(t, "spiffe://cluster.local/ns/default/sa/bookinfo-reviews", c.TLS.Validation.SANs[0].Match.Text)
	require.Equal(t, yaml, must(envoyconf.Bootstrap(sidecar().Config())), "the same bytes every time")
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A NIC has the sidecars of the pods behind it: without TLS among them, and with it, by
// a host sidecar, where a pod is elsewhere.
func TestConfigOfANIC(t *testing.T) {
	n := NIC{Sidecar: sidecar(), Behind: []netip.Addr{netip.MustParseAddr("10.77.90.13"), netip.MustParseAddr("10.77.90.14")}}
	n.Log = ""
	cfg := n.Config()
	require.NoError(t, cfg.Validate())
	parts, err := offload.Explain(cfg)
	require.NoError(t, err)
	where := map[string]offload.Reason{}
	for _, p := range parts {
		where[p.Kind+" "+p.Name] = p.Reason
	}
	require.Equal(t, map[string]offload.Reason{
		"listener 10.96.0.13_9080 (10.96.0.13:9080)":                           "",
		"listener 10.96.0.14_9080 (10.96.0.14:9080)":                           "",
		"listener 10.96.0.15_80 (10.96.0.15:80)":                               "",
		"listener virtualInbound_10.77.90.13 (10.77.90.13:9080)":               "",
		"listener virtualInbound_10.77.90.14 (10.77.90.14:9081)":               "",
		"route 10.96.0.13_9080/ratings.default.svc.cluster.local:9080/default": "",
		"route 10.96.0.13_9080/reviews.default.svc.cluster.local:9080/default": offload.ByUpstreamTLS,
		"route 10.96.0.13_9080/allow_any/allow_any":                            "",
		"route 10.96.0.14_9080/ratings.default.svc.cluster.local:9080/default": "",
		"route 10.96.0.14_9080/reviews.default.svc.cluster.local:9080/default": offload.ByUpstreamTLS,
		"route 10.96.0.14_9080/allow_any/allow_any":                            offload.ByUpstreamTLS,
		"route 10.96.0.15_80/web.shop.svc.cluster.local:80/default":            "",
		"route 10.96.0.15_80/allow_any/allow_any":                              "",
		"route virtualInbound_10.77.90.13/inbound|http|9080/default":           "",
		"route virtualInbound_10.77.90.14/inbound|http|9081/default":           "",
		"cluster outbound|9080||ratings.default.svc.cluster.local":             "",
		"cluster outbound|9080||reviews.default.svc.cluster.local":             offload.ByUpstreamTLS,
		"cluster outbound|80||web.shop.svc.cluster.local":                      "",
		"cluster inbound|9080||10.77.90.13":                                    "",
		"cluster inbound|9081||10.77.90.14":                                    "",
	}, where)

	beside := n.Beside()
	require.NoError(t, beside.Validate())
	require.Len(t, beside.Listeners, 1)
	require.Equal(t, "0.0.0.0:9080", beside.Listeners[0].Address)
	require.False(t, beside.Listeners[0].Intercept.Unbound)
	require.Nil(t, beside.Clusters[0].TLS)
	require.NotNil(t, beside.Clusters[1].TLS)
	yaml, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	read, err := envoyconf.Read(yaml, "nic.yaml")
	require.NoError(t, err)
	require.Equal(t, cfg.Listeners[3], read.Listeners[3])
}

// The real Envoy takes the file.
func TestConfigWithEnvoy(t *testing.T) {
	envoy := os.Getenv("MESHNIC_ENVOY")
	if envoy == "" {
		t.Skip("MESHNIC_ENVOY is not set")
	}
	dir := t.TempDir()
	ca, err := NewCA(time.Now(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, ca.Deliver(time.Now(), Identity("default", "bookinfo-reviews"), filepath.Join(dir, "reviews.yaml")))
	for name, text := range map[string][]byte{"root.pem": ca.Root(), "envoy.yaml": must(envoyconf.Bootstrap(sidecar().Config()))} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), envoy, "--mode", "validate", "-c", "envoy.yaml")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// Two ends with certificates of one CA know each other; those of another, and
// those that are out of date, are refused.
func TestCertificates(t *testing.T) {
	now := time.Now()
	ca, err := NewCA(now, time.Hour)
	require.NoError(t, err)
	other, err := NewCA(now, time.Hour)
	require.NoError(t, err)
	issue := func(ca *CA, at time.Time) tls.Certificate {
		chain, key, err := ca.Issue(at, Identity("default", "web"))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(key), "-----BEGIN PRIVATE KEY-----"))
		c, err := tls.X509KeyPair(chain, key)
		require.NoError(t, err)
		return c
	}
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca.Root()))
	shake := func(client tls.Certificate) (*tls.ConnectionState, error) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{issue(ca, now)}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})
		go func() {
			c := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{client}, InsecureSkipVerify: true})
			c.Handshake()
			c.Read(make([]byte, 1))
		}()
		err := server.Handshake()
		st := server.ConnectionState()
		return &st, err
	}
	st, err := shake(issue(ca, now))
	require.NoError(t, err)
	require.Equal(t, "spiffe://cluster.local/ns/default/sa/web", st.PeerCertificates[0].URIs[0].String())
	require.WithinDuration(t, now.Add(time.Hour), st.PeerCertificates[0].NotAfter, time.Second)
	_, err = shake(issue(other, now))
	require.ErrorContains(t, err, "unknown authority")
	_, err = shake(issue(ca, now.Add(-2*time.Hour)))
	require.ErrorContains(t, err, "expired")
	_, _, err = ca.Issue(now, "\x7f")
	require.Error(t, err)
}
