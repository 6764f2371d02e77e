//go:build linux

package sidecar

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// both runs the sidecar and Envoy on cfg and returns their addresses.
func both(t *testing.T, cfg mesh.Config) (ours, envoys string) {
	path := envoy(t)
	ours = start(t, cfg, Options{Concurrency: 1}).Addrs()[0].String()
	envoys = reserve(t, 1)[0]
	cfg.Listeners = slices.Clone(cfg.Listeners) // the sidecar reads its own again when a name changes
	cfg.Listeners[0].Address = envoys
	startEnvoy(t, path, cfg, envoys)
	return ours, envoys
}

// versions are clusters v0, v1, ... that answer with their number.
func versions(t *testing.T, n int) (clusters []mesh.Cluster) {
	for i := range n {
		clusters = append(clusters, mesh.Cluster{Name: fmt.Sprint("v", i), Endpoints: []mesh.Endpoint{{Address: answer(t, ok(fmt.Sprint(i)))}}})
	}
	return clusters
}

var timeOfDay = regexp.MustCompile(`(?m)^(date|x-envoy-upstream-service-time): .*$`)

// raw is all that a connection answers, without the time of day, and with the
// error that ended it, if one did.
func raw(addr, request string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err = io.WriteString(c, request); err != nil {
		return err.Error()
	}
	b, err := io.ReadAll(c)
	if err != nil {
		b = append(b, err.Error()...)
	}
	return timeOfDay.ReplaceAllString(string(b), "$1:")
}

// TestSplit holds a canary's share against its weight, ours and Envoy's.
func TestSplit(t *testing.T) {
	cfg := relay(0)
	cfg.Clusters = versions(t, 3)
	r := &cfg.Listeners[0].VirtualHosts[0].Routes[0]
	r.Cluster, r.Clusters = "", []mesh.WeightedCluster{{Name: "v0", Weight: 80}, {Name: "v1", Weight: 5}, {Name: "v2", Weight: 15}}
	ours, envoys := both(t, cfg)
	for _, addr := range []string{ours, envoys} {
		counts := ask3000(t, addr)
		require.Less(t, distance(counts, []float64{.8, .05, .15}), 41.4, "%v", counts)
	}
}
