package mesh

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFamilyChoose(t *testing.T) {
	addr := netip.MustParseAddr
	four, six := []netip.Addr{addr("10.0.0.1"), addr("10.0.0.2")}, []netip.Addr{addr("::1"), addr("::2")}
	both := []netip.Addr{addr("::2"), addr("::ffff:10.0.0.2"), addr("::1"), addr("10.0.0.1"), addr("10.0.0.2"), addr("::1")}
	for _, tt := range []struct {
		family               Family
		both, onlyV4, onlyV6 []netip.Addr
	}{
		{"", six, four, six},
		{FamilyAuto, six, four, six},
		{FamilyV4, four, four, nil},
		{FamilyV6, six, nil, six},
		{FamilyPrefer, four, four, six},
	} {
		require.Equal(t, tt.both, tt.family.Choose(both), tt.family)
		require.Equal(t, tt.onlyV4, tt.family.Choose(four), tt.family)
		require.Equal(t, tt.onlyV6, tt.family.Choose(six), tt.family)
		require.Empty(t, tt.family.Choose(nil))
	}
}

func TestEndpointHost(t *testing.T) {
	for address, want := range map[string]string{
		"a.example:80": "a.example", "a_b-c:1": "a_b-c", "10.0.0.1:80": "10.0.0.1", "[::1]:80": "::1",
		"a": "", ":80": "", "a:": "", "a:65536": "", "a b:80": "", "::1:80": "", "a:-1": "", "a:+1": "",
	} {
		host, _, ok := (&Endpoint{Address: address}).Host()
		require.Equal(t, want, host, address)
		require.Equal(t, want != "", ok, address)
	}
}

func named(change func(c *Cluster)) Config {
	c := Cluster{Name: "app", DNS: &DNS{}, Endpoints: []Endpoint{{Address: "a:80", Weight: 3}, {Address: "b:81"}}}
	if change != nil {
		change(&c)
	}
	return Config{Listeners: []Listener{{Name: "l", Address: "127.0.0.1:80", StatPrefix: "l"}}, Clusters: []Cluster{c}}
}

// Each address gets the weight of its name; names without any are no endpoints.
func TestResolved(t *testing.T) {
	cfg := named(nil)
	got := cfg.Resolved(func(c *Cluster, e *Endpoint) []netip.Addr {
		require.Equal(t, "app", c.Name)
		if e.Address == "b:81" {
			return nil
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::1")}
	})
	require.Equal(t, []Endpoint{{"10.0.0.1:80", "a", 3, "a:80"}, {"[::1]:80", "a", 3, "a:80"}}, got.Clusters[0].Endpoints)
	require.Equal(t, "a:80", cfg.Clusters[0].Endpoints[0].Address, "the names are still there")
	table, err := Compile(got)
	require.NoError(t, err)
	require.Equal(t, []uint32{3, 3}, table.Clusters[0].Weights)
	table, err = Compile(cfg)
	require.NoError(t, err)
	require.Empty(t, table.Clusters[0].Endpoints, "nothing is resolved yet")
}

func TestValidateNames(t *testing.T) {
	for _, tt := range []struct {
		want   string
		change func(c *Cluster)
	}{
		{"", nil},
		{`endpoints[0].address: "a:80" is not ip:port`, func(c *Cluster) { c.DNS = nil }},
		{`endpoints[1].address: "b" is neither ip:port nor name:port`, func(c *Cluster) { c.Endpoints[1].Address = "b" }},
		{`endpoints[1].address: b:0 has port 0`, func(c *Cluster) { c.Endpoints[1].Address = "b:0" }},
		{`dns.dns_refresh_rate: is 1ms, want 0 (5s) or more than 1ms`, func(c *Cluster) { c.DNS.Refresh = time.Millisecond }},
		{`dns.dns_lookup_family: is "ALL", want one of AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED`, func(c *Cluster) { c.DNS.Family = "ALL" }},
		{`dns: is for endpoints, and the cluster is the original destination`, func(c *Cluster) { c.OriginalDst, c.Endpoints = true, nil }},
	} {
		cfg := named(tt.change)
		if err := cfg.Validate(); tt.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, tt.want)
		}
	}
}
