package lab

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

const goodLab = `name: two
fabric: bridge
mtu: 9000
static_neighbours: true
hosts:
- name: client
  hosts: {www: 10.77.1.11}
  balance:
  - {addr: "10.1.1.1:80", backends: ["10.77.1.11:80"]}
- name: server
`

func TestParse(t *testing.T) {
	want := Spec{Name: "two", Fabric: Bridge, MTU: 9000, StaticNeighbours: true, Hosts: []Host{
		{Name: "client", Hosts: map[string]string{"www": "10.77.1.11"}, Balance: []VIP{{Addr: "10.1.1.1:80", Backends: []string{"10.77.1.11:80"}}}},
		{Name: "server"},
	}}
	got, err := Parse([]byte(goodLab), "lab.yaml")
	require.NoError(t, err)
	require.Equal(t, want, got)
	asJSON, err := json.MarshalIndent(want, "", "\t")
	require.NoError(t, err)
	got, err = Parse(asJSON, "lab.json")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// What is wrong with a file is said with its place and what may stand there.
const goodCluster = `name: shop
fabric: kubernetes
hosts:
- name: a
- name: b
  sidecar: true
  namespace: shop
services:
- name: web
  ip: 10.96.1.1
  ports: [{name: http, port: 80, target: 8080}, {name: dns, port: 53, protocol: UDP}]
  pods: [a, b]
- name: none
  ports: [{port: 80}]
`

func TestParseClusterSaysWhere(t *testing.T) {
	for _, tt := range []struct{ old, new, says string }{
		{"name: a", "name: node", `f.yaml:4:9: lab shop: host name "node" is taken`},
		{"fabric: kubernetes", "fabric: kubernetes\nnodes: 3", "f.yaml:3:8: lab shop: it has 3 nodes, want 1 or 2"},
		{"sidecar: true", "node: 2", "f.yaml:6:9: lab shop: pod b is on node 2, want 1 to 1"},
		{"namespace: shop", "namespace: Shop", `f.yaml:7:14: lab shop: namespace "Shop" of b is no DNS label`},
		{"name: web", "name: Web", `f.yaml:9:9: lab shop: service "Web"`},
		{"name: none", "name: web", `f.yaml:13:9: lab shop: service web.default is there twice`},
		{"10.96.1.1", "10.77.1.1", `f.yaml:10:7: lab shop: address "10.77.1.1" of service web is not in 10.96.0.0/12`},
		{"10.96.1.1", "10.96.0.10", `f.yaml:10:7: lab shop: services kube-dns and web have the same address`},
		{"pods: [a, b]", "pods: [a, c]", `f.yaml:12:13: lab shop: host "c": there is no such host`},
		{"protocol: UDP", "protocol: SCTP", `f.yaml:11:10: service web: protocol is "SCTP", want TCP or UDP`},
		{"target: 8080", "target: 80800", `port is 80 and target 80800, want 1 to 65535`},
		{"name: dns, ", "", `port 53 has no name, and there are several`},
		{"port: 53, protocol: UDP", "port: 80", `port TCP 80 is there twice`},
		{"fabric: kubernetes", "fabric: bridge", `f.yaml:9:1: lab shop: fabric bridge has no services, kubernetes has`},
		{"- name: a", "- name: a\n  ip: " + Subnet("shop").Addr().Next().String(), `is the node's`},
	} {
		require.Contains(t, goodCluster, tt.old)
		_, err := Parse([]byte(strings.Replace(goodCluster, tt.old, tt.new, 1)), "f.yaml")
		require.ErrorContains(t, err, tt.says, tt.new)
		require.Equal(t, failure.BadFile, failure.KindOf(err))
	}
	s, err := Parse([]byte(goodCluster), "f.yaml")
	require.NoError(t, err)
	s, err = s.complete()
	require.NoError(t, err)
	require.Equal(t, "10.96.0.12", s.Services[1].IP)
	require.Equal(t, Service{Name: "web", Namespace: "default", IP: "10.96.1.1", Pods: []string{"a", "b"},
		Ports: []ServicePort{{Name: "http", Protocol: "TCP", Port: 80, Target: 8080}, {Name: "dns", Protocol: "UDP", Port: 53, Target: 53}}}, s.Services[0])
	again, err := s.complete()
	require.NoError(t, err)
	require.Equal(t, s, again, "what is complete stays")
}

func TestParseSaysWhere(t *testing.T) {
	with := func(old, new string) string {
		require.Contains(t, goodLab, old)
		return strings.Replace(goodLab, old, new, 1)
	}
	for _, tt := range []struct{ name, text, says string }{
		{"empty", "", "f.yaml:1:1: is empty, want a mapping with name, fabric and hosts"},
		{"half-written", "name: x\nhosts: [{name: a}\nfabric: bridge\n", "f.yaml:2:1: did not find expected ',' or ']'"},
		{"comment only", "# nothing\n", "f.yaml:1:1: is empty"},
		{"a list", "- a\n", "f.yaml:1:1: want a mapping with name, hosts, fabric, mtu, static_neighbours"},
		{"several documents", goodLab + "---\n" + goodLab, "f.yaml:1:1: holds several documents"},
		{"syntax", with("fabric: bridge", "fabric: b: c"), "f.yaml:2:1: "},
		{"unknown field", with("fabric:", "fabrik:"), "f.yaml:2:1: fabrik: there is no such field, want name, hosts, fabric, mtu, static_neighbours"},
		{"unknown field of a host", with("  hosts:", "  hots:"), "f.yaml:7:3: hosts[0].hots: there is no such field, want name, ip, hosts, balance"},
		{"twice", with("mtu: 9000", "name: three"), "f.yaml:3:1: name: is there twice"},
		{"not a number", with("mtu: 9000", "mtu: large"), "f.yaml:3:6: mtu: want a whole number"},
		{"not a switch", with("true", "2"), "f.yaml:4:20: static_neighbours: want true or false"},
		{"not text", with("name: server", "name: 7"), "f.yaml:10:9: hosts[1].name: want text"},
		{"not a list", with("hosts:\n", "hosts: {}\nh2:\n"), "f.yaml:5:8: hosts: want a list"},
		{"not a mapping", with("{www: 10.77.1.11}", "www"), "f.yaml:7:10: hosts[0].hosts: want a mapping of names to addresses"},
		{"an alias", strings.Replace(with("mtu: 9000", "mtu: *x"), "name: two", "name: &x two", 1), "f.yaml:3:6: mtu: aliases (*x) are not read"},
		{"fabric", with("bridge", "tokenring"), `f.yaml:2:9: lab two: fabric is "tokenring", want direct, bridge, ports, taps or kubernetes`},
		{"no hosts", "name: x\nfabric: bridge\n", "f.yaml:1:1: lab x: it has no hosts"},
		{"MTU", with("9000", "67"), "f.yaml:3:6: lab two: MTU is 67"},
		{"lab name", with("two", "T"), `f.yaml:1:7: lab name "T"`},
		{"host name", with("server", "S"), `f.yaml:10:9: host name "S"`},
		{"address", with("- name: server", "- name: server\n  ip: 10.1.1.300"), `f.yaml:11:7: lab two: address "10.1.1.300" of host server is not IPv4`},
		{"name of a host's own", with("{www: 10.77.1.11}", "{www: here}"), "f.yaml:7:16: lab two: host client: names"},
		{"virtual address", with("10.1.1.1:80", "10.1.1.1"), "f.yaml:9:5: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.text), "f.yaml")
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "next: mend the file")
			require.Equal(t, failure.BadFile, failure.KindOf(err))
		})
	}
	_, err := Parse([]byte("a: 1\nb: 2\n"), "f.yaml")
	require.ErrorContains(t, err, "f.yaml:1:1: a")
	require.ErrorContains(t, err, "f.yaml:2:1: b", "all problems at once")
}

// What is read is a lab that can be planned, and reads the same when written.
func FuzzParse(f *testing.F) {
	f.Add([]byte(goodLab))
	f.Add([]byte(goodCluster))
	f.Add([]byte(`{"name": "x", "fabric": "direct", "hosts": [{"name": "a"}, {"name": "b"}]}`))
	f.Add([]byte("name: &a x\nfabric: *a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text, "f")
		if err != nil {
			require.Equal(t, failure.BadFile, failure.KindOf(err))
			require.Regexp(t, `f:\d+:\d+: `, err.Error())
			return
		}
		_, err = Plan(s)
		require.NoError(t, err)
		b, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := Parse(b, "f")
		require.NoError(t, err)
		c, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(b), string(c))
	})
}
