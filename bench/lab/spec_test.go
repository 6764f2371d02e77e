package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestSpecCompletes(t *testing.T) {
	s, err := Spec{Name: "t", Fabric: Ports, Hosts: []Host{{Name: "a"}, {Name: "b", IP: "10.77.230.99"}, {Name: "productpage-v1"}}}.complete()
	require.NoError(t, err)
	require.Equal(t, 1500, s.MTU)
	require.Equal(t, "10.77.230.10", s.Hosts[0].IP)
	require.Equal(t, "10.77.230.99", s.Hosts[1].IP)
	require.Equal(t, "10.77.230.12", s.Hosts[2].IP)
	require.Equal(t, "02:6e:0a:4d:e6:63", s.mac(1))
	require.Equal(t, "p-b", s.port(1))
	require.Equal(t, "p2", s.port(2), "an interface's name has at most 15 bytes")
	require.Equal(t, "127.0.0.1 localhost\n::1 localhost\n10.77.230.10 a\n10.77.230.99 b\n10.77.230.12 productpage-v1\n", s.hostsFile(0))
	s.Hosts[0].Hosts = map[string]string{"b": "10.0.0.1"}
	require.Contains(t, s.hostsFile(0), "10.0.0.1 b\n", "a host's own names go first")
	require.NotContains(t, s.hostsFile(0), "10.77.230.99 b\n")
	require.Contains(t, s.hostsFile(1), "10.77.230.99 b\n")
}

func TestSubnet(t *testing.T) {
	for _, name := range []string{"", "a", "b", "bench", "t_1"} {
		a := Subnet(name).Addr().As4()
		require.Equal(t, [2]byte{10, 77}, [2]byte(a[:2]))
		require.NotZero(t, a[2])
		require.NotEqual(t, byte(255), a[2])
	}
	require.NotEqual(t, Subnet("a"), Subnet("b"))
}

func TestBadSpecs(t *testing.T) {
	a, b := Host{Name: "a"}, Host{Name: "b"}
	many := make([]Host, 201)
	for i := range many {
		many[i].Name = strings.Repeat("x", 1+i%20) + string(rune('a'+i/20))
	}
	for _, tt := range []struct {
		text string
		spec Spec
	}{
		{`lab name ""`, Spec{Fabric: Bridge, Hosts: []Host{a}}},
		{`lab name "a-b"`, Spec{Name: "a-b", Fabric: Bridge, Hosts: []Host{a}}},
		{`lab name "../x"`, Spec{Name: "../x", Fabric: Bridge, Hosts: []Host{a}}},
		{`fabric is ""`, Spec{Name: "t", Hosts: []Host{a}}},
		{`fabric is "token ring"`, Spec{Name: "t", Fabric: "token ring", Hosts: []Host{a}}},
		{"no hosts", Spec{Name: "t", Fabric: Bridge}},
		{"joins two hosts, not 1", Spec{Name: "t", Fabric: Direct, Hosts: []Host{a}}},
		{"joins two hosts, not 3", Spec{Name: "t", Fabric: Direct, Hosts: []Host{a, b, {Name: "c"}}}},
		{"at most 200", Spec{Name: "t", Fabric: Bridge, Hosts: many}},
		{`host name "B"`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "B"}}}},
		{`host name "a" is taken`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{a, a}}},
		{`host name "switch" is taken`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: SwitchHost}}}},
		{"MTU is 67", Spec{Name: "t", Fabric: Bridge, MTU: 67, Hosts: []Host{a}}},
		{"MTU is 65536", Spec{Name: "t", Fabric: Bridge, MTU: 65536, Hosts: []Host{a}}},
		{`"1.2.3" of host a is not IPv4`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", IP: "1.2.3"}}}},
		{`"fe80::1" of host a is not IPv4`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", IP: "fe80::1"}}}},
		{"hosts a and b have the same address", Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", IP: "10.0.0.1"}, {Name: "b", IP: "10.0.0.1"}}}},
		{"10.0.1.1 of host b is not in 10.0.0.0/24", Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", IP: "10.0.0.1"}, {Name: "b", IP: "10.0.1.1"}}}},
		{`"x" is "y"`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", Hosts: map[string]string{"x": "y"}}}}},
		{"want a name and an address", Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", Hosts: map[string]string{"x\n10.0.0.1 y": "10.0.0.1"}}}}},
		{"has no backends", Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", Balance: []VIP{{Addr: "10.0.0.1:80"}}}}}},
		{`"reviews:80"`, Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a", Balance: []VIP{{Addr: "reviews:80", Backends: []string{"10.0.0.1:80"}}}}}}},
	} {
		_, err := Up(t.Context(), tt.spec)
		require.ErrorContains(t, err, tt.text)
		require.Equal(t, failure.Usage, failure.KindOf(err), tt.text)
		_, err = Plan(tt.spec)
		require.ErrorContains(t, err, tt.text)
	}
}

func TestSpecIsNotChanged(t *testing.T) {
	s := Spec{Name: "t", Fabric: Bridge, Hosts: []Host{{Name: "a"}}}
	_, err := s.complete()
	require.NoError(t, err)
	require.Empty(t, s.Hosts[0].IP)
}
