package offload_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/nic/offload"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Of routes whose retry policy is not followed, because the endpoint's proxy is one pass
// with theirs, it is said.
func TestExplainRetriesOfAChain(t *testing.T) {
	retry := &mesh.RetryPolicy{On: []string{"5xx"}, Retries: 2}
	listener := func(name, at, cluster string, r *mesh.RetryPolicy) mesh.Listener {
		return mesh.Listener{Name: name, Address: at, StatPrefix: name, VirtualHosts: []mesh.VirtualHost{{Name: "any", Domains: []string{"*"},
			Routes: []mesh.Route{{Prefix: "/", Cluster: cluster, Retry: r}}}}}
	}
	parts, err := offload.Explain(mesh.Config{
		Listeners: []mesh.Listener{listener("out", "10.0.0.1:80", "in", retry), listener("in", "10.0.0.2:80", "app", retry), listener("plain", "10.0.0.3:80", "in", nil)},
		Clusters:  []mesh.Cluster{{Name: "in", Endpoints: []mesh.Endpoint{{Address: "10.0.0.2:80"}}}, {Name: "app", Endpoints: []mesh.Endpoint{{Address: "10.0.0.9:80"}}}},
	})
	require.NoError(t, err)
	said := map[string]bool{}
	for _, p := range parts {
		require.Equal(t, "nic", p.Where, p.Name)
		said[p.Name] = strings.Contains(p.Why, "retry policy")
	}
	require.True(t, said["out/any/prefix /"])
	require.False(t, said["in/any/prefix /"], "it is the last one")
	require.False(t, said["plain/any/prefix /"], "it has none")
}
