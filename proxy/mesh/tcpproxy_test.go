package mesh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTCPProxyValidate(t *testing.T) {
	host := []VirtualHost{{Name: "any", Domains: []string{"*"}}}
	for _, tt := range []struct {
		name  string
		tcp   TCPProxy
		hosts []VirtualHost
		want  string
	}{
		{"one cluster", TCPProxy{Cluster: "a"}, nil, ""},
		{"weighted", TCPProxy{Clusters: []WeightedCluster{{Name: "a", Weight: 1}, {Name: "b", Weight: 3}}}, nil, ""},
		{"none", TCPProxy{}, nil, "listeners[0].tcp_proxy: want one of cluster and weighted_clusters"},
		{"both", TCPProxy{Cluster: "a", Clusters: []WeightedCluster{{Name: "a", Weight: 1}}}, nil, "want one of cluster and weighted_clusters"},
		{"unknown", TCPProxy{Cluster: "c"}, nil, `listeners[0].tcp_proxy.cluster: no cluster is named "c"`},
		{"unknown weighted", TCPProxy{Clusters: []WeightedCluster{{Name: "c", Weight: 1}}}, nil, `listeners[0].tcp_proxy.weighted_clusters[0].name: no cluster is named "c"`},
		{"no weight", TCPProxy{Clusters: []WeightedCluster{{Name: "a", Weight: 0}}}, nil, "weights add up to 0"},
		{"beside HTTP", TCPProxy{Cluster: "a"}, host, "is beside virtual_hosts, want one of them"},
		{"timeout", TCPProxy{Cluster: "a", Idle: -1}, nil, "listeners[0].tcp_proxy.idle_timeout: is -1ns"},
	} {
		cfg := Config{
			Listeners: []Listener{{Name: "l", Address: "127.0.0.1:1", StatPrefix: "l", TCP: &tt.tcp, VirtualHosts: tt.hosts}},
			Clusters:  []Cluster{{Name: "a"}, {Name: "b"}},
		}
		err := cfg.Validate()
		if tt.want == "" {
			require.NoError(t, err, tt.name)
			continue
		}
		require.ErrorContains(t, err, tt.want, tt.name)
	}
}

// The chains of a listener have its log, all of them the same.
func TestListenerLogsValidate(t *testing.T) {
	of := func(path string, port uint32) Listener {
		return Listener{Name: "l", Address: "127.0.0.1:1", StatPrefix: "l", TCP: &TCPProxy{Cluster: "a"}, Match: ChainMatch{Port: port}, ConnLogs: []AccessLog{{Path: path}}}
	}
	cfg := Config{Listeners: []Listener{of("x", 1), of("x", 2)}, Clusters: []Cluster{{Name: "a"}}}
	require.NoError(t, cfg.Validate())
	cfg.Listeners[1] = of("y", 2)
	require.ErrorContains(t, cfg.Validate(), "listeners[1].listener_access_log: is not that of listeners[0]")
	cfg.Listeners[1] = of("", 2)
	require.ErrorContains(t, cfg.Validate(), "listeners[1].listener_access_log[0].path: is empty")
}

func TestTCPProxyClusters(t *testing.T) {
	table, err := Compile(Config{
		Listeners: []Listener{{Name: "l", Address: "127.0.0.1:1", StatPrefix: "l", TCP: &TCPProxy{Clusters: []WeightedCluster{{Name: "b", Weight: 3}, {Name: "a", Weight: 1}}}}},
		Clusters:  []Cluster{{Name: "a"}, {Name: "b"}},
	})
	require.NoError(t, err)
	p := table.Listeners[0].TCP
	require.Equal(t, 1, p.Attempts)
	var got []int
	for n := range uint64(5) {
		got = append(got, p.Cluster(func() uint64 { return n }))
	}
	require.Equal(t, []int{1, 1, 1, 0, 1}, got)
}
